"""Profiles: the shipped ones load, and what is wrong with another is said in one line."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from fixtures.clusters.base import Endpoints
from fixtures.core.errors import UsageError
from fixtures.core.timeouts import Timeouts
from fixtures.core.toml_writing import toml_text
from fixtures.core.versions import is_other_release
from fixtures.probes import census
from fixtures.profile import model as profiles
from fixtures.profile import version1
from fixtures.profile.behaviour import Tools
from fixtures.profile.contract import ContractFile
from fixtures.profile.model import Profile
from fixtures.profile.scalars import bytes_of
from tests.e2e.test_image import required

REFERENCE = (profiles.PROFILES / "swe-ai-fleet.toml").read_text(encoding="utf-8")


ERAS = [f"swe-ai-fleet-{era}" for era in ("a-council", "b-executor", "c-hexagonal", "d-envelope")]


@pytest.mark.parametrize("name", ["swe-ai-fleet", "embedded", *ERAS])
def test_shipped_profiles_load(name: str) -> None:
    loaded = profiles.load(name)
    assert loaded.name == name
    assert loaded.vllm.model == "Qwen/Qwen3-0.6B"
    assert [one.module for one in loaded.agent.dependencies] == ["ray", "requests", "aiohttp", "nats"]


def test_reference_values() -> None:
    reference = profiles.load("swe-ai-fleet")
    assert reference.ray.python_minor == "3.9"
    assert bytes_of(reference.ray.resources.memory) == 128 * 2**30
    assert reference.ray.head_service == "ray-gpu-head-svc"
    assert reference.agent.module == "swe_ai_fleet.orchestrator.ray_jobs.vllm_agent_job"
    assert reference.agent.name == "VLLMAgentJob"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('model = "Qwen', 'modle = "Qwen', ["vllm", "model"]),
        ("max_model_len = 40960", 'max_model_len = "40960"', ["vllm.max_model_len", "must be a whole number", "40960"]),
        ("max_model_len = 40960", "max_model_len = -1", ["vllm.max_model_len", "greater than or equal to 0"]),
        ('"rpc-async"', '"rpc-sync"', ["deliberations.results: ", "grpc.start.response names no proposals"]),
        ('"rpc-async"', '"mail"', ["deliberations.mode: must be one of rpc-async, rpc-sync, event, none"]),
        (
            '"rpc-async"',
            '"rpc-sync"\nresults = "rpc"',
            ["deliberations.results", 'must be "inline" or "nats" where mode is "rpc-sync"'],
        ),
        (
            '"rpc-async"',
            '"rpc-async"\nresults = "inline"',
            ["deliberations.results", 'must be "rpc" or "nats" where mode is "rpc-async"'],
        ),
        ("roles = [", "roles = []\n# [", ["deliberations.roles", "is missing"]),
        (
            'consumers = { completed = "deliberation-collector-completed",',
            "consumers = {",
            ["nats.consumers.completed"],
        ),
        ("[nats]\n", '[nats]\nretention = "work"\n', ["nats.retention", "'limits', 'interest' or 'workqueue'"]),
        ("[nats]\n", '[nats]\nstorage = "disk"\n', ["nats.storage", "'file' or 'memory'"]),
        ("[nats]\n", "[nats]\nstream_replicas = 6\n", ["nats.stream_replicas", "5"]),
        ('"128Gi" }', '"128Gi", counted = "pods" }', ["ray.resources.counted", "'ray' or 'requests'"]),
        ("[nats]\n", '[nats]\nurl = ["nats://a:1", "tls://b:1"]\n', ["nats.url", "must all have one scheme"]),
        ("[nats]\n", '[nats]\nurl = ["nats://a:1", "ws://b"]\n', ["nats.url", "must all have one scheme", "ws://"]),
        ("[nats]\n", '[nats]\nurl = "ws://u:p@b"\n', ["nats.url", "must not hold credentials"]),
        ("[nats]\n", '[nats]\nurl = "http://b"\n', ["nats.url", "must be a URL such as nats://host:port"]),
        (
            "[nats]\n",
            '[nats]\nurl = ["ws://a", "ws://b"]\ntls.ca = "ca.pem"\n',
            ["nats.url", "is ws, and [nats.tls] asks for TLS: write wss"],
        ),
        ("[nats]\n", '[nats]\nurl = ["nats://a:1", "nats://u:p@b:1"]\n', ["nats.url", "must not hold credentials"]),
        ("[nats]\n", '[nats]\nurl = "nats://a:1,nats://b:1"\n', ["nats.url: must be one URL, or a list"]),
        ("port = 8000", "port = 80000", ["vllm.port", "65535"]),
        ('"128Gi"', '"128 gigs"', ["ray.resources.memory", "128Gi", "128 gigs"]),
        ('python = "3.9.23"', 'python = "2.7"', ["ray.python", "must be a version such as 3.11"]),
        ('delivery = "image"', 'delivery = "post"', ["agent.delivery", "'image', 'job' or 'runtime_env'"]),
        ('delivery = "image"', 'delivery = "runtime_env"', ["agent: ", "runtime_env and delivery", "come together"]),
        (
            'delivery = "image"',
            'delivery = "runtime_env"\nruntime_env.env_vars = { NATS_TOKEN = "s3cr3t" }',
            ["agent.runtime_env.env_vars.NATS_TOKEN", "must not hold a secret"],
        ),
        ('delivery = "image"', 'runtime_env.conda = "x"', ["agent.runtime_env.conda", "unknown key", "py_modules"]),
        ('delivery = "image"', 'actor_class = "a.b:C"', ["agent.actor_class: must be the name of a class"]),
        ('name = "swe-ai-fleet"', 'nmae = "x"\nname = "swe-ai-fleet"', ["nmae", "unknown key", "allowed here", "vllm"]),
        (
            'version = "0.8.1"',
            'version = "0.8.1"\nown_variables = ["DB_USER", "VLLM_MODEL"]',
            ["orchestrator", "own_variables names VLLM_MODEL", "environment"],
        ),
        (
            'version = "0.8.1"',
            'version = "0.8.1"\nown_variables = ["DB_USER=x"]',
            ["own_variables.0: must be the name of an environment variable"],
        ),
        ("[limits]", "[limits", ["not TOML", "line"]),
        (
            "[limits]",
            "[ray.auth]\nheader = 'X-Token'\n[limits]",
            ["ray.auth.header", "'Authorization'", "'X-Ray-Authorization'"],
        ),
        (
            'version = "0.8.1"',
            'version = "latest"',
            ["orchestrator.version: must be a release such as 1.2.3 or v1.2.3"],
        ),
        (
            'groups = [{ name = "gpu-workers", workers = 2 }]',
            'groups = { name = "gpu-workers", workers = 2 }',
            ["ray.groups: must be a list of tables: [[ray.groups]]"],
        ),
        (
            'AGENT_TYPE = "vllm"',
            'API_TOKEN = "s3cr3t"',
            ["orchestrator.environment.API_TOKEN: must not hold a secret: leave the variable out here"],
        ),
        (
            'AGENT_TYPE = "vllm"',
            'BUS = "nats://a,nats://u:s3cr3t@b"',
            ["orchestrator.environment.BUS: must not hold a secret"],
        ),
        ("port = 8000", 'fault_proxy_token = "s3cr3t"', ["vllm.fault_proxy_token: is a secret"]),
        ("workers = 2", "workers = 2, worker = 3", ["ray.groups.0.worker", "unknown key", "workers"]),
        ('AGENT_TYPE = "vllm"', 'NATS_URL = "nats://n:1"', ["environment has NATS_URL", "variables"]),
        (
            "[limits]",
            "[timeouts]\ndeliberaton = 300\n[limits]",
            ["timeouts.deliberaton", "unknown key", "deliberation, "],
        ),
        (
            'mode = "rpc-async"',
            'mode = "event"\nresults = "rpc"',
            ["deliberations.results", 'must be "nats" where mode is "event"'],
        ),
        (
            'mode = "rpc-async"',
            'mode = "event"\ntask_id = "{marker}"',
            ["deliberations.task_id", "messages.plan.task_id"],
        ),
        ("agents = 3", 'task_id = "{marke}"', ["deliberations.task_id", "is no value; values: task_id"]),
        ("[limits]", "[timeouts]\njob = -1\n[limits]", ["timeouts.job", "greater than 0", "-1"]),
        ("[limits]", "[timeouts]\njob = 1e9\n[limits]", ["timeouts.job", "86400"]),
        ("[limits]", "[timeouts]\njob = '2m'\n[limits]", ["timeouts.job", "number", "2m"]),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    file = tmp_path / "mine.toml"
    assert old in REFERENCE
    file.write_text(REFERENCE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        profiles.load(str(file))
    said = str(caught.value)
    assert "\n" not in said
    assert str(file) in said
    assert all(word in said for word in words), said
    assert "s3cr3t" not in said


def test_a_version_may_be_written_as_tags_are(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(REFERENCE.replace('version = "0.8.1"', 'version = "v0.8.1"'), encoding="utf-8")
    version = profiles.load(str(file)).orchestrator.version
    assert not any(is_other_release(f"orchestrator:{tag}", version) for tag in ("v0.8.1", "0.8.1", "sha-1a2b"))
    assert is_other_release("orchestrator:0.8.2", version)


def _choices(schema: object) -> Iterator[object]:
    """The unions in a schema of pydantic's, whose errors name the type that was tried behind the key."""
    if isinstance(schema, dict):
        if schema.get("type") == "union":
            yield schema
        elif schema.get("type") != "function-before":  # which decides before the types do
            yield from (choice for value in schema.values() for choice in _choices(value))
    elif isinstance(schema, list | tuple):
        yield from (choice for value in schema for choice in _choices(value))


@pytest.mark.parametrize("model", [profiles.Profile, ContractFile, version1.Profile])
def test_the_key_of_an_error_is_one_that_a_user_can_write(model: type[BaseModel]) -> None:
    assert not list(_choices(model.__pydantic_core_schema__))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kubernetes": {}}, 'ray.resources.counted: is "requests", which a RayCluster says, without [kubernetes]'),
        (
            {"ray": {"cluster": "", "url": "http://ray:8265", "head_service": "head"}},
            'ray.resources.counted: is "requests", which a RayCluster says: name it by cluster, service or selector',
        ),
    ],
)
def test_requests_are_counted_where_there_is_a_ray_cluster(
    tmp_path: Path, change: dict[str, dict[str, Any]], words: str
) -> None:
    document = tomllib.loads(REFERENCE)
    document["ray"]["resources"]["counted"] = "requests"
    for section, values in change.items():
        document[section].update(values)
    if not change.get("kubernetes", {"": ""}):
        del document["kubernetes"]
    file = tmp_path / "mine.toml"
    file.write_text(toml_text(document), encoding="utf-8")
    with pytest.raises(UsageError, match=re.escape(words)):
        profiles.load(str(file))


def loaded(tmp_path: Path, text: str) -> Profile:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return profiles.load(str(file))


def refused(tmp_path: Path, text: str) -> str:
    """The one line that is said of it."""
    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, text)
    said = str(caught.value)
    assert "\n" not in said and str(tmp_path / "mine.toml") in said
    return said


def test_an_executor_may_be_alone(tmp_path: Path) -> None:
    text = REFERENCE.replace("[orchestrator]", "[executor]").replace("port = 50055\n", "")
    profile = loaded(tmp_path, text)
    assert (list(profile.services), profile.front_name, profile.front) == (["executor"], "executor", profile.executor)
    assert not profile.orchestrator.is_there and (profile.executor.port, profile.executor.replicas) == (50056, 2)
    assert "executor.replicas: must be a number" in refused(tmp_path, text.replace("replicas = 2", 'replicas = "2"'))
    unknown = refused(tmp_path, text.replace("replicas = 2", "replicas = 2\nreplica = 2"))
    assert re.search(r"executor\.replica: unknown key; allowed here: .*workload, ", unknown)
    led = text.replace("variables = {", 'variables = { executor = "EXECUTOR",')
    assert "executor.variables.executor: unknown key; allowed here: vllm_url, " in refused(tmp_path, led)


LED = REFERENCE.replace("variables = {", 'variables = { executor = "EXECUTOR",', 1)
EXECUTOR = """
[executor]
workload = "ray-executor"
service = "ray-executor"
variables = { nats_url = "BUS", ray_address = "RAY" }
"""


def test_an_executor_may_sit_between_the_orchestrator_and_ray(tmp_path: Path) -> None:
    profile = loaded(tmp_path, LED + EXECUTOR)
    assert list(profile.services) == ["orchestrator", "executor"]
    assert (profile.front_name, profile.orchestrator.variables.executor) == ("orchestrator", "EXECUTOR")
    assert (profile.executor.namespace, profile.executor.port) == (profile.kubernetes.namespace, 50056)
    at = 'descriptor = "orchestrator.json"\nat = "executor"'
    contract = (profiles.PROFILES / "contracts" / "reference.toml").read_text(encoding="utf-8")
    (tmp_path / "own.toml").write_text(contract.replace('descriptor = "orchestrator.json"', at), encoding="utf-8")
    shutil.copy(profiles.PROFILES / "contracts" / "orchestrator.json", tmp_path)
    own = LED.replace('contract = "reference"', 'contract = "own.toml"')
    served = loaded(tmp_path, own + EXECUTOR)
    assert (served.front_name, served.front) == ("executor", served.executor)
    said = refused(tmp_path, own)
    assert 'grpc.at: is "executor", and there is no [executor]; there is: orchestrator' in said


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('workload = "ray-executor"', 'workload = "orchestrator"', "executor.workload: is orchestrator.workload, too"),
        (
            'service = "ray-executor"\n',
            "",
            "executor.service: is missing, and executor.url, too: nothing says where the",
        ),
        ('service = "ray-executor"', 'url = ["executor"]', "executor.url.0: must be host:port"),
        ('service = "ray-executor"', "replicas = -1", "executor.replicas: "),
        ('service = "ray-executor"', 'python = "python3"', "executor.python: must be an absolute path"),
        (
            'ray_address = "RAY"',
            'executor = "SELF"',
            "executor.variables.executor: unknown key; allowed here: vllm_url, ",
        ),
        ('ray_address = "RAY"', 'ray_address = "BUS"', "executor.variables: has a name twice"),
    ],
)
def test_what_is_wrong_with_an_executor_is_said_in_one_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in EXECUTOR
    assert words in refused(tmp_path, LED + EXECUTOR.replace(old, new))


def test_an_executor_needs_a_workload_of_its_own_in_its_own_namespace_alone(tmp_path: Path) -> None:
    elsewhere = EXECUTOR.replace('workload = "ray-executor"', 'workload = "orchestrator"\nnamespace = "other"')
    assert loaded(tmp_path, LED + elsewhere).executor.workload == "orchestrator"


def test_the_contract_of_an_era_serves_what_its_profile_asks_for() -> None:
    loaded = [profiles.load(name) for name in ERAS]
    modes = [(era.mode, era.results, era.disturbs) for era in loaded]
    assert modes == [
        ("rpc-sync", "inline", False),
        ("event", "nats", True),
        ("rpc-sync", "inline", False),
        ("rpc-async", "nats", True),
    ]
    for era in loaded:
        assert era.agent.actors == "anonymous" and era.contract.grpc is not None
        assert era.contract.tells_status


def test_unknown_profile_names_the_shipped_ones() -> None:
    with pytest.raises(UsageError, match=r"no-such.*embedded, .*swe-ai-fleet"):
        profiles.load("no-such")


def test_not_utf8(tmp_path: Path) -> None:
    file = tmp_path / "bytes.toml"
    file.write_bytes(b'name = "\xff"')
    with pytest.raises(UsageError, match="not UTF-8"):
        profiles.load(str(file))


def test_tools_need_modules(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    start = REFERENCE.index("tools.import")
    end = REFERENCE.index("]\n", start) + 2
    file.write_text(REFERENCE[:start] + REFERENCE[end:], encoding="utf-8")
    with pytest.raises(UsageError, match=r"agent\.tools: .*needs import"):
        profiles.load(str(file))


def test_packages_that_a_profile_does_not_name_are_asked_for_nowhere() -> None:
    """The census and the checks of the image ask for what the profile names, and for nats.js only with nats."""
    reference = profiles.load("swe-ai-fleet")
    assert reference.agent.imports == ("ray", "requests", "aiohttp", "nats", "nats.js")
    alone = [one for one in reference.agent.dependencies if one.module == "aiohttp"]
    few = reference.replaced("agent", dependencies=tuple(alone), tools=Tools())
    assert few.dependency("nats") is None
    assert few.dependency("aiohttp") == alone[0]
    asked = census.request(few, Endpoints("nats://n:1", "ray://r:1", "http://r:2", "http://v:1"))
    assert (asked["modules"], asked["packages"]) == (["aiohttp"], {"aiohttp": "aiohttp"})
    assert asked["symbols"] == [few.agent.job_class]
    assert required(few) == ["aiohttp"]


def test_a_profile_may_lengthen_and_shorten_timeouts(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(REFERENCE + "\n[timeouts]\ndeliberation = 300\nsettle = 2.5\n", encoding="utf-8")
    assert profiles.load(str(file)).timeouts == Timeouts(deliberation=300, settle=2.5)


@pytest.mark.parametrize("name", sorted(file.stem for file in profiles.PROFILES.glob("*.toml")))
def test_the_commented_timeouts_of_a_shipped_profile_are_the_defaults(tmp_path: Path, name: str) -> None:
    text = (profiles.PROFILES / f"{name}.toml").read_text(encoding="utf-8")
    start = text.index("# [timeouts]")
    section = "".join(line.removeprefix("# ") for line in text[start:].splitlines(keepends=True))
    (tmp_path / "mine.toml").write_text(text[:start] + section, encoding="utf-8")
    loaded = profiles.load(str(tmp_path / "mine.toml"))
    assert loaded.timeouts.model_fields_set
    assert loaded.timeouts.changed() == {}


@pytest.mark.parametrize(
    ("keys", "urls"),
    [
        ('url = "ws://nats.example/team/"', ("ws://nats.example/team",)),
        ('url = ["wss://a", "wss://b:8443"]\ntls.ca = "ca.pem"', ("wss://a", "wss://b:8443")),
        ('url = "tls://a:4222"\nurl_inside = "ws://b"\ntls.ca = "ca.pem"', ("tls://a:4222",)),
    ],
)
def test_nats_may_be_reached_over_websocket(tmp_path: Path, keys: str, urls: tuple[str, ...]) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(REFERENCE.replace("[nats]\n", f"[nats]\n{keys}\n", 1), encoding="utf-8")
    assert profiles.load(str(file)).nats.url == urls
