"""Metrics as Prometheus' own parser reads them, runs that have some, and a stand-in for a Pushgateway."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from fixtures.checks.declaration import MUST, SHOULD, Check, Level
from fixtures.checks.remedy import steps
from fixtures.report.known_failures import Excuse
from fixtures.report.model import ClusterInfo, Result, Run, Status

Series = dict[frozenset[tuple[str, str]], float]


def parsed(text: str) -> dict[str, Series]:
    """By the name of each metric, its series by their labels."""
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    assert all(family.type in ("gauge", "summary") and family.documentation for family in families)
    series = {family.name: {frozenset(row.labels.items()): row.value for row in family.samples} for family in families}
    assert [len(family.samples) for family in families] == [len(rows) for rows in series.values()], "no series twice"
    return series


def result(id: str, status: Status, level: Level = MUST, **more: Any) -> Result:
    check = Check(id, level, f"the title of {id}", steps("Mend it."), "It matters.")
    return Result(check, status, duration_s=1.25, **more)


def full_run() -> Run:
    """A run of each status, in which all that has a metric was measured."""
    info = ClusterInfo("attach", "votes", "external", limits={"round_trip_p50_s": 4.0, "round_trip_p95_s": 8.5})
    run = Run("2026-01-01T00:00:00+00:00", "1.2.3", "abc", "fc-1", info, 12.5)
    run.results = [
        result("INF-01", Status.PASSED),
        result("INF-02", Status.BROKEN, detail="KeyError: 'x'"),
        result("NET-01", Status.UNSUPPORTED, detail="no pods here"),
        result("NET-02", Status.DISABLED, SHOULD, detail="not selected"),
        result("NET-07", Status.NOT_APPLICABLE, detail="no cluster DNS"),
        result("DEP-04", Status.FAILED, detail="no nats"),
        result("DEP-11.acme.votes", Status.KNOWN, excuse=Excuse("r", "o", "2026-01-20")),
        result("ORC-08", Status.KNOWN, excuse=Excuse("r", "o", "2026-01-20", explained_by="DEP-11.acme.votes")),
    ]
    legs = ("submit", "agents' start", "agents' work", "collection")
    run.facts.measurements = {
        "round trip p50 s": 2.5,
        "round trip p95 s": 9.125,
        **{f"leg: {leg}, {share} s": number for number, leg in enumerate(legs, 1) for share in ("p50", "p95")},
        "Kubernetes API requests": 117,
        "suite peak memory MiB": 80.5,
    }
    return run


class PushgatewayStandIn(HTTPServer):
    """Keeps what is put, and answers with `status` and `body`."""

    status = 200
    body = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, str, dict[str, str], str]] = []  # method, path, headers, body

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: PushgatewayStandIn

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.command, self.path, headers, body))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.body.encode())

    do_POST = do_PUT

    def log_message(self, format: str, *args: Any) -> None: ...


@contextmanager
def listening() -> Iterator[PushgatewayStandIn]:
    """A stand-in that answers while the body runs."""
    with PushgatewayStandIn() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
