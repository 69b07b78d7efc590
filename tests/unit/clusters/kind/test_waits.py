"""The kind fleet counts as ready only once the orchestrator has its stream: its port is open before."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.clusters.kind import waits
from fixtures.clusters.kubernetes.client.api import Api
from fixtures.core.errors import NonConformance, StartupError
from fixtures.core.timeouts import Timeouts
from fixtures.profile.model import Profile, load


class Ways:
    """Stands for the ways into the cluster."""

    async def service_address(self, service: str, namespace: str, port: int) -> str:
        return f"{service}.{namespace}:{port}"

    async def close(self) -> None:
        pass


class NatsThatSays:
    """Answers in turn; an exception is raised. The last answer stays."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers, self.asked, self.closed = list(answers), list[str](), False

    async def stream_of(self, subject: str) -> str:
        self.asked.append(subject)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        self.closed = True


class NoPods(Api):
    def __init__(self) -> None:
        pass

    async def list(self, *_: Any, **__: Any) -> list[Any]:
        return []


@pytest.fixture
def profile() -> Profile:
    return load("kind")


def put_in_place(monkeypatch: pytest.MonkeyPatch, nats: NatsThatSays) -> None:
    monkeypatch.setattr(waits, "PortForwards", lambda _: Ways())
    monkeypatch.setattr(waits, "Nats", lambda *_: nats)
    monkeypatch.setattr(waits, "TIMEOUTS", Timeouts(orchestrator_up=0.5))


async def test_it_is_waited_for_until_a_stream_captures_the_answers(
    monkeypatch: pytest.MonkeyPatch, profile: Profile
) -> None:
    nats = NatsThatSays(NonConformance("JetStream does not answer"), "", "AGENT_RESPONSES")
    put_in_place(monkeypatch, nats)
    monkeypatch.setattr(waits, "TIMEOUTS", Timeouts())
    await waits.answers_kept(NoPods(), profile)
    assert nats.asked == ["agent.response.completed"] * 3
    assert nats.closed


async def test_an_orchestrator_that_makes_none_is_the_part_that_did_not_come_up(
    monkeypatch: pytest.MonkeyPatch, profile: Profile
) -> None:
    nats = NatsThatSays("")
    put_in_place(monkeypatch, nats)
    with pytest.raises(
        StartupError, match=r"no stream for agent.response.completed after 0.5 s: no stream captures it"
    ) as failure:
        await waits.answers_kept(NoPods(), profile)
    assert failure.value.part == "orchestrator"
    assert nats.closed
