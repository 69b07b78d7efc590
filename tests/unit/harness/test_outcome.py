"""What a check raised decides how it ended and what the operator reads."""

from collections.abc import Callable
from typing import NoReturn

import pytest

from fixtures.core.errors import Inconclusive, NonConformance, StartupError
from fixtures.core.log_lines import MAX_LINE_CHARS, last_lines
from fixtures.core.polling import StateNotReached
from fixtures.harness.outcome import judge, message_of, skip_disabled, skip_not_applicable, skip_unsupported
from fixtures.report.model import Status


def skipped(skip: Callable[[str], NoReturn], reason: str) -> BaseException:
    with pytest.raises(pytest.skip.Exception) as caught:
        skip(reason)
    return caught.value


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (AssertionError("expected 2"), Status.FAILED, "expected 2"),
        (NonConformance("no JetStream"), Status.FAILED, "no JetStream"),
        (StateNotReached("it did not happen"), Status.FAILED, "it did not happen"),
        (AssertionError(), Status.FAILED, "the assertion has no message"),
        (Inconclusive("kubeconfig does not load"), Status.BROKEN, "kubeconfig does not load"),
        (KeyError("x"), Status.BROKEN, "KeyError: 'x'"),
        (TimeoutError(), Status.BROKEN, "TimeoutError"),
        (
            pytest.fail.Exception("Timeout (>1.0s) from pytest-timeout."),
            Status.BROKEN,
            "Timeout (>1.0s) from pytest-timeout.",
        ),
        (pytest.skip.Exception("not today"), Status.BROKEN, "skipped by itself: not today"),
        (skipped(skip_not_applicable, "it has none"), Status.NOT_APPLICABLE, "it has none"),
        (skipped(skip_unsupported, "no pods"), Status.UNSUPPORTED, "no pods"),
        (skipped(skip_disabled, "not allowed"), Status.DISABLED, "not allowed"),
    ],
)
def test_status_and_detail(error: BaseException, status: Status, detail: str) -> None:
    assert judge(error) == (status, detail)


def test_introspection_is_not_for_the_operator() -> None:
    error = AssertionError("two replicas are down: a, b\nassert 1 == 3\n +  where 1 = len([1])")
    assert message_of(error) == "two replicas are down: a, b"


def test_an_assertion_without_message_shows_its_introspection() -> None:
    assert message_of(AssertionError("assert 1 == 3\n +  where 1 = len([1])")).startswith("assert 1 == 3")


def test_a_boot_failure_keeps_the_last_log_lines_within_bounds() -> None:
    error = StartupError("nats", "did not come up", "\n".join(f"line {number}" for number in range(100)))
    detail = judge(error)[1]
    assert detail.startswith("nats: did not come up; its log ends with: line 99\n--- last lines of its log ---\n")
    assert detail.endswith("line 98\nline 99"), "the end of a log says why, not its beginning"
    assert len(detail.splitlines()) == 12


def test_a_boot_failure_takes_the_parts_own_log_before_those_of_its_neighbours() -> None:
    neighbours = "Traceback\nValueError: why\n--- raylet.out ---\nstarted"
    error = StartupError("ray-head", "has ended", neighbours, own="Traceback\nValueError: why\n", kept="The log: /x")
    assert str(error).splitlines() == [
        "ray-head: has ended; its log ends with: ValueError: why",
        "--- last lines of its log ---",
        "Traceback",
        "ValueError: why",
        "The log: /x",
    ]
    assert error.log == neighbours
    assert (
        str(StartupError("image x", "could not be built: no room", "no room\n"))
        == "image x: could not be built: no room"
    )
    assert "started" in str(StartupError("ray-head", "has ended", neighbours)), "where it has no log of its own"


def test_the_lines_of_a_log_are_bounded_and_move_no_cursor() -> None:
    log = "first\n\x1b[31merror\x1b[0m:\twhy\x07\u202e\n^^^^\n\n  again\n  again\n" + "x" * 5000 + "\n-----\n"
    lines = last_lines(log, 3)
    assert lines[:2] == ["error:  why", "  again"]
    assert lines[2] == "x" * (MAX_LINE_CHARS - 1) + "…"
    assert last_lines("\n \n", 3) == []
    assert "\x1b" not in str(StartupError("nats", "has ended", "\x1b]0;title\x07 gone\n\x1b[2J"))


def test_a_group_fails_only_if_all_of_it_are_assertions() -> None:
    class Group(Exception):
        def __init__(self, *exceptions: BaseException) -> None:
            super().__init__("group")
            self.exceptions = exceptions

    assert judge(Group(AssertionError("a"), Group(AssertionError("b")))) == (Status.FAILED, "a\nb")
    assert judge(Group(AssertionError("a"), ValueError("b")))[0] is Status.BROKEN
