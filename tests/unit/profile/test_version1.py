"""Profiles of version 1 load as they did, and as what `--upgrade-profile` prints of them."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from fixtures.core.errors import UsageError
from fixtures.profile.model import Profile, load, upgraded_text

FOLDER = Path(__file__).parent / "v1"
FILES = sorted(FOLDER.glob("*.toml"))
REFERENCE = (FOLDER / "swe-ai-fleet.toml").read_text(encoding="utf-8")

BY_ADDRESS = """
[endpoints]
vllm = "https://vllm:8000"
dashboard = "http://10.0.0.1:8265"
nats = "nats://nats:4222"
orchestrators = ["one:50055", "[::1]:50055"]
ray_client = "ray://head:10001"
fault_proxy = "http://proxy:1"
inside.nats = "tls://nats.in:4222"
"""
OTHER_NAMES = """
[nats]
stream = "ANSWERS"
subjects = "answers.*"
completed = "answers.done"
completed_consumer = "c"
failed_consumer = "c"
results_bucket = ""
auth = { credentials = { file = "suite.creds" } }
tls = {}
"""


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def upgraded(tmp_path: Path, name: str) -> Profile:
    printed = tmp_path / "printed.toml"
    printed.write_text(upgraded_text(name), encoding="utf-8")
    return load(str(printed))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_is_printed_says_the_same(tmp_path: Path, file: Path) -> None:
    assert load(str(file)) == upgraded(tmp_path, str(file))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_shipped_profiles_say_what_they_said_in_version_1(file: Path) -> None:
    before, now = load(str(file)), load(file.stem)
    names = [dependency.name for dependency in now.agent.dependencies]
    assert [dependency.name for dependency in before.agent.dependencies] == names
    assert before.replaced("agent", dependencies=now.agent.dependencies) == now


def test_addresses_become_urls_of_the_parts(tmp_path: Path) -> None:
    name = written(tmp_path, REFERENCE + BY_ADDRESS)
    profile = load(name)
    assert profile == upgraded(tmp_path, name)
    assert (profile.vllm.url, profile.vllm.fault_proxy) == ("https://vllm:8000", "http://proxy:1")
    assert (profile.ray.url, profile.ray.client_url) == ("http://10.0.0.1:8265", "ray://head:10001")
    assert (profile.nats.url, profile.nats.url_inside) == (("nats://nats:4222",), ("tls://nats.in:4222",))
    assert profile.orchestrator.url == ("one:50055", "[::1]:50055")
    assert profile.is_reached_by_url and not load("swe-ai-fleet").is_reached_by_url


@pytest.mark.parametrize(("key", "section"), [("vllm", "vllm"), ("dashboard", "ray")])
def test_an_address_without_tls_is_none_of_a_part_that_asks_for_it(tmp_path: Path, key: str, section: str) -> None:
    text = REFERENCE + BY_ADDRESS.replace("https://", "http://") + f"[{section}.tls]\n"
    with pytest.raises(UsageError) as caught:
        load(written(tmp_path, text))
    assert str(caught.value).endswith(f"endpoints.{key}: is http, and [{section}.tls] asks for TLS: write https")


def test_names_subjects_and_files_are_kept(tmp_path: Path) -> None:
    start, end = REFERENCE.index("[nats]"), REFERENCE.index("[orchestrator]")
    name = written(tmp_path, REFERENCE[:start] + OTHER_NAMES + REFERENCE[end:])
    profile = load(name)
    assert profile == upgraded(tmp_path, name)
    messages = profile.contract.messages
    assert (messages.completed.subject, messages.failed and messages.failed.subject) == (
        "answers.done",
        "agent.response.failed",
    )
    assert profile.nats.subjects == ("answers.*",) and profile.nats.results_bucket == ""
    assert profile.nats.tls is not None and profile.nats.auth.credentials
    assert profile.nats.auth.credentials.file == str(tmp_path / "suite.creds")
    assert 'file = "suite.creds"' in upgraded_text(name)


def test_what_is_called_as_secrets_are_is_taken_as_it_was(tmp_path: Path) -> None:
    """Version 2 asks to leave such a variable out, which may be none: a profile that was taken still is."""
    name = written(tmp_path, REFERENCE.replace("environment]\n", 'environment]\nSORT_KEY = "age"\n', 1))
    assert load(name).orchestrator.environment["SORT_KEY"] == "age"
    with pytest.raises(UsageError, match=r"orchestrator\.environment\.SORT_KEY: must not hold a secret"):
        upgraded(tmp_path, name)


def test_addresses_in_the_environment_become_variables() -> None:
    orchestrator = load(str(FOLDER / "swe-ai-fleet.toml")).orchestrator
    assert orchestrator.environment == {"AGENT_TYPE": "vllm", "VLLM_MODEL": "Qwen/Qwen3-0.6B"}
    assert orchestrator.variables.ray_address == "RAY_ADDRESS"


def test_a_profile_of_version_2_is_printed_as_it_is() -> None:
    assert tomllib.loads(upgraded_text("kind"))["version"] == 2


def test_the_hosts_python_is_printed_as_it_is_written_and_loaded_as_a_version() -> None:
    name = str(FOLDER / "embedded.toml")
    assert tomllib.loads(upgraded_text(name))["ray"]["python"] == "host"
    assert load(name).ray.python == load("embedded").ray.python == f"3.{sys.version_info.minor}"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("workers = 2", "workers = 2\nworker = 3", ["ray.worker", "unknown key", "worker_group"]),
        ("job = ", "class = ", ["agent.", "job", "missing"]),
        ("tools = true", "tools = 1", ["agent.tools", "true or false"]),
        (
            'version = "0.8.1"',
            'version = "0.8.1"\nown_variables = ["DB_USER", "VLLM_MODEL"]',
            ["orchestrator", "own_variables names VLLM_MODEL", "environment"],
        ),
        ("# The reference", "version = 3\n# The reference", ["version: must be 2, or 1", "not 3"]),
        ("# The reference", "version = true\n# The reference", ["version: must be 2, or 1", "not True"]),
    ],
)
def test_what_is_wrong_is_said_with_the_keys_of_version_1(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    assert old in REFERENCE
    name = written(tmp_path, REFERENCE.replace(old, new, 1))
    with pytest.raises(UsageError) as caught:
        load(name)
    text = str(caught.value)
    assert "\n" not in text and name in text
    assert all(word in text for word in words), text
