"""A RayService that makes Ray, in the place of the fleet's own RayCluster.

The custom image has Ray without the extra `serve`, and KubeRay (v1.6.2) takes a cluster for active when Ray's dashboard
lists Serve applications that all run. What KubeRay asks is answered by a container more in the head's pod; everybody
else asks the dashboard itself. Source: reconcileServe in
https://github.com/ray-project/kuberay/blob/v1.6.2/ray-operator/controllers/ray/rayservice_controller.go
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fixtures.clusters.kubernetes.client.api import PODS, RAY_CLUSTERS, RAY_SERVICES
from fixtures.clusters.kubernetes.client.schemas import RayCluster
from fixtures.clusters.kubernetes.client.transport import Document
from fixtures.clusters.kubernetes.workloads import CLUSTER_LABEL, raycluster_not_ready_reason
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import TIMEOUTS
from fixtures.profile.addresses import from_pods
from fixtures.profile.model import Profile
from tests.targets.kubernetes_injectors import ready_workers
from tests.targets.kubernetes_objects import helper, made
from tests.targets.kubernetes_ray_selector import SUSPENDED
from tests.targets.kubernetes_target import KubernetesTarget
from tests.targets.kubernetes_variables import orchestrator_leads_to
from tests.targets.target import Change

SERVICE = "agents"  # its name
HEAD_SERVICE = f"{SERVICE}-head-svc"
#: What a user writes who has it.
PROFILE = {"ray.cluster": "", "ray.service": SERVICE, "ray.head_service": HEAD_SERVICE}
OWNED = f"ray.io/originated-from-cr-name={SERVICE}"  # labels of its RayClusters
UPGRADED = "fleet-conformance/upgraded"  # annotation of the head's template after an upgrade
KUBERAY_ASKS, SERVES = 8266, 8000  # ports of the head's pod: what KubeRay takes for the dashboard, and Serve's proxy
#: Answers both questions of KubeRay: which applications there are, and whether the proxy in this pod is healthy.
STAND_IN = """
import http.server, json, signal, sys, threading
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        listed = {"applications": {"agents": {"name": "agents", "status": "RUNNING"}}}
        body = b"success" if self.path.startswith("/-/") else json.dumps(listed).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_PUT = answer
    def log_message(self, *_): pass
servers = [http.server.ThreadingHTTPServer(("", int(port)), Handler) for port in sys.argv[1:]]
for server in servers: threading.Thread(target=server.serve_forever, daemon=True).start()
signal.pause()
"""


def with_stand_in(template: Document, dashboard: int) -> Document:
    """The head's template with what KubeRay asks of Serve: its port called "dashboard" is the stand-in's. Probes name
    the real one by its number.
    """
    main, *others = template["spec"]["containers"]
    ports = [{**port, "name": "ray-dashboard"} if port["name"] == "dashboard" else port for port in main["ports"]]
    ports += [{"name": "dashboard", "containerPort": KUBERAY_ASKS}, {"name": "serve", "containerPort": SERVES}]
    probed = {
        key: {**main[key], "httpGet": {**main[key]["httpGet"], "port": dashboard}}
        for key in ("readinessProbe", "livenessProbe")
    }
    stand_in = helper(main, "serve-stand-in")
    stand_in["command"] = ["python", "-c", STAND_IN, str(KUBERAY_ASKS), str(SERVES)]
    containers = [{**main, **probed, "ports": ports}, *others, stand_in]
    return {**template, "spec": {**template["spec"], "containers": containers}}


def owned_spec(spec: Document, profile: Profile) -> Document:
    """The RayCluster's specification for a cluster of any name: workers wait for the head that KubeRay names."""
    way = from_pods(profile).ray_client
    assert way is not None
    text = json.dumps({key: value for key, value in spec.items() if key != "suspend"})
    changed: Document = json.loads(text.replace(f"/dev/tcp/{way.host}/", "/dev/tcp/$FQ_RAY_IP/"))
    head = changed["headGroupSpec"]
    template = with_stand_in(head["template"], profile.ray.dashboard_port)
    return {**changed, "headGroupSpec": {**head, "template": template}}


def ray_service(spec: Document, profile: Profile) -> Document:
    metadata = {"name": SERVICE, "namespace": profile.ray.namespace}
    applications = {"applications": [{"name": "agents", "import_path": "stand_in:application"}]}
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": metadata,
        "spec": {
            "serveConfigV2": json.dumps(applications),
            "rayClusterDeletionDelaySeconds": 0,  # of the old cluster, after an upgrade
            "rayClusterConfig": owned_spec(spec, profile),
        },
    }


async def active(target: KubernetesTarget) -> RayCluster | None:
    """The RayService's active cluster, if that is ready and the service has no other one."""
    namespace = target.profile.ray.namespace
    name = (await target.api.get(RAY_SERVICES, SERVICE, namespace)).active
    owned = await target.api.list(RAY_CLUSTERS, namespace, labels=OWNED)
    ready = [cluster for cluster in owned if not raycluster_not_ready_reason(cluster)]
    return ready[0] if len(owned) == 1 and [cluster.metadata.name for cluster in ready] == [name] else None


def is_upgraded(ray_cluster: RayCluster) -> bool:
    return UPGRADED in str(ray_cluster.raw["spec"]["headGroupSpec"])


async def _active(target: KubernetesTarget, upgraded: bool) -> None:
    async def serves() -> bool:
        ray_cluster = await active(target)
        return ray_cluster is not None and is_upgraded(ray_cluster) == upgraded

    await wait_until(serves, f"an active RayCluster of {SERVICE}", 2 * TIMEOUTS.ray_pods_up)


async def _suspend(target: KubernetesTarget) -> None:
    """The fleet's own RayCluster without pods: a machine has room for one, or for two during an upgrade."""
    name, namespace = target.profile.ray.cluster, target.profile.ray.namespace

    async def gone() -> bool:
        state = (await target.api.get(RAY_CLUSTERS, name, namespace)).status.state
        return state == SUSPENDED and not await target.api.list(PODS, namespace, labels=f"{CLUSTER_LABEL}={name}")

    await target.api.patch(RAY_CLUSTERS, name, {"spec": {"suspend": True}}, namespace)
    await wait_until(gone, f"the end of the pods of {name}", TIMEOUTS.pods_up)


async def _resume(target: KubernetesTarget, workers: int) -> None:
    """KubeRay leaves the suspended state for `false`, and not where the key is absent."""
    name, namespace = target.profile.ray.cluster, target.profile.ray.namespace

    async def ready() -> bool:
        reason = raycluster_not_ready_reason(await target.api.get(RAY_CLUSTERS, name, namespace))
        return not reason and len(await ready_workers(target)) == workers

    await target.api.patch(RAY_CLUSTERS, name, {"spec": {"suspend": False}}, namespace)
    await wait_until(ready, f"RayCluster {name}", TIMEOUTS.ray_pods_up)
    await target.api.patch(RAY_CLUSTERS, name, {"spec": {"suspend": None}}, namespace)


async def _upgrade(target: KubernetesTarget) -> None:
    """Another specification: KubeRay makes a second cluster, and removes the first one when that serves."""
    template = {"metadata": {"annotations": {UPGRADED: "yes"}}}
    patch = {"spec": {"rayClusterConfig": {"headGroupSpec": {"template": template}}}}
    await target.api.patch(RAY_SERVICES, SERVICE, patch, target.profile.ray.namespace)
    await _active(target, True)


def _way(profile: Profile) -> dict[str, str]:
    named = profile.replaced("ray", head_service=HEAD_SERVICE)
    way = from_pods(named).ray_client
    assert way is not None
    return {profile.orchestrator.variables.ray_address: way.url}


def ray_is_a_ray_service(upgraded: bool = False) -> Change:
    """Made from the RayCluster, which has no pods meanwhile; the orchestrator uses the service's head."""

    @asynccontextmanager
    async def change(target: KubernetesTarget) -> AsyncIterator[None]:
        profile, count = target.profile, len(await ready_workers(target))
        before = await target.api.get(RAY_CLUSTERS, profile.ray.cluster, profile.ray.namespace)
        async with made(target, RAY_SERVICES, ray_service(before.raw["spec"], profile)):
            await _active(target, False)
            try:
                await _suspend(target)
                if upgraded:
                    await _upgrade(target)
                async with orchestrator_leads_to(_way)(target):
                    try:
                        yield
                    finally:  # before the orchestrator comes back to it
                        await _resume(target, count)
            finally:
                await _resume(target, count)

    return change
