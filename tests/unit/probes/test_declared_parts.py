"""What INF-16 sees of parts that the profile declares absent, and what it says of those that it cannot see."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Endpoints, Unsupported
from fixtures.core.errors import NonConformance
from fixtures.probes.declared_parts import LOOKS, NOTHING_SHOWS_IT, Findings, Sources, look_for_declared
from fixtures.profile.components import Consumers
from fixtures.profile.declared_absent import declared_absent
from fixtures.profile.fleet_services import Orchestrator, OrchestratorVariables, Variables
from fixtures.profile.model import Profile, load
from fixtures.services.jetstream import Consumer, Stream
from fixtures.services.stream_messages import Message
from tests.e2e.test_infrastructure_declared import test_nothing_is_hidden as nothing_is_hidden
from tests.support.profiles import with_executor
from tests.unit.profile.test_parts import without_diversity

PROFILE = load("embedded")
SINCE = 3
INSIDE = Endpoints("http://llm.models.svc:8000", "http://ray:8265", "ray://ray:10001", "nats://bus:4222")


def without(**features: bool) -> Profile:
    return PROFILE.replaced("features", **features)


def without_variable(profile: Profile, name: str) -> Profile:
    variables = profile.orchestrator.variables.model_copy(update={name: ""})
    return profile.replaced("orchestrator", variables=variables)


def an_answer(task: str, **more: Any) -> Message:
    document = {"task_id": task, "agent_id": "a", "role": "DEV", "status": "completed", "diversity": False, **more}
    return Message(7, PROFILE.contract.messages.completed.subject, b"{}", document, datetime.now(UTC))


class Bus:
    """A NATS that has this."""

    def __init__(self, *messages: Message, consumers: tuple[dict[str, Any], ...] = (), **buckets: list[str]) -> None:
        self._messages, self._consumers, self._buckets = messages, consumers, buckets

    async def messages(self, _stream: str, after: int, *, subjects: Any) -> list[Message]:
        assert after == SINCE
        return [message for message in self._messages if message.subject in subjects]

    async def consumers(self, _stream: str) -> list[Consumer]:
        return [Consumer.of({"config": config}) for config in self._consumers]

    async def streams_of(self, subject: str) -> list[str]:
        assert subject == "$KV.>"
        return [*(f"KV_{name}" for name in self._buckets), "EVERYTHING"]

    async def stream(self, name: str, subjects: str = "") -> Stream:
        bucket = name.removeprefix("KV_")
        keys = [f"$KV.{bucket}.{key}" for key in self._buckets[bucket]]
        state = {"last_seq": 1, "messages": len(keys), "subjects": dict.fromkeys(keys, 1) if subjects else {}}
        return Stream.of({"config": {}, "state": state})


def councils(*roles: str) -> Any:
    async def listed() -> dict[str, None]:
        return dict.fromkeys(roles)

    return SimpleNamespace(any=SimpleNamespace(name="orchestrator-1", councils=listed))


def fleet(profile: Profile, environment: Mapping[str, str] | None = None, closed: str = "") -> Any:
    async def workload(component: str) -> Any:
        if environment is None or component == closed:
            raise Unsupported("replicas cannot be entered")
        return SimpleNamespace(ready=[SimpleNamespace(name="orchestrator-1")])

    async def variables(_: Any) -> Mapping[str, str]:
        return environment or {}

    return SimpleNamespace(profile=profile, inside=INSIDE, endpoints=INSIDE, workload=workload, environment=variables)


async def found(
    profile: Profile, nats: Any = None, orchestrator: Any = None, environment: Mapping[str, str] | None = None
) -> Findings:
    bus: Any = nats or Bus()
    return await look_for_declared(Sources(fleet(profile, environment), orchestrator, bus, SINCE))


def test_the_reference_declares_nothing_absent_and_each_key_that_is_looked_for_may_be() -> None:
    assert not declared_absent(PROFILE)
    bare = with_executor(PROFILE.replaced("nats", consumers=Consumers(), results_bucket=""))
    bare = bare.replaced("orchestrator", variables=OrchestratorVariables())
    bare = bare.replaced("features", **dict.fromkeys(type(PROFILE.features).model_fields, False))
    executor_alone = bare.model_copy(update={"orchestrator": Orchestrator.absent()})
    assert LOOKS.keys() <= declared_absent(bare).keys() | declared_absent(executor_alone).keys()
    alone = load("embedded").model_copy(update={"orchestrator": type(PROFILE.orchestrator).absent()})
    assert list(declared_absent(alone)) == ["[orchestrator]"]


async def test_councils_that_are_listed() -> None:
    seen = await found(without(councils=False), orchestrator=councils("QA", "DEV"))
    assert seen.seen == ["orchestrator-1 lists councils: DEV, QA (features.councils)"]
    nobody = await found(without(councils=False), orchestrator=councils())
    assert (nobody.seen, nobody.looked_at, nobody.unknown) == ([], ["features.councils"], {})


async def test_durable_consumers_of_the_agents_subjects() -> None:
    configs: tuple[dict[str, Any], ...] = (
        {"durable_name": "clerk", "filter_subject": "agent.response.>"},
        {"durable_name": "archive", "filter_subject": "agent.elsewhere"},
        {"filter_subject": "agent.response.completed"},  # a reader that goes with its connection
        {"durable_name": "all"},
    )
    none = PROFILE.replaced("nats", consumers=Consumers())
    seen = await found(none, Bus(consumers=configs))
    assert [line.split()[1] for line in seen.seen] == ["clerk", "all"]
    assert all("AGENT_RESPONSES" in line and line.endswith("(nats.consumers)") for line in seen.seen)


async def test_a_bucket_with_results_of_this_run() -> None:
    none = PROFILE.replaced("nats", results_bucket="")
    assert (await found(none, Bus())).looked_at == ["nats.results_bucket"], "there is no bucket at all"
    seen = await found(none, Bus(an_answer("fc-1-task-2"), councils=["DEV"], results=["x.fc-1-task-2"]))
    what = "bucket results has an entry for a task of this run, x.fc-1-task-2 (nats.results_bucket)"
    assert seen.seen == [what]
    unknown = (await found(none, Bus(councils=["DEV"]))).unknown
    assert unknown == {"nats.results_bucket": "no agent has published anything in this run"}


async def test_answers_with_diversity() -> None:
    plain, diverse = an_answer("t"), an_answer("t", diversity=True)
    assert not (await found(without(diversity=False), Bus(plain))).seen
    seen = (await found(without(diversity=False), Bus(plain, diverse, diverse))).seen
    assert seen == ["agent.response.completed, sequence 7: an agent answered with diversity (features.diversity)"]
    silent = await found(without_diversity(without(diversity=False)), Bus(diverse))
    assert "messages say nothing of diversity" in silent.unknown["features.diversity"]


LEADING = {
    "vllm_url": ("http://llm.models:8000/v1", "http://llm-2.models:8000/v1"),
    "vllm_model": (PROFILE.vllm.model, "Qwen/Qwen3-1.7B"),
    "nats_url": ("nats://u:s3cret@other:4222,nats://u:s3cret@bus:4222", "nats://bus:4223"),
    "ray_address": ("ray://ray:10001", "http://ray:10001"),
}


@pytest.mark.parametrize("name", LEADING)
async def test_a_variable_that_leads_where_none_is_declared_to(name: str) -> None:
    profile = without_variable(PROFILE, name).replaced("orchestrator", environment={"KNOWN": LEADING[name][0]})
    key = f"orchestrator.variables.{name}"
    environment = {"OURS": LEADING[name][0], "KNOWN": LEADING[name][0], "OTHER": LEADING[name][1]}
    (line,) = (await found(profile, environment=environment)).seen
    assert line.startswith("orchestrator-1 has a variable that ") and line.endswith(f", OURS ({key})")
    assert "s3cret" not in line
    assert (await found(profile)).unknown == {key: "replicas cannot be entered"}


async def test_a_variable_of_either_service_is_declared() -> None:
    """And one that neither names is looked for in both: what one has is there, whatever keeps the other closed."""
    both = with_executor(without_variable(PROFILE, "ray_address"))
    named = both.replaced("executor", variables=Variables(ray_address="POOL"))
    assert declared_absent(both).keys() == {"orchestrator.variables.ray_address"} and not declared_absent(named)
    seen = await found(both, environment={"POOL": LEADING["ray_address"][0]})
    assert [line.partition(" has ")[0] for line in seen.seen] == ["orchestrator-1", "executor orchestrator-1"]
    closed = Sources(fleet(both, {"POOL": LEADING["ray_address"][0]}, closed="executor"), None, None, SINCE)  # type: ignore[arg-type]
    assert [line.partition(" has ")[0] for line in (await look_for_declared(closed)).seen] == ["orchestrator-1"]


async def test_a_variable_that_leads_to_an_executor_to_which_none_is_declared_to_lead() -> None:
    unled = with_executor(PROFILE).replaced("orchestrator", variables=PROFILE.orchestrator.variables)
    environment = {
        "TO": f"dns:///ray-executor.{unled.executor.namespace}:50056",
        "ELSE": "ray-executor:50055",
        "N": "2",
    }
    (line,) = (await found(unled, environment=environment)).seen
    assert line == "orchestrator-1 has a variable that leads to the executor, TO (orchestrator.variables.executor)"


async def test_what_cannot_be_looked_at_is_said_by_its_reason() -> None:
    async def silent() -> dict[str, None]:
        raise NonConformance("orchestrator-1 does not answer")

    replica: Any = SimpleNamespace(any=SimpleNamespace(name="orchestrator-1", councils=silent))
    profile = without(councils=False, tools=False, deadlines=False)
    seen = await found(profile, orchestrator=replica)
    assert not seen.looked_at
    assert seen.blind_spots == (
        f"features.councils: orchestrator-1 does not answer; features.tools, features.deadlines: {NOTHING_SHOWS_IT}"
    )


async def judged(profile: Profile, orchestrator: Any) -> list[str]:
    notes: list[str] = []
    nats: Any = Bus()
    await nothing_is_hidden(fleet(profile), orchestrator, nats, SINCE, notes.append)
    return notes


async def test_the_check_says_what_is_there_and_what_it_did_not_look_at() -> None:
    hidden = without(councils=False, tools=False)
    assert await judged(hidden, councils()) == [f"not looked at: features.tools: {NOTHING_SHOWS_IT}"]
    with pytest.raises(AssertionError, match=r"(?m)^there is what the profile declares absent: orchestrator-1 lists"):
        await judged(hidden, councils("DEV"))
    with pytest.raises(
        pytest.skip.Exception, match=r"^unsupported: of what .* nothing can be looked at: features.tools"
    ):
        await judged(without(tools=False), councils())
