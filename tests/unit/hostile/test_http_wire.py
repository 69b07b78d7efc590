"""Whatever comes over the wire from what should be an HTTP service: an end in time, in bounded memory,
with a reason.
"""

from __future__ import annotations

import pytest

from fixtures.core.timeouts import Timeouts
from fixtures.services import http
from fixtures.services.ray import Ray
from fixtures.services.vllm import FaultProxy, Vllm
from tests.unit.hostile import servers
from tests.unit.hostile.answers import a_reason_at_most


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TIMEOUTS", Timeouts(request=servers.PATIENCE))


@pytest.mark.parametrize("name", servers.HTTP)
async def test_vllm(name: str) -> None:
    async with servers.serving(servers.HTTP[name]) as port:
        vllm = Vllm(f"http://127.0.0.1:{port}")
        with servers.within_bounds(), a_reason_at_most():
            await vllm.models()
        await vllm.close()


@pytest.mark.parametrize("name", ["silent", "not HTTP", "many values", "error page"])
async def test_ray_and_fault_proxy(name: str) -> None:
    async with servers.serving(servers.HTTP[name]) as port:
        ray, proxy = Ray(f"http://127.0.0.1:{port}"), FaultProxy(f"http://127.0.0.1:{port}")
        with servers.within_bounds():
            for ask in (ray.nodes(), ray.submit("true", "x"), proxy.add(action="hold")):
                with a_reason_at_most():
                    await ask
        await ray.close()
        await proxy.close()
