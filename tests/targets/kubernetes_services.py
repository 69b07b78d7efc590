"""Services of a fleet in Kubernetes that differ, and pods that nobody expects behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fixtures.clusters.kubernetes.client.api import DEPLOYMENTS, ENDPOINT_SLICES, PODS, SERVICES
from fixtures.clusters.kubernetes.client.transport import Document
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.profile.model import Profile
from tests.targets.kubernetes_objects import made, new_object, patched, pod_template
from tests.targets.kubernetes_target import KubernetesTarget
from tests.targets.target import Change, together

PEERS = "nats-peers"  # a headless service
STRANGER = "stranger"
#: Answers every request with 404, on the port that is named in its pod.
LISTENS = """
import http.server, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_error(404)
    do_POST = do_GET
http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
"""


def _more_ports(name: str, port: int, target: int | str, container: str, protocol: str) -> Document:
    """Several ports, the one that is used last; reached through every node, too."""
    ports = [
        {"name": "metrics", "port": 9090, "targetPort": container},
        {"name": "other", "port": port + 1, "targetPort": container},
        {"name": name, "port": port, "targetPort": target, "appProtocol": protocol},
    ]
    return {"spec": {"type": "NodePort", "ports": ports, "internalTrafficPolicy": "Cluster"}}


def services_have_more_ports() -> Change:
    """Those of vLLM, NATS and the orchestrator; one names the port of its pods by number."""

    def patch_of(profile: Profile, name: str) -> Document:
        bodies = {
            profile.vllm.service: _more_ports("http", profile.vllm.port, "http", "http", "http"),
            profile.nats.service: _more_ports("client", profile.nats.port, profile.nats.port, "monitor", "nats.io"),
            profile.orchestrator.service: _more_ports("grpc", profile.orchestrator.port, "grpc", "grpc", "grpc"),
        }
        return bodies[name]

    def changed(name: str) -> Change:
        @asynccontextmanager
        async def change(target: KubernetesTarget) -> AsyncIterator[None]:
            service = getattr(target.profile, name).service
            patch, namespace = patch_of(target.profile, service), target.profile.kubernetes.namespace
            async with patched(target, SERVICES, service, namespace, patch):
                await _ports_lead(target, service, len(patch["spec"]["ports"]))
                yield
            await _ports_lead(target, service, 1)

        return change

    return together(changed("vllm"), changed("nats"), changed("orchestrator"))


async def _ports_lead(target: KubernetesTarget, service: str, count: int) -> None:
    """Wait until the slices of a service have so many ports."""

    async def led() -> bool:
        labels = f"kubernetes.io/service-name={service}"
        slices = await target.api.list(ENDPOINT_SLICES, target.profile.kubernetes.namespace, labels=labels)
        return sum(len(piece.ports) for piece in slices if piece.endpoints) == count

    await wait_until(led, f"{count} ports of {service}", TIMEOUTS.pods_up)


def nats_has_a_headless_service() -> Change:
    """A second service of NATS, whose name stands for the addresses of its pods, ready or not."""

    def body(profile: Profile) -> Document:
        ports = [
            {"name": "monitor", "port": 8222, "targetPort": 8222},
            {"name": "client", "port": profile.nats.port, "targetPort": profile.nats.port},
        ]
        spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": {"app": profile.nats.service}}
        metadata = {"name": PEERS, "namespace": profile.kubernetes.namespace}
        return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {**spec, "ports": ports}}

    return new_object(SERVICES, body)


@asynccontextmanager
async def orchestrators_service_is_headless(target: KubernetesTarget) -> AsyncIterator[None]:
    """Clients spread their calls themselves, as those of gRPC do."""
    name, namespace = target.profile.orchestrator.service, target.profile.kubernetes.namespace
    before = (await target.api.get(SERVICES, name, namespace)).raw
    metadata = {key: before["metadata"][key] for key in ("name", "namespace", "labels")}
    spec = {key: before["spec"][key] for key in ("selector", "ports")}

    async def remake(**more: str) -> None:
        await target.api.delete(SERVICES, name, namespace)
        body = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {**spec, **more}}
        await target.api.apply(SERVICES, body)
        await _ports_lead(target, name, 1)

    try:
        await remake(clusterIP="None")
        yield
    finally:
        await remake()


def a_stranger_is_behind(component: str, port_name: str) -> Change:
    """A pod of another image that nobody keeps has the labels that the component's service selects, and its port."""

    @asynccontextmanager
    async def change(target: KubernetesTarget) -> AsyncIterator[None]:
        part, namespace = getattr(target.profile, component), target.profile.kubernetes.namespace
        other = target.profile.vllm.workload if component == "orchestrator" else target.profile.orchestrator.workload
        port = part.port
        template = pod_template(
            await target.api.get(DEPLOYMENTS, other, namespace),
            LISTENS,
            command=["python", "-c", LISTENS, str(port)],
            ports=[{"name": port_name, "containerPort": port}],
        )
        metadata = {"name": STRANGER, "namespace": namespace, "labels": {"app": part.workload}}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}

        async def ready() -> bool:
            return (await target.api.get(PODS, STRANGER, namespace)).status.is_ready

        async with made(target, PODS, body):
            await wait_until(ready, f"pod {STRANGER}", TIMEOUTS.pods_up)
            yield

    return change
