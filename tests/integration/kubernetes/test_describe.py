"""What diagnostics tell about pods of a real cluster, and that the manifests of ci/attach/ are ones it takes."""

from __future__ import annotations

import secrets
from typing import Any

import yaml

from fixtures.clusters.kubernetes.client.api import PODS, SERVICE_ACCOUNTS, Api
from fixtures.clusters.kubernetes.client.schemas import ContainerStatus
from fixtures.clusters.kubernetes.inspect import objects
from fixtures.clusters.kubernetes.workloads import container_status
from fixtures.core.paths import ROOT
from fixtures.core.polling import wait_until
from tests.integration.kubernetes.resources import CRON_JOBS, PERSISTENT_VOLUME_CLAIMS, ROLE_BINDINGS, ROLES, SECRETS

ATTACH = ROOT / "ci" / "attach"
SECRET = f"hunter2-{secrets.token_hex(8)}"
UP = 120.0  # seconds until a pod has reached what is waited for


async def made(api: Api, namespace: str, name: str, **container: Any) -> None:
    specification = {
        "containers": [{"name": "main", "imagePullPolicy": "IfNotPresent", **container}],
        "terminationGracePeriodSeconds": 0,
    }
    await api.create(PODS, {"metadata": {"name": name}, "spec": specification}, namespace)


async def status_of(api: Api, namespace: str, name: str) -> ContainerStatus:
    return container_status(await api.get(PODS, name, namespace), "main")


async def test_a_pod_that_crashes(api: Api, namespace: str, image: str) -> None:
    name = f"crashes-{secrets.token_hex(3)}"
    await api.create(SECRETS, {"metadata": {"name": name}, "stringData": {"token": SECRET}}, namespace)
    await made(
        api,
        namespace,
        name,
        image=image,
        command=["python", "-c", "import sys; print('my last words'); sys.exit(3)", "--api-key", SECRET],
        env=[
            {"name": "NATS_TOKEN", "valueFrom": {"secretKeyRef": {"name": name, "key": "token"}}},
            {"name": "DB_PASSWORD", "value": SECRET},
            {"name": "MODE", "value": "test"},
        ],
    )

    async def described() -> dict[str, str] | None:
        """Between two lives alone the last one is that whose log the node still has."""
        status = await status_of(api, namespace, name)
        waiting = status.state.waiting
        if not status.restartCount or waiting is None or waiting.reason != "CrashLoopBackOff":
            return None
        files = dict(await objects.describe(api, [(await api.get(PODS, name, namespace)).raw], namespace))
        return files if "my last words" in files[f"{name}.main.previous.log"] else None

    files = await wait_until(described, f"the last words of {name}", UP, every=0.5)
    told = files[f"{name}.yaml"]
    for wanted in ("exitCode: 3", "name: MODE", "value: (not shown)", "secretKeyRef:", "Events:", f"Pod/{name}"):
        assert wanted in told, told
    assert "value: test" not in told  # no value of a variable is shown, whatever it is called
    assert not [file for file, text in files.items() if SECRET in text]


async def test_a_pod_whose_image_cannot_be_had(api: Api, namespace: str) -> None:
    name = f"no-image-{secrets.token_hex(3)}"
    await made(api, namespace, name, image="fleet/does-not-exist:1", imagePullPolicy="Never")

    async def waits() -> bool:
        waiting = (await status_of(api, namespace, name)).state.waiting
        return waiting is not None and waiting.reason == "ErrImageNeverPull"

    await wait_until(waits, f"the refusal of the image of {name}", UP, every=0.5)
    files = await objects.describe(api, [(await api.get(PODS, name, namespace)).raw], namespace)
    assert list(files) == [f"{name}.yaml"], "it has never had a log"
    assert "ErrImageNeverPull" in files[f"{name}.yaml"]
    assert "fleet/does-not-exist:1" in files[f"{name}.yaml"]


async def test_the_manifests_are_taken(api: Api, namespace: str) -> None:
    """Every object of ci/attach/ is created, in one namespace; the CronJob is suspended."""
    kinds = {
        "ServiceAccount": SERVICE_ACCOUNTS,
        "Role": ROLES,
        "RoleBinding": ROLE_BINDINGS,
        "PersistentVolumeClaim": PERSISTENT_VOLUME_CLAIMS,
        "CronJob": CRON_JOBS,
    }
    roles = sorted({file.name for file in ATTACH.glob("role*.yaml")} - {"role-certification.yaml"})  # cluster-wide
    for name in (*roles, "cronjob.yaml"):
        for document in yaml.safe_load_all((ATTACH / name).read_text("utf-8")):
            document["metadata"]["namespace"] = namespace
            for subject in document.get("subjects", ()):
                subject["namespace"] = namespace
            if document["kind"] == "CronJob":
                document["spec"]["suspend"] = True
            taken = await api.create(kinds[document["kind"]], document, namespace)
            if document["kind"] == "Role":
                assert taken["rules"] == document["rules"]
