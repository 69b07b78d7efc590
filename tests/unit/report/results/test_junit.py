"""junit.xml: valid by the schema beside this test, readable in lists, and with the numbers of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import xmlschema

from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import CATALOGUE, MUST, SHOULD, Check, Level
from fixtures.checks.remedy import as_text, shell, steps
from fixtures.core.paths import ROOT
from fixtures.redaction.redact import Redactor
from fixtures.report.diagnosis import diagnose
from fixtures.report.model import ClusterInfo, Result, Run, Status
from fixtures.report.results import junit
from fixtures.report.texts import Texts

SCHEMA = Path(__file__).with_name("junit.xsd")
MEND = steps("Build it and roll it out:", shell("docker build -t fleet/ray-custom:2.49.2 ."), "Then look again.")

PYTESTS = """<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="pytest" errors="0" failures="0" skipped="0" tests="2" time="1.0"
 timestamp="2026-01-01T00:00:00.1+00:00" hostname="node-7">
<testcase classname="tests.e2e.test_x" name="test_x" time="0.1">
<properties><property name="id" value="INF-01" /></properties>
<failure message="x">def test_x</failure></testcase>{other}
</testsuite></testsuites>"""
OTHER = (
    '<testcase classname="tests.unit.test_u" name="test_u" time="0.250">'
    '<failure message="no">trace</failure></testcase>'
)


@pytest.fixture(scope="module")
def schema() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(SCHEMA)


def result(id: str, status: Status, level: Level = MUST, follows: tuple[str, ...] = (), **more: Any) -> Result:
    check = Check(id, level, f"the title of {id}", MEND, "It matters.", follows=follows)
    return Result(check, status, duration_s=1.25, remedy=MEND, **more)


@pytest.fixture
def run() -> Run:
    """One of each status; a detail of many lines, with characters that XML cannot hold."""
    made = Run("2026-01-01T00:00:00+00:00", "0", "", "fc-1", ClusterInfo("embedded", "embedded", "stub"), 12.5)
    made.results = [
        result("INF-01", Status.PASSED, evidence=["evidence/INF-01/seen.json"]),
        result("INF-02", Status.BROKEN, detail="KeyError: \x00\x1b[31m \ud800 'x' & <y> ]]>"),
        result("NET-01", Status.UNSUPPORTED, detail="no pods here"),
        result("NET-02", Status.DISABLED, detail="not selected"),
        result(
            "DEP-04",
            Status.FAILED,
            detail="no nats on ray-worker-1\nand more",
            evidence=["evidence/DEP-04/traceback.txt"],
        ),
        result("JOB-01", Status.FAILED, follows=("DEP-04",), detail="no answer"),
        result("E2E-05", Status.FAILED, level=SHOULD, detail="slow"),
    ]
    diagnose(made)
    return made


def written(run: Run, folder: Path, other: str = "") -> ET.Element:
    path = folder / "junit.xml"
    path.write_text(PYTESTS.format(other=other))
    junit.reconcile(path, run, Redactor(), folder)
    return ET.parse(path).getroot()


def case(root: ET.Element, id: str) -> ET.Element:
    return next(each for each in root.iter("testcase") if each.get("name", "").startswith(id))


def test_the_schema_holds_and_every_number_agrees(run: Run, tmp_path: Path, schema: xmlschema.XMLSchema) -> None:
    root = written(run, tmp_path)
    schema.validate(root)
    assert {name: root.get(name) for name in ("name", "tests", "failures", "errors", "skipped", "time")} == {
        "name": "fleet-conformance",
        "tests": "7",
        "failures": "3",
        "errors": "1",
        "skipped": "2",
        "time": "12.500",
    }
    suites = {suite.get("name"): suite.get("tests") for suite in root}
    assert suites == {
        "Infrastructure": "2",
        "Connectivity": "2",
        "Dependencies of the workers": "1",
        "Agent job": "1",
        "Deliberation, end to end": "1",
    }
    assert root[0].get("hostname") == "node-7"


def test_lists_show_id_title_and_what_to_do(run: Run, tmp_path: Path) -> None:
    root = written(run, tmp_path)
    cause = case(root, "DEP-04")
    assert cause.get("name") == "DEP-04 the title of DEP-04"
    assert cause.get("classname") == "fleet-conformance.Dependencies of the workers"
    failure = cause.find("failure")
    assert failure is not None
    assert failure.get("message") == (
        "no nats on ray-worker-1 -> Build it and roll it out: docker build -t fleet/ray-custom:2.49.2 ."
    )
    follower = case(root, "JOB-01").find("failure")
    assert follower is not None
    assert follower.get("message") == "follows from DEP-04: no answer"
    skipped = case(root, "NET-02").find("skipped")
    assert skipped is not None
    assert (skipped.get("message"), skipped.get("type")) == ("disabled: not selected", "fleet.disabled")


def test_the_text_has_detail_meaning_remedy_and_traceback(run: Run, tmp_path: Path) -> None:
    trace = tmp_path / "evidence" / "DEP-04" / "traceback.txt"
    trace.parent.mkdir(parents=True)
    trace.write_text("def test_it(): ...\n")
    failure = case(written(run, tmp_path), "DEP-04").find("failure")
    assert failure is not None
    assert (
        failure.text
        == f"no nats on ray-worker-1\nand more\n\nIt matters.\n\nRemedy:\n{as_text(MEND)}\n\ndef test_it(): ..."
    )


@pytest.mark.parametrize("variable", ["CI_PROJECT_DIR", "WORKSPACE", "GITHUB_WORKSPACE", ""])
def test_evidence_is_attached_relative_to_the_checkout(
    run: Run, tmp_path: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in junit.WORKSPACES:
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path))
    else:
        monkeypatch.chdir(tmp_path)
    folder = tmp_path / "reports"
    folder.mkdir()
    said = case(written(run, folder), "INF-01").findtext("system-out")
    assert said == "[[ATTACHMENT|reports/evidence/INF-01/seen.json]]"


def test_evidence_elsewhere_is_named_by_its_path(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSPACE", "/nowhere")
    said = case(written(run, tmp_path), "INF-01").findtext("system-out")
    assert said == f"[[ATTACHMENT|{tmp_path.resolve()}/evidence/INF-01/seen.json]]"


def test_other_tests_keep_a_suite_of_their_own(run: Run, tmp_path: Path) -> None:
    root = written(run, tmp_path, OTHER)
    assert (root[-1].get("name"), root[-1].get("failures"), root[-1].get("time")) == ("pytest", "1", "0.250")
    assert (root.get("tests"), root.get("failures")) == ("8", "4")
    assert not [each for each in root.iter("testcase") if each.get("name") == "test_x"], "a check is there once"


def test_every_check_has_its_place_in_the_checkout(tmp_path: Path, schema: xmlschema.XMLSchema) -> None:
    """A run of the whole catalogue: each id once, and where its test is known, the line on which that begins."""
    catalogue = load_catalogue() or CATALOGUE
    run = Run("2026-01-01T00:00:00Z", "0", "", "fc-1", ClusterInfo("embedded", "embedded", "stub"))
    functions = {
        line.partition("def ")[2].partition("(")[0]: (file, number)
        for file in (ROOT / "tests" / "e2e").glob("test_*.py")
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if "def test_" in line
    }
    known = {check.id: check for check in catalogue.values() if check.nodeid in functions}
    assert len(known) > 50
    run.results = [
        Result(check, Status.PASSED, nodeid=f"tests/e2e/{functions[check.nodeid][0].name}::{check.nodeid}[x]")
        for check in known.values()
    ]
    root = junit.document(run, tmp_path, Texts("en"))
    schema.validate(root)
    for id, check in known.items():
        file, number = functions[check.nodeid]
        found = case(root, f"{id} ")
        assert (found.get("file"), found.get("line")) == (f"tests/e2e/{file.name}", str(number))
