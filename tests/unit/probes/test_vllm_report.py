"""Whether a replica's VLLM_URL leads to a server that the suite met."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fixtures.probes.replicas import ReplicaReport
from fixtures.probes.vllm_report import VllmReport
from fixtures.services.vllm import Model, Server, parse_models
from tests.support.profiles import VARIABLES

URL = "http://vllm.fleet.svc.cluster.local:8000"


def body(model: str = "m", created: int = 0) -> str:
    return json.dumps({"data": [{"id": model, "max_model_len": 8192, "created": created}]})


def server(identity: str = "", created: int = 0) -> Server[dict[str, Model]]:
    return Server(identity, parse_models(body(created=created), URL))


def report(url: str = "http://other:8000", start: str = "", **models: Any) -> VllmReport:
    metrics = {"ok": bool(start), "body": f"process_start_time_seconds {start}\n" if start else "", "ms": []}
    http = {"models": {"ok": True, "body": body(), "ms": [], **models}, "metrics": metrics}
    return VllmReport.of(ReplicaReport("orchestrator-1", {"VLLM_URL": url}, {"http": http}, variables=VARIABLES))


@pytest.mark.parametrize(
    ("met", "servers", "words"),
    [
        (report(ok=False, error="refused"), [server("1")], "does not answer: refused"),
        (report(ok=False, status=503), [server("1")], "does not answer: 503"),
        (report(body=body("another")), [server("1")], "serves other models: another"),
        (report(start="3"), [server("1")], f"is another server than {URL}"),
        (report(start="3"), [server("1"), server("2"), server("1")], "not one of the 2 servers there"),
    ],
)
def test_another_server_is_called_so(met: VllmReport, servers: list[Server[dict[str, Model]]], words: str) -> None:
    assert words in met.difference(servers, URL, {URL})


@pytest.mark.parametrize(
    ("met", "servers"),
    [
        (report(start="1"), [server("1")]),
        (report(start="2"), [server("1"), server("2")]),
        (report("http://vllm:8000"), [server("")]),  # a router without metrics: the address
        (report(body=body(created=7)), [server("", created=7)]),
        (report(start="1", body=body("m-before-its-adapter")), [server("2"), server("1")]),
    ],
)
def test_a_server_that_the_suite_met_is_known(met: VllmReport, servers: list[Server[dict[str, Model]]]) -> None:
    assert met.difference(servers, URL, {URL}) == ""
    assert met.is_known(servers, {URL})
    assert met.unmet(servers, {URL}) == ""


@pytest.mark.parametrize(
    ("met", "servers"),
    [
        (report(), [server("")]),
        (report(), [server("1")]),
        (report(start="1"), [server("")]),
        (report(body=body(created=8)), [server("", created=7)]),  # vLLM's own: the time of the answer
    ],
)
def test_what_cannot_be_told_is_neither(met: VllmReport, servers: list[Server[dict[str, Model]]]) -> None:
    assert met.difference(servers, URL, {URL}) == ""
    assert not met.is_known(servers, {URL})


@pytest.mark.parametrize("url", [URL, "http://vllm:8000", "http://vllm.fleet:8000/v1"])
def test_a_server_that_was_not_met_behind_the_same_address_may_be_one_of_several(url: str) -> None:
    met, servers = report(url, start="3"), [server("1"), server("2")]
    assert met.difference(servers, URL, {URL}) == ""
    assert "the same address, but leads to a server that the suite did not meet there in 2" in met.unmet(servers, {URL})


def test_a_client_that_is_kept_with_one_server_is_told_so() -> None:
    met = report(URL, start="3")
    assert "in 2 connections, which all met one server: " in met.unmet([server("1"), server("1")], {URL})
    assert "(sessionAffinity)" not in met.unmet([server("1"), server("2")], {URL})


@pytest.mark.parametrize("url", ["http://vllm:8001", "http://vllm.other.svc:8000", "https://vllm:8000"])
def test_a_server_that_was_not_met_at_another_address_is_another(url: str) -> None:
    met, servers = report(url, start="3"), [server("1"), server("2")]
    assert "is another server than" in met.difference(servers, URL, {URL})
    assert met.unmet(servers, {URL}) == ""
