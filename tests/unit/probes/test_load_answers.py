"""What jobs that submit many agents make of an answer that says that its agent has failed."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from fixtures.probes.packaging import REMOTE


def text_at() -> Any:
    """The function, without the rest of its module, which is a Ray job."""
    module = ast.parse((REMOTE / "actors.py").read_text(encoding="utf-8"))
    (definition,) = (node for node in module.body if getattr(node, "name", "") == "text_at")
    namespace: dict[str, Any] = {"Any": Any}
    exec(compile(ast.Module([definition], []), "actors", "exec"), namespace)
    return namespace["text_at"]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"data": {"reason": ["x", {"text": "no answer"}]}}, "no answer"),
        ({"data": {"reason": ["x", {"text": 7}]}}, ""),
        ({"data": {"reason": []}}, ""),
        ({"data": None}, ""),
        ("text", ""),
        (None, ""),
    ],
)
def test_the_error_is_read_where_it_is_and_nothing_elsewhere(answer: Any, text: str) -> None:
    assert text_at()(answer, ["data", "reason", 1, "text"]) == text
