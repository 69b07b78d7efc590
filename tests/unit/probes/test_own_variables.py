"""Replicas of one workload differ by nature in a few variables, and by drift in any other."""

import pytest

from fixtures.clusters.kubernetes.client.schemas import Container
from fixtures.clusters.kubernetes.workloads import placement_variables
from fixtures.probes.own_variables import comparable, drifted

ONE = {"VLLM_URL": "http://vllm:8000", "AGENT_TYPE": "vllm"}


def drift(first: dict[str, str], second: dict[str, str], declared: tuple[str, ...] = ()) -> set[str]:
    """The variables in which orchestrator-1 and orchestrator-2 differ otherwise than by nature."""
    environments = {"orchestrator-1": {**ONE, **first}, "orchestrator-2": {**ONE, **second}}
    addresses = {"orchestrator-1": "10.0.0.1", "orchestrator-2": "10.0.0.2"}
    shared = {name: comparable(own, name, addresses[name], declared) for name, own in environments.items()}
    return set(drifted(environments, shared))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"HOSTNAME": "orchestrator-1", "GRPC_PORT": "1"}, {"HOSTNAME": "orchestrator-2", "GRPC_PORT": "2"}),
        ({"PATH": "/a/bin", "HOME": "/a", "_": "/a/python"}, {"PATH": "/b/bin", "HOME": "/b", "SHLVL": "1"}),
        ({"LOG_PREFIX": "of orchestrator-1"}, {"LOG_PREFIX": "of orchestrator-2"}),
        ({"ADVERTISED": "10.0.0.1:50055"}, {"ADVERTISED": "10.0.0.2:50055"}),
        ({"NODE_NAME": "blue", "AGENT": "http://blue:4317"}, {"NODE_NAME": "green", "AGENT": "http://green:4317"}),
        ({}, {"DD_AGENT_HOST": "10.0.0.2", "DD_ENTITY_ID": "en-1"}),
        ({}, {"OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.uid=1-2,k8s.node.name=b"}),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=o,k8s.pod.uid=1,service.instance.id=a"},
            {"OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.uid=2,host.name=x,service.name=o"},
        ),
        ({"NATS_SERVICE_HOST": "10.1.0.1", "NATS_PORT": "tcp://10.1.0.1:4222"}, {}),
        (
            {"VLLM_URL": "http://10.0.3.5:30800", "HOST_IP": "10.0.3.5"},
            {"VLLM_URL": "http://10.0.3.5:30800", "HOST_IP": "10.0.3.6"},
        ),
        ({"PEERS": "10.0.0.1,10.0.0.127"}, {"PEERS": "10.0.0.2,10.0.0.127"}),
        (
            {"POD_IP": "10.0.3.12", "NAMES": "10.0.3.12,10.0.3.127"},
            {"POD_IP": "fd00::2", "NAMES": "fd00::2,10.0.3.127"},
        ),
        ({"NODE_NAME": "east", "ZONE": "northeast/east"}, {"NODE_NAME": "west", "ZONE": "northeast/west"}),
    ],
)
def test_what_is_a_replicas_by_nature_is_no_drift(first: dict[str, str], second: dict[str, str]) -> None:
    assert drift(first, second) == set()


@pytest.mark.parametrize(
    "name",
    ["PATH_PREFIX", "HOME_URL", "NODE_OPTIONS", "NODE_ENV", "POD_POLICY", "_FEATURE", "TEMPERATURE", "GRPC_HOSTS"],
)
def test_a_name_that_only_begins_like_one_of_those_is_compared(name: str) -> None:
    assert drift({name: "one"}, {name: "two"}) == {name}
    assert drift({name: "one"}, {}) == {name}


def test_attributes_of_the_service_are_compared() -> None:
    first, second = ({"OTEL_RESOURCE_ATTRIBUTES": f"service.version={n},k8s.pod.uid=x"} for n in (1, 2))
    assert drift(first, second) == {"OTEL_RESOURCE_ATTRIBUTES"}


def test_what_the_specification_takes_from_the_pod_is_the_replicas_own_under_any_name() -> None:
    first, second = ({"WHERE": node, "EXPORTER": f"http://{node}:1", "LEVEL": "a"} for node in ("east", "west"))
    assert drift(first, second) == {"WHERE", "EXPORTER"}
    assert drift(first, second, declared=("WHERE",)) == set()
    assert drift(first, {**second, "LEVEL": "b"}, declared=("WHERE",)) == {"LEVEL"}


def test_a_resource_of_the_pod_is_no_part_of_other_numbers() -> None:
    first, second = ({"CPU_M": cpus, "MAX_TOKENS": "10000", "SHARE": f"a/{cpus}/1000.5"} for cpus in ("1000", "2000"))
    assert drift(first, second, declared=("CPU_M",)) == set()
    assert drift(first, {**second, "MAX_TOKENS": "20000"}, declared=("CPU_M",)) == {"MAX_TOKENS"}


def test_a_node_that_only_one_replica_calls_is_drift() -> None:
    first, second = ({"VLLM_URL": f"http://{url}:30800", "HOST_IP": "10.0.3.5"} for url in ("10.0.3.5", "10.0.3.6"))
    assert drift(first, second) == {"VLLM_URL"}


@pytest.mark.parametrize(
    ("first", "second"),
    [("http://10.0.0.1:1", "http://10.0.0.3:1"), ("10.0.0.12", "10.0.0.22"), ("110.0.0.1", "110.0.0.2")],
)
def test_an_address_that_only_begins_or_ends_like_the_replicas_is_compared(first: str, second: str) -> None:
    assert drift({"PEER": first}, {"PEER": second}) == {"PEER"}


def test_variables_of_the_downward_api_are_read_from_the_container() -> None:
    env = [
        {"name": "WHERE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "CPUS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
        {"name": "PLAIN", "value": "1"},
        {"name": "EMPTY", "valueFrom": None},
        "no variable",
    ]
    assert placement_variables(Container.of({"name": "app", "env": env})) == {"WHERE", "CPUS"}
    assert placement_variables(Container.of({"name": "app", "env": None})) == set()
    assert placement_variables(Container(name="app")) == set()
