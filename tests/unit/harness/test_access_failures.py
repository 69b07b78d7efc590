"""A check that fails while the suite's own way into the cluster is cut is broken;
one whose way leads nowhere is failed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.checks.applicability import everything_applies
from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import CATALOGUE
from fixtures.clusters.base import Component, Unsupported
from fixtures.clusters.kubernetes.client.errors import ApiError
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.harness.access_failures import reclassify_access_failures
from fixtures.harness.outcome import judge
from fixtures.harness.suite import SUITE
from fixtures.plugin import pytest_runtest_call, pytest_runtest_setup
from fixtures.profile.model import load
from fixtures.report.model import Status

FAILURE = AssertionError("vLLM does not answer")


def outcome(raised: Exception, *failures: tuple[str, Exception]) -> BaseException:
    """What becomes of `raised` while the cluster reports these failures."""
    cluster: Any = SimpleNamespace(connection_failures=lambda _since, _components: failures)
    with pytest.raises(BaseException) as caught, reclassify_access_failures(cluster, since=0.0):  # noqa: PT011  the tests look at it
        raise raised
    return caught.value


def test_a_cut_way_breaks_the_check() -> None:
    error = outcome(
        FAILURE, ("service nats", NonConformance("no pod")), ("service vllm", Inconclusive("the API server is gone"))
    )
    assert isinstance(error, Inconclusive)
    assert str(error) == "the suite's way to service vllm is cut: the API server is gone"


def test_a_way_that_leads_nowhere_says_why_beside_the_failure() -> None:
    error = outcome(FAILURE, ("service vllm", NonConformance("service vllm has no ready pod")))
    assert isinstance(error, AssertionError)
    assert str(error) == "vLLM does not answer\nservice vllm has no ready pod"


def test_without_troubles_the_failure_stands() -> None:
    assert str(outcome(FAILURE)) == "vLLM does not answer"


def test_what_the_check_could_not_find_out_is_explained_too() -> None:
    error = outcome(Inconclusive("the census ended early"), ("service ray", Inconclusive("the token has expired")))
    assert str(error) == "the suite's way to service ray is cut: the token has expired"


def test_the_api_servers_own_words_stand() -> None:
    error = ApiError("the API server is gone")
    assert outcome(error, ("service ray", Inconclusive("the same"))) is error


def test_only_the_ways_to_the_components_in_question_are_asked_for() -> None:
    ways = {Component.VLLM: [], Component.RAY_HEAD: [("service ray", Inconclusive("Forbidden"))]}
    cluster: Any = SimpleNamespace(connection_failures=lambda _since, of: [way for part in of for way in ways[part]])
    with pytest.raises(AssertionError), reclassify_access_failures(cluster, 0.0, (Component.VLLM,)):
        raise FAILURE
    with pytest.raises(Inconclusive), reclassify_access_failures(cluster, 0.0, (Component.RAY_HEAD,)):
        raise FAILURE


def test_what_cannot_be_had_there_needs_no_other_reason() -> None:
    error = Unsupported("no Python in its image")
    assert outcome(error, ("service ray", Inconclusive("the token has expired"))) is error


@pytest.mark.parametrize("hook", [pytest_runtest_setup, pytest_runtest_call])
def test_a_check_that_meets_what_cannot_be_had_is_unsupported(hook: Callable[[Any], Generator[Any, Any, Any]]) -> None:
    """Whether its fixtures met it or its body."""
    load_catalogue()
    mark = SimpleNamespace(args=[CATALOGUE["INF-11"]])
    recorder = SimpleNamespace(applicability=everything_applies)
    cluster = SimpleNamespace(unsupported={}, profile=load("embedded"))
    suite = SimpleNamespace(cluster=cluster, recorder=recorder, gate=False)
    config = SimpleNamespace(stash={SUITE: suite})
    item: Any = SimpleNamespace(config=config, get_closest_marker=lambda _: mark)
    wrapper = hook(item)
    next(wrapper)
    with pytest.raises(pytest.skip.Exception) as skipped:
        wrapper.throw(Unsupported("o-1: no Python in its image"))
    assert judge(skipped.value) == (Status.UNSUPPORTED, "o-1: no Python in its image")
