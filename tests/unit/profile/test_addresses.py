"""The one table of addresses: schemes, hosts and ports from each point of view."""

from __future__ import annotations

from fixtures.clusters.base import Endpoints
from fixtures.clusters.endpoints import EndpointsCluster
from fixtures.profile import addresses
from fixtures.profile import model as profiles
from fixtures.profile.addresses import Address
from fixtures.profile.components import Vllm
from fixtures.profile.model import Profile
from fixtures.profile.sections import Tls
from tests.support.profiles import with_urls

VLLM, DASHBOARD, NATS = "https://models.example:8443/prefix", "http://ray.example", "tls://nats.example:4222"
TARGETS = ("[::1]:50055", "orchestrator.example:50056")


def with_tls() -> Profile:
    profile = profiles.load("swe-ai-fleet")
    for section in ("vllm", "ray", "nats", "orchestrator"):
        profile = profile.replaced(section, tls=Tls())
    return profile


def by_address() -> Profile:
    inside = "nats://10.0.0.1:4222"
    return with_urls(with_tls(), vllm=VLLM, ray=DASHBOARD, nats=NATS, orchestrator=TARGETS, nats_inside=inside)


def test_pods_reach_services_by_their_names() -> None:
    seen = addresses.from_pods(profiles.load("swe-ai-fleet"))
    assert seen.vllm.url == "http://vllm-server-service.swe-ai-fleet.svc:8000"
    assert seen.dashboard.url == "http://ray-gpu-head-svc.ray.svc:8265"
    assert seen.nats_urls == "nats://nats.swe-ai-fleet.svc:4222"
    assert seen.ray_client is not None
    assert seen.ray_client.url == "ray://ray-gpu-head-svc.ray.svc:10001"
    assert [one.target for one in seen.orchestrators] == ["orchestrator.swe-ai-fleet.svc:50055"]
    assert seen.fault_proxy is None


def test_a_domain_of_the_cluster_is_part_of_the_names() -> None:
    seen = addresses.from_pods(profiles.load("kind").replaced("kubernetes", cluster_domain="corp.local"))
    assert seen.vllm.host == "vllm-server-service.swe-ai-fleet.svc.corp.local"
    assert seen.dashboard.host == "ray-gpu-head-svc.ray.svc.corp.local"
    assert seen.fault_proxy and seen.fault_proxy.host == "fault-proxy.swe-ai-fleet.svc.corp.local"


def test_tls_of_the_profile_is_in_every_scheme() -> None:
    seen = addresses.from_pods(with_tls())
    assert [seen.vllm.scheme, seen.dashboard.scheme, seen.nats[0].scheme] == ["https", "https", "tls"]
    assert [one.scheme for one in seen.orchestrators] == ["grpcs"]


def test_the_base_of_a_model_servers_api_means_the_server() -> None:
    """Everybody who asks adds the path: the suite, the census, the contract's `{vllm_url}/v1`."""
    urls = {"url": "https://llm/team/v1", "url_inside": "http://llm:8000/v1/", "fault_proxy": "http://proxy:1/v1"}
    shipped = profiles.load("swe-ai-fleet").vllm
    vllm = Vllm.model_validate({"model": "m", **urls})
    profile = profiles.load("swe-ai-fleet").model_copy(update={"vllm": vllm})
    seen, workers = addresses.from_outside(profile), addresses.from_workers(profile)
    assert (seen.vllm.url, workers.vllm.url) == ("https://llm/team", "http://llm:8000")
    assert seen.fault_proxy and workers.fault_proxy and seen.fault_proxy.url == workers.fault_proxy.url
    assert seen.fault_proxy.url == "http://proxy:1"
    within = addresses.from_pods(profile.replaced("vllm", fault_proxy="", service=shipped.service))
    assert within.vllm.url == "http://llm:8000" and within.fault_proxy is None


def test_plain_endpoints_are_as_the_profile_names_them() -> None:
    seen = addresses.from_outside(by_address())
    assert [seen.vllm.url, seen.dashboard.url, seen.nats_urls] == [VLLM, DASHBOARD, NATS]
    assert tuple(one.target for one in seen.orchestrators) == TARGETS
    assert seen.ray_client is None


def test_workers_reach_what_inside_names_and_the_rest_as_the_suite_does() -> None:
    seen = addresses.from_workers(by_address())
    assert (seen.nats_urls, seen.vllm.url) == ("nats://10.0.0.1:4222", VLLM)


def test_nats_may_have_several_servers() -> None:
    servers = ("nats://one:4222", "nats://[fd00::2]:4223")
    profile = by_address().replaced("nats", url=servers, url_inside=())
    assert addresses.from_outside(profile).nats_urls == addresses.from_workers(profile).nats_urls == ",".join(servers)
    assert addresses.from_pods(profile).nats_urls == ",".join(servers)
    cluster = EndpointsCluster(profile, "fc-1", allow_disruptive=False)
    assert cluster.endpoints.nats == cluster.inside.nats == ",".join(servers)


def test_the_attached_endpoints_are_those_of_the_table() -> None:
    profile = by_address()
    cluster = EndpointsCluster(profile, "fc-1", allow_disruptive=False)
    assert (cluster.endpoints.vllm, cluster.endpoints.ray_client) == (VLLM, "")
    assert dict(cluster.inside.orchestrators) == {
        "orchestrator-1": "[::1]:50055",
        "orchestrator-2": "orchestrator.example:50056",
    }
    assert cluster.inside.nats == "nats://10.0.0.1:4222"
    assert Endpoints.of(addresses.from_pods(profile)).ray_client.startswith("ray://")


def test_an_address_keeps_its_parts() -> None:
    assert Address.of("https://[fd00::1]:8443/v1") == Address("https", "fd00::1", 8443, "/v1")
    assert Address("ray", "fd00::1", 1).url == "ray://[fd00::1]:1"
