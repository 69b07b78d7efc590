"""What a profile must say for what else it says: asked for when it is loaded, by its key, and of no fleet otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures.core.errors import UsageError
from fixtures.core.toml_models import MistakeAt
from fixtures.profile import addresses
from fixtures.profile.completeness import check_in_kubernetes, missing_urls
from fixtures.profile.components import Kubernetes
from fixtures.profile.model import Profile, load
from tests.support.profiles import profile_text, with_executor

REFERENCE = load("swe-ai-fleet")


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def loaded(tmp_path: Path, **sections: dict[str, Any]) -> Profile:
    return load(written(tmp_path, profile_text("swe-ai-fleet", **sections)))


def without_grpc(**orchestrator: Any) -> Profile:
    """A fleet whose orchestrator is led by events alone."""
    profile = REFERENCE.replaced("orchestrator", **orchestrator)
    return profile.model_copy(update={"contract": profile.contract.model_copy(update={"grpc": None})})


@pytest.mark.parametrize(
    ("section", "values", "line"),
    [
        ("vllm", {"service": ""}, "vllm.service: is missing, and vllm.url, too"),
        ("nats", {"service": ""}, "nats.service: is missing, and nats.url, too"),
        ("orchestrator", {"service": ""}, "orchestrator.service: is missing, and orchestrator.url, too"),
        ("vllm", {"workload": ""}, "vllm.workload: is missing, and vllm.pods, too"),
        ("orchestrator", {"workload": ""}, "orchestrator.workload: is missing, and orchestrator.pods, too"),
    ],
)
def test_in_kubernetes_each_part_can_be_looked_up(
    tmp_path: Path, section: str, values: dict[str, Any], line: str
) -> None:
    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, **{section: values})
    assert str(caught.value) == f"profile {tmp_path / 'mine.toml'}: {line}"


def test_what_an_executor_lacks_is_said_of_the_executor(tmp_path: Path) -> None:
    text = profile_text("swe-ai-fleet", orchestrator={"workload": ""}).replace("[orchestrator", "[executor")
    with pytest.raises(UsageError, match=r"executor\.workload: is missing, and executor\.pods, too$"):
        load(written(tmp_path, text))


@pytest.mark.parametrize(
    "sections",
    [
        {"vllm": {"service": "", "workload": "", "url": "https://llm.example"}},
        {"vllm": {"workload": "", "pods": "app=llm"}},
        {"nats": {"service": "", "url": "nats://nats.example:4222"}},
        {"orchestrator": {"service": "", "workload": "", "url": ["10.0.0.1:50055"]}},
    ],
)
def test_an_address_and_labels_do_as_well(tmp_path: Path, sections: dict[str, Any]) -> None:
    loaded(tmp_path, **sections)


def test_an_orchestrator_that_serves_nothing_needs_neither_a_service_nor_an_address() -> None:
    profile = without_grpc(service="")
    check_in_kubernetes(profile)
    assert addresses.from_pods(profile).orchestrators == ()
    assert missing_urls(profile) == ["vllm.url", "ray.url", "nats.url"]
    assert missing_urls(REFERENCE)[-1] == "orchestrator.url"


def test_an_executor_beside_an_orchestrator_is_looked_up_and_not_called() -> None:
    """So it needs what keeps its pods, and a service or an address only where it serves gRPC."""
    both = with_executor(REFERENCE)
    check_in_kubernetes(both.replaced("executor", service=""))
    with pytest.raises(MistakeAt, match=r"executor\.workload: is missing, and executor\.pods, too"):
        check_in_kubernetes(both.replaced("executor", workload=""))
    assert "executor.url" not in missing_urls(both)
    assert both.contract.grpc is not None
    at = both.contract.model_copy(update={"grpc": both.contract.grpc.model_copy(update={"at": "executor"})})
    serving = both.model_copy(update={"contract": at})
    assert missing_urls(serving)[-1] == "executor.url"
    with pytest.raises(MistakeAt, match=r"executor\.service: is missing, and executor\.url, too"):
        check_in_kubernetes(serving.replaced("executor", service=""))


def test_outside_kubernetes_nothing_is_looked_up() -> None:
    nameless = REFERENCE.replaced("vllm", service="", workload="").replaced("nats", service="")
    check_in_kubernetes(nameless.model_copy(update={"kubernetes": Kubernetes.absent()}))


def test_an_empty_name_is_none_and_the_default_is_taken(tmp_path: Path) -> None:
    """In no namespace a list is one of all namespaces, and no service is called ""."""
    profile = loaded(tmp_path, vllm={"namespace": ""}, ray={"head_service": ""})
    assert (profile.vllm.namespace, profile.ray.head_service) == ("swe-ai-fleet", "ray-gpu-head-svc")


def test_ray_that_is_an_address_has_no_name_that_could_resolve(tmp_path: Path) -> None:
    profile = loaded(tmp_path, ray={"cluster": "", "head_service": "", "url": "http://ray.example:8265"})
    assert addresses.from_pods(profile).ray_client is None


@pytest.mark.parametrize(("section", "part"), [("vllm", "vllm"), ("ray", "ray")])
def test_an_address_without_tls_is_none_of_a_part_that_asks_for_it(tmp_path: Path, section: str, part: str) -> None:
    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, **{section: {"url": "HTTP://10.0.0.1:8000", "tls": {}}})
    line = f"{part}.url: is http, and [{part}.tls] asks for TLS: write https"
    assert str(caught.value) == f"profile {tmp_path / 'mine.toml'}: {line}"


def test_tls_is_of_the_way_from_outside_where_workers_have_one_of_their_own(tmp_path: Path) -> None:
    """NATS says in its greeting whether TLS follows, and gRPC has no scheme: there the section alone decides."""
    ways = {"url": "https://llm.example", "url_inside": "http://10.0.0.1:8000", "tls": {}}
    profile = loaded(tmp_path, vllm=ways, nats={"url": "nats://10.0.0.1:4222", "tls": {}})
    assert addresses.from_pods(profile).vllm.url == "http://10.0.0.1:8000"


@pytest.mark.parametrize("section", ["vllm", "orchestrator"])
def test_labels_and_a_workload_do_not_stand_side_by_side(tmp_path: Path, section: str) -> None:
    """The labels would be taken without a word, and what restarts replicas would be unsupported."""
    with pytest.raises(UsageError, match=rf"{section}\.pods: comes in the place of workload, which is there, too"):
        loaded(tmp_path, **{section: {"pods": "app=llm"}})
