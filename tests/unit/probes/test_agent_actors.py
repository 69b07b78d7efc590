"""The suite's own agents, as Ray jobs make them."""

from __future__ import annotations

import ast
import contextlib
import json
import time
from typing import Any

import pytest

from fixtures.probes.packaging import REMOTE
from fixtures.probes.payload.basics import reason
from fixtures.probes.payload.probe import plain


def defined(name: str, module: str, **names: Any) -> Any:
    """A function or class, with these names, and without the rest of its module, which needs Ray."""
    source = ast.parse((REMOTE / f"{module}.py").read_text(encoding="utf-8"))
    (definition,) = (node for node in source.body if getattr(node, "name", "") == name)
    namespace: dict[str, Any] = {"Any": Any, **names}
    exec(compile(ast.Module([definition], []), module, "exec"), namespace)
    return namespace[name]


class Detached:
    """An agent's class as Ray has it after `@ray.remote(lifetime="detached", num_cpus=1)`: options add to these."""

    @staticmethod
    def options(**more: Any) -> dict[str, Any]:
        return {"lifetime": "detached", "num_cpus": 1} | more


def test_agents_end_with_their_handles_whatever_their_decorator_says() -> None:
    assert defined("made_with", "actors")(Detached, name="t") == {
        "lifetime": "non_detached",
        "num_cpus": 1,
        "name": "t",
    }


@pytest.mark.parametrize("module", ["agents", "load", "on_demand"])
def test_each_job_makes_its_agents_so(module: str) -> None:
    source = (REMOTE / f"{module}.py").read_text(encoding="utf-8")
    assert "made_with(" in source
    assert ".options(" not in source


def test_what_an_agent_returned_is_carried_or_its_size_is() -> None:
    returned = defined("returned", "agents", json=json, plain=plain, reason=reason, RETURNED=100, TEXT=4000)
    assert returned({"proposal": "yes"}) == {"result": {"proposal": "yes"}}
    assert returned("x" * 200) == {"result_left_out": 202}


@pytest.mark.parametrize(
    ("nodes", "turns"), [([["a", 2.0], ["b", 3.5]], "ababb"), ([["a", 0.0], ["b", 2.0]], "abb"), ([["a", 1.0]], "a")]
)
def test_a_load_is_put_on_workers_in_turns_by_their_cpus(nodes: list[Any], turns: str) -> None:
    assert "".join(defined("turns_of", "load")(nodes)) == turns


class Answers:
    """Stands in for Ray: `get` gives what is behind a reference, or raises it."""

    def get(self, reference: Any, timeout: float) -> Any:
        assert 0 <= timeout <= 9
        if isinstance(reference, Exception):
            raise reference
        return reference


@pytest.mark.parametrize(("ready", "known"), [(True, True), (RuntimeError("failed to import"), False)])
def test_when_its_actor_was_ready_is_recorded_and_the_call_says_why_not(ready: Any, known: bool) -> None:
    names: dict[str, Any] = {
        "ray": Answers(),
        "time": time,
        "contextlib": contextlib,
        "returned": lambda value: {"result": value},
    }
    run_class = defined("Run", "agents", **names, describe=lambda error: {"error": str(error)})
    run = run_class.__new__(run_class)
    run.scenario, run.record, run.silent, run.handle = {"timeout": 9}, {"started": 1.0, "ok": False}, None, None
    run.ready, run.reference = ready, ("yes" if known else ValueError("the call says why"))
    run.finish()
    assert ("ready" in run.record) is known
    assert run.record["ok"] is known and run.record.get("error", "the call says why") == "the call says why"
    assert run.record["started"] < run.record.get("ready", run.record["ended"]) <= run.record["ended"]
