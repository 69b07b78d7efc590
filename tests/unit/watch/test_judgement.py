"""What each word of a watch is said of, and what it is not said of."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.checks.declaration import Link
from fixtures.watch import judgement
from fixtures.watch.document import Collector, Kind, Replacement, Word
from fixtures.watch.judgement import StreamLimits, Success
from tests.unit.watch.samples import agent_job, deliberation, entry, ledger, look

LATE_S, LOST_S = 30.0, 60.0


@pytest.mark.parametrize(
    ("values", "now_s", "word"),
    [
        ({"accepted_s": 5.1, "ended_s": 7.0, "end": "completed"}, 7.0, Word.GOOD),
        ({"accepted_s": 5.1, "ended_s": 35.0, "end": "completed"}, 35.0, Word.GOOD),
        ({"accepted_s": 5.1, "ended_s": 35.1, "end": "completed"}, 35.1, Word.LATE),
        ({"accepted_s": 5.1, "ended_s": 66.0, "end": "completed"}, 66.0, Word.LATE),
        ({"accepted_s": 5.1, "ended_s": 9.0, "end": "failed", "reason": "no model"}, 9.0, Word.FAILED),
        ({"refused": True}, 5.1, Word.REFUSED),
        ({"refused": True}, 999.0, Word.REFUSED),
        ({"unseen": True, "refused": False}, 999.0, Word.UNSEEN),
        ({"accepted_s": 5.0}, 65.0, Word.LOST),
        ({"accepted_s": 5.0}, 64.9, None),
        ({}, 999.0, None),
        ({"accepted_s": 5.1, "ended_s": 7.0, "end": "completed", "answers_missing": True}, 9.0, Word.LOST),
    ],
)
def test_what_became_of_a_round(values: dict[str, Any], now_s: float, word: Word | None) -> None:
    """A refusal is not lost, however long ago; an answer still within its time is neither lost nor late."""
    assert judgement.word_of(deliberation(1, **values), now_s, LATE_S, LOST_S) is word


def test_what_is_lost_is_named() -> None:
    rows = [
        deliberation(1, word=Word.LOST, asked="orchestrator-2", reason="NOT_FOUND"),
        agent_job(2, word=Word.LOST, answers_missing=True),
        deliberation(3, word=Word.REFUSED),
    ]
    first, second = judgement.lost(rows)
    assert (first.word, first.task) == ("lost", "t1")
    assert "orchestrator-2" in first.text and "NOT_FOUND" in first.text
    assert second.text == "agent job 2: it returned, and its answer is stored nowhere"


def test_healthy_rounds_count_from_the_last_one_that_was_not_and_from_the_moment_on() -> None:
    words = [Word.GOOD, Word.REFUSED, Word.GOOD, Word.GOOD, Word.GOOD, None]
    rows = [deliberation(number, word=word) for number, word in enumerate(words, 1)]
    assert judgement.healthy_in_a_row(rows, Kind.DELIBERATION, 0.0) == 3
    assert judgement.healthy_in_a_row(rows, Kind.DELIBERATION, 15.0) == 2, "the third was due at that moment"
    assert judgement.healthy_in_a_row(rows, Kind.AGENT_JOB, 0.0) == 0
    late = [*rows[:5], deliberation(6, word=Word.LATE)]
    assert judgement.healthy_in_a_row(late, Kind.DELIBERATION, 0.0) == 0


# -- doubled ------------------------------------------------------------------------------------------------------


def test_two_completions_of_one_task_and_agent_are_doubled() -> None:
    (finding,) = judgement.doubled([entry(3), entry(4, "t2"), entry(5)])
    assert (finding.word, finding.task, finding.agent, finding.sequence) == ("doubled", "t1", "t1-agent", 5)
    assert "3, 5" in finding.text


@pytest.mark.parametrize(
    "second", [entry(4, agent="another"), entry(4, "t2"), entry(4, kind="failed"), entry(4, kind="")]
)
def test_another_agent_task_or_kind_is_not_doubled(second: Any) -> None:
    assert judgement.doubled([entry(3), second]) == []


def test_an_agent_with_two_proposals_is_doubled() -> None:
    (finding,) = judgement.doubled_proposals("t1", ["a", "b", "a"])
    assert (finding.agent, finding.task) == ("a", "t1")
    assert judgement.doubled_proposals("t1", ["a", "b", ""]) == []


# -- vanished -----------------------------------------------------------------------------------------------------

NO_LIMITS = StreamLimits()


def missing(limits: StreamLimits = NO_LIMITS, **state: Any) -> tuple[list[str], list[str]]:
    """What is found, and what a limit took, of sequences 7 and 8 of which 8 is no longer there."""
    kept = state.pop("on_subject", 1)
    now_s = state.pop("now_s", 100.0)
    entries = ledger(entry(7), entry(8), looks=(look(), look(90.0, **state)))
    there = {7: "hash of 7", 8: None}
    found_there, taken = judgement.vanished(entries, there, limits, {"agent.response.completed": kept}, now_s)
    return [str(finding.sequence) for finding in found_there if finding.word == "vanished"], taken


def test_a_message_that_nothing_took_has_vanished() -> None:
    assert missing() == (["8"], [])
    assert missing(StreamLimits(86400, 1000, 1 << 20, 100)) == (["8"], [])


@pytest.mark.parametrize(
    ("limits", "state"),
    [
        (StreamLimits(max_age_s=60), {"now_s": 100.0}),
        (StreamLimits(max_messages=10), {"first": 9}),
        (StreamLimits(max_bytes=1050), {"first": 9}),
        (StreamLimits(max_per_subject=5), {"on_subject": 5}),
    ],
)
def test_a_message_that_a_limit_took_has_not(limits: StreamLimits, state: dict[str, Any]) -> None:
    vanished, taken = missing(limits, **state)
    assert vanished == []
    assert len(taken) == 1 and "sequence 8" in taken[0]


@pytest.mark.parametrize(
    ("limits", "state"),
    [
        (StreamLimits(max_age_s=600), {"now_s": 100.0}),
        (StreamLimits(max_messages=10), {"first": 1}),  # pushed out are the oldest: it is none of them
        (StreamLimits(max_messages=1000), {"first": 9}),  # purged: the stream was never full
        (StreamLimits(max_per_subject=5), {"on_subject": 4}),
    ],
)
def test_a_limit_that_was_not_reached_is_no_excuse(limits: StreamLimits, state: dict[str, Any]) -> None:
    assert missing(limits, **state) == (["8"], [])


def test_a_sequence_that_holds_something_else_has_vanished_and_one_that_was_not_asked_for_has_not() -> None:
    entries = ledger(entry(7), entry(8))
    findings, _ = judgement.vanished(entries, {7: "another hash"}, StreamLimits(max_age_s=1), {}, 100.0)
    assert [finding.text for finding in findings] == ["sequence 7 on agent.response.completed holds something else now"]


def test_a_stream_that_went_back_or_was_made_again() -> None:
    back = judgement.went_back([look(1, last=10), look(2, last=12), look(3, last=4), look(4, last=5)])
    assert [finding.text for finding in back] == ["the stream's last sequence went back from 12 to 4"]
    again = judgement.went_back([look(1), look(2, created="2026-11-28T11:00:00Z", last=2)])
    assert len(again) == 1 and "there is one of 2026-11-28T11" in again[0].text
    assert judgement.went_back([look(1, last=4), look(2, last=4), look(3, last=9)]) == []
    assert judgement.went_back([look(1, first=1), look(2, first=9)]) == [], "a limit took the first ones"


def test_a_consumer_that_was_made_again_or_went_back_is_noted() -> None:
    def at(second: float, floor: int, created: str = "c") -> Any:
        return look(second, collectors=(Collector(name="completed", floor=floor, delivered=floor, created=created),))

    assert judgement.collectors_back([at(1, 5), at(2, 7)]) == []
    assert "went back from sequence 7 to 5" in judgement.collectors_back([at(1, 7), at(2, 5)])[0]
    assert "made again" in judgement.collectors_back([at(1, 7), at(2, 0, "d")])[0]


def test_a_result_is_unreadable_at_the_replicas_that_no_longer_have_it() -> None:
    finding = judgement.unreadable("t1", {"orchestrator-1": "", "orchestrator-2": "NOT_FOUND"})
    assert finding is not None
    assert finding.text.endswith("at orchestrator-2: NOT_FOUND")
    assert judgement.unreadable("t1", {"orchestrator-1": "", "orchestrator-2": ""}) is None


# -- gaps ---------------------------------------------------------------------------------------------------------


def at(*moments: float, interval_s: float = 5.0) -> list[Success]:
    return [Success(moment, interval_s) for moment in moments]


def test_a_gap_is_what_is_beyond_the_interval() -> None:
    (gap,) = judgement.gaps(Link.JOB, at(5, 10, 53, 58), 60.0, 5.0)
    assert (gap.from_s, gap.to_s, gap.beyond_s, gap.open) == (10, 53, 38, False)


def test_without_a_gap_there_is_none() -> None:
    assert judgement.gaps(Link.JOB, at(18, 5, 10, 14), 20.0, 5.0) == [], "in whatever order they are"


def test_a_gap_goes_on_to_the_end_or_from_the_beginning() -> None:
    (gap,) = judgement.gaps(Link.JOB, at(5, 10), 100.0, 5.0)
    assert (gap.from_s, gap.to_s, gap.beyond_s, gap.open) == (10, 100, 85, True)
    (never,) = judgement.gaps(Link.JOB, [], 100.0, 5.0)
    assert (never.from_s, never.beyond_s, never.open) == (0, 80, True)
    assert judgement.gaps(Link.JOB, at(19.0), 20.0, 5.0) == [], "what is made first takes its time"


def test_rounds_that_came_less_often_are_no_gap() -> None:
    slow = [*at(5, 10), *at(60, 110, interval_s=50.0)]
    assert judgement.gaps(Link.JOB, slow, 115.0, 5.0) == []


def test_which_link_a_round_shows() -> None:
    rows = [
        deliberation(1, accepted_s=5.1, ended_s=6.0, end="completed", word=Word.GOOD),
        deliberation(2, accepted_s=10.1, ended_s=11.0, end="failed", word=Word.FAILED),
        agent_job(1, accepted_s=5.2, started_s=5.5, ended_s=7.0, end="completed", word=Word.GOOD),
        agent_job(2, accepted_s=10.2, started_s=10.5, ended_s=12.0, end="failed", word=Word.FAILED),
        agent_job(3, refused=True, word=Word.REFUSED),
    ]
    entries = [entry(1, stored_s=5.9), entry(2, kind="failed", stored_s=11.0)]
    seen = {
        link: [success.at_s for success in judgement.successes_of(link, rows, entries, 5.0)]
        for link in (Link.ORCHESTRATOR, Link.JOB, Link.VLLM, Link.PUBLISH, Link.COLLECT)
    }
    assert seen == {
        Link.ORCHESTRATOR: [5.1, 10.1],
        Link.JOB: [5.5, 10.5],
        Link.VLLM: [6.0, 7.0],
        Link.PUBLISH: [5.9],
        Link.COLLECT: [6.0],
    }


# -- the end ------------------------------------------------------------------------------------------------------


def test_why_a_watch_is_not_clean() -> None:
    quiet = {"lost": 0, "refused": 20}
    assert judgement.reasons(quiet, {Link.JOB: 60.0}, 60, 20) == []
    lines = judgement.reasons({"lost": 1, "vanished": 2, "refused": 21}, {Link.JOB: 61.0, Link.VLLM: 3.0}, 60, 20)
    assert [line.split(",")[0] for line in lines] == [
        "1 lost",
        "2 vanished",
        "21 refused",
        "job: 61 s without a success",
    ]


def test_a_roll_out_is_over_when_all_three_hold() -> None:
    replaced = [Replacement(at_s=1, component="nats", group="nats", before="a", after="b")]
    assert judgement.is_over(replaced, "", 12, 12)
    assert not judgement.is_over([], "", 12, 12)
    assert not judgement.is_over(replaced, "ray: worker-2 runs the old image", 12, 12)
    assert not judgement.is_over(replaced, "", 11, 12)


def test_the_interval_doubles_while_there_is_no_room_and_is_as_wanted_again() -> None:
    seconds, seen = 5.0, []
    for congested in (True, True, True, True, True, False):
        seconds = judgement.next_interval(seconds, 5.0, 60.0, congested)
        seen.append(seconds)
    assert seen == [10, 20, 40, 60, 60, 5]
