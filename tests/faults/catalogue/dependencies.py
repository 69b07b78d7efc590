"""What the workers' interpreter can import."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fixtures.profile.dependencies import Dependency
from fixtures.profile.model import load
from tests.faults.model import Fault
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import (
    Added,
    Copied,
    Edit,
    FileChange,
    Removed,
    agent_code,
    head_has,
    head_has_record,
    restarted,
    workers_have,
)
from tests.targets.target import Change, together

WORKERS = "ray/_private/workers"  # where Ray's worker processes look first
AGENT = "swe_ai_fleet/orchestrator/ray_jobs/vllm_agent_job.py"

#: The suite's jobs that fail on purpose are placed by Ray: they may meet the worker that lacks something.
BY_PLACEMENT = ("JOB-08", "JOB-09", "JOB-10")


def worker_restarted_with(*changes: FileChange) -> Change:
    """The second worker, started from a copy that differs: its records are older than its raylet, as in an image."""
    return lambda target: restarted(target, [target.workers[1]], *changes)


def profile_asks(section: str, **values: object) -> Change:
    """The fleet is held against another profile: it is the whole fleet that is not as it should be."""

    @asynccontextmanager
    async def told(target: EmbeddedTarget) -> AsyncIterator[None]:
        with target.overridden(profile=target.cluster.profile.replaced(section, **values)):
            yield

    return told


DRIFTED = "Metadata-Version: 2.1\nName: tabulate\nVersion: 0.8.0\n"


def installed(package: str, version: str) -> tuple[FileChange, FileChange]:
    """What `pip install` leaves in a running node: a module, and a record younger than the raylet."""
    record = f"{package}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    return Added(f"{package}.py", ""), Added(f"{record}/METADATA", metadata)


def stray(file: str, text: str) -> FileChange:
    """A file of no package."""
    return Added(f"{WORKERS}/{file}", text)


#: A fleet whose agents need one package more than the reference's. Ray's own processes on a worker do without it.
FURTHER = {"agent.dependencies": (*load("embedded").agent.dependencies, Dependency.model_validate("pydantic>=2.5,<3"))}

FAULTS = (
    Fault(
        name="nats-is-missing-on-one-worker",
        description="the second worker's packages lack nats-py",
        inject=workers_have(Removed("nats"), only=1),
        expected_failures=("DEP-04", "DEP-05", "JOB-01", "JOB-14", "JOB-03", "JOB-04", "JOB-05"),
        tolerated_failures=BY_PLACEMENT,
        expected_terms=("nats-py", "ray-worker-2", "No module named 'nats'"),
    ),
    Fault(
        name="nats-is-missing-on-every-worker",
        description="no worker has nats-py",
        inject=workers_have(Removed("nats")),
        expected_failures=(
            *("DEP-04", "DEP-05", "JOB-01", "JOB-03", "JOB-04", "JOB-05", "JOB-06", "JOB-07", "JOB-08", "JOB-09"),
            *("JOB-10", "JOB-14", "ORC-04", "E2E-01"),
        ),
        tolerated_failures=("ORC-05", "E2E-03"),
        expected_terms=("nats-py", "ray-worker-1", "ray-worker-2", "No module named 'nats'"),
    ),
    Fault(
        name="nats-is-another-version",
        description="the second worker was started with nats-py 2.9.0",
        inject=worker_restarted_with(Edit("nats_py-2.10.0.dist-info/METADATA", "Version: 2.10.0", "Version: 2.9.0")),
        expected_failures=("DEP-04", "DEP-09"),
        expected_terms=("nats-py", "2.9.0", "ray-worker-2"),
    ),
    Fault(
        name="nats-import-raises",
        description="on the second worker `import nats` raises, as with a package built for another interpreter",
        inject=workers_have(Added("nats/__init__.py", "raise ImportError('undefined symbol: PyObject_New')\n"), only=1),
        expected_failures=("DEP-04", "DEP-05"),
        expected_terms=("nats-py", "ray-worker-2", "undefined symbol"),
    ),
    Fault(
        name="nats-is-shadowed",
        description="a stray nats.py lies before nats-py on the path of the second worker",
        inject=workers_have(stray("nats.py", "URL = 'nats://nats:4222'\n"), only=1),
        expected_failures=("DEP-04", "DEP-05", "JOB-01", "JOB-03", "JOB-04", "JOB-05"),
        tolerated_failures=BY_PLACEMENT,
        expected_terms=("ray-worker-2", "nats-py 2.10.0 is installed", "imported from", "workers/nats.py"),
    ),
    Fault(
        name="nats-is-half-installed",
        description="nats/js is missing on every worker: an installation that was cut off",
        inject=workers_have(Removed("nats/js")),
        expected_failures=("DEP-04", "DEP-05"),
        expected_terms=("nats-py", "No module named 'nats.js'"),
    ),
    Fault(
        name="aiohttp-is-missing-on-one-worker",
        description="the second worker's packages lack aiohttp",
        inject=workers_have(Removed("aiohttp"), only=1),
        expected_failures=("DEP-03",),
        expected_terms=("aiohttp", "ray-worker-2"),
    ),
    Fault(
        name="aiohttp-is-shadowed-on-one-worker",
        description="a stray aiohttp.py, which imports, lies before aiohttp on the path of the second worker",
        inject=workers_have(stray("aiohttp.py", "TIMEOUT = 60\n"), only=1),
        expected_failures=("DEP-03", "JOB-04", "JOB-05"),
        expected_terms=("ray-worker-2", "aiohttp 3.11.16 is installed", "imported from", "workers/aiohttp.py"),
    ),
    Fault(
        name="aiohttp-ends-the-interpreter",
        description="on the first worker `import aiohttp` calls sys.exit; nats-py imports it, too",
        inject=workers_have(Added("aiohttp/__init__.py", "raise SystemExit(3)\n"), only=0),
        expected_failures=("DEP-03", "DEP-04"),
        expected_terms=("aiohttp", "ray-worker-1", "SystemExit"),
    ),
    Fault(
        name="requests-is-another-version",
        description="the second worker was started with requests 2.31.0",
        inject=worker_restarted_with(Edit("requests-2.32.3.dist-info/METADATA", "Version: 2.32.3", "Version: 2.31.0")),
        expected_failures=("DEP-02", "DEP-09"),
        expected_terms=("requests 2.32.3", "ray-worker-2: 2.31.0"),
    ),
    Fault(
        name="a-further-package-is-missing-on-one-worker",
        description="agents need pydantic, too, and the second worker's packages lack it",
        inject=workers_have(Removed("pydantic"), only=1),
        profile=FURTHER,
        expected_failures=("DEP-11.pydantic",),
        expected_terms=("pydantic >=2.5,<3", "ray-worker-2", "No module named 'pydantic'"),
    ),
    Fault(
        name="a-further-package-is-too-old",
        description="agents need pydantic, too, and the second worker was started with one from before the range",
        inject=worker_restarted_with(
            Edit("pydantic-2.14.3.dist-info/METADATA", "\nVersion: 2.14.3\n", "\nVersion: 1.10.24\n")
        ),
        profile=FURTHER,
        expected_failures=("DEP-11.pydantic", "DEP-09"),
        expected_terms=("pydantic >=2.5,<3", "ray-worker-2: 1.10.24"),
    ),
    Fault(
        name="a-further-package-is-shadowed-on-one-worker",
        description="agents need pydantic, too, and a stray copy of it comes first on the second worker",
        inject=workers_have(Copied("pydantic", f"{WORKERS}/pydantic"), only=1),  # one that works: Ray imports it, too
        profile=FURTHER,
        expected_failures=("DEP-11.pydantic",),
        expected_terms=("pydantic >=2.5,<3", "ray-worker-2", "is installed, but", "workers/pydantic/__init__.py"),
    ),
    Fault(
        name="agents-import-a-further-package-that-is-missing",
        description="agents import pydantic, which the profile lists, and the second worker's packages lack it",
        inject=together(
            workers_have(Removed("pydantic"), only=1),
            agent_code(Edit(AGENT, "import ray\n", "import pydantic\nimport ray\n")),
        ),
        profile=FURTHER,
        expected_failures=("DEP-11.pydantic", "DEP-07", "DEP-12", "JOB-02"),
        tolerated_failures=("JOB-03", "JOB-04", "JOB-05", *BY_PLACEMENT),
        expected_terms=("pydantic >=2.5,<3", "ray-worker-2", "No module named 'pydantic'"),
    ),
    Fault(
        name="no-process-starts-on-one-worker",
        description="the first worker's raylet is alive, and whatever it starts ends at once: "
        "Ray itself imports requests",
        inject=workers_have(Added("requests/__init__.py", "raise SystemExit(3)\n"), only=0),
        expected_failures=("JOB-02", "JOB-03", "JOB-04", "JOB-05"),
        tolerated_failures=(
            *("DEP-01", "DEP-02", "DEP-03", "DEP-04", "DEP-05", "DEP-06", "DEP-07", "DEP-08", "DEP-09", "DEP-10"),
            *("NET-03", "NET-04", "INF-08", "DEP-12"),
        ),
        expected_terms=("no agent actor started on ray-worker-1",),
    ),
    Fault(
        name="ray-is-another-version",
        description="the second worker's Ray says of itself that it is 2.49.1",
        inject=worker_restarted_with(Edit("ray-2.49.2.dist-info/METADATA", "\nVersion: 2.49.2", "\nVersion: 2.49.1")),
        expected_failures=("DEP-01", "DEP-09", "INF-08"),
        expected_terms=("ray", "2.49.1", "ray-worker-2"),
    ),
    Fault(
        name="python-is-another-minor",
        description="the fleet runs another Python than the 3.9 that the profile asks for",
        inject=profile_asks("ray", python="3.9"),
        expected_failures=("DEP-06", "INF-08", "CFG-06"),
        expected_terms=("Python 3.9", "ray-worker-1", "ray-worker-2"),
    ),
    Fault(
        name="agent-class-is-missing-on-one-worker",
        description="the second worker's image lacks the module of the agent job",
        inject=workers_have(Removed(AGENT), only=1),
        expected_failures=("DEP-07", "DEP-12", "JOB-02"),
        tolerated_failures=("JOB-03", "JOB-04", "JOB-05", *BY_PLACEMENT),
        expected_terms=("VLLMAgentJob", "ray-worker-2"),
    ),
    Fault(
        name="agent-class-is-missing-on-the-head",
        description="the head's image lacks the module of the agent job",
        inject=head_has(Removed(AGENT)),
        expected_failures=("DEP-07",),
        expected_terms=("VLLMAgentJob", "ray-head"),
    ),
    Fault(
        name="agent-class-takes-another-keyword-on-one-worker",
        description="the second worker has another version of the agent's class, whose constructor calls enable_tools "
        "with_tools",
        inject=workers_have(
            Edit(AGENT, "        enable_tools: bool = False,\n", "        with_tools: bool = False,\n"),
            Edit(AGENT, "self.enable_tools = enable_tools", "self.enable_tools = with_tools"),
            only=1,
        ),
        expected_failures=("DEP-12",),
        tolerated_failures=("JOB-02", "JOB-03", "JOB-04", "JOB-05", *BY_PLACEMENT),
        expected_terms=("ray-worker-2", "takes no keyword enable_tools (agent.keywords.enable_tools)", "with_tools"),
    ),
    Fault(
        name="agent-method-needs-another-argument",
        description="the agents' run() needs an argument that nobody gives it",
        inject=workers_have(
            Edit(
                AGENT,
                "self, task_id: str, task_description: str,",
                "self, task_id: str, task_description: str, budget: int,",
            )
        ),
        expected_failures=("DEP-12",),
        tolerated_failures=("JOB-02", "JOB-03", "JOB-04", "JOB-05", *BY_PLACEMENT),
        expected_terms=("ray-worker-1", "ray-worker-2", "run() needs budget, which agent.call does not give"),
    ),
    Fault(
        name="a-tool-is-missing",
        description="the first worker's image was built without the git tool",
        inject=workers_have(Removed("swe_ai_fleet/tools/git.py"), only=0),
        expected_failures=("DEP-08",),
        expected_terms=("swe_ai_fleet.tools.git", "ray-worker-1"),
    ),
    Fault(
        name="a-distribution-drifts",
        description="the second worker was started from an image with one package more",
        inject=worker_restarted_with(Added("tabulate-0.8.0.dist-info/METADATA", DRIFTED)),
        expected_failures=("DEP-09",),
        expected_terms=("tabulate", "ray-worker-2", "absent"),
    ),
    Fault(
        name="installed-by-hand-on-one-worker",
        description="somebody ran `pip install` in the first worker",
        inject=workers_have(*installed("tabulate", "0.9.0"), only=0),
        expected_failures=("DEP-09", "DEP-10"),
        expected_terms=("tabulate", "ray-worker-1", "0.9.0"),
    ),
    Fault(
        name="installed-by-hand-on-every-worker",
        description="somebody ran `pip install` in every worker",
        inject=workers_have(*installed("tabulate", "0.9.0")),
        expected_failures=("DEP-09", "DEP-10"),  # the head's image is the same, and it has none of it
        expected_terms=("tabulate", "ray-worker-1", "ray-worker-2"),
    ),
    Fault(
        name="installed-by-hand-on-the-head",
        description="somebody ran `pip install` in the running head",
        inject=head_has(*installed("tabulate", "0.9.0")),
        expected_failures=("DEP-09", "DEP-10"),
        expected_terms=("tabulate", "ray-head", "0.9.0"),
    ),
    Fault(
        name="head-drifts-from-the-workers",
        description="the head's image was built without requests, and has the tag of the workers'",
        inject=head_has_record(Removed("requests-*.dist-info")),
        expected_failures=("DEP-09",),
        expected_terms=("requests", "ray-head", "absent"),
    ),
)
