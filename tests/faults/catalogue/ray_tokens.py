"""Tokens of Ray that are wrong or missing, in a fleet whose Ray asks everybody for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fixtures.core.timeouts import TIMEOUTS
from fixtures.profile.credentials import HttpAccess
from tests.faults.catalogue.infrastructure import NO_RAY, THROUGH_RAY, given_up
from tests.faults.model import Fault
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import restarted
from tests.targets.ray_injectors import ray_started, with_environment
from tests.targets.target import Change

WHERE = "embedded-token"
OLD = "0123456789abcdef" * 4
#: What the head asks of workers, which refuse whoever sends no token: places for tasks and actors of jobs. It has to be
#: seen in a fleet which of them fail, and which cannot be decided.
FROM_THE_HEAD = ("INF-06", "INF-07", *THROUGH_RAY, "ORC-01")
#: What a replica does through Ray. Its environment differs from the other's, which CFG-07 reports.
WITHOUT_RAY = ("CFG-07", "ORC-01", "ORC-03", "ORC-04")


def old_token(target: EmbeddedTarget) -> str:
    """The path of a file with another token than the fleet's, such as one before it was rotated."""
    file = Path(target.fleet.factory.run.path) / "old-ray-token"
    file.touch(mode=0o600)
    file.write_text(OLD, encoding="ascii")
    return str(file)


@asynccontextmanager
async def worker_has_old_token(target: EmbeddedTarget) -> AsyncIterator[None]:
    """GCS does not let it in, and it ends."""
    name = target.workers[1]
    variables = {"RAY_AUTH_TOKEN_PATH": old_token(target)}
    async with restarted(target, [name], environment=variables, ready=False):
        await target.member(name).part.ended(TIMEOUTS.ray_worker_up)
        await given_up(target, name)
        yield


def replica_has(path: str | None) -> Change:
    """The second replica is started with this path of its token; None: with that of an old one."""

    @asynccontextmanager
    async def injected(target: EmbeddedTarget) -> AsyncIterator[None]:
        variables = {"RAY_AUTH_TOKEN_PATH": old_token(target) if path is None else path}
        async with restarted(target, [target.orchestrators[1]], environment=variables):
            yield

    return injected


@asynccontextmanager
async def suite_has_old_token(target: EmbeddedTarget) -> AsyncIterator[None]:
    access = HttpAccess("ray.auth.token", "ray.auth.token (of this run)", {"Authorization": f"Bearer {OLD}"})
    with target.overridden(ray_access=access):
        yield


FAULTS = (
    Fault(
        name="head-asks-for-no-token",
        description="the head was started without authentication, and all other parts have a token",
        inject=ray_started(ray_head=with_environment(RAY_AUTH_MODE="disabled")),
        expected_failures=("INF-05",),
        tolerated_failures=FROM_THE_HEAD,
        expected_terms=("Ray's head answers without a token", "RAY_AUTH_MODE=token"),
        where=WHERE,
    ),
    Fault(
        name="one-worker-has-an-old-token",
        description="the second worker was started with another token than the head's",
        inject=worker_has_old_token,
        expected_failures=("INF-06", "INF-07"),
        tolerated_failures=("LOAD-04",),
        expected_terms=("ray-worker-2", "1 of 2 worker", "token"),
        where=WHERE,
    ),
    Fault(
        name="one-replica-has-an-old-token",
        description="the token was rotated, and the second replica was not restarted since",
        inject=replica_has(None),
        expected_failures=("CFG-04",),
        tolerated_failures=WITHOUT_RAY,
        must_pass=("NET-06", "CFG-06"),
        expected_terms=("orchestrator-2", "its token is refused", "RAY_AUTH_TOKEN_PATH"),
        forbidden_terms=(OLD,),
        where=WHERE,
    ),
    Fault(
        name="one-replica-has-no-token",
        description="the second replica was started without a token",
        inject=replica_has(""),
        expected_failures=("CFG-04",),
        tolerated_failures=WITHOUT_RAY,
        must_pass=("NET-06", "CFG-06"),
        expected_terms=("orchestrator-2", "no token in RAY_AUTH_TOKEN,", "RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token"),
        where=WHERE,
    ),
    Fault(
        name="the-suite-has-an-old-token",
        description="the token was rotated, and the suite still has the one before",
        inject=suite_has_old_token,
        expected_failures=(),
        tolerated_failures=(*NO_RAY[1:], *THROUGH_RAY),
        expected_terms=(),
        inconclusive={"INF-05": "ray.auth.token"},
        forbidden_terms=(OLD,),
        where=WHERE,
    ),
)
