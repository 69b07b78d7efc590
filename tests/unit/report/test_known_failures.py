"""known.toml: read or refused in one line, matched by cause, and what it makes of a run."""

from datetime import date
from pathlib import Path

import pytest

from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import MUST, SHOULD, Check, Level
from fixtures.core.errors import UsageError
from fixtures.report import known_failures
from fixtures.report.diagnosis import diagnose
from fixtures.report.excusing import excuse
from fixtures.report.headline import headline
from fixtures.report.known_failures import Entry, KnownFailure, KnownFailures, read
from fixtures.report.model import ClusterInfo, Result, Run, Status, Verdict
from fixtures.report.pages.view import known_lines
from fixtures.report.texts import Texts

TODAY = date(2026, 6, 1)
F, P, K, B, D = Status.FAILED, Status.PASSED, Status.KNOWN, Status.BROKEN, Status.DISABLED
CAUSE = "does not name the model"
ENTRY = """[[known]]
check = "JOB-09"
cause = ["does not name the model"]
reason = "mended in agents 1.9"
owner = "team-agents"
until = 2026-07-01
"""


def file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def known(*entries: KnownFailure, today: date = TODAY) -> KnownFailures:
    return KnownFailures("known.toml", entries, today)


def entry(check: str = "JOB-09", cause: str = CAUSE, until: date = date(2026, 7, 1), *explains: str) -> KnownFailure:
    return KnownFailure(check, (cause,), "mended in 1.9", "team", until, explains=explains, line=1)


def result(id: str, status: Status = F, *findings: str, follows: tuple[str, ...] = (), level: Level = MUST) -> Result:
    check = Check(id, level, f"title of {id}", (), follows=follows)
    return Result(check, status, detail="; ".join(findings), findings=list(findings))


def run_of(*results: Result) -> Run:
    run = Run("2026-06-01T00:00:00+00:00", "1", "abc", "r", ClusterInfo("embedded", "embedded", "stub"))
    run.results = [result("INF-01", P), *results]
    return run


def judged(known: KnownFailures, *results: Result) -> Run:
    run = run_of(*results)
    excuse(run, known)
    diagnose(run)
    return run


def statuses(run: Run) -> list[Status]:
    return [result.status for result in run.results[1:]]


def standings(run: Run) -> list[str]:
    assert run.exceptions is not None
    return [row.standing for row in run.exceptions.rows]


def test_a_file_is_read_with_the_lines_of_its_entries(tmp_path: Path) -> None:
    path = file(tmp_path / "known.toml", f"# ours\n\n{ENTRY}\n{ENTRY.replace('JOB-09', 'NET-02')}explains = []\n")
    known = read(path, load_catalogue(), TODAY)
    entries = known.entries
    assert known.file == "known.toml", "reports name no folder"
    assert [(each.check, each.line, each.until) for each in entries] == [
        ("JOB-09", 3, date(2026, 7, 1)),
        ("NET-02", 10, date(2026, 7, 1)),
    ]


@pytest.mark.parametrize("text", ["", "# nothing is known\n", "known = []\n"])
def test_nothing_need_be_known(tmp_path: Path, text: str) -> None:
    assert read(file(tmp_path / "known.toml", text), load_catalogue(), TODAY).entries == ()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("JOB-09", "JOB-99", "line 1: known failure of JOB-99: no check is called JOB-99; did you mean JOB-09"),
        ("JOB-09", "DEP-11", "known failure of DEP-11: DEP-11 has a check for each further module: name one, as"),
        *(("JOB-09", id, f"{id}: it is never excused") for id in ("INF-05", "INF-09", "JOB-05", "ORC-04", "E2E-01")),
        ('owner = "team-agents"\n', "", "line 1: known failure of JOB-09: owner: is missing"),
        ('reason = "mended in agents 1.9"\n', "", "reason: is missing"),
        ("until = 2026-07-01\n", "", "until: is missing"),
        ("until = 2026-07-01", 'until = "2026-07-01"', "until"),
        ("2026-07-01", "2026-12-01", "until: at most 180 days ahead (2026-11-28), not 2026-12-01"),
        ("does not name the model", "the model", "cause: 12 characters at least"),
        ('["does not name the model"]', "[]", "cause"),
        ("[[known]]", "[[knwon]]", "knwon: unknown key; allowed here: known"),
        (
            "until",
            "ownr = 1\nuntil",
            "ownr: unknown key; allowed here: check, cause, reason, owner, until, link, explains",
        ),
        ("until", 'link = "tracker/412"\nuntil', "link: has to begin with https:// or http://"),
        ("until", 'explains = ["CFG-01"]\nuntil', "explains: CFG-01 does not follow from JOB-09; if it is known, too"),
        ("until", 'explains = ["ORC-04"]\nuntil', "explains: ORC-04 is never excused"),
        ("until", 'explains = ["XXX-04"]\nuntil', "explains: no check is called XXX-04"),
        ("[[known]]", "[[known]", "is not TOML"),
    ],
)
def test_a_mistake_is_one_line_with_file_and_entry(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = file(tmp_path / "known.toml", ENTRY.replace(old, new))
    with pytest.raises(UsageError) as refused:
        read(path, load_catalogue(), TODAY)
    text = str(refused.value)
    assert says in text and text.startswith(str(path)) and "\n" not in text


def test_one_entry_twice_is_a_mistake(tmp_path: Path) -> None:
    path = file(tmp_path / "known.toml", ENTRY + ENTRY.replace("does not", "DOES  not"))
    with pytest.raises(UsageError, match=r"line 7: known failure of JOB-09: the same check and cause as on line 1"):
        read(path, load_catalogue(), TODAY)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no\.toml: cannot be read: No such file"):
        read(tmp_path / "no.toml", load_catalogue(), TODAY)


def test_its_keys_have_descriptions_for_editors() -> None:
    assert all(field.description for field in Entry.model_fields.values())


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([f"worker-1: it {CAUSE}"], K),
        ([f"worker-1: it {CAUSE.upper()}", f"worker-2: it {CAUSE}"], K),
        (["worker-1: it does not\n  name the model"], K),  # as a terminal breaks lines
        ([f"worker-1: it {CAUSE}", "worker-2: no answer"], F),
        (["worker-2: no answer"], F),
        ([], F),
    ],
)
def test_every_finding_has_to_be_accounted_for(findings: list[str], expected: Status) -> None:
    assert statuses(judged(known(entry()), result("JOB-09", F, *findings))) == [expected]


def test_each_finding_needs_all_phrases_of_one_entry() -> None:
    both = KnownFailure("JOB-09", ("worker-1", CAUSE), "r", "o", date(2026, 7, 1))
    assert statuses(judged(known(both), result("JOB-09", F, f"worker-1: it {CAUSE}"))) == [K]
    assert statuses(judged(known(both), result("JOB-09", F, f"worker-2: it {CAUSE}"))) == [F]


def test_two_entries_may_account_for_one_check_together() -> None:
    other = KnownFailure("JOB-09", ("no answer at all",), "the network", "team-net", date(2026, 6, 20))
    run = judged(known(entry(), other), result("JOB-09", F, CAUSE, "no answer at all"))
    excused = run.results[1].excuse
    assert excused and (excused.reason, excused.owner, excused.until) == (
        "mended in 1.9; the network",
        "team, team-net",
        "2026-06-20",
    )
    assert standings(run) == ["used", "used"]


@pytest.mark.parametrize("status", [B, P, D, Status.UNSUPPORTED, Status.NOT_APPLICABLE])
def test_only_a_failure_can_be_known(status: Status) -> None:
    assert statuses(judged(known(entry()), result("JOB-09", status, CAUSE))) == [status]


@pytest.mark.parametrize(
    ("until", "expected", "standing"),
    [(date(2026, 6, 1), K, "used"), (date(2026, 5, 31), F, "ended"), (date(2026, 7, 1), K, "used")],
)
def test_it_counts_up_to_its_last_day(until: date, expected: Status, standing: str) -> None:
    run = judged(known(entry(until=until)), result("JOB-09", F, CAUSE))
    assert (statuses(run), standings(run)) == ([expected], [standing])
    assert ("ended on 2026-05-31" in "".join(run.results[1].notes)) is (expected is F)


@pytest.mark.parametrize(
    ("status", "findings", "standing"),
    [
        (P, (), "stale"),
        (F, ("no answer",), "not_matched"),
        (B, (), "unused"),
        (D, (), "unused"),
        (Status.UNSUPPORTED, (), "unused"),
    ],
)
def test_what_became_of_an_entry(status: Status, findings: tuple[str, ...], standing: str) -> None:
    assert standings(judged(known(entry()), result("JOB-09", status, *findings))) == [standing]


def test_an_entry_of_a_check_that_is_not_in_the_run_is_unused() -> None:
    assert standings(judged(known(entry()))) == ["unused"]


def test_what_was_not_known_is_shown_with_both_texts() -> None:
    run = judged(known(entry()), result("JOB-09", F, CAUSE, "worker-2: no answer"))
    assert run.results[1].notes == ["another cause than the known one (known.toml, line 1): worker-2: no answer"]
    (line,) = known_lines(run, Texts("en"))
    assert line == (
        "not_matched",
        f"not matched: JOB-09 fails otherwise (known.toml, line 1). Known: {CAUSE}. Seen: worker-2: no answer",
    )


class TestConsequences:
    """Stay failed unless the entry names them."""

    def chain(self) -> list[Result]:
        return [
            result("JOB-09", F, CAUSE),
            result("ORC-08", F, "not shown", follows=("JOB-09",)),
            result("ORC-09", F, "not shown", follows=("ORC-08",)),
        ]

    def test_an_unnamed_one_is_a_failure_of_its_own(self) -> None:
        run = judged(known(entry()), *self.chain())
        assert statuses(run) == [K, F, F]
        assert run.verdict is Verdict.NONCONFORMANT
        assert [result.cause for result in run.results] == ["", "", "", "ORC-08"]
        assert "may follow from JOB-09, a known failure that does not explain it" in run.results[2].notes[0]

    def test_a_named_one_is_known_too(self) -> None:
        run = judged(known(entry("JOB-09", CAUSE, date(2026, 7, 1), "ORC-08", "ORC-09")), *self.chain())
        assert statuses(run) == [K, K, K]
        assert run.results[2].excuse and run.results[2].excuse.explained_by == "JOB-09"
        assert run.exceptions and run.exceptions.rows[0].excuses == ["JOB-09", "ORC-08", "ORC-09"]

    def test_it_stays_failed_where_it_follows_from_something_else_too(self) -> None:
        other = result("INF-02", F, "down")
        follower = result("ORC-08", F, "not shown", follows=("JOB-09", "INF-02"))
        names = entry("JOB-09", CAUSE, date(2026, 7, 1), "ORC-08")
        run = judged(known(names), result("JOB-09", F, CAUSE), other, follower)
        assert statuses(run) == [K, F, F]
        assert run.results[3].cause == "INF-02"

    def test_it_stays_failed_where_the_known_failure_did_not_happen(self) -> None:
        names = entry("JOB-09", CAUSE, date(2026, 7, 1), "ORC-08")
        for status, findings in ((P, ()), (F, ("no answer",))):
            follower = result("ORC-08", F, "not shown", follows=("JOB-09",))
            run = judged(known(names), result("JOB-09", status, *findings), follower)
            assert run.results[2].status is F

    def test_a_ring_of_named_ones_is_known(self) -> None:
        first = result("ORC-08", F, "x", follows=("JOB-09", "ORC-09"))
        second = result("ORC-09", F, "y", follows=("ORC-08",))
        names = entry("JOB-09", CAUSE, date(2026, 7, 1), "ORC-08", "ORC-09")
        assert statuses(judged(known(names), result("JOB-09", F, CAUSE), first, second)) == [K, K, K]


class TestVerdict:
    def test_known_failures_alone(self) -> None:
        run = judged(known(entry()), result("JOB-09", F, CAUSE))
        assert run.verdict is Verdict.EXCEPTIONS and run.verdict.is_good
        assert run.to_json()["conformant"] is False
        assert headline(run, [], Texts("en")) == (
            "conformant with exceptions: known failures of MUST checks: JOB-09; all others that ran passed (1)"
        )

    def test_a_known_should_changes_nothing_and_is_named(self) -> None:
        run = judged(known(entry()), result("JOB-09", F, CAUSE, level=SHOULD))
        assert run.verdict is Verdict.CONFORMANT
        assert "known and not counted: JOB-09" in headline(run, [], Texts("en"))

    def test_precedence(self) -> None:
        known_one = result("JOB-09", F, CAUSE)
        assert judged(known(entry()), known_one, result("INF-02", F, "x")).verdict is Verdict.NONCONFORMANT
        assert judged(known(entry()), known_one, result("INF-02", B)).verdict is Verdict.INCONCLUSIVE
        run = judged(known(entry()), known_one, result("INF-02", D))
        assert run.verdict is Verdict.EXCEPTIONS
        assert headline(run, [], Texts("en")).endswith("of the MUST checks, 1 did not run")

    def test_nothing_that_passed_is_inconclusive(self) -> None:
        run = judged(known(entry()), result("JOB-09", F, CAUSE))
        run.results = run.results[1:]
        assert run.verdict is Verdict.INCONCLUSIVE


def test_a_run_is_judged_again_by_another_file() -> None:
    run = judged(known(entry()), result("JOB-09", F, CAUSE))
    excuse(run, known())
    assert statuses(run) == [F] and run.results[1].excuse is None


@pytest.mark.parametrize("language", ["en", "es"])
def test_each_standing_has_words(language: str) -> None:
    run = judged(
        known(entry(), entry("NET-02"), entry("NET-03"), entry("NET-04"), entry("NET-05", until=date(2026, 5, 1))),
        result("JOB-09", F, CAUSE),
        result("NET-02", P),
        result("NET-04", F, "another"),
    )
    lines = known_lines(run, Texts(language))
    assert [standing for standing, _ in lines] == list(known_failures.STANDINGS)
    assert all("{" not in line for _, line in lines)


def test_the_end_is_announced() -> None:
    run = judged(known(entry(until=date(2026, 6, 10))), result("JOB-09", F, CAUSE))
    assert known_lines(run, Texts("en"))[0][1].endswith("; ends in 9 days")
