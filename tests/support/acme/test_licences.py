"""Own checks in Python: what workers have and reach, asked in the one census; services, by the suite's own clients."""

from __future__ import annotations

from fleet_conformance import (
    MUST,
    SHOULD,
    Asked,
    Census,
    Evidence,
    Orchestrator,
    Profile,
    Vllm,
    area,
    by_place,
    check,
    require_none,
)

area("ACME", "Rules of Acme")


@check(
    "ACME-01",
    MUST,
    "every worker reaches the licence server",
    remedy="Open the licence server's port for the worker group.",
    asks=Asked(tcp={"licence": "127.0.0.1:1"}, modules={"solver": "json"}, run={"host": ["./tools/host.sh", "name"]}),
)
def test_licence_server(census: Census, evidence: Evidence) -> None:
    """Without it the agents' solver stops after 30 minutes."""
    evidence.attach("hosts.txt", "\n".join(worker.asked["host"].output for worker in census.workers))
    assert all(worker.asked["solver"].ok for worker in census.workers)
    silent = {worker.name: worker.asked["licence"].error for worker in census.workers if not worker.asked["licence"].ok}
    require_none(by_place(silent), "no connection to the licence server")


@check("ACME-02", SHOULD, "the model and each replica can be asked", remedy=["Look at the model server."])
async def test_services(vllm: Vllm, orchestrator: Orchestrator, profile: Profile) -> None:
    """Own checks have the suite's own clients."""
    assert profile.vllm.model in await vllm.models()
    assert (await vllm.get("/health")).status_code == 200
    for replica in orchestrator.replicas:
        await replica.status()
