"""How the replicas of a fleet can be entered."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from fixtures.clusters.base import MainProcess, Unsupported
from fixtures.clusters.kubernetes.containers import Containers
from fixtures.core.errors import Inconclusive
from fixtures.core.programs import read_from_stdin
from fixtures.probes.packaging import document_in, probe_source
from fixtures.probes.payload.memory import free_memory
from fixtures.probes.replicas import ReplicaReport
from fixtures.profile.model import load
from tests.e2e import test_configuration as configuration
from tests.e2e import test_connectivity as connectivity
from tests.support.kubernetes_pods import Pods, pod, serving
from tests.support.profiles import VARIABLES
from tests.variants.model import Document

ENVIRONMENT = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "AGENT_TYPE": "vllm"}
GATEWAY = 8 << 10  # bytes of a request line that nginx takes
REACHED = {"ok": True, "error": "", "ms": 1.0}

CONFIGURATION = tuple(f"CFG-{number:02}" for number in range(1, 8))
FROM_INSIDE = (*CONFIGURATION, "NET-01", "NET-02", "NET-05", "NET-06")


def request_lines_are_short() -> None:
    """The probe, and what ends an agent's process, go through a gateway that takes lines of 8 KiB."""
    pods = Pods(ENVIRONMENT, longest_line=GATEWAY)

    async def through() -> dict[str, Any]:
        argv, stdin = read_from_stdin(probe_source(), json.dumps({"modules": ["json"]}))
        async with serving(pods) as api:
            containers = Containers(api)
            await containers.execute(pod("w-1"), "ns", ["sh", "-c", "kill -0 $$"], timeout=20)
            ran = await containers.execute(pod("o-1"), "ns", argv, stdin=stdin, timeout=20)
        return document_in(ran.stdout, "the probe")

    document = asyncio.run(through())
    assert document["modules"]["json"]["ok"]
    assert pods.lines and max(map(len, pods.lines)) < GATEWAY / 2, "some gateways take less"


def main_process(pods: Pods) -> MainProcess:
    async def entered() -> MainProcess:
        async with serving(pods) as api:
            return await Containers(api).main_process(pod("o-1"), "ns")

    return asyncio.run(entered())


def images_have_no_python() -> None:
    """What the specification says can be read where there is `cat`; what the replica reaches cannot be looked at."""
    main = main_process(Pods(ENVIRONMENT, has=lambda program: program == "cat"))
    report, profile = (
        ReplicaReport("o-1", {**main.environment, "AGENT_TYPE": "vllm"}, {}, main, variables=VARIABLES),
        load("swe-ai-fleet"),
    )
    asyncio.run(configuration.test_agent_type((report,), profile))
    nobody: Any = None
    for check in (
        configuration.test_vllm_url((report,), nobody, nobody),
        configuration.test_ray_client_handshake((report,), profile),
        connectivity.test_orchestrator_reaches_vllm((report,), profile),
        connectivity.test_orchestrator_reaches_nats((report,)),
    ):
        with pytest.raises(Unsupported, match="no Python in its image"):
            asyncio.run(check)
    with pytest.raises(Unsupported, match="no Python in its image"):
        main_process(Pods(ENVIRONMENT, has=lambda _program: False))


def another_program_than_python_runs() -> None:
    """A Python that lies in the image of a service in another language says nothing of that service's Ray."""
    document = {
        "ray_client": {"ok": False, "error": "ModuleNotFoundError: No module named 'ray'"},
        "tcp": {"ray": REACHED},
    }
    main = MainProcess({"RAY_ADDRESS": "ray://ray:10001"}, foreign="/orchestrator")
    report = ReplicaReport("o-1", main.environment, document, main, variables=VARIABLES)
    asyncio.run(connectivity.test_orchestrator_reaches_ray((report,)))
    profile, of_python = load("swe-ai-fleet"), ReplicaReport("o-1", main.environment, document, variables=VARIABLES)
    with pytest.raises(Unsupported, match=r"main process \(/orchestrator\) is no Python"):
        asyncio.run(configuration.test_ray_client_handshake((report,), profile))
    with pytest.raises(AssertionError, match="No module named 'ray'"):
        asyncio.run(configuration.test_ray_client_handshake((of_python,), profile))


def environments_cannot_be_read() -> None:
    """The main process belongs to another user: what its entrypoint set is not known, and not missing."""
    caveat = "the environment of a command in its container, without what its entrypoint sets (process 1: denied)"
    main = MainProcess({"AGENT_TYPE": "mock"}, caveat)
    report = ReplicaReport("o-1", main.environment, {"nats": {}, "http": {}, "tcp": {}}, main, variables=VARIABLES)
    profile = load("swe-ai-fleet")
    with pytest.raises(Inconclusive, match=r"AGENT_TYPE must be vllm; .*mock.*, but o-1: that is the environment"):
        asyncio.run(configuration.test_agent_type((report,), profile))
    with pytest.raises(Inconclusive, match="NATS_URL is not known"):
        asyncio.run(connectivity.test_orchestrator_reaches_nats((report,)))
    settings = profile.orchestrator.model_copy(update={"environment": {"MAX_TOKENS": "512"}})
    with_settings = profile.model_copy(update={"orchestrator": settings})
    with pytest.raises(Inconclusive, match=r"MAX_TOKENS is .* but o-1: that is the environment"):
        asyncio.run(configuration.test_environment((report,), with_settings))
    own = ReplicaReport("o-1", main.environment, report.document, variables=VARIABLES)
    with pytest.raises(AssertionError, match="MAX_TOKENS is"):
        asyncio.run(configuration.test_environment((own,), with_settings))
    with pytest.raises(AssertionError, match="AGENT_TYPE must be vllm"):
        asyncio.run(configuration.test_agent_type((own,), profile))
    with pytest.raises(AssertionError, match="NATS_URL is not set"):
        asyncio.run(connectivity.test_orchestrator_reaches_nats((own,)))


def limits_of_memory_are_read() -> None:
    """Of both versions of control groups; what the kernel can take back is free."""
    mebibyte = 1 << 20
    versions = {
        "memory.max": str(512 * mebibyte),
        "memory.current": str(480 * mebibyte),
        "memory.stat": f"anon 1\ninactive_file {68 * mebibyte}\n",
    }
    first = {
        "memory/memory.limit_in_bytes": versions["memory.max"],
        "memory/memory.usage_in_bytes": versions["memory.current"],
        "memory/memory.stat": f"inactive_file 0\ntotal_inactive_file {68 * mebibyte}\n",
    }
    machine = {"meminfo": f"MemTotal: {900 << 10} kB\nMemAvailable: {700 << 10} kB\n"}
    for files, free in (
        (versions, 100),
        (first, 100),
        ({**versions, "memory.max": "max"}, 700),
        ({**versions, "memory.max": str(2048 * mebibyte)}, 700),
        ({}, 700),
    ):
        with TemporaryDirectory() as folder:
            (Path(folder) / "memory").mkdir()
            for name, text in {**files, **machine}.items():
                (Path(folder) / name).write_text(text)
            assert free_memory(folder, f"{folder}/meminfo") == free * mebibyte, files


DOCUMENTS = (
    Document(
        name="request-lines-are-short",
        description="a gateway before the API server takes request lines of 8 KiB and answers 414 to longer ones",
        holds=request_lines_are_short,
        stretches=(*FROM_INSIDE, "JOB-12"),
    ),
    Document(
        name="images-have-no-python",
        description="the orchestrator is written in another language, and its image has no Python, or nothing else",
        holds=images_have_no_python,
        stretches=FROM_INSIDE,
    ),
    Document(
        name="another-program-than-python-runs",
        description="the orchestrator is written in another language, and its image has a Python all the same",
        holds=another_program_than_python_runs,
        stretches=("CFG-04", "CFG-06", "NET-06"),
    ),
    Document(
        name="main-process-is-of-another-user",
        description="the environment of the orchestrator's process cannot be read; its entrypoint may set variables",
        holds=environments_cannot_be_read,
        stretches=("CFG-01", "CFG-05", "CFG-08", "NET-05"),
    ),
    Document(
        name="limits-of-memory-are-read",
        description="the replicas' containers have limits, or none, under either version of control groups",
        holds=limits_of_memory_are_read,
        stretches=("CFG-04", "CFG-06"),
    ),
)
