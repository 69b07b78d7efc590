"""Whatever the system's words are, every report can be written and read;
an exception that nobody expects is a sentence.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.checks.declaration import MUST, Check
from fixtures.checks.remedy import steps
from fixtures.clusters.base import Step
from fixtures.diagnostics.evidence import Evidence
from fixtures.exercises.residual_item import ResidualItem
from fixtures.harness.outcome import judge, message_of
from fixtures.redaction.redact import MASK, Redactor
from fixtures.report.diagnosis import diagnose
from fixtures.report.model import ClusterInfo, ComponentFact, DependencyFact, LinkFact, Result, Run, Status
from fixtures.report.pages import status
from fixtures.report.results import conformance
from tests.unit.hostile.answers import ODD_TEXTS, values

#: Half characters among them, which `some.text()` leaves out.
anything = st.text(max_size=40) | st.sampled_from(
    [*ODD_TEXTS, "\ud800", "a|b", "\\|", "`", "```", "<script>", "\r", "\x1b[2J", "\u2028"]
)


def run_that_says(text: str) -> Run:
    run = Run(
        "2026-01-01T00:00:00+00:00", "0", "", "fc-1", ClusterInfo("attach", text, versions={"nats": text}, notes=[text])
    )
    for number, ended in enumerate(
        (Status.FAILED, Status.BROKEN, Status.PASSED, Status.UNSUPPORTED, Status.DISABLED), 1
    ):
        check = Check(f"INF-0{number}", MUST, "title", steps("remedy"), meaning="what it means")
        detail = message_of(AssertionError(text)) if ended is Status.FAILED else text
        run.results.append(Result(check, ended, 0.1, detail, remedy=steps(text), evidence=[text], nodeid=text))
    run.facts.components = {text: ComponentFact(text, text, 1.0, 1, 2, text)}
    run.facts.links = [LinkFact(text, text, False, 1.0, text)]
    run.facts.dependencies = [DependencyFact(text, text, text, text, False, text)]
    run.facts.measurements = {text: 1.0}
    run.facts.left = [ResidualItem(text, text, 1, text)]
    run.timeline = [Step(text, 0.0, 1.0)]
    run.aborted = text
    return run


@given(anything)
def test_any_words_in_every_report(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    run, redactor = run_that_says(text), Redactor()
    for part in (run.results, run.cluster, run.facts, run.timeline):
        redactor.scrub(part)
    run.aborted = redactor.scrub(run.aborted)
    causes = diagnose(run)
    for language in ("en", "es"):
        page = status.markdown_page(run, causes, language)
        page.encode("utf-8")
        tables = [line for line in page.split("\n") if line.startswith("|")]
        assert all(line.endswith("|") for line in tables), tables
    path = tmp_path_factory.getbasetemp() / "conformance.json"
    conformance.write(run, path, redactor)
    assert json.loads(path.read_text("utf-8"))["run_id"] == "fc-1"


@given(values | anything, anything)
def test_any_evidence(tmp_path_factory: pytest.TempPathFactory, content: Any, name: str) -> None:
    evidence = Evidence(tmp_path_factory.getbasetemp(), "INF-01", Redactor())
    for one in (
        content if isinstance(content, dict | list | str) else [content],
        {name: content},
        repr(content).encode(),
    ):
        path = evidence.attach(name[:100], one, allure_too=False)
        assert path.is_relative_to(tmp_path_factory.getbasetemp())
        path.unlink()


@given(anything)
def test_a_message_is_shown_as_it_is_but_for_what_is_no_sign(text: str) -> None:
    shown = message_of(AssertionError(f"said {text}"))
    shown.encode("utf-8")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", shown)


def test_an_exception_that_nobody_expects_is_a_sentence_that_says_where() -> None:
    with pytest.raises(KeyError) as raised:
        Redactor().scrub({"a": {}})["b"]
    ended, said = judge(raised.value)
    assert ended is Status.BROKEN
    assert re.fullmatch(
        r"KeyError: 'b' \(not expected at tests/unit/hostile/test_report\.py:\d+: the suite could not decide\)", said
    )
    assert "\n" not in said


SECRET = 'Hid"d&n<é>+/s3cret=w0rd'


@given(st.integers(8, len(SECRET) - 1), st.booleans())
def test_a_piece_of_a_registered_secret_is_one(length: int, end: bool) -> None:
    """Messages quote the first 200 characters of a body, logs are kept from their end:
    either may cut through a secret.
    """
    redactor = Redactor()
    redactor.add(SECRET)
    piece = SECRET[-length:] if end else SECRET[:length]
    for text in (f"said {piece}", f"{piece}… and more", f"key={piece}"):
        assert piece not in redactor.text(text)
        assert MASK in redactor.text(text)


def test_keys_of_data_are_looked_at_too() -> None:
    redactor = Redactor()
    redactor.add(SECRET)
    assert SECRET not in str(redactor.scrub({f"nats://u:{SECRET}@h": 1, SECRET: {SECRET: 2}}))
