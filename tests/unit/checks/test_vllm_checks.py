"""INF-02, INF-03, INF-04 and CFG-02 where several servers share vLLM's address."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Endpoints
from fixtures.core.errors import Inconclusive
from fixtures.probes.replicas import ReplicaReport
from fixtures.profile import model as profiles
from fixtures.services.vllm import Model, Server
from tests.e2e.test_configuration import LOOKS
from tests.e2e.test_configuration import test_vllm_url as leads_to_vllm
from tests.e2e.test_infrastructure_vllm import test_model_context as has_the_context
from tests.e2e.test_infrastructure_vllm import test_vllm_is_healthy as is_healthy
from tests.e2e.test_infrastructure_vllm import test_vllm_lists_the_model as lists_the_model
from tests.support.profiles import VARIABLES

PROFILE = profiles.load("embedded")
MODEL, CONTEXT = PROFILE.vllm.model, PROFILE.vllm.max_model_len


class Servers:
    """Those behind vLLM's address, as one look after the other meets them."""

    url = "http://vllm:8000"

    def __init__(self, *looks: dict[str, Any]) -> None:
        self._looks, self.looked = looks, 0
        self.replicas: dict[str, str] = {}  # by identity, as far as they are known

    async def of_each_server(self, _question: object) -> list[Server[Any]]:
        self.looked += 1
        answers = self._looks[min(self.looked, len(self._looks)) - 1]
        return [Server(identity, answer, self.replicas.get(identity, "")) for identity, answer in answers.items()]


def rows(length: int = CONTEXT, name: str = MODEL) -> dict[str, Model]:
    return {name: Model(id=name, max_model_len=length)}


async def test_a_dead_engine_is_counted() -> None:
    both: Any = Servers({"1": 200, "2": 200})
    await is_healthy(both, PROFILE)
    second: Any = Servers({"1": 200, "2": 503})
    with pytest.raises(AssertionError, match=r"/health answers 503, not 200 \(1 of 2 servers behind this address\): "):
        await is_healthy(second, PROFILE)
    second.replicas = {"1": "vllm-a", "2": "vllm-b"}
    with pytest.raises(AssertionError, match=r"not 200 \(1 of 2 servers behind this address: vllm-b\): "):
        await is_healthy(second, PROFILE)
    only: Any = Servers({"1": 503})
    with pytest.raises(AssertionError, match="/health answers 503, not 200: the server is up, its engine is not"):
        await is_healthy(only, PROFILE)


@pytest.mark.parametrize("status", [404, 405])
async def test_a_gateway_that_leads_to_the_api_alone_hides_the_engine(status: int) -> None:
    class Gateway(Servers):
        def __init__(self, *looks: dict[str, Any], model: str = MODEL) -> None:
            super().__init__(*looks)
            self.model = model

        async def models(self) -> dict[str, Any]:
            return {self.model: None}

    hidden: Any = Gateway({"1": status, "2": status})
    with pytest.raises(pytest.skip.Exception, match="has no /health: a gateway leads to the API alone"):
        await is_healthy(hidden, PROFILE)
    for other in (Gateway({"1": status, "2": 200}), Gateway({"1": status}, model="another")):
        servers: Any = other
        with pytest.raises(AssertionError, match=f"/health answers {status}, not 200"):
            await is_healthy(servers, PROFILE)


async def test_a_server_with_another_model_is_counted() -> None:
    servers: Any = Servers({"1": rows(), "2": rows(name="other")})
    with pytest.raises(AssertionError, match=f"serves other, not {MODEL} .1 of 2 servers"):
        await lists_the_model(servers, PROFILE)
    with pytest.raises(AssertionError, match=f"{MODEL} is not served at http://vllm:8000"):
        await has_the_context(servers, PROFILE)


async def test_a_server_with_less_context_is_counted() -> None:
    servers: Any = Servers({"1": rows(), "2": rows(8192)})
    with pytest.raises(AssertionError, match=f"is served with max_model_len 8192, not {CONTEXT} .1 of 2 servers"):
        await has_the_context(servers, PROFILE)
    servers.replicas = {"2": "vllm-b"}
    with pytest.raises(AssertionError, match=r"1 of 2 servers behind this address: vllm-b\)"):
        await has_the_context(servers, PROFILE)


async def test_a_context_that_nobody_says_cannot_be_looked_at() -> None:
    servers: Any = Servers({"1": rows(0)})
    with pytest.raises(pytest.skip.Exception, match=f"does not say what context {MODEL} has"):
        await has_the_context(servers, PROFILE)


async def compared(servers: Servers, start: str, url: str = "http://proxy:8001") -> None:
    listed = {"ok": True, "ms": [], "body": f'{{"data": [{{"id": "{MODEL}"}}]}}'}
    metrics = {"ok": True, "ms": [], "body": start and f"process_start_time_seconds {start}\n"}
    document = {"http": {"models": listed, "metrics": metrics}}
    view = Endpoints("http://vllm.fleet.svc:8000", "", "", "")
    cluster: Any = SimpleNamespace(inside=view, endpoints=view)
    met: Any = servers
    await leads_to_vllm(
        (ReplicaReport("orchestrator-1", {"VLLM_URL": url}, document, variables=VARIABLES),), met, cluster
    )


async def test_a_replica_may_meet_any_of_the_servers() -> None:
    one_look = Servers({"1": rows(), "2": rows()})
    await compared(one_look, "2")
    assert one_look.looked == 1
    second_look = Servers({"1": rows()}, {"2": rows()})
    await compared(second_look, "2")
    assert second_look.looked == 2


async def test_a_server_that_the_suite_never_meets_is_another() -> None:
    servers = Servers({"1": rows(), "2": rows()})
    with pytest.raises(AssertionError, match="orchestrator-1: VLLM_URL=http://proxy:8001 is another server than"):
        await compared(servers, "3")
    assert servers.looked == LOOKS


async def test_a_server_that_the_suite_never_meets_at_the_same_address_is_undecided() -> None:
    servers = Servers({"1": rows(), "2": rows()})
    words = "orchestrator-1: VLLM_URL=http://vllm:8000 is the same address, but leads to a server that the suite did"
    with pytest.raises(Inconclusive, match=f"{words} not meet there in {2 * LOOKS} connections"):
        await compared(servers, "3", "http://vllm:8000")
    with pytest.raises(AssertionError, match="serves other models"):
        await compared(Servers({"1": rows(name="other")}), "3", "http://vllm:8000")


async def test_without_a_start_the_address_decides_or_nothing() -> None:
    await compared(Servers({"": rows()}), "", "http://vllm:8000")
    with pytest.raises(Inconclusive, match=r"of orchestrator-1.*servers cannot be distinguished"):
        await compared(Servers({"": rows()}), "")
