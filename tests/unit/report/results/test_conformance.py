"""A finished run is read back as it was written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.checks import families
from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import AREAS, MUST, Check
from fixtures.checks.remedy import Step as RemedyStep
from fixtures.checks.remedy import shell, steps
from fixtures.clusters.base import Step
from fixtures.core.errors import UsageError
from fixtures.exercises.residual_item import ResidualItem
from fixtures.redaction.redact import Redactor
from fixtures.report.export import command
from fixtures.report.model import ClusterInfo, ComponentFact, LinkFact, Result, Run, Status
from fixtures.report.results import conformance

REMEDY = steps("Look first:", shell("kubectl get pods"), "Then fix it")
CHECK = Check("INF-01", MUST, "all is there", REMEDY, meaning="It matters.", follows=("INF-02",))


def made() -> Run:
    run = Run(
        "2026-01-01T00:00:00+00:00", "0.1.0", "abc", "fc-1", ClusterInfo("kind", "kind", "stub", {"ray": "2.49.2"})
    )
    run.cluster.unsupported = {"DNS": "there is none"}
    run.results = [Result(CHECK, Status.FAILED, 1.5, "two of three", REMEDY, ["evidence/INF-01/a.json"], "t.py::t", "")]
    run.timeline = [Step("boot", 0.0, 1.0)]
    run.facts.components["NATS"] = ComponentFact("NATS", "2.15.1", 3.0, 1, 1)
    run.facts.links = [LinkFact("a", "b", True, 1.25)]
    run.facts.left = [ResidualItem("messages", "stream", None, "7 days old")]
    run.facts.measurements = {"round trip p50 s": 0.5}
    run.aborted, run.duration_s, run.boot_s = "because", 12.0, 3.0
    return run


def test_nothing_is_lost(tmp_path: Path) -> None:
    conformance.write(made(), tmp_path / "conformance.json", Redactor())
    found = conformance.read(tmp_path / "conformance.json", {CHECK.id: CHECK})
    assert found == made()
    assert found.results[0].check is CHECK, "what a document does not say comes from the catalogue"


def test_own_checks_are_read_back_where_nobody_has_declared_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With their area and who added them; another process may call the area otherwise."""
    file, run = tmp_path / "conformance.json", made()
    run.results += [Result(Check("ACME-01", MUST, "own", REMEDY, source="acme 1.2"), Status.PASSED)]
    with monkeypatch.context() as here:
        here.setitem(AREAS, "ACME", "Rules of Acme")
        conformance.write(run, file, Redactor())
    for known in ({}, {"ACME": "Other rules"}):
        with monkeypatch.context() as here:
            areas = AREAS | known
            here.setattr(conformance, "AREAS", areas)
            (own,) = [result for result in conformance.read(file, {}).results if result.check.source]
            assert areas["ACME"] == known.get("ACME", "Rules of Acme")
        assert (own.check.id, own.check.source, own.status) == ("ACME-01", "acme 1.2", Status.PASSED)
    document = json.loads(file.read_text())
    document["checks"][-1]["source"] = ""
    file.write_text(json.dumps(document))
    with pytest.raises(UsageError, match="'ACME-01' is of no area"):
        conformance.read(file, {})


def test_a_document_without_steps_has_the_lines_of_its_remedy(tmp_path: Path) -> None:
    document = made().to_json()
    assert document["checks"][0]["remedy"] == "Look first:\nkubectl get pods\nThen fix it"
    assert document["checks"][0].pop("remedy_steps")[1] == {"kind": "command", "text": "kubectl get pods"}
    (tmp_path / "conformance.json").write_text(json.dumps(document), encoding="utf-8")
    remedy = conformance.read(tmp_path / "conformance.json", {}).results[0].remedy
    assert remedy == tuple(map(RemedyStep, ("Look first:", "kubectl get pods", "Then fix it")))


def test_a_row_of_a_family_has_from_it_what_a_document_does_not_say(tmp_path: Path) -> None:
    catalogue = load_catalogue()
    family, run = catalogue["DEP-11"], made()
    row = families.row(family, "pydantic")
    run.results = [Result(row, Status.FAILED, detail="pydantic is missing", remedy=row.remedy)]
    conformance.write(run, tmp_path / "conformance.json", Redactor())
    check = conformance.read(tmp_path / "conformance.json", catalogue).results[0].check
    assert check == row and check.impact == family.impact and check.cuts == family.cuts


def test_a_check_that_is_no_longer_known_is_as_the_document_has_it(tmp_path: Path) -> None:
    conformance.write(made(), tmp_path / "conformance.json", Redactor())
    check = conformance.read(tmp_path / "conformance.json", {}).results[0].check
    assert (check.id, check.title, check.level, check.meaning) == (CHECK.id, CHECK.title, MUST, "")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema": "other/v1"}, '"schema" is none of fleet-conformance/v2, fleet-conformance/v1'),
        ({"checks": [{"id": "INF-01", "title": "t", "level": "MAY", "status": "passed"}]}, "MAY"),
        ({"checks": [{"id": "ABC-01", "title": "t", "level": "MUST", "status": "passed"}]}, "of no area"),
        ({"facts": {"links": [{"source": "a"}]}}, "links.0.target"),
        ({"cluster": 3}, "cluster should be an object"),
    ],
)
def test_another_document_is_refused_in_one_line(tmp_path: Path, change: dict[str, object], why: str) -> None:
    path = tmp_path / "conformance.json"
    path.write_text(json.dumps({**made().to_json(), **change}), encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        conformance.read(path, {})
    assert why in str(refused.value) and "\n" not in str(refused.value)


def test_a_folder_without_a_run_ends_the_command_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--reports", str(tmp_path), "--status", str(tmp_path)]) == 4
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "is not there" in said and "--reports" in said


def test_nothing_asked_for_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--reports", str(tmp_path)]) == 4
    assert "--help" in capsys.readouterr().err


def test_the_status_pages_in_another_language(tmp_path: Path) -> None:
    conformance.write(made(), tmp_path / "conformance.json", Redactor())
    target = tmp_path / "other" / "place"
    assert command.main(["--reports", str(tmp_path), "--lang", "es", "--status", str(target)]) == 0
    assert "no conforme" in (target / "status.md").read_text(encoding="utf-8")
    assert '<html lang="es">' in (target / "status.html").read_text(encoding="utf-8")
    (tmp_path / "file").write_text("")
    assert command.main(["--reports", str(tmp_path), "--status", str(tmp_path / "file")]) == 4


def test_a_check_that_has_other_words_by_now_keeps_what_only_the_catalogue_says(tmp_path: Path) -> None:
    conformance.write(made(), tmp_path / "conformance.json", Redactor())
    reworded = replace(CHECK, title="all are there", impact="Nothing works.", supports=("works",))
    check = conformance.read(tmp_path / "conformance.json", {CHECK.id: reworded}).results[0].check
    assert (check.title, check.impact, check.supports) == (CHECK.title, "Nothing works.", ("works",))
