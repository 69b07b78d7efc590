"""`--cluster attach` on a real fleet in Kubernetes: it reads, changes nothing, needs no more rights than it says, and
tells apart what is the fleet's fault and what is in the suite's own way.

Needs a fleet that a `--cluster kind --keep-cluster` run left (see conftest.py).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.clusters.base import Component, Timeline, Workload
from fixtures.clusters.kubernetes.client.api import DEPLOYMENTS, PODS, RAY_CLUSTERS, Api, connect
from fixtures.clusters.kubernetes.client.errors import qualified
from fixtures.clusters.kubernetes.cluster import AttachOptions, KubernetesCluster
from fixtures.clusters.kubernetes.instance import RUN_LABEL
from fixtures.clusters.kubernetes.service_endpoints import PortForwards
from fixtures.clusters.kubernetes.workloads import ray_groups
from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.core.paths import ROOT
from fixtures.core.polling import wait_until
from fixtures.profile import model as profiles
from fixtures.profile.amounts import least
from fixtures.profile.model import Profile
from fixtures.services.ray import Ray
from tests.integration.kubernetes import state
from tests.integration.kubernetes.resources import ROLES
from tests.support import suite_process
from tests.support.suite_process import SuiteProcess, SuiteRun
from tests.support.waiting import wait_for

WRITTEN_S = 60.0  # until a run has written a line to its log
ROLE_FILES = [ROOT / "ci" / "attach" / name for name in ("role.yaml", "role-forward.yaml", "role-exec.yaml")]
QUIET = ("-m", "e2e and not disruptive")
ATTACH = ("--cluster", "attach")
#: SHOULD checks that hold a time against a limit: how they end is a matter of the machine, and of benchmarks.
MEASURED = {"NET-02", "E2E-05"}


@dataclass(frozen=True)
class Fleet:
    """A fleet that is there: how to reach it, and what it is held against."""

    kubeconfig: Path
    profile_file: Path
    stock_image: str

    @property
    def profile(self) -> Profile:
        return profiles.load(str(self.profile_file))

    def arguments(self) -> tuple[str, ...]:
        return "--kubeconfig", str(self.kubeconfig), "--profile", str(self.profile_file)


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    names = ("FLEET_TEST_KUBECONFIG", "FLEET_TEST_PROFILE", "FLEET_TEST_STOCK_IMAGE")
    kubeconfig, profile, stock = (os.environ[name] for name in names)
    return Fleet(Path(kubeconfig), Path(profile), stock)


@pytest.fixture(scope="module")
async def admin(fleet: Fleet) -> AsyncIterator[Api]:
    api = connect(str(fleet.kubeconfig), None)
    yield api
    await api.close()


async def snapshot(api: Api, profile: Profile) -> dict[str, list[str]]:
    access, spaces = PortForwards(api), profile.kubernetes
    try:
        nats = await access.service_address(profile.nats.service, spaces.namespace, profile.nats.port)
        head = await access.service_address(profile.ray.head_service, profile.ray.namespace, profile.ray.dashboard_port)
        return await state.of(api, profile, nats, head)
    finally:
        await access.close()


def apply(kubeconfig: Path, *files: Path) -> None:
    for file in files:
        subprocess.run(
            ["kubectl", "--kubeconfig", str(kubeconfig), "apply", "-f", str(file)], check=True, capture_output=True
        )


def delete(kubeconfig: Path, file: Path) -> None:
    subprocess.run(
        ["kubectl", "--kubeconfig", str(kubeconfig), "delete", "-f", str(file)], check=True, capture_output=True
    )


@pytest.fixture(scope="module")
def restricted(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig with the rights of ROLE_FILES and no other."""
    apply(fleet.kubeconfig, *ROLE_FILES)
    path = tmp_path_factory.mktemp("restricted") / "kubeconfig"
    command = [str(ROOT / "ci" / "fleet-conformance"), "init", "--profile", str(fleet.profile_file)]
    options = ["--kubeconfig", str(fleet.kubeconfig), "--write-kubeconfig", str(path)]
    subprocess.run([*command, *options], check=True, capture_output=True)
    return path


def granted() -> set[str]:
    """What ROLE_FILES grant, as "verb resource"."""
    documents = (document for file in ROLE_FILES for document in yaml.safe_load_all(file.read_text(encoding="utf-8")))
    return {
        f"{verb} {qualified(resource, group)}"
        for document in documents
        for rule in document.get("rules") or ()
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def attach(reports: Path, *options: str) -> SuiteRun:
    """A run against the fleet, to its end."""
    return suite_process.run(*ATTACH, *options, reports=reports, timeout=300)


def operator_told(ran: SuiteRun) -> dict[str, Any]:
    """What INF-05 left of the operator; it passes with any rights."""
    assert ran.returncode == 0, ran.output[-3000:]
    return dict(json.loads((ran.reports / "evidence" / "INF-05" / "operator.json").read_text(encoding="utf-8")))


class TestReadOnly:
    """One whole read-only run under the least rights, looked at from several sides."""

    @pytest.fixture(scope="class")
    async def before(self, admin: Api, fleet: Fleet) -> dict[str, list[str]]:
        return await snapshot(admin, fleet.profile)

    @pytest.fixture(scope="class")
    def ran(
        self, before: dict[str, list[str]], fleet: Fleet, restricted: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> SuiteRun:
        assert before["pods"]
        reports = tmp_path_factory.mktemp("read-only") / "reports"
        return attach(reports, "--kubeconfig", str(restricted), "--profile", str(fleet.profile_file))

    def test_is_partial_with_nothing_disabled_but_what_disturbs(self, ran: SuiteRun) -> None:
        assert ran.returncode == 0, ran.output[-3000:]
        document = ran.report.document
        assert document["verdict"] == "partial"
        assert set(ran.report.details("failed", "broken", "unsupported")) <= MEASURED, ran.output[-3000:]
        assert set(ran.report.details("disabled").values()) == {"it disturbs the cluster; --allow-disruptive lets it"}

    def test_uses_no_right_that_is_not_granted(self, ran: SuiteRun) -> None:
        assert set(ran.report.document["cluster"]["rights"]) <= granted()

    async def test_leaves_everything_that_was_there(
        self, ran: SuiteRun, before: dict[str, list[str]], admin: Api, fleet: Fleet
    ) -> None:
        assert ran.report.document["facts"]["links"], "the run looked at nothing"
        after = await snapshot(admin, fleet.profile)
        changed = state.differences(before, after)
        results = changed.pop("keys", {"gone": []})  # results of this run's own deliberations may come
        assert not changed
        assert not results["gone"]

    def test_says_what_stays(self, ran: SuiteRun) -> None:
        left = ran.report.document["facts"]["left"]
        assert any("AGENT_RESPONSES" in json.dumps(row) for row in left)
        assert "AGENT_RESPONSES" in (ran.reports / "status.md").read_text(encoding="utf-8")


class TestRights:
    def test_every_granted_right_is_needed(self, fleet: Fleet, restricted: Path, tmp_path: Path) -> None:
        """What a run that fails uses besides: the diagnostics. Both together use all that is granted."""
        failing = tmp_path / "profile.toml"
        text = fleet.profile_file.read_text(encoding="utf-8")
        failing.write_text(re.sub(r"max_model_len = \d+", "max_model_len = 7", text), encoding="utf-8")
        ran = attach(
            tmp_path / "r", "--kubeconfig", str(restricted), "--profile", str(failing), *QUIET,
            "-k", "INF or CFG-01 or IMG-01",
        )  # fmt: skip
        assert ran.returncode == 1, ran.output[-3000:]
        assert set(ran.report.details("failed")) == {"INF-04"}, ran.output[-3000:]
        absent = (
            granted() - set(ran.report.document["cluster"]["rights"]) - {"get statefulsets.apps", "get daemonsets.apps"}
        )
        assert not absent, f"granted, but not used: {absent}"

    async def test_what_needs_to_enter_pods_is_unsupported_without_the_right_and_names_it(
        self, admin: Api, fleet: Fleet, restricted: Path, tmp_path: Path
    ) -> None:
        namespace = fleet.profile.kubernetes.namespace
        role = (await admin.get(ROLES, "fleet-conformance-exec", namespace)).raw
        await admin.patch(ROLES, "fleet-conformance-exec", {"rules": []}, namespace)
        try:
            ran = await asyncio.to_thread(
                attach, tmp_path / "r", "--kubeconfig", str(restricted), "--profile", str(fleet.profile_file),
                "-k", "CFG-01 or INF-02",
            )  # fmt: skip
        finally:
            await admin.patch(ROLES, "fleet-conformance-exec", {"rules": role["rules"]}, namespace)
        assert ran.returncode == 0, ran.output[-3000:]
        assert ran.report.document["verdict"] == "partial"
        unsupported = ran.report.details("unsupported")
        assert set(unsupported) == {"CFG-01"}, ran.output[-3000:]
        assert re.search(r"may not (get|create) pods/exec in namespace swe-ai-fleet", unsupported["CFG-01"])
        assert set(ran.report.details("passed")) == {"INF-02"}

    async def test_preflight_says_what_a_run_would_be_refused(
        self, admin: Api, fleet: Fleet, restricted: Path, tmp_path: Path
    ) -> None:
        """With the roles nothing. Without exec that alone, and once that is applied as it is printed, nothing again."""

        def preflight(profile: Path) -> tuple[int, str]:
            command = [sys.executable, "-P", str(ROOT / "fixtures" / "command"), "preflight"]
            options = ["--kubeconfig", str(restricted), "--profile", str(profile)]
            done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
            return done.returncode, done.stdout + done.stderr

        status, text = await asyncio.to_thread(preflight, fleet.profile_file)
        assert status == 0, text
        assert "as system:serviceaccount:swe-ai-fleet:fleet-conformance, token valid for 7 h" in text, text
        namespace = fleet.profile.kubernetes.namespace
        role = (await admin.get(ROLES, "fleet-conformance-exec", namespace)).raw
        await admin.patch(ROLES, "fleet-conformance-exec", {"rules": []}, namespace)
        printed = tmp_path / "missing.yaml"
        try:
            status, text = await asyncio.to_thread(preflight, fleet.profile_file)
            assert status == 1 and re.findall("✗ (.+?) in", text) == ["get, create pods/exec"], text
            printed.write_text(text[text.index("# what is missing") : text.rindex("preflight:")], encoding="utf-8")
            apply(fleet.kubeconfig, printed)
            status, text = await asyncio.to_thread(preflight, fleet.profile_file)
            delete(fleet.kubeconfig, printed)
        finally:
            await admin.patch(ROLES, "fleet-conformance-exec", {"rules": role["rules"]}, namespace)
        assert status == 0, text
        elsewhere = tmp_path / "elsewhere.toml"
        profile = fleet.profile_file.read_text(encoding="utf-8")
        elsewhere.write_text(profile.replace('"ray"', '"nowhere"'), encoding="utf-8")
        status, text = await asyncio.to_thread(preflight, elsewhere)
        assert status == 1 and len(re.findall("✗", text)) == 1 and "namespace nowhere: none of" in text, text

    async def test_a_replica_is_ended_and_brought_back_by_the_right_to_resize_alone(
        self, admin: Api, fleet: Fleet, restricted: Path
    ) -> None:
        role = ROOT / "ci" / "attach" / "role-disruptive.yaml"
        apply(fleet.kubeconfig, role)
        cluster = KubernetesCluster(AttachOptions(fleet.profile, str(restricted), None, "fc-resize", True))
        try:
            await cluster.start(Timeline())
            victim, *_ = (await cluster.workload(Component.ORCHESTRATOR)).ready
            await cluster.kill(victim)
            left = await cluster.workload(Component.ORCHESTRATOR)
            await cluster.revive(victim)
        finally:
            await cluster.stop()
            delete(fleet.kubeconfig, role)
        assert victim.name not in {replica.name for replica in left.replicas}
        assert left.desired == least(fleet.profile.orchestrator.replicas) - 1
        assert "patch deployments.apps/scale" in cluster.rights
        assert not {"patch deployments.apps", "patch statefulsets.apps"} & set(cluster.rights)
        deployment = await admin.get(
            DEPLOYMENTS, fleet.profile.orchestrator.workload, fleet.profile.kubernetes.namespace
        )
        assert deployment.spec.replicas == fleet.profile.orchestrator.replicas

    def test_certification_needs_no_more_than_its_own_file(
        self, fleet: Fleet, restricted: Path, tmp_path: Path
    ) -> None:
        """A run with both roles reads what `ci/report --cncf` wants of the operator; without,
        the missing right is named.
        """
        arguments = ("--kubeconfig", str(restricted), "--profile", str(fleet.profile_file), "-k", "INF-05")
        told = [operator_told(attach(tmp_path / "without", *arguments))]
        role = ROOT / "ci" / "attach" / "role-certification.yaml"
        apply(fleet.kubeconfig, role)
        try:
            told.append(operator_told(attach(tmp_path / "with", *arguments)))
        finally:
            delete(fleet.kubeconfig, role)
        for question in ("definition", "deployment", "webhooks"):
            assert "may not" in told[0][question]["unknown"]
        assert all("answer" in told[1][question] for question in ("definition", "deployment", "pods", "webhooks"))


class TestFaults:
    """Each ends in a clear line, with the right status."""

    def test_a_context_that_does_not_exist(self, fleet: Fleet, tmp_path: Path) -> None:
        ran = attach(tmp_path / "r", *fleet.arguments(), "--kube-context", "nowhere")
        assert ran.returncode == 4
        assert "nowhere" in ran.output
        assert "Traceback" not in ran.output

    def test_an_expired_token(self, restricted: Path, fleet: Fleet, tmp_path: Path) -> None:
        document = yaml.safe_load(restricted.read_text(encoding="utf-8"))
        document["users"][0]["user"]["token"] = "expired"
        expired = tmp_path / "kubeconfig"
        expired.write_text(yaml.safe_dump(document), encoding="utf-8")
        ran = attach(tmp_path / "r", "--kubeconfig", str(expired), "--profile", str(fleet.profile_file))
        assert ran.returncode == 1
        assert ran.report.document["verdict"] == "inconclusive"
        assert "refuses the credentials" in ran.report.document["aborted"]
        assert not ran.report.details("failed")

    def test_a_namespace_without_the_ray_cluster(self, fleet: Fleet, tmp_path: Path) -> None:
        name = f'cluster = "{fleet.profile.ray.cluster}"'
        text = fleet.profile_file.read_text(encoding="utf-8").replace(name, 'cluster = "ray-absent"')
        other = tmp_path / "profile.toml"
        other.write_text(text, encoding="utf-8")
        ran = attach(
            tmp_path / "r", "--kubeconfig", str(fleet.kubeconfig), "--profile", str(other), "-k", "INF-01 or INF-05"
        )
        assert ran.returncode == 1
        words = "there is no RayCluster ray-absent in namespace ray; there are pods of ray-gpu (ray.cluster)"
        assert ran.report.details("failed") == {"INF-05": words}
        assert ran.report.document["summary"]["passed"] == 1

    async def test_an_api_server_that_goes_away(self, fleet: Fleet, tmp_path: Path) -> None:
        async with gate(fleet.kubeconfig, tmp_path) as (kubeconfig, shut):
            options = (*ATTACH, "--kubeconfig", str(kubeconfig), "--profile", str(fleet.profile_file), *QUIET)
            with SuiteProcess(tmp_path / "r", *options, log=tmp_path / "log") as suite:
                await suite.prints("test_configuration", "census", timeout=240)
                await shut()
                status = await suite.ended(240)
        assert status == 1, suite.output[-3000:]
        assert not suite.report.details("failed")
        broken = suite.report.details("broken")
        assert broken
        assert not {check: why for check, why in broken.items() if "the API server" not in why}

    async def test_an_image_that_cannot_be_pulled(self, fleet: Fleet, admin: Api) -> None:
        """Where its registry is not reached, nothing is decided."""
        options = AttachOptions(fleet.profile, str(fleet.kubeconfig), None, "fc-pull", True)
        cluster = KubernetesCluster(options)
        await cluster.start(Timeline())
        try:
            with pytest.raises((NonConformance, Inconclusive), match=r"instance: (ErrImagePull|ImagePullBackOff)"):
                await cluster.run_image("127.0.0.1:9/fleet/no-such-image:1", ["true"], timeout=30)
        finally:
            await cluster.stop()
        assert not await admin.list(PODS, fleet.profile.ray.namespace, labels=f"{RUN_LABEL}=fc-pull")

    async def test_interrupted_in_the_middle(self, admin: Api, fleet: Fleet, tmp_path: Path) -> None:
        before = await snapshot(admin, fleet.profile)
        options = (*ATTACH, *fleet.arguments(), "-k", "DEP or JOB")
        with SuiteProcess(tmp_path / "r", *options, log=tmp_path / "log") as suite:
            await job_runs(admin, fleet.profile, written(tmp_path / "log", r"run (fc-[0-9a-f]+)"))
            suite.process.send_signal(signal.SIGINT)
            assert await suite.ended(120) == 2, suite.output[-3000:]
        after = await snapshot(admin, fleet.profile)
        assert not state.differences(before, after)


class TestDrift:
    async def test_a_patched_specification_without_a_restart(self, admin: Api, fleet: Fleet, tmp_path: Path) -> None:
        """Held against the image that the RayCluster now names, every pod still runs the one from before."""
        cluster = KubernetesCluster(AttachOptions(fleet.profile, str(fleet.kubeconfig), None, "fc-drift", True))
        text = fleet.profile_file.read_text(encoding="utf-8").replace(fleet.profile.ray.head_image, fleet.stock_image)
        patched = tmp_path / "profile.toml"
        patched.write_text(text, encoding="utf-8")
        pods = {one.name for group in await groups(cluster, Timeline()) for one in group.replicas}
        try:
            await cluster._disruption.set_image(fleet.stock_image)
            ran = await asyncio.to_thread(
                attach, tmp_path / "r", "--kubeconfig", str(fleet.kubeconfig), "--profile", str(patched),
                "-k", "IMG-01 or IMG-02 or IMG-03",
            )  # fmt: skip
        finally:
            await cluster._disruption.set_image(fleet.profile.ray.head_image)
            still = {one.name for group in await cluster.ray_groups() for one in group.replicas}
            await cluster.stop()
        assert pods == still
        assert set(ran.report.details("failed")) == {"IMG-02"}, ran.output[-3000:]
        assert "head" in ran.report.details("failed")["IMG-02"]
        restored = await admin.get(RAY_CLUSTERS, fleet.profile.ray.cluster, fleet.profile.ray.namespace)
        assert {group.image for group in ray_groups(restored, ())} == {fleet.profile.ray.head_image}


class TestCost:
    async def test_looking_costs_the_same_however_many_pods_there_are(self, fleet: Fleet) -> None:
        """Each look at a workload is a fixed number of requests: lists, never one request for each pod."""
        cluster = KubernetesCluster(AttachOptions(fleet.profile, str(fleet.kubeconfig), None, "fc-cost", False))
        await cluster.start(Timeline())
        try:
            cost = {}
            for component in (Component.RAY_WORKER, Component.ORCHESTRATOR, Component.VLLM):
                await cluster.workload(component)
                before = cluster.measurements["Kubernetes API requests"]
                workload = await cluster.workload(component)
                cost[component] = (cluster.measurements["Kubernetes API requests"] - before, len(workload.replicas))
        finally:
            await cluster.stop()
        assert cost == {Component.RAY_WORKER: (2, 2), Component.ORCHESTRATOR: (2, 2), Component.VLLM: (2, 1)}


async def groups(cluster: KubernetesCluster, timeline: Timeline) -> tuple[Workload, ...]:
    await cluster.start(timeline)
    return await cluster.ray_groups()


def written(log: Path, pattern: str) -> str:
    """The first group of `pattern`, once the log has it."""

    def text() -> str:
        return log.read_text(encoding="utf-8", errors="replace")

    wait_for(lambda: re.search(pattern, text()), f"{pattern} in {log}", WRITTEN_S, lambda: text()[-3000:])
    return str(re.findall(pattern, text())[0])


async def job_runs(api: Api, profile: Profile, run_id: str) -> None:
    """Wait until a Ray job of the run runs."""
    access = PortForwards(api)
    head = await access.service_address(profile.ray.head_service, profile.ray.namespace, profile.ray.dashboard_port)
    ray = Ray(f"http://{head}")

    async def running() -> bool:
        return any(job.status == "RUNNING" for job in await ray.jobs(run_id))

    try:
        await wait_until(running, "a job of the run", 60)
    finally:
        await ray.close()
        await access.close()


@asynccontextmanager
async def gate(kubeconfig: Path, folder: Path) -> AsyncIterator[tuple[Path, Any]]:
    """A copy of the kubeconfig whose way to the API server leads through a gate here,
    and the function that shuts it.
    """
    document = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    cluster = document["clusters"][0]["cluster"]
    host, _, port = cluster["server"].removeprefix("https://").rpartition(":")
    connections: set[asyncio.StreamWriter] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection(host, int(port))
        connections.update((writer, there))
        await asyncio.gather(pump(reader, there), pump(there_reader, writer))

    server = await asyncio.start_server(through, "127.0.0.1", 0)

    async def shut() -> None:
        server.close()
        for writer in connections:
            writer.transport.abort()

    cluster["server"] = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    path = folder / "gated.kubeconfig"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    try:
        yield path, shut
    finally:
        await shut()
