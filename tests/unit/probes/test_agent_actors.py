"""The suite's own agents, as Ray jobs make them."""

from __future__ import annotations

import ast
import json
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


@pytest.mark.parametrize("module", ["agents", "load"])
def test_each_job_makes_its_agents_so(module: str) -> None:
    source = (REMOTE / f"{module}.py").read_text(encoding="utf-8")
    assert "made_with(" in source
    assert ".options(" not in source


def test_what_an_agent_returned_is_carried_or_its_size_is() -> None:
    returned = defined("returned", "agents", json=json, plain=plain, reason=reason, RETURNED=100, TEXT=4000)
    assert returned({"proposal": "yes"}) == {"result": {"proposal": "yes"}}
    assert returned("x" * 200) == {"result_left_out": 202}
