"""What a check raised decides how it ended and what the operator reads."""

import asyncio

import pytest

from fixtures.errors import BootFailure, CannotTell, Nonconformant
from fixtures.report.model import Status
from fixtures.report.outcome import judge, message_of, skip_disabled, skip_unsupported
from fixtures.waiting import StateNotReached


def skipped(skip, reason: str) -> BaseException:
    with pytest.raises(pytest.skip.Exception) as caught:
        skip(reason)
    return caught.value


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (AssertionError("expected 2"), Status.FAILED, "expected 2"),
        (Nonconformant("no JetStream"), Status.FAILED, "no JetStream"),
        (StateNotReached("it did not happen"), Status.FAILED, "it did not happen"),
        (AssertionError(), Status.FAILED, "the assertion has no message"),
        (CannotTell("kubeconfig does not load"), Status.BROKEN, "kubeconfig does not load"),
        (KeyError("x"), Status.BROKEN, "KeyError: 'x'"),
        (asyncio.TimeoutError(), Status.BROKEN, "TimeoutError"),
        (
            pytest.fail.Exception("Timeout (>1.0s) from pytest-timeout."),
            Status.BROKEN,
            "Timeout (>1.0s) from pytest-timeout.",
        ),
        (pytest.skip.Exception("not today"), Status.BROKEN, "skipped by itself: not today"),
        (skipped(skip_unsupported, "no pods"), Status.UNSUPPORTED, "no pods"),
        (skipped(skip_disabled, "not allowed"), Status.DISABLED, "not allowed"),
    ],
)
def test_status_and_detail(error: BaseException, status: Status, detail: str):
    assert judge(error) == (status, detail)


def test_introspection_is_not_for_the_operator():
    error = AssertionError("two replicas are down: a, b\nassert 1 == 3\n +  where 1 = len([1])")
    assert message_of(error) == "two replicas are down: a, b"


def test_an_assertion_without_message_shows_its_introspection():
    assert message_of(AssertionError("assert 1 == 3\n +  where 1 = len([1])")).startswith("assert 1 == 3")


def test_a_boot_failure_keeps_the_last_log_lines_within_bounds():
    error = BootFailure("nats", "did not come up", "\n".join(f"line {number}" for number in range(100)))
    detail = judge(error)[1]
    assert detail.startswith("nats: did not come up\n--- last lines of its log ---\nline 0")
    assert detail.endswith("…")
    assert len(detail.splitlines()) < 20


def test_a_group_fails_only_if_all_of_it_are_assertions():
    class Group(Exception):
        def __init__(self, *exceptions: BaseException) -> None:
            super().__init__("group")
            self.exceptions = exceptions

    assert judge(Group(AssertionError("a"), Group(AssertionError("b")))) == (Status.FAILED, "a\nb")
    assert judge(Group(AssertionError("a"), ValueError("b")))[0] is Status.BROKEN
