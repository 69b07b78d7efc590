"""DEP-12: what the agents' class and method take, against what the contract gives them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.core.errors import Inconclusive
from fixtures.probes.census import parse
from fixtures.profile.model import load
from tests.e2e.test_dependencies import test_agent_signatures as agent_signatures
from tests.unit.profile.contracts import second

PROFILE = load("embedded").model_copy(update={"contract": second()})
PATH = PROFILE.agent_code
EVIDENCE: Any = SimpleNamespace(attach=lambda *_: None)
CONSTRUCTOR: dict[str, Any] = {"takes": ["who", "office", "settings"], "needs": ["who", "office"], "any": False}
METHOD: dict[str, Any] = {
    "takes": ["ballot", "question", "patience", "limit"],
    "needs": ["ballot"],
    "any": False,
    "coroutine": True,
}


async def judged(*workers: dict[str, Any], profile: Any = PROFILE) -> None:
    nodes = [
        {"node_id": f"{n}" * 8, "node_name": f"voters-{n}", "head": False, "signatures": signatures}
        for n, signatures in enumerate(workers, 1)
    ]
    await agent_signatures(parse({"nodes": nodes}), profile, EVIDENCE)


def seen(keywords: dict[str, Any] | None = None, call: dict[str, Any] | None = None, error: str = "") -> dict[str, Any]:
    return {"keywords": {**CONSTRUCTOR, **(keywords or {})}, "call": {**METHOD, **(call or {})}, "error": error}


async def test_a_class_that_takes_what_it_is_given() -> None:
    await judged(seen(), seen({"takes": [], "needs": [], "any": True}, {"takes": ["ballot"], "any": True}))
    await judged(seen({"takes": [*CONSTRUCTOR["takes"], "post"]}))


@pytest.mark.parametrize(
    ("signatures", "line"),
    [
        (
            seen({"takes": ["who", "post", "settings"]}),
            f"{PATH} takes no keyword office (agent.keywords.office); it takes: who, post, settings",
        ),
        (seen({"needs": ["who", "post"]}), f"{PATH} needs post, which agent.keywords does not give"),
        (
            seen(call={"takes": ["ballot", "question", "patience"]}),
            f"{PATH}, cast() takes no keyword limit (agent.call.limit); it takes: ballot, question, patience",
        ),
        (seen(call={"needs": ["quorum"]}), f"{PATH}, cast() needs quorum, which agent.call does not give"),
        (seen(call={"coroutine": False}), f"{PATH}, cast() is no coroutine, and agent.async is true"),
        (seen(error="ModuleNotFoundError: No module named 'x'"), f"{PATH}: ModuleNotFoundError: No module named 'x'"),
    ],
)
async def test_what_does_not_fit_is_named_with_its_worker(signatures: dict[str, Any], line: str) -> None:
    with pytest.raises(AssertionError) as failure:
        await judged(seen(), signatures)
    assert str(failure.value).splitlines()[0] == f"voters-2: {line}"


async def test_the_same_on_every_worker_is_said_once() -> None:
    wrong = seen({"takes": ["who", "settings"], "needs": []})
    with pytest.raises(AssertionError, match=r"^voters-1, voters-2: .* takes no keyword office"):
        await judged(wrong, wrong)


async def test_whether_the_method_is_a_coroutine_is_judged_where_the_contract_says_it() -> None:
    reference = load("embedded")
    assert reference.contract.agent.is_async is None
    keywords = {"takes": list(reference.contract.agent.keywords), "needs": [], "any": False}
    call = {"takes": list(reference.contract.agent.call), "needs": [], "any": False, "coroutine": False}
    await judged({"keywords": keywords, "call": call}, profile=reference)


async def test_the_method_of_what_a_factory_returns_is_not_known() -> None:
    await judged({"keywords": CONSTRUCTOR, "call": None})


async def test_a_census_without_signatures_decides_nothing() -> None:
    with pytest.raises(Inconclusive, match=r"voters-1: the census says nothing of what .*VLLMAgentJob takes"):
        await judged({})
