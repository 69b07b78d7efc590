"""A fleet that is changed, and in which sessions of checks are run.

The fleet lives in a loop of its own in a second thread, so that a change can go on (a link that delays, say) while
pytest has the main thread. Each session is a whole `pytest` of checks in this process, against the fleet that is there.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from pydantic import BaseModel

from fixtures.clusters.base import Cluster, Feature
from fixtures.core.paths import ROOT
from fixtures.core.timeouts import Timeouts
from fixtures.harness.interrupts import INTERRUPTS
from tests.support.suite_process import Report
from tests.targets.session import Session, read

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

#: What is done to a target when it is entered, and undone when it is left.
Change = Callable[[Any], AbstractAsyncContextManager[None]]


def together(*changes: Change) -> Change:
    """All of them, undone in the opposite order."""

    @asynccontextmanager
    async def change(target: Any) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for part in changes:
                await stack.enter_async_context(part(target))
            yield

    return change


def profile_is(values: Mapping[str, object]) -> Change:
    """The fleet stays as it is; the profile has these values, by dotted key, until this is left."""

    @asynccontextmanager
    async def change(target: Target) -> AsyncIterator[None]:
        with target.profiled(values):
            yield

    return change


#: A fleet under test answers in seconds (fixtures/core/timeouts.py has what was seen); a change that makes the suite
#: wait for what never comes would otherwise cost minutes.
SHORT = Timeouts(
    agent=30,
    deliberation=40,
    # The suite's Ray job waits 60 s for an agent that starts nowhere (30 + 5 for its answer, 10 for its connections,
    # 15 for its CPUs), and took 68 s in all with five processes for each CPU. A job that is cut off tells nothing of
    # any agent.
    job=90,
    census=60,
    settle=15,
    request=8,
    ray_client=30,
)


#: What a round trip may take there, at most, so that the profile's limits do not raise these timeouts again.
SHORT_ROUND_TRIP = SHORT.deliberation / 2


class SessionProfile:
    """Gives a session's profile other timeouts, as if its [timeouts] had them, and values by their dotted keys."""

    def __init__(self, values: Mapping[str, object] | None = None, timeouts: Timeouts = SHORT) -> None:
        self._values, self._timeouts = values or {}, timeouts

    @pytest.hookimpl(wrapper=True)
    def pytest_fleet_cluster(self) -> Generator[None, Cluster, Cluster]:
        cluster = yield
        given = cluster.profile.limits
        limits = {
            "round_trip_p50_s": min(given.round_trip_p50_s or SHORT_ROUND_TRIP, SHORT_ROUND_TRIP),
            "round_trip_p95_s": min(given.round_trip_p95_s or SHORT_ROUND_TRIP, SHORT_ROUND_TRIP),
        }
        profile = cluster.profile.replaced("limits", **limits).model_copy(update={"timeouts": self._timeouts})
        for key, value in self._values.items():
            profile = with_value(profile, key.split("."), value)
        cluster.profile = profile
        return cluster


def with_value(model: M, path: Sequence[str], value: object) -> M:
    """A copy in which the value at the end of the path is another one."""
    name, *below = path
    if name not in type(model).model_fields:
        raise KeyError(f"{type(model).__name__} has no key {name}")
    return model.model_copy(update={name: with_value(getattr(model, name), below, value) if below else value})


class Interrupted:
    """Whether Ctrl-C came in a session, also where it was held back until no check was left to interrupt."""

    seen = False

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        interrupts = config.stash.get(INTERRUPTS, None)
        self.seen = interrupts is not None and interrupts.seen()


class Target:
    """A running fleet, entered as a context manager."""

    timeouts: ClassVar[Timeouts] = SHORT  # of its sessions, and of what changes wait for themselves

    def __init__(self, reports: Path) -> None:
        self.reports = reports
        self._profile: Mapping[str, object] = {}  # what sessions find in their profile, by dotted key
        self._loop = asyncio.new_event_loop()
        self._jobs: set[asyncio.Future[Any]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fleet", daemon=True)
        self._thread.start()

    def __enter__(self) -> Target:
        try:
            self.boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.do(self.end())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def boot(self) -> None:
        """Bring the fleet up, or find it."""
        raise NotImplementedError

    async def end(self) -> None:
        """Take down what `boot` made."""
        raise NotImplementedError

    def again(self) -> None:
        """Begin with a sound fleet: what the last change left cannot be told."""
        raise NotImplementedError

    async def at_rest(self) -> None:
        """Wait until nothing of the last sessions goes on: an agent that lives on holds a place of the next ones.

        Raises StateNotReached, with the names of what lives on. Where that cannot be seen there is nothing to wait for.
        """

    def unsupported(self) -> Collection[Feature]:
        """What the checks may need and this fleet does not have, whatever is changed in it."""
        raise NotImplementedError

    def options(self) -> tuple[list[str], list[object]]:
        """The options and plugins by which a session finds the fleet."""
        raise NotImplementedError

    def do(self, job: Coroutine[Any, Any, T]) -> T:
        """Run `job` in the fleet's loop and wait for it; interrupted, for what it does in its end, too."""
        future = asyncio.run_coroutine_threadsafe(self._run(job), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            asyncio.run_coroutine_threadsafe(self._idle(), self._loop).result()
            raise

    def do_all(self, job: Coroutine[Any, Any, T]) -> T:
        """As `do`, where the first Ctrl-C must not leave the job half done: it is raised when the job has ended."""
        future = asyncio.run_coroutine_threadsafe(self._run(job), self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.result()
            raise

    async def _run(self, job: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(job)
        self._jobs.add(task)
        try:
            return await task
        finally:
            self._jobs.discard(task)

    async def _idle(self) -> None:
        await asyncio.gather(*self._jobs, return_exceptions=True)

    @contextmanager
    def changed_by(self, change: Change) -> Iterator[None]:
        """Hold a change in the fleet's loop while the main thread runs checks."""
        held = change(self)
        self.do(held.__aenter__())
        try:
            yield
        finally:
            self.do_all(held.__aexit__(None, None, None))

    @contextmanager
    def profiled(self, values: Mapping[str, object]) -> Iterator[None]:
        """Sessions find these values in their profile, by dotted key."""
        before, self._profile = self._profile, {**self._profile, **values}
        try:
            yield
        finally:
            self._profile = before

    @property
    def session_values(self) -> Mapping[str, object]:
        """What sessions find in their profile beyond what its file says, by dotted key."""
        return self._profile

    def session(self, name: str, ids: Collection[str]) -> Session:
        """Run these checks and no others; reports go to a folder of that name."""
        folder, began, interrupted = self.reports / name, time.monotonic(), Interrupted()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        options, plugins = self.options()
        arguments = [
            "-c",
            str(ROOT / "pyproject.toml"),
            "--rootdir",
            str(ROOT),
            "-p",
            "no:cacheprovider",
            "--tb",
            "short",
        ]
        arguments += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # from the second session on all is imported
        chosen = ["-m", "e2e or load", "-k", " or ".join(sorted(ids)), str(ROOT / "tests" / "e2e")]
        with (folder / "output.log").open("w", encoding="utf-8") as log, redirect_stdout(log):
            arguments += ["--report-dir", str(folder), *options, *chosen]
            status = pytest.main(arguments, [*plugins, SessionProfile(self._profile, self.timeouts), interrupted])
        if interrupted.seen or status == pytest.ExitCode.INTERRUPTED:  # it was meant for all of this
            raise KeyboardInterrupt
        report = Report.read(folder)
        if not report.document:
            raise RuntimeError(f"the session ended with {status} and left no report; see {folder / 'output.log'}")
        return read(report.rows, time.monotonic() - began, ids)
