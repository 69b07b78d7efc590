"""A check that fails while the suite's own way into the cluster is cut is broken; one whose way leads nowhere is failed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures import plugin
from fixtures.checks import MUST, Check
from fixtures.errors import CannotTell, Nonconformant


def outcome(*troubles: tuple[str, Exception]) -> BaseException:
    """What a check ends with that fails while the cluster has these troubles."""
    check = Check("INF-02", MUST, "title", "remedy")
    cluster = SimpleNamespace(troubles=lambda since: troubles if since else ())
    item: Any = SimpleNamespace(
        config=SimpleNamespace(stash={plugin.SUITE: SimpleNamespace(cluster=cluster)}),
        get_closest_marker=lambda name: SimpleNamespace(args=[check]) if name == "conformance" else None,
    )
    running = plugin.pytest_runtest_call(item)
    next(running)
    with pytest.raises(BaseException) as caught:  # noqa: PT011  which one is what the tests look at
        running.throw(AssertionError("vLLM does not answer"))
    return caught.value


def test_a_cut_way_breaks_the_check():
    error = outcome(("service nats", Nonconformant("no pod")), ("service vllm", CannotTell("the API server is gone")))
    assert isinstance(error, CannotTell)
    assert str(error) == "the suite's way to service vllm is cut: the API server is gone"


def test_a_way_that_leads_nowhere_says_why_beside_the_failure():
    error = outcome(("service vllm", Nonconformant("service vllm has no ready pod")))
    assert isinstance(error, AssertionError)
    assert str(error) == "vLLM does not answer\nservice vllm has no ready pod"


def test_without_troubles_the_failure_stands():
    assert str(outcome()) == "vLLM does not answer"
