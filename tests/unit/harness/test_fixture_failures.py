"""A fixture's failure is explained by the ways that led nowhere while it was set up, and by no others."""

from __future__ import annotations

from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.core.timeouts import TIMEOUTS
from fixtures.harness.suite import SUITE
from fixtures.plugin import pytest_fixture_setup


class Cluster:
    """With one way, which was cut when it was last tried."""

    def __init__(self, tried: float) -> None:
        self.tried = tried

    def connection_failures(self, since: float, _components: object) -> list[tuple[str, Exception]]:
        return [("service nats", Inconclusive("the API server is gone"))] if self.tried >= since else []


def set_up(cluster: Cluster, error: Exception) -> tuple[BaseException, Any]:
    """What the fixture that raises `error` ends with, and what pytest keeps of it for the next check."""
    fixture: Any = SimpleNamespace(cached_result=None)
    request: Any = SimpleNamespace(config=SimpleNamespace(stash={SUITE: SimpleNamespace(cluster=cluster)}))
    hook = pytest_fixture_setup(fixture, request)
    next(hook)
    fixture.cached_result = (None, "key", (error, None))
    with pytest.raises((AssertionError, Inconclusive)) as ended:
        hook.throw(error)
    return ended.value, fixture.cached_result[2][0]


def test_a_way_that_failed_once_long_ago_says_nothing_of_a_later_failure() -> None:
    """Nobody has used it since: its last attempt is the one of then."""
    error = NonConformance("vLLM has no model")
    assert set_up(Cluster(tried=monotonic() - TIMEOUTS.recent_failure_window - 60), error) == (error, error)


def test_a_way_that_is_cut_meanwhile_explains_it_for_every_check_that_asks_for_it() -> None:
    now, later = set_up(Cluster(tried=monotonic() + 1), NonConformance("NATS does not answer"))
    assert str(now) == "the suite's way to service nats is cut: the API server is gone"
    assert isinstance(now, Inconclusive)
    assert later is now


def test_without_a_cluster_a_fixture_is_left_alone() -> None:
    request: Any = SimpleNamespace(config=SimpleNamespace(stash={}))
    hook = pytest_fixture_setup(SimpleNamespace(cached_result=None), request)  # type: ignore[arg-type]
    next(hook)
    with pytest.raises(NonConformance, match="as it was"):
        hook.throw(NonConformance("as it was"))
