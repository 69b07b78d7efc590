"""How the suite's jobs make and ask an agent: of a class, and of what a factory returns."""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.probes.payload.actors import asked, attribute, host_of
from fixtures.probes.payload.basics import replaced


class Agent:
    def __init__(self, profile: str) -> None:
        self.profile = profile

    def answer(self, prompt: str) -> str:
        return f"{self.profile}: {prompt}"

    async def answer_later(self, prompt: str) -> str:
        await asyncio.sleep(0)
        return f"{self.profile} later: {prompt}"

    @classmethod
    def create(cls, profile: str) -> Agent:
        return cls(profile)


def described(method: str, *, looped: bool = False) -> dict[str, Any]:
    return {"path": f"{__name__}:Agent.create", "factory": True, "method": method, "async": looped, "num_cpus": 1}


def test_what_is_inside_a_class_is_found() -> None:
    assert attribute(f"{__name__}:Agent.create") == Agent.create
    with pytest.raises(AttributeError, match="no attribute 'made'"):
        attribute(f"{__name__}:Agent.made")


@pytest.mark.parametrize(("method", "answer"), [("answer", "p: hi"), ("answer_later", "p later: hi")])
def test_a_host_makes_the_agent_and_hands_calls_on(method: str, answer: str) -> None:
    host = host_of(described(method))(profile="p")
    assert not inspect.iscoroutinefunction(host.ask)
    assert host.ask(prompt="hi") == answer


@pytest.mark.parametrize(("method", "answer"), [("answer", "p: hi"), ("answer_later", "p later: hi")])
async def test_a_host_in_an_event_loop_awaits_the_agent(method: str, answer: str) -> None:
    host = host_of(described(method, looped=True))(profile="p")
    assert await host.ask(prompt="hi") == answer


def test_the_contracts_method_is_called_of_a_class_and_the_hosts_of_a_factory() -> None:
    calls: list[Any] = []

    def remote(name: str) -> Any:
        return SimpleNamespace(remote=lambda **call: calls.append((name, call)))

    handle = SimpleNamespace(cast=remote("cast"), ask=remote("ask"))
    asked(handle, {"factory": False, "method": "cast"}, {"ballot": "b"})
    asked(handle, {"factory": True, "method": "cast"}, {"ballot": "b"})
    assert calls == [("cast", {"ballot": "b"}), ("ask", {"ballot": "b"})]


def test_texts_are_replaced_wherever_they_are() -> None:
    given = {"id": "load-agent", "settings": {"base": "http://load/v1", "all": ["load", 7, None]}, "load": True}
    assert replaced(given, "load", "load-0001") == {
        "id": "load-0001-agent",
        "settings": {"base": "http://load-0001/v1", "all": ["load-0001", 7, None]},
        "load": True,
    }
