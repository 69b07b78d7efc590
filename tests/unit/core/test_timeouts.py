"""The timeouts of a run: each session has its own, and nothing takes a value before there is a session."""

from __future__ import annotations

import ast
import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from fixtures.core.paths import ROOT
from fixtures.core.polling import StateNotReached
from fixtures.core.timeouts import TIMEOUTS, Timeouts, applied
from fixtures.services.orchestrator import OrchestratorReplica, Outcome
from tests.support.orchestrator_messages import GRPC
from tests.support.source import syntax_tree


def test_the_values_are_those_of_the_body_and_then_those_of_before() -> None:
    before = TIMEOUTS.settle
    with applied(Timeouts(settle=7)):
        assert TIMEOUTS.settle == 7
        with applied(Timeouts(settle=9)):
            assert TIMEOUTS.settle == 9
        assert TIMEOUTS.settle == 7
    assert TIMEOUTS.settle == before == Timeouts().settle


async def test_two_runs_at_once_share_no_values() -> None:
    async def seen(settle: float) -> tuple[float, float]:
        with applied(Timeouts(settle=settle)):
            await asyncio.sleep(0)
            return TIMEOUTS.settle, await asyncio.to_thread(lambda: TIMEOUTS.settle)

    assert list(await asyncio.gather(seen(1), seen(2))) == [(1.0, 1.0), (2.0, 2.0)]
    assert TIMEOUTS.settle == Timeouts().settle


def test_another_thread_has_its_own() -> None:
    seen: list[float] = []
    with applied(Timeouts(settle=7)):
        thread = threading.Thread(target=lambda: seen.append(TIMEOUTS.settle))
        thread.start()
        thread.join()
    assert seen == [Timeouts().settle]


async def test_the_wait_for_a_deliberation_is_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def running(_: OrchestratorReplica, task_id: str) -> Outcome:
        return Outcome(task_id, "RUNNING", (), "", "")

    monkeypatch.setattr(OrchestratorReplica, "result", running)
    replica = OrchestratorReplica("orchestrator-1", "127.0.0.1:9", GRPC)
    with applied(Timeouts(deliberation=0.05)), pytest.raises(StateNotReached, match=r"within 0\.05 s"):
        await replica.outcome("task-1", every=0.01)
    await replica.close()


def test_what_differs_from_the_default_is_named() -> None:
    assert Timeouts().changed() == {}
    assert Timeouts(request=45, deliberation=300).changed() == {"deliberation": 300}


def test_a_check_may_last_longer_by_what_its_waits_were_given() -> None:
    plain, longer = Timeouts(), Timeouts(deliberation=300, settle=1)
    added = 300 - plain.deliberation
    assert longer.whole_check(disruptive=False) == plain.check + added
    assert longer.whole_check(disruptive=True) == plain.disruptive_check + added
    assert Timeouts(check=20).whole_check(disruptive=False) == 20


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), 86_401, True, "3"])
def test_a_timeout_is_a_positive_number_of_seconds(seconds: float) -> None:
    with pytest.raises(ValidationError):
        Timeouts(request=seconds)


def read_at_import(tree: ast.AST) -> Iterator[int]:
    """Lines on which `TIMEOUTS` is read while the module is imported: outside of functions, and in their defaults."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            defaults = [*node.args.defaults, *(one for one in node.args.kw_defaults if one), *node.decorator_list]
            yield from (line for default in defaults for line in read_at_import(ast.Expression(default)))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "TIMEOUTS":
            yield node.lineno
        elif not isinstance(node, ast.Lambda):
            yield from read_at_import(node)


def test_no_value_is_taken_while_a_module_is_imported() -> None:
    """It would be the default's for every run, whatever its profile says."""
    files: list[Path] = [file for folder in ("fixtures", "tests") for file in sorted((ROOT / folder).rglob("*.py"))]
    texts = {file: text for file in files if "TIMEOUTS." in (text := file.read_text("utf-8"))}
    found = [f"{file}:{line}" for file, text in texts.items() for line in read_at_import(syntax_tree(text))]
    assert len(texts) > 40
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "A = TIMEOUTS.job",
        "def f(a=TIMEOUTS.job): ...",
        "class A:\n    b = TIMEOUTS.job",
        "async def f(*, a=TIMEOUTS.job): ...",
    ],
)
def test_such_a_read_is_found(text: str) -> None:
    assert list(read_at_import(syntax_tree(text)))
    assert not list(read_at_import(syntax_tree("def f():\n    return TIMEOUTS.job")))
