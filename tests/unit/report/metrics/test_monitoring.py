"""rules.yaml and dashboard.json: made of the catalogue, and of metrics that there are."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.checks import catalogue_document
from fixtures.checks.declaration import AREAS, MUST, Check
from fixtures.core import release
from fixtures.core.paths import ROOT
from fixtures.report.export import command
from fixtures.report.known_failures import SOON
from fixtures.report.metrics import dashboard
from fixtures.report.metrics.dashboard import dashboard_text
from fixtures.report.metrics.rules import rules_text
from fixtures.report.metrics.series import METRICS
from fixtures.report.model import Status, Verdict

CHECKS = catalogue_document.read()
LABELS = {metric.full_name: {"fleet", *metric.labels} for metric in METRICS}


def rules(catalogue: dict[str, Check] = CHECKS) -> list[dict[str, Any]]:
    manifest = yaml.safe_load(rules_text(catalogue))
    assert (manifest["apiVersion"], manifest["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    return [rule for group in manifest["spec"]["groups"] for rule in group["rules"]]


def panels() -> dict[str, dict[str, Any]]:
    return {panel["title"]: panel for panel in json.loads(dashboard_text(CHECKS))["panels"]}


def assert_known(expression: str) -> None:
    """Each metric is exported, and has the labels by which its series are chosen."""
    selectors = re.findall(r"(fleet_conformance_\w+)(?:\{([^}]*)\})?", expression)
    assert selectors, expression
    for name, matchers in selectors:
        assert name in LABELS, f"{name} is no metric"
        assert set(re.findall(r"(\w+)(?:=|!=|=~|!~)\"", matchers)) <= LABELS[name], expression
    for label in re.findall(r"(?:by|on) \((\w+)\)", expression):
        assert all(label in LABELS[name] for name, _ in selectors), expression


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(release, "documentation", lambda: "https://docs.example/fleet")
    return "https://docs.example/fleet"


# -- rules ------------------------------------------------------------------------------------------------


def test_what_is_alerted_on() -> None:
    assert {rule["alert"] for rule in rules()} == {
        "FleetNotConformant",
        "FleetInconclusive",
        "FleetNotChecked",
        "FleetKnownFailureEnds",
        "FleetRoundTripSlow",
    }
    for rule in rules():
        assert_known(rule["expr"])
        assert rule["labels"]["severity"] and rule["annotations"]["summary"] and rule["annotations"]["description"]


def test_each_check_has_an_alert_with_its_title_and_one_more_is_for_added_ones() -> None:
    alerts = {rule["labels"].get("catalogue_id", ""): rule for rule in rules() if rule["alert"] == "FleetNotConformant"}
    assert alerts.keys() == {*CHECKS, ""}
    for id, check in CHECKS.items():
        matcher = f'check=~"{id}[.].+"' if check.is_family else f'check="{id}"'
        assert f"{{{matcher}}}" in alerts[id]["expr"]
        assert check.title in alerts[id]["annotations"]["summary"]
        assert alerts[id]["annotations"]["description"] == check.impact
    (others,) = re.findall(r'check!~"(.+?)"', alerts[""]["expr"])
    added = [id for id in ("DEP-04", "DEP-11.acme.votes", "DEP-110", "ACME-01") if not re.fullmatch(others, id)]
    assert added == ["DEP-110", "ACME-01"]


def test_a_new_check_needs_no_edit() -> None:
    fresh = replace(CHECKS["DEP-04"], id="INF-99", title="says {{ what }} it is")
    (rule,) = [rule for rule in rules(CHECKS | {"INF-99": fresh}) if 'check="INF-99"' in rule["expr"]]
    assert 'says {{ "{{" }} what }} it is' in rule["annotations"]["summary"], "no template of Prometheus"
    assert "INF-99 says" in dashboard_text(CHECKS | {"INF-99": fresh})


def test_a_known_failure_is_announced_when_the_reports_do() -> None:
    (rule,) = [rule for rule in rules() if rule["alert"] == "FleetKnownFailureEnds"]
    assert f"< {SOON} * 86400" in rule["expr"]


def test_where_the_documentation_is_published_each_alert_leads_to_a_page(published: str) -> None:
    pages = {
        rule["labels"].get("catalogue_id", rule["alert"]): rule["annotations"].get("runbook_url") for rule in rules()
    }
    assert pages["DEP-04"] == f"{published}/reference/checks/DEP-04.md"
    assert pages.pop("FleetNotConformant") is None, "what was added has no page"
    for page in pages.values():
        path, _, anchor = str(page).removeprefix(f"{published}/").partition("#")
        assert (ROOT / "docs" / path).is_file(), page
        assert not anchor or f"## {anchor.replace('-', ' ')}" in (ROOT / "docs" / path).read_text().lower()


def test_where_it_is_not_no_alert_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "documentation", lambda: "")
    assert "runbook_url" not in rules_text(CHECKS) and "https://" not in dashboard_text(CHECKS)


def test_the_same_catalogue_gives_the_same_bytes() -> None:
    backwards = dict(reversed(CHECKS.items()))
    assert rules_text(CHECKS) == rules_text(backwards) and dashboard_text(CHECKS) == dashboard_text(backwards)


# -- dashboard --------------------------------------------------------------------------------------------


def test_it_is_one_of_grafana_for_any_data_source_and_fleet() -> None:
    model = json.loads(dashboard_text(CHECKS))
    assert (model["schemaVersion"], model["uid"]) == (42, "fleet-conformance")
    assert [variable["name"] for variable in model["templating"]["list"]] == ["datasource", "fleet", "area"]
    ids = [panel["id"] for panel in model["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in model["panels"]:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
            assert_known(target["expr"])
            assert target["expr"].count("fleet_conformance_") == target["expr"].count('fleet="$fleet"')


def test_nothing_is_left_to_fill_in() -> None:
    assert '"@' not in dashboard_text(CHECKS)


def test_no_panel_lies_on_another() -> None:
    taken: set[tuple[int, int]] = set()
    for title, panel in panels().items():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and max(x for x, _ in cells) < 24, title
        taken |= cells


def test_every_word_of_the_model_has_its_colour() -> None:
    assert set(dashboard.STATES) == set(Status) and set(dashboard.VERDICTS) == set(Verdict)
    verdicts = panels()["Verdict"]["fieldConfig"]["overrides"]
    assert {row["matcher"]["options"] for row in verdicts} == {verdict.value for verdict in Verdict}


def test_a_state_is_the_worst_of_an_area() -> None:
    expression = panels()["Areas"]["targets"][0]["expr"]
    numbers = {
        status: int(number) for number, status in re.findall(r'(\d) \* [^"]+"\$fleet",status="(\w+)"', expression)
    }
    shown = panels()["Areas"]["fieldConfig"]["defaults"]["mappings"][0]["options"]
    assert {shown[str(number)]["text"] for number in numbers.values()} == {status.words for status in Status}
    assert max(numbers, key=lambda status: numbers[status]) == "failed"
    assert numbers["passed"] > numbers["unsupported"]
    names = {
        row["matcher"]["options"]: row["properties"][0]["value"]
        for row in panels()["Areas"]["fieldConfig"]["overrides"]
    }
    assert names["DEP"] == AREAS["DEP"]


def test_checks_are_shown_with_their_titles(published: str) -> None:
    for title in ("Causes", "Known failures, and when they end"):
        column = panels()[title]["fieldConfig"]["overrides"][0]["properties"]
        mappings, links = (row["value"][0] for row in column)
        assert mappings["options"]["DEP-04"]["text"] == f"DEP-04 {CHECKS['DEP-04'].title}"
        assert links["url"] == f"{published}/reference/checks/${{__value.raw}}.md"


# -- the command ------------------------------------------------------------------------------------------


def test_the_command_needs_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert command.main(["--monitoring", "new/folder"]) == 0
    assert (tmp_path / "new/folder/rules.yaml").read_text() == rules_text(CHECKS)
    assert (tmp_path / "new/folder/dashboard.json").read_text() == dashboard_text(CHECKS)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert command.main(["--monitoring", str(tmp_path / "file")]) == 4
    assert capsys.readouterr().err == f"ci/report: --monitoring {tmp_path / 'file'}: File exists\n"


def test_with_an_action_that_needs_a_run_it_needs_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--reports", str(tmp_path / "none"), "--monitoring", str(tmp_path), "--alert", "always"]
    assert command.main(options) == 4
    assert "holds no report of a finished run" in capsys.readouterr().err


def test_the_catalogue_of_the_tests_has_what_they_name() -> None:
    assert CHECKS["DEP-11"].is_family and CHECKS["DEP-04"].level is MUST
