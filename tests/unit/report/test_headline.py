"""The verdict's sentence names the cause."""

from __future__ import annotations

import pytest

from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import MUST, SHOULD, Check, Level
from fixtures.checks.remedy import steps
from fixtures.report.diagnosis import diagnose
from fixtures.report.export.chat import slack, teams
from fixtures.report.export.completed_run import CompletedRun
from fixtures.report.export.github import summary
from fixtures.report.export.message import message_of
from fixtures.report.headline import headline
from fixtures.report.model import ClusterInfo, DependencyFact, Result, Run, Status
from fixtures.report.pages import terminal
from fixtures.report.pages.status import html_page, markdown_page
from fixtures.report.texts import Texts

F, P, B, D = Status.FAILED, Status.PASSED, Status.BROKEN, Status.DISABLED
U, N = Status.UNSUPPORTED, Status.NOT_APPLICABLE


def result(check_id: str, status: Status, *follows: str, level: Level = MUST, detail: str = "") -> Result:
    return Result(
        Check(check_id, level, f"title of {check_id}", steps("do this"), follows=follows), status, detail=detail
    )


def run_of(*results: Result, aborted: str = "") -> Run:
    run = Run("2026-01-01T00:00:00Z", "0.1.0", "abc", "r", ClusterInfo("embedded", "embedded", "stub"))
    run.results, run.aborted = list(results), aborted
    return run


def without_nats(found: str = "") -> Run:
    run = run_of(
        result("DEP-04", F, detail="nats-py 2.10.0 is not usable on every worker: w1: No module named 'nats'"),
        result("JOB-01", F, "DEP-04"),
        result("ORC-04", B, "JOB-01"),
        result("NET-02", F, "DEP-04", level=SHOULD),
        result("INF-01", P),
    )
    run.facts.dependencies = [DependencyFact(worker, "nats-py", "2.10.0", found, False) for worker in ("w1", "w2")]
    run.facts.dependencies.append(DependencyFact("w3", "nats-py", "2.10.0", "", False, error="the worker is dead"))
    return run


def without_nats_and_with_another_ray() -> Run:
    """Names of the workers have the name of a package in them that is not as expected, too."""
    run = run_of(
        declared("DEP-04", "nats-py 2.10.0 is not usable on every worker: ray-worker-1: No module named 'nats'")
    )
    run.facts.dependencies = [
        DependencyFact("ray-worker-1", "ray", "2.49.2", "2.49.1", False),
        DependencyFact("ray-worker-1", "nats-py", "2.10.0", "", False),
    ]
    return run


def declared(check_id: str, detail: str) -> Result:
    """A failure of the check as the catalogue has it."""
    return Result(load_catalogue()[check_id], F, detail=detail)


MISSING = "not conformant: nats-py is missing on 2 of 2 workers (DEP-04); 2 more MUST checks fail because of it"
CASES = {
    "one cause": (without_nats(), MISSING),
    "another version": (
        without_nats("2.9.0"),
        "not conformant: nats-py is not as expected on 2 of 2 workers (DEP-04); 2 more MUST checks fail because of it",
    ),
    "one package, on workers that are called after another": (
        without_nats_and_with_another_ray(),
        "not conformant: nats-py is missing on 1 of 1 workers (DEP-04)",
    ),
    "one cause alone": (
        run_of(result("INF-02", F, detail="/health answers 500\nmore"), result("INF-01", P)),
        "not conformant: /health answers 500 (INF-02)",
    ),
    "several causes": (
        run_of(
            result("INF-02", F, detail="/health answers 500"),
            result("INF-03", F, "INF-02"),
            *(result(f"CFG-0{number}", F, detail="other") for number in range(1, 6)),
            result("DEP-10", F, level=SHOULD),
        ),
        "not conformant: /health answers 500 (INF-02); 1 more MUST check fails because of it; "
        "5 more causes: CFG-01, CFG-02, CFG-03, …",
    ),
    "failed and ended early": (
        run_of(result("INF-02", F, detail="/health answers 500"), aborted="Ctrl-C"),
        "not conformant: /health answers 500 (INF-02); the run ended early",
    ),
    "broken": (
        run_of(
            result("INF-05", B, detail="no dashboard"), result("INF-06", B, detail="no dashboard"), result("INF-01", P)
        ),
        "inconclusive: no dashboard (INF-05); MUST checks that could not be decided: 2",
    ),
    "ended early": (
        run_of(result("INF-01", P), result("INF-02", B, detail="x"), aborted="ray-head did not come up\nits log"),
        "inconclusive: The run ended early: ray-head did not come up",
    ),
    "nothing ran": (run_of(result("INF-01", D)), "inconclusive: no MUST check passed or failed"),
    "conformant": (
        run_of(result("INF-01", P), result("INF-02", P)),
        "conformant: every MUST check that ran passed (2)",
    ),
    "conformant but for a SHOULD": (
        run_of(result("INF-01", P), result("DEP-10", F, level=SHOULD)),
        "conformant: every MUST check that ran passed (1); SHOULD failed: DEP-10",
    ),
    "partial": (
        run_of(result("INF-01", P), result("INF-02", D)),
        "partial: of the MUST checks, 1 passed and 1 did not run",
    ),
    "partial, since not all can be looked at": (
        run_of(result("INF-01", P), result("INF-02", U, detail="the URLs say nothing of replicas")),
        "partial: of the MUST checks, 1 passed and 1 did not run",
    ),
    "conformant, where something does not apply": (
        run_of(result("INF-01", P), result("INF-02", N, detail="the orchestrator has one replica")),
        "conformant: every MUST check that ran passed (1)",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_sentence_names_the_cause(name: str) -> None:
    run, sentence = CASES[name]
    assert headline(run, diagnose(run), Texts("en")) == sentence


def test_in_spanish() -> None:
    run = without_nats()
    assert headline(run, diagnose(run), Texts("es")) == (
        "no conforme: falta nats-py en 2 de 2 workers (DEP-04); por ello fallan 2 comprobaciones MUST más"
    )


def test_it_is_on_the_first_lines_of_whatever_is_read_first() -> None:
    run = without_nats()
    causes = diagnose(run)
    finished = CompletedRun(folder=None, run=run, causes=causes, language="en")  # type: ignore[arg-type]
    message = message_of(finished)
    assert MISSING in "\n".join(markdown_page(run, causes, "en").splitlines()[:3])
    assert MISSING in "\n".join(summary(finished).splitlines()[:3])
    page = html_page(run, causes, "en")
    assert MISSING in page[page.index("<body") :][:1500]
    assert message["texts"]["headline"] == MISSING
    assert MISSING in slack(message)["text"]
    assert MISSING in str(slack(message)["blocks"][1])
    assert MISSING in str(teams(message)["attachments"][0]["content"]["body"][1])
    said = " ".join(text.strip() for text, _ in terminal.summary(run, causes, [], [], "en", quiet=True)[:3])
    assert MISSING.replace("not conformant", "NOT CONFORMANT") in said
