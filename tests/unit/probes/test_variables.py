"""The variables of an orchestrator that lead elsewhere have the names that the profile says."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.probes import replicas
from fixtures.probes.replicas import ReplicaReport
from fixtures.probes.vllm_report import VllmReport
from fixtures.profile.credentials import Credentials, HttpAccess
from fixtures.profile.fleet_services import Variables
from fixtures.profile.model import Profile, load
from fixtures.profile.sections import Secret, Tls, VllmAuth

OWN = Variables(vllm_url="LLM_BASE", vllm_model="LLM_NAME", nats_url="BUS", ray_address="POOL")
PROFILE = load("embedded").replaced("orchestrator", variables=OWN)
ENVIRONMENT = {"LLM_BASE": "http://llm:1/", "BUS": "nats://u:p@bus", "POOL": "ray://pool:2", "VLLM_URL": "http://no"}


def report(environment: dict[str, str], **document: Any) -> ReplicaReport:
    return ReplicaReport("clerk-1", environment, document, variables=OWN)


def test_the_probe_asks_where_they_lead() -> None:
    asked = replicas.request(ENVIRONMENT, PROFILE)
    assert [row["url"] for row in asked["http"]] == ["http://llm:1/v1/models", "http://llm:1/metrics"]
    assert (asked["nats"][0]["url"], asked["ray_client"]) == ("nats://u:p@bus", "ray://pool:2")


@pytest.mark.parametrize("base", ["http://llm:1", "http://llm:1/", "http://llm:1/v1", "http://llm:1/v1/"])
def test_the_probe_asks_a_server_by_its_address_and_by_the_base_of_its_api(base: str) -> None:
    """OPENAI_BASE_URL ends in /v1; /metrics is beside it."""
    asked = replicas.request({"LLM_BASE": base}, PROFILE)
    assert [row["url"] for row in asked["http"]] == ["http://llm:1/v1/models", "http://llm:1/metrics"]


def test_a_gateways_own_path_stays() -> None:
    asked = replicas.request({"LLM_BASE": "http://gateway/team-v1/v1"}, PROFILE)
    assert [row["url"] for row in asked["http"]] == [
        "http://gateway/team-v1/v1/models",
        "http://gateway/team-v1/metrics",
    ]


def test_what_is_no_list_of_models_is_named_by_where_it_was_asked() -> None:
    listed = {"ok": True, "body": "{}", "ms": []}
    with pytest.raises(NonConformance, match=r"^http://llm:1/v1/models does not answer as vLLM does"):
        VllmReport.of(report({"LLM_BASE": "http://llm:1/v1"}, http={"models": listed}))


def test_they_are_named_and_shown_without_credentials() -> None:
    seen = report(ENVIRONMENT)
    assert seen.assigned("BUS") == "BUS=nats://[redacted]@bus"
    assert seen.shown("VLLM_URL") == "http://no" and seen.shown("LLM_OTHER") == "(not set)"
    assert VllmReport.of(report(ENVIRONMENT, http={})).difference([], "x", ()).startswith("LLM_BASE=http://llm:1/ ")


def test_one_that_is_not_set_is_named() -> None:
    seen = report({})
    assert seen.http("models")["error"] == "LLM_BASE is not set"
    assert (seen.nats["stage"], seen.nats["error"]) == ("BUS", "BUS is not set")
    assert seen.ray_port["error"] == seen.ray_client["error"] == "POOL is not set"


def test_no_two_have_one_name() -> None:
    with pytest.raises(ValidationError, match="has a name twice"):
        Variables(vllm_url="URL", nats_url="URL")
    assert Variables().names == ()


KEY = Credentials(vllm=HttpAccess("vllm.auth.api_key", "K", {"Authorization": "Bearer k"}))
SECURED = PROFILE.replaced("vllm", auth=VllmAuth(api_key=Secret(env="K")), tls=Tls())


@pytest.mark.parametrize(
    ("profile", "address", "sent"),
    [
        (SECURED, "https://llm:1", True),
        (SECURED, "http://llm:1", False),
        (SECURED.replaced("vllm", url="https://llm", url_inside="http://llm:1"), "http://llm:1", True),
        (SECURED.replaced("vllm", tls=None), "http://llm:1", True),
    ],
)
def test_a_key_goes_in_the_clear_only_where_the_profile_says_so(profile: Profile, address: str, sent: bool) -> None:
    asked = replicas.request({"LLM_BASE": address}, profile, KEY)
    assert ["headers" in row for row in asked["http"]] == [sent, sent]


def test_a_key_that_was_not_sent_is_not_called_refused() -> None:
    answers = {"models": {"ok": False, "status": 401, "error": "HTTP 401", "ms": []}}
    seen = ReplicaReport("clerk-1", ENVIRONMENT, {"http": answers}, variables=OWN, without_key=True)
    with pytest.raises(
        Inconclusive, match=r"wants a key, and the suite's is not sent: LLM_BASE is http, .*\[vllm\.tls"
    ):
        seen.http("models")
