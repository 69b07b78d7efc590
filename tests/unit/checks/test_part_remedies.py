"""Remedies for fleets whose parts are in several places: in namespaces of their own, or by a URL beside others."""

from __future__ import annotations

import re

import pytest

from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.remedy import ENDPOINTS, KUBERNETES, about, do, filled, kubectl, steps
from fixtures.profile.remedy_values import About, KubernetesTarget, RemedyValues, System, remedy_values
from tests.unit.checks.test_remedies import CASES, REFERENCE, SYSTEMS, commands, of, with_tls


def test_steps_about_a_part_are_chosen_by_how_that_part_is_known() -> None:
    pod, log = kubectl("get pods"), do("Read its log.", ENDPOINTS)
    remedy = steps(do("a", KUBERNETES), about(About.VLLM, pod, log, about(About.RAY, pod)))
    values = RemedyValues(by_url=frozenset({About.VLLM}))
    assert [step.text for step in filled(remedy, values)] == ["a", "Read its log.", "{kubectl} get pods"]
    assert [step.text for step in filled(remedy, RemedyValues(System.ENDPOINTS))] == ["Read its log."]
    assert len(filled(remedy, RemedyValues())) == 3, "all of it is in Kubernetes"


@pytest.mark.parametrize(
    ("case", "by_url"),
    [
        ("swe-ai-fleet", set()),
        ("labels", set()),
        ("platform", {About.VLLM}),
        ("by-url", set(About) - {About.RAY, About.EXECUTOR}),
        ("ray-by-url", {About.RAY}),
        ("url-and-name", {About.NATS_PORT, About.ORCHESTRATOR_PORT}),
        ("endpoints", set()),
        ("embedded", set()),
    ],
)
def test_what_has_no_name_in_kubernetes_is_known_by_its_url(case: str, by_url: set[About]) -> None:
    assert SYSTEMS[case].by_url == by_url


def test_each_part_is_looked_at_in_its_own_namespace() -> None:
    """No command leads to the namespace of [kubernetes], where no part is; what it names is in the one that it asks."""
    owners = {
        "vllm": r"deployment/vllm-server|service/vllm",
        "ray": r"raycluster|ray\.io|service.ray-gpu-head-svc|\$\{POD",
        "nats": r"service/nats|service nats",
        "orchestrator": r"(deployment|service)/orchestrator",
    }
    for id, command in commands("everywhere"):
        if "kubectl" not in command or "kube-system" in command:
            continue
        asked = re.search(r" -n of-(\w+) ", command)
        assert asked or " get nodes " in command, f"{id}: {command}"
        before = command.partition(" -- ")[0]
        for part, named in owners.items():
            if re.search(named, before):
                assert asked and asked[1] == part, f"{id}: {command}"


@pytest.mark.parametrize(
    ("id", "asked"),
    [
        ("INF-01", "-n of-vllm get services,endpointslices -o wide"),
        ("INF-11", "-n of-orchestrator get services,endpointslices -o wide"),
        ("NET-01", "-n of-orchestrator get networkpolicies\n"),
        ("NET-01", "-n of-vllm get networkpolicies,services,endpointslices"),
        ("NET-02", "-n of-orchestrator get pods -o wide"),
        ("NET-02", "-n of-vllm get pods -o wide"),
        ("NET-03", "-n of-ray get networkpolicies\n"),
        ("NET-03", "-n of-vllm get networkpolicies,services,endpointslices"),
        ("NET-04", "-n of-ray get networkpolicies\n"),
        ("NET-04", "-n of-nats get networkpolicies,services,endpointslices"),
        ("NET-05", "-n of-orchestrator get networkpolicies\n"),
        ("NET-05", "-n of-nats get networkpolicies,services,endpointslices"),
        ("NET-07", "getent hosts vllm-server-service.of-vllm.svc nats.of-nats.svc ray-gpu-head-svc.of-ray.svc"),
        ("INF-10", "-n of-nats port-forward service/nats 4222:4222"),
        ("JOB-03", "-n of-nats get service nats"),
    ],
)
def test_services_and_policies_are_those_of_the_part(id: str, asked: str) -> None:
    assert asked in of("everywhere", id) + "\n"


@pytest.mark.parametrize("system", ["by-url", "platform"])
@pytest.mark.parametrize("id", ["INF-01", "INF-02", "INF-03", "INF-04"])
def test_a_model_server_by_its_url_is_asked_there_and_not_looked_for(system: str, id: str) -> None:
    text = of(system, id)
    assert "kubectl" not in text and "WORKLOAD" not in text
    if id != "INF-01":
        url = CASES[system][0].vllm.url
        assert f"curl -sS {'-i ' if id == 'INF-02' else ''}{url}" in text
    assert "mesh" not in of(system, "NET-03")


def test_nats_by_its_url_is_asked_there_and_not_forwarded() -> None:
    for id in ("INF-09", "INF-10", "INF-12", "LOAD-02", "ORC-04"):
        assert "port-forward" not in of("by-url", id) and "port-forward" not in of("url-and-name", id)
        assert "nats --server tls://bus.example:4333 " in of("by-url", id)
        assert "nats --server tls://nats.example:4222 " in of("url-and-name", id)
    assert "('bus.internal', 4444)" in of("by-url", "NET-04"), "as the workers reach it"
    assert "nats.url_inside" in of("by-url", "JOB-03") and "get service" not in of("by-url", "JOB-03")
    assert "get service nats" in of("url-and-name", "JOB-03"), "it has a service, too"


def test_without_a_port_in_its_url_nats_has_its_own() -> None:
    profile = REFERENCE.replaced("nats", service="", url=("nats://bus.example",))
    assert remedy_values(profile, "attach", KubernetesTarget("prod")).names["nats_port"] == "4222"


def test_over_websocket_a_connection_is_all_that_is_looked_at() -> None:
    """There NATS says nothing before it is asked, and a URL may be without a port."""
    for url, asked in (("wss://bus.example", "443), 5))"), ("nats://bus.example", "4222), 5).recv(200))")):
        profile = REFERENCE.replaced("nats", service="", url=(url,))
        values = remedy_values(profile, "attach", KubernetesTarget("prod"))
        text = "\n".join(step.text for step in filled(load_catalogue()["NET-04"].remedy, values))
        assert f"socket.create_connection(('bus.example', {asked}" in text


def test_an_orchestrator_by_its_url_is_called_there() -> None:
    assert "port-forward" not in of("by-url", "ORC-02") and " api.example:443 " in of("by-url", "ORC-02")
    assert of("by-url", "INF-11") == "Read the log of each orchestrator, where it runs."
    assert "kubectl" not in of("by-url", "CFG-02") and "Start every orchestrator with VLLM_URL=" in of(
        "by-url", "CFG-02"
    )


def test_ray_by_its_url_is_asked_at_its_dashboard() -> None:
    for id in ("INF-05", "INF-07", "LOAD-04"):
        assert "curl -sS https://ray.example/api/" in of("ray-by-url", id) and "kubectl" not in of("ray-by-url", id)
    assert "ray list actors" in of("ray-by-url", "JOB-02") and "--address https://ray.example" in of(
        "ray-by-url", "JOB-02"
    )


def test_pods_of_no_workload_are_those_that_the_service_selects() -> None:
    profile = with_tls().replaced("vllm", workload="")
    target = KubernetesTarget("prod", selectors={(profile.vllm.namespace, "vllm-server-service"): "app=llm"})
    assert remedy_values(profile, "attach", target).names["vllm_pods"] == "pods -l app=llm"
