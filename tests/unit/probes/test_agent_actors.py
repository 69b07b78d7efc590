"""The suite's own agents, as Ray jobs make them."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from fixtures.probes.packaging import REMOTE


def made_with() -> Any:
    """The function, without the rest of its module, which needs Ray."""
    module = ast.parse((REMOTE / "actors.py").read_text(encoding="utf-8"))
    (definition,) = (node for node in module.body if getattr(node, "name", "") == "made_with")
    namespace: dict[str, Any] = {"Any": Any}
    exec(compile(ast.Module([definition], []), "actors", "exec"), namespace)
    return namespace["made_with"]


class Detached:
    """An agent's class as Ray has it after `@ray.remote(lifetime="detached", num_cpus=1)`: options add to these."""

    @staticmethod
    def options(**more: Any) -> dict[str, Any]:
        return {"lifetime": "detached", "num_cpus": 1} | more


def test_agents_end_with_their_handles_whatever_their_decorator_says() -> None:
    assert made_with()(Detached, name="t") == {"lifetime": "non_detached", "num_cpus": 1, "name": "t"}


@pytest.mark.parametrize("module", ["agents", "load"])
def test_each_job_makes_its_agents_so(module: str) -> None:
    source = (REMOTE / f"{module}.py").read_text(encoding="utf-8")
    assert "made_with(" in source
    assert ".options(" not in source
