"""What an agent's class, factory and method take, as the census asks for it on the workers."""

from __future__ import annotations

import types
from typing import Any

import pytest

from fixtures.probes.payload.signatures import signatures


class Voter:
    def __init__(self, who: str, office: str = "") -> None: ...

    async def cast(self, ballot: str, *, patience: float = 1.0, **_: Any) -> None: ...

    @staticmethod
    def made(who: str, /, base: str) -> Voter:
        return Voter(who, base)


class Bare:
    def cast(self, ballot: str) -> None: ...


class Decorated:
    """As ray.remote leaves a class."""

    __ray_metadata__ = types.SimpleNamespace(modified_class=Voter)


def read(name: str, *, factory: bool = False, method: str = "cast") -> dict[str, Any]:
    return signatures({"path": f"{__name__}:{name}", "factory": factory, "method": method})


def taken(*takes: str, needs: tuple[str, ...] = (), any: bool = False, coroutine: bool = False) -> dict[str, Any]:
    return {"takes": list(takes), "needs": list(needs), "any": any, "coroutine": coroutine}


@pytest.mark.parametrize("name", ["Voter", "Decorated"])
def test_a_class_and_its_method(name: str) -> None:
    assert read(name) == {
        "keywords": taken("who", "office", needs=("who",)),
        "call": taken("ballot", "patience", needs=("ballot",), any=True, coroutine=True),
        "error": "",
    }


def test_a_class_without_a_constructor_takes_nothing() -> None:
    assert read("Bare")["keywords"] == taken()


def test_a_factory_and_no_method() -> None:
    document = read("Voter.made", factory=True)
    assert document == {"keywords": taken("base", needs=("base",)), "call": None, "error": ""}


@pytest.mark.parametrize(
    ("name", "method", "error"),
    [
        ("NoVoter", "cast", "AttributeError: module"),
        ("Voter", "vote", "AttributeError: type object 'Voter' has no attribute 'vote'"),
    ],
)
def test_what_is_not_there_is_an_answer(name: str, method: str, error: str) -> None:
    document = read(name, method=method)
    assert document["error"].startswith(error)
    assert document["keywords"] is None
