"""A fleet without an orchestrator, without Kubernetes, or without limits: nothing is asked of what it does not have."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Component
from fixtures.clusters.endpoints import EndpointsCluster
from fixtures.core.errors import UsageError
from fixtures.exercises.deliberations import over
from fixtures.probes import components, replicas
from fixtures.profile import addresses
from fixtures.profile.behaviour import Limits
from fixtures.profile.collection import collected
from fixtures.profile.components import Consumers
from fixtures.profile.fleet_services import Orchestrator
from fixtures.profile.model import Profile, load
from fixtures.profile.parts import Part, absences
from fixtures.services.vllm import names_of
from tests.support.profiles import profile_text, with_consumers, with_urls
from tests.unit.probes.test_components import Fleet

REFERENCE = load("swe-ai-fleet")


def without_orchestrator() -> Profile:
    profile = REFERENCE.replaced("deliberations", mode="none")
    return profile.model_copy(update={"orchestrator": Orchestrator.absent()})


def test_a_platforms_fleet_has_no_orchestrator_and_agents_of_a_factory() -> None:
    platform = load(str(Path(__file__).parent / "platform.toml"))
    assert not platform.orchestrator.is_there and platform.agent_code == "corp.agents:make_agent"
    assert (platform.ray.head_service, platform.nats.namespace, platform.vllm.namespace) == (
        "agents-head-svc",
        "messaging",
        "agents",
    )
    seen = addresses.from_pods(platform)
    assert (seen.vllm.url, seen.nats[0].host) == ("https://llm.corp.example", "nats.messaging.svc.corp.local")
    missing = absences(platform, "attach")
    assert {Part.ORCHESTRATOR, Part.DELIBERATIONS, Part.RAY_CLIENT, Part.CONSUMERS, Part.GRPC} <= set(missing)
    assert not {Part.KUBERNETES, Part.CONTEXT, Part.IMAGE} & set(missing)


def platform_with(folder: Path, *changes: tuple[str, str]) -> Profile:
    """The platform's fleet, with texts of its profile replaced."""
    text, file = (Path(__file__).parent / "platform.toml").read_text(encoding="utf-8"), folder / "mine.toml"
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")
    return load(str(file))


def test_something_makes_agents(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"agent\.class: is missing, and agent\.factory, too"):
        platform_with(tmp_path, ('factory = "corp.agents:make_agent"\n', ""))


NONE = 'deliberations = { mode = "none" }'


@pytest.mark.parametrize(
    ("old", "new", "given"),
    [
        ('name = "{agent_id}" }', 'name = "{agent_id}-{role}" }', r'agent\.keywords gives agents "\{role\}"'),
        ('prompt = "{task}"', 'prompt = "{task}", as = "{roles}"', r'agent\.call gives agents "\{roles\}"'),
    ],
)
def test_agents_are_given_a_role_that_there_is(tmp_path: Path, old: str, new: str, given: str) -> None:
    """Also where no deliberations are started, and roles are needed for nothing else."""
    with pytest.raises(UsageError, match=rf"deliberations\.roles: is missing, and {given}"):
        platform_with(tmp_path, (old, new))
    assert platform_with(tmp_path, (old, new), (NONE, NONE.replace(" }", ', roles = ["SUPPORT"] }'))).role == "SUPPORT"


def test_agents_of_deliberations_have_a_class_that_ray_lists(tmp_path: Path) -> None:
    """A factory makes the suite's own; what class the fleet's have, it does not say."""
    plan = """[messages.plan]
subject = "plans"
task_id = "{marker}"
body = { id = "{marker}" }

[messages.completed]"""
    started = (
        (NONE, 'deliberations = { mode = "event", roles = ["SUPPORT"] }\norchestrator = { workload = "desk" }'),
        ("[messages.completed]", plan),
    )
    with pytest.raises(UsageError, match=r"agent\.actor_class: is missing, and agent\.class, too"):
        platform_with(tmp_path, *started)
    factory = 'factory = "corp.agents:make_agent"'
    for key in ('actor_class = "Desk"', 'class = "corp.agents:Desk"'):
        assert platform_with(tmp_path, *started, (factory, f"{factory}\n{key}")).agent.product_class == "Desk"


def test_it_is_loaded(tmp_path: Any) -> None:
    text = profile_text("swe-ai-fleet", deliberations={"mode": "none"})
    start, end = text.index("[orchestrator]"), text.index("[deliberations]")
    file = tmp_path / "mine.toml"
    file.write_text(text[:start] + text[end:], encoding="utf-8")
    assert not load(str(file)).orchestrator.is_there
    file.write_text(file.read_text().replace('"none"', '"rpc-async"'), encoding="utf-8")
    with pytest.raises(UsageError, match=r"deliberations\.mode: is rpc-async, and there is no \[orchestrator\]"):
        load(str(file))


async def test_components_are_those_that_there_are() -> None:
    fleet: Any = Fleet()
    fleet.profile = without_orchestrator()
    seen = await components.ask(fleet, fleet, fleet, fleet, fleet)
    assert Component.ORCHESTRATOR not in {*seen.workloads, *seen.strangers}


def test_addresses_are_needed_of_parts_that_there_are() -> None:
    profile = without_orchestrator()
    assert addresses.from_pods(profile).orchestrators == ()
    profile = with_urls(profile, vllm="http://v:1", ray="http://r:1", nats="nats://n:1", orchestrator=())
    assert profile.is_reached_by_url
    assert not EndpointsCluster(profile, "fc-1", allow_disruptive=False).endpoints.orchestrators
    with pytest.raises(UsageError, match=r"has no orchestrator\.url to attach to"):
        EndpointsCluster(profile.model_copy(update={"orchestrator": REFERENCE.orchestrator}), "fc-1", False)


@pytest.mark.parametrize(
    ("consumers", "names"),
    [
        (Consumers(), []),
        (Consumers(completed="c"), ["c"]),
        (Consumers(completed="c", failed="c"), ["c", "c"]),
        (Consumers(completed="c", failed="f"), ["c", "f"]),
    ],
)
def test_none_one_or_two_collect(consumers: Consumers, names: list[str]) -> None:
    profile = REFERENCE.replaced("nats", consumers=consumers)
    assert [name for name, _subject in collected(profile)] == names
    assert list(consumers.names) == list(dict.fromkeys(names))


def test_what_deliberations_publish_elsewhere_may_have_a_consumer_of_its_own(tmp_path: Path) -> None:
    profile = load("swe-ai-fleet-d-envelope")
    own, failed, reviews = profile.nats.consumers.names
    reviewed = "agent.response.completed.backlog-review.role"
    assert collected(profile) == [
        (own, "agent.response.completed"),
        (reviews, reviewed),
        (failed, "agent.response.failed"),
    ]
    shared = with_consumers(profile, deliberations="")
    assert collected(shared)[:2] == [(own, "agent.response.completed"), (own, reviewed)]
    text = profile_text("swe-ai-fleet", nats={"consumers": {"completed": "c", "deliberations": "r"}})
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"nats\.consumers\.deliberations: has nothing to collect: the contract names"):
        load(str(file))


def test_what_has_no_limit_is_not_late() -> None:
    assert over(31, 59, REFERENCE) == "p50 is 31.00 s (limit 30)"
    without = REFERENCE.model_copy(update={"limits": Limits()})
    assert over(1e6, 1e6, without) == ""
    assert (without.round_trip_s, without.waits) == (without.timeouts.agent, without.timeouts)


def test_an_alias_is_a_name_of_the_model() -> None:
    assert "other" in names_of({}, "model", ["other"]) and "other" not in names_of({}, "model")


def test_metrics_that_are_a_routers_are_not_asked() -> None:
    router = REFERENCE.replaced("vllm", metrics=False)
    environment = {"VLLM_URL": "http://v:1"}
    assert [row["name"] for row in replicas.request(environment, router)["http"]] == ["models"]
    assert SimpleNamespace(**REFERENCE.vllm.model_dump()).metrics
