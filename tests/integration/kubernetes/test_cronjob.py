"""The suite inside the cluster: its image is built, the CronJob applied, run once, its webhook received, its report
fetched. All by the commands of docs/how-to/in-cluster.md.

Needs the fleet that test_attach.py needs, and the container engine that it was made with.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import tomllib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from fixtures.clusters.kind import engine, sources
from fixtures.clusters.kubernetes.client.api import PODS, Api
from fixtures.core.paths import ROOT
from fixtures.core.polling import wait_until
from fixtures.profile import model as profiles
from tests.integration.kubernetes import pods
from tests.support import published
from tests.support.suite_process import Report

BUILD_S, RUN_S, COMMAND_S = 600.0, 300, 120.0
CONTEXT = (
    *(".dockerignore", "conftest.py", "pyproject.toml", "fixtures", "tests/e2e", "images/ray/swe_ai_fleet"),
    *("images/runner", "docs/reference"),
)
JOB = "first-run"
#: A server that says in its log what is posted to it.
RECEIVER = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(204)
        self.end_headers()
    def log_message(self, *arguments): pass
HTTPServer(("", 8080), Receiver).serve_forever()
"""


def run(*command: str, timeout: float = COMMAND_S, variables: Mapping[str, str] | None = None) -> str:
    """Its standard output. Fails with what a command that failed has written."""
    environment = {**os.environ, **(variables or {})}
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=environment)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def runner(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The runner image of this checkout, in the cluster. Its context is a copy, which has more than the image needs."""
    using, made = engine.find(), sources.load()
    context = tmp_path_factory.mktemp("context")
    for name in CONTEXT:
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, context / name)
        else:
            shutil.copy2(ROOT / name, context / name)
    for name, file in made.build.context_files.items():
        shutil.copy2(file, context / name)
    reference = using.local(f"fleet/conformance-runner:test-{secrets.token_hex(3)}")
    arguments = made.build_args | {"BASE": made.images.reference("vllm_python"), "COMMIT": "0123456789ab"}
    options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    options += [f"--network={made.build.network}"] if made.build.network else []
    dockerfile = str(context / "images/runner/Dockerfile")
    run(using.program, "build", *options, "-f", dockerfile, "-t", reference, str(context), timeout=BUILD_S)
    try:
        archive = str(context / "image.tar")
        run(using.program, "save", "-o", archive, reference)
        run("kind", "load", "image-archive", archive, "--name", Path(kubeconfig).stem, variables=using.environment)
        yield reference
    finally:
        run(using.program, "rmi", reference)


@asynccontextmanager
async def receiver(api: Api, namespace: str, image: str) -> AsyncIterator[str]:
    """The name of a pod that receives webhooks."""
    name = await pods.start(api, namespace, image, ["python", "-c", RECEIVER], port=8080)
    yield name
    await pods.remove(api, namespace, name)


def written(kubeconfig: str, image: str, folder: Path) -> tuple[Path, str]:
    """What `init --manifests` writes for the fleet, with a known failure; and the namespace of the account."""
    profile, known = folder / "profile.toml", folder / "known.toml"
    token = Path(kubeconfig).with_suffix(".token")
    text = Path(os.environ["FLEET_TEST_PROFILE"]).read_text()
    descriptor = Path(tomllib.loads(text)["grpc"]["descriptor"])  # what a profile names lies next to it
    shutil.copy2(descriptor, folder / descriptor.name)
    profile.write_text(text.replace(str(token), "/secrets/token").replace(str(descriptor), descriptor.name))
    until = (datetime.now(UTC) + timedelta(days=30)).date()
    known.write_text(
        f'[[known]]\ncheck = "NET-02"\ncause = ["the median latency"]\nreason = "r"\nowner = "o"\nuntil = {until}\n'
    )
    options = ("--image", image, "--known", str(known), "--manifests", str(folder / "deploy"))
    run(str(ROOT / "ci" / "fleet-conformance"), "init", "--profile", str(profile), *options)
    # What is added to the CronJob, as docs/how-to/in-cluster.md says: a patch of the kustomization.
    kustomization = folder / "deploy" / "nightly" / "kustomization.yaml"
    chosen = [
        {"op": "add", "path": "/spec/jobTemplate/spec/template/spec/containers/0/args/-", "value": word}
        for word in ("-k", "INF or NET or DEP-04 or JOB-04")
    ]
    lines = ["  - target: { kind: CronJob, name: fleet-conformance }", f"    patch: '{json.dumps(chosen)}'"]
    kustomization.write_text(kustomization.read_text() + "\n".join(lines) + "\n")
    return folder / "deploy", profiles.load(str(profile)).kubernetes.namespace


async def test_the_cronjob_runs_posts_what_it_found_and_leaves_its_report(
    api: Api, namespace: str, kubeconfig: str, image: str, runner: str, tmp_path: Path
) -> None:
    deploy, space = written(kubeconfig, runner, tmp_path)

    async def kubectl(*arguments: str, timeout: float = COMMAND_S) -> str:
        command = partial(run, "kubectl", "--kubeconfig", kubeconfig, *arguments, timeout=timeout)
        return await asyncio.to_thread(command)

    async with receiver(api, namespace, image) as name:
        address = (await api.get(PODS, name, namespace)).raw["status"]["podIP"]
        token = Path(kubeconfig).with_suffix(".token")
        values = (f"--from-literal=FLEET_WEBHOOK=http://{address}:8080/", f"--from-file=token={token}")
        try:
            for folder in ("rights", "nightly"):
                await kubectl("apply", "-k", str(deploy / folder))
            await kubectl("apply", "--dry-run=server", "-k", str(deploy / "post-sync"))  # Argo CD is not there
            await kubectl("-n", space, "create", "secret", "generic", "fleet-conformance", *values)
            await kubectl("-n", space, "create", "job", "--from=cronjob/fleet-conformance", JOB)

            async def ended() -> str:
                types = "jsonpath={.status.conditions[?(@.status=='True')].type}"
                true = (await kubectl("-n", space, "get", "job", JOB, "-o", types)).split()
                return next((word for word in true if word in ("Complete", "Failed")), "")

            end = await wait_until(ended, "the end of the CronJob's run", RUN_S, every=1.0)
            log = await kubectl("-n", space, "logs", f"job/{JOB}", "-c", "suite", "--tail=60")
            assert end == "Complete", log
            posted = json.loads((await api.logs(name, namespace)).strip())
            published.validate(posted)
            assert posted["verdict"] == "partial", posted
            reports = (str(ROOT / "ci" / "attach" / "reports"), str(tmp_path / "reports"))
            where = {"KUBECONFIG": kubeconfig, "NAMESPACE": space}
            await asyncio.to_thread(partial(run, *reports, variables=where))
        finally:
            await kubectl("-n", space, "delete", "job", JOB, "--ignore-not-found", "--cascade=foreground")
            await kubectl("-n", space, "delete", "secret", "fleet-conformance", "--ignore-not-found")
            for folder in ("nightly", "rights"):
                await kubectl("delete", "-k", str(deploy / folder), "--ignore-not-found")
    report = Report.read(tmp_path / "reports")
    assert (report.verdict, report.document["run_id"]) == ("partial", posted["run_id"])
    assert report.document["suite"]["commit"] == "0123456789ab"
    assert [row["check"] for row in report.document["exceptions"]["rows"]] == ["NET-02"], "known.toml went with it"
    assert report.statuses["JOB-04"] == report.statuses["NET-05"] == "passed"
