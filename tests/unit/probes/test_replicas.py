"""How the orchestrator's replicas are asked, and what their answers are worth."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fixtures.clusters.base import Completed, Component, MainProcess, Replica, Unsupported
from fixtures.core.errors import Inconclusive
from fixtures.probes.packaging import BEGIN, END
from fixtures.probes.replicas import EARLIER_LIFE, RAY_CLIENT_MEMORY, ReplicaReport, answered, ask_all, out_of_reach
from fixtures.profile.model import load
from fixtures.profile.sections import NatsTls

ENVIRONMENT = {"RAY_ADDRESS": "ray://ray:10001"}
GOOD = {"ok": True, "ray": "2.49.2", "python": "3.11.7", "nodes": ["n"], "peak": 1}
SILENT = {"ok": False, "error": "no answer within 60 s", "silent": True}


class Cluster:
    """Replicas whose handshakes answer as they are told to; at most how many were entered at one time is counted."""

    profile = load("swe-ai-fleet")
    nats: Mapping[str, Any] = {"ok": True, "stage": "done"}

    def __init__(
        self,
        handshakes: Mapping[str, Mapping[str, Any]],
        main: MainProcess | None = None,
        ports: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.handshakes, self.main, self.ports = handshakes, main or MainProcess(ENVIRONMENT), ports or {}
        self.entered = {"ray": 0, "else": 0}
        self.most = dict(self.entered)
        self.shaken: list[str] = []
        self.lives = dict.fromkeys(handshakes, 1.0)

    async def workload(self, _component: Component) -> Any:
        ready = [
            Replica(name, Component.ORCHESTRATOR, "o", "o:1", "", True, started=started)
            for name, started in self.lives.items()
        ]
        return SimpleNamespace(ready=ready, replicas=ready)

    async def main_process(self, _replica: Replica) -> MainProcess:
        return self.main

    async def exec(self, replica: Replica, argv: Sequence[str], *, stdin: str, timeout: float) -> Completed:
        del timeout
        header, _, rest = stdin.encode().partition(b"\n")
        request = json.loads(rest[int(header.split()[0]) :])
        kind = "ray" if request.get("ray_client") else "else"
        self.entered[kind] += 1
        self.most[kind] = max(self.most[kind], self.entered[kind])
        await asyncio.sleep(0)
        self.entered[kind] -= 1
        document: dict[str, Any] = {"tcp": {"ray": self.ports.get(replica.name, {"ok": True})}}
        if request.get("nats"):
            document["nats"] = {"nats": self.nats}
        if kind == "ray":
            assert request["ray_client_memory"] == RAY_CLIENT_MEMORY
            self.shaken.append(replica.name)
            document = {"ray_client": self.handshakes[replica.name]}
        return Completed(tuple(argv), 0, f"{BEGIN}{json.dumps(document)}{END}", "")


async def reports(cluster: Any) -> dict[str, ReplicaReport]:
    return {report.name: report for report in answered(await ask_all(cluster))}


async def test_what_imports_ray_goes_from_one_replica_to_the_next() -> None:
    cluster = Cluster(dict.fromkeys(("o-1", "o-2", "o-3"), GOOD))
    seen = await reports(cluster)
    assert cluster.most == {"ray": 1, "else": 3}
    assert all(report.ray_client["ok"] and report.ray_port["ok"] for report in seen.values())


async def test_what_a_replica_had_that_is_gone_says_nothing_of_the_fleet() -> None:
    """A roll-out may end, and a container start again, between the probe and the check."""
    cluster = Cluster(dict.fromkeys(("o-1", "o-2", "o-3"), GOOD))
    execute = cluster.exec

    async def meanwhile(replica: Replica, argv: Sequence[str], **named: Any) -> Completed:
        cluster.lives = {"o-1": 1.0, "o-2": 2.0, "o-4": 2.0}
        return await execute(replica, argv, **named)

    cluster.exec = meanwhile  # type: ignore[method-assign]
    seen = await reports(cluster)
    assert {name: report.main.caveat for name, report in seen.items()} == {
        "o-1": "",
        "o-2": EARLIER_LIFE,
        "o-3": EARLIER_LIFE,
    }


async def test_no_further_handshake_is_waited_for_where_one_had_no_answer() -> None:
    cluster = Cluster({"o-1": GOOD, "o-2": SILENT, "o-3": GOOD})
    seen = await reports(cluster)
    assert cluster.shaken == ["o-1", "o-2"]
    assert seen["o-3"].ray_client["error"] == "not tried: the handshake from o-2 had no answer in time"


async def test_no_handshake_is_tried_where_the_port_was_not_reached() -> None:
    closed = {"ok": False, "error": "TimeoutError: timed out"}
    cluster = Cluster(dict.fromkeys(("o-1", "o-2"), GOOD), ports={"o-1": closed})
    seen = await reports(cluster)
    assert cluster.shaken == ["o-2"]
    assert (seen["o-1"].ray_client["ok"], seen["o-1"].ray_client["error"]) == (False, closed["error"])
    assert seen["o-2"].ray_client["ok"]


async def test_a_handshake_for_which_there_is_no_memory_says_how_much_there_is() -> None:
    seen = await reports(Cluster({"o-1": {"ok": False, "error": "…", "free": 100 << 20}}))
    with pytest.raises(Unsupported, match="o-1: 100 MiB of memory are free in its container"):
        _ = seen["o-1"].ray_client
    assert seen["o-1"].ray_port["ok"]


async def test_without_python_only_the_environment_is_known() -> None:
    cluster = Cluster({"o-1": GOOD}, MainProcess(ENVIRONMENT, without_python="o-1: no Python in its image"))
    seen = await reports(cluster)
    assert not cluster.shaken and seen["o-1"].shown("RAY_ADDRESS") == "ray://ray:10001"
    for section in ("nats", "ray_port", "ray_client"):
        with pytest.raises(Unsupported, match="no Python in its image"):
            getattr(seen["o-1"], section)
    with pytest.raises(Unsupported, match="no Python in its image"):
        seen["o-1"].http("models")


async def test_a_variable_that_the_entrypoint_may_set_is_not_missing() -> None:
    seen = await reports(Cluster({"o-1": GOOD}, MainProcess(ENVIRONMENT, "the environment of a command")))
    with pytest.raises(Inconclusive, match="o-1: NATS_URL is not known: what was read is the environment of a command"):
        _ = seen["o-1"].nats
    assert seen["o-1"].ray_client["ok"]
    own = await reports(Cluster({"o-1": GOOD}))
    assert own["o-1"].nats["error"] == "NATS_URL is not set"


REFUSED = {"ok": False, "error": "[Errno 111] Connection refused"}


@pytest.mark.parametrize(
    ("nats", "ray", "said"),
    [
        ({"ok": True, "stage": "done"}, {"ok": True}, ""),
        ({**REFUSED, "stage": "tcp"}, {"ok": True}, "NATS_URL=nats://nats:4222: [Errno 111] Connection refused"),
        ({"ok": False, "stage": "protocol", "error": "no INFO"}, {"ok": True}, "NATS_URL=nats://nats:4222: no INFO"),
        ({"ok": False, "stage": "authentication", "error": "-ERR"}, {"ok": True}, ""),  # the suite's are refused
        ({"ok": True, "stage": "done"}, REFUSED, "RAY_ADDRESS=ray://ray:10001: [Errno 111] Connection refused"),
    ],
)
async def test_what_nothing_listens_at_is_out_of_reach(nats: Any, ray: Any, said: str) -> None:
    main = MainProcess({**ENVIRONMENT, "NATS_URL": "nats://nats:4222"})
    cluster: Any = Cluster({"o-1": GOOD}, main, {"o-1": ray})
    cluster.nats = nats
    (replica,) = (await cluster.workload(Component.ORCHESTRATOR)).ready
    assert await out_of_reach(cluster, replica) == said


async def test_a_nats_that_starts_with_tls_is_asked_that_way() -> None:
    """In the clear it says nothing, and closes the connection: that nothing listens would be wrong."""
    cluster: Any = Cluster({"o-1": GOOD}, MainProcess({"NATS_URL": "nats://nats:4222"}))
    cluster.profile = cluster.profile.replaced("nats", tls=NatsTls(handshake_first=True))
    requests: list[dict[str, Any]] = []
    execute = cluster.exec

    async def noted(replica: Replica, argv: Sequence[str], *, stdin: str, timeout: float) -> Completed:
        header, _, rest = stdin.encode().partition(b"\n")
        requests.append(json.loads(rest[int(header.split()[0]) :]))
        return cast(Completed, await execute(replica, argv, stdin=stdin, timeout=timeout))

    cluster.exec = noted
    (replica,) = (await cluster.workload(Component.ORCHESTRATOR)).ready
    assert await out_of_reach(cluster, replica) == ""
    assert [row["tls_first"] for row in requests[0]["nats"]] == [True]


async def test_a_replica_without_addresses_is_not_asked() -> None:
    cluster: Any = Cluster({"o-1": GOOD}, MainProcess({}))
    (replica,) = (await cluster.workload(Component.ORCHESTRATOR)).ready
    assert await out_of_reach(cluster, replica) == "" and cluster.entered == {"ray": 0, "else": 0}
