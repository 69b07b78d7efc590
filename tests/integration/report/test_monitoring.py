"""A real Prometheus reads the metrics of a run, fires the alerts of rules.yaml, and answers what the dashboard asks.

`ci/offline/prometheus` builds it; with FLEET_PROMETHEUS=build (`./ci/test monitoring`, nightly) this does so itself.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from fixtures.checks import catalogue_document
from fixtures.core.paths import ROOT
from fixtures.redaction.redact import Redactor
from fixtures.report.diagnosis import diagnose
from fixtures.report.metrics import series
from fixtures.report.metrics.dashboard import dashboard_text
from fixtures.report.metrics.exposition import CONTENT_TYPE
from fixtures.report.metrics.rules import rules_text
from fixtures.report.model import Status
from tests.support.metrics import full_run, result
from tests.support.waiting import wait_for

CHECKS = catalogue_document.read()
BUILD_S, FIRES_S = 3000.0, 60.0
DAY = 24 * 60  # minutes


@pytest.fixture(scope="module")
def programs() -> Path:
    """The folder with `prometheus` and `promtool`."""
    if (prometheus := shutil.which("prometheus")) and shutil.which("promtool", path=str(Path(prometheus).parent)):
        return Path(prometheus).parent
    command = [str(ROOT / "ci" / "offline" / "prometheus")]
    build = os.environ.get("FLEET_PROMETHEUS") == "build"
    asked = subprocess.run(
        command if build else [*command, "--present"], capture_output=True, text=True, check=False, timeout=BUILD_S
    )
    if asked.returncode and not build:
        pytest.skip(
            "Prometheus is neither on PATH nor built: ci/offline/prometheus builds it, ./ci/test monitoring, too"
        )
    assert asked.returncode == 0, asked.stderr
    return Path(asked.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def metrics() -> str:
    run = full_run()
    run.green_before = "2025-12-30T00:00:00+00:00"
    run.results.append(result("DEP-11.acme.orders", Status.FAILED))
    run.results.append(result("INF-999", Status.FAILED))  # of no catalogue
    return series.text(run, diagnose(run), Redactor())


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a Prometheus without the operator takes them."""
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(rules_text(CHECKS))["spec"]), encoding="utf-8")
    return file


def promtool(programs: Path, *arguments: str, text: str = "") -> str:
    command = [str(programs / "promtool"), *arguments]
    ran = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_promtool_has_nothing_to_say_of_the_metrics(programs: Path, metrics: str) -> None:
    assert promtool(programs, "check", "metrics", text=metrics) == ""


def test_promtool_has_nothing_to_say_of_the_rules(programs: Path, rules: Path) -> None:
    assert "SUCCESS" in promtool(programs, "check", "rules", "--lint=all", "--lint-fatal", str(rules))


def input_series(name: str, values: str, **labels: str) -> dict[str, str]:
    pairs = ",".join(f'{label}="{value}"' for label, value in {"fleet": "prod", **labels}.items())
    return {"series": f"fleet_conformance_{name}{{{pairs}}}", "values": values}


def fires(alert: str, minutes: int, summary: str = "", **labels: str) -> dict[str, Any]:
    """What `promtool test rules` is to find at that minute; nothing, without a summary."""
    (rule,) = [
        rule for rule in yaml.safe_load(rules_text(CHECKS))["spec"]["groups"][0]["rules"] if rule["alert"] == alert
    ]
    annotations = {"summary": summary, "description": rule["annotations"]["description"]}
    alerts = [{"exp_labels": {"fleet": "prod"} | labels, "exp_annotations": annotations}] if summary else []
    return {"eval_time": f"{minutes}m", "alertname": alert, "exp_alerts": alerts}


def test_alerts_come_in_time_and_go_again(programs: Path, rules: Path, tmp_path: Path) -> None:
    """Seconds since the epoch begin with the test: a run at 0, and another one after 30 hours."""
    hours = 60  # minutes
    unsure = "prod: nothing could be decided for a day"
    ends = "prod: the known failure of JOB-09 ends soon"
    late, slow = "prod: no run for 1d 3h 0m 0s", "prod: deliberations take 9s"
    document = {
        "rule_files": [str(rules)],
        "evaluation_interval": "10m",
        "tests": [
            {
                "interval": "10m",
                "input_series": [
                    input_series("last_run_timestamp_seconds", f"0x180 {30 * 3600}x200"),
                    input_series("verdict", "1x180 0x200", verdict="inconclusive"),
                    input_series("known_until_timestamp_seconds", f"{16 * 86400}x600", check="JOB-09"),
                    input_series("round_trip_seconds", "9x180 7x200", quantile="0.95"),
                    input_series("round_trip_seconds", "9x400", quantile="0.5"),
                    input_series("round_trip_limit_seconds", "8x400"),
                ],
                "alert_rule_test": [
                    fires("FleetNotChecked", 25 * hours),
                    fires("FleetNotChecked", 27 * hours, late, severity="warning"),
                    fires("FleetNotChecked", 31 * hours),
                    fires("FleetInconclusive", 23 * hours),
                    fires("FleetInconclusive", 25 * hours, unsure, severity="warning", verdict="inconclusive"),
                    fires("FleetInconclusive", 32 * hours),
                    fires("FleetKnownFailureEnds", DAY),
                    fires("FleetKnownFailureEnds", 3 * DAY, ends, severity="info", check="JOB-09"),
                    fires("FleetRoundTripSlow", hours, slow, severity="warning"),
                    fires("FleetRoundTripSlow", 31 * hours),
                ],
            }
        ],
    }
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert "SUCCESS" in promtool(programs, "test", "rules", str(file))


class _Exporter(HTTPServer):
    """Says of a run what node_exporter would: the text of metrics.prom."""

    text = ""


class _Handler(BaseHTTPRequestHandler):
    server: _Exporter

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", CONTENT_TYPE)
        self.end_headers()
        self.wfile.write(self.server.text.encode())

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture(scope="module")
def exporter(metrics: str) -> Iterator[str]:
    with _Exporter(("127.0.0.1", 0), _Handler) as server:
        server.text = metrics
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def prometheus(
    programs: Path, rules: Path, exporter: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """The API of a Prometheus that has the rules, and scrapes the run's metrics."""
    folder = tmp_path_factory.mktemp("prometheus")
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "fleet", "static_configs": [{"targets": [exporter]}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        str(programs / "prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with (folder / "log").open("wb") as log, httpx.Client(base_url=f"http://{address}/api/v1", trust_env=False) as api:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        try:
            wait_for(lambda: _has_metrics(api), "a scrape", FIRES_S, (folder / "log").read_text)
            yield api
        finally:
            process.terminate()
            process.wait(timeout=30)


def _has_metrics(api: httpx.Client) -> bool:
    try:
        return bool(query(api, "fleet_conformance_verdict"))
    except httpx.TransportError:
        return False


def query(api: httpx.Client, expression: str) -> list[dict[str, Any]]:
    answer = api.get("/query", params={"query": expression})
    if answer.status_code == 503:  # it is starting
        return []
    document = answer.json()
    assert document["status"] == "success", f"{expression}: {document}"
    return list(document["data"]["result"])


def test_prometheus_fires_an_alert_for_each_cause_with_the_words_of_its_check(prometheus: httpx.Client) -> None:
    firing: dict[str, dict[str, Any]] = {}

    def all_there() -> bool:
        alerts = prometheus.get("/alerts").json()["data"]["alerts"]
        firing.update({row["labels"].get("check", row["labels"]["alertname"]): row for row in alerts})
        return {"DEP-04", "DEP-11.acme.orders", "INF-999", "FleetNotChecked", "FleetRoundTripSlow"} <= firing.keys()

    wait_for(all_there, "the alerts of the run", FIRES_S, lambda: str(firing))
    cause = firing["DEP-04"]
    assert cause["labels"]["severity"] == "critical" and cause["labels"]["fleet"] == "votes"
    assert cause["annotations"]["summary"] == f"votes is not conformant: DEP-04 {CHECKS['DEP-04'].title}"
    assert cause["annotations"]["description"] == CHECKS["DEP-04"].impact
    assert firing["DEP-11.acme.orders"]["labels"]["catalogue_id"] == "DEP-11"
    assert firing["INF-999"]["annotations"]["summary"].endswith("a check that was added to the suite's")
    assert firing["DEP-11.acme.votes"]["labels"]["alertname"] == "FleetKnownFailureEnds"
    assert not {row for row in firing if row.startswith(("INF-01", "ORC-08", "FleetInconclusive"))}


@pytest.mark.parametrize("panel", json.loads(dashboard_text(CHECKS))["panels"], ids=lambda panel: panel["title"])
def test_prometheus_answers_what_a_panel_asks(prometheus: httpx.Client, panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        expression = target["expr"].replace("$fleet", "votes").replace("$area", ".*")
        rows = query(prometheus, expression)
        assert rows, expression
        legend = target.get("legendFormat", "")
        named = [
            name for name in ("verdict", "status", "area", "check", "quantile", "leg") if f"{{{{{name}}}}}" in legend
        ]
        assert all(name in row["metric"] for row in rows for name in named), (legend, rows)
    states = {row["metric"]["area"]: row["value"][1] for row in rows if "area" in row["metric"]}
    if states:
        failed = max(int(value) for value in states.values())
        assert int(states["DEP"]) == failed and int(states["ORC"]) < failed, "the worst of an area is shown"
