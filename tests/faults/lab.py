"""A booted fleet into which faults are put from outside, and in which sessions of checks are run.

The fleet lives in a loop of its own in a second thread, so that a fault can go on (a link that delays, say) while pytest
has the main thread. Each session is a whole `pytest -m e2e` in this process, against the fleet that is there.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shutil
import threading
import time
from collections.abc import Collection, Coroutine, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, TypeVar

import pytest

from fixtures import profile as profiles
from fixtures.clusters.base import Component, Timeline
from fixtures.clusters.embedded import EmbeddedCluster, EmbeddedOptions
from fixtures.clusters.embedded.fleet import Fleet
from fixtures.clusters.embedded.member import Member
from tests.faults.model import Session

ROOT = Path(__file__).parent.parent.parent
T = TypeVar("T")


class Said:
    """Prints the steps of the boot; what is restarted later is said by the faults."""

    booting = True

    def started(self, step: str) -> None: ...

    def finished(self, step: str, seconds: float, note: str = "") -> None:
        if self.booting:
            print(f"  {step:<40} {seconds:6.1f} s {note}".rstrip(), flush=True)


class Borrowed:
    """The running fleet for one session: neither started nor ended by it, with its own run id, and seen as a fault says.

    A stand-in for a cluster only in that; every question goes to the fleet itself.
    """

    def __init__(self, cluster: EmbeddedCluster, instead: dict[str, Any]) -> None:
        self._cluster = cluster
        self.run_id = f"fc-{secrets.token_hex(3)}"
        vars(self).update(instead)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    def prepare(self) -> None: ...

    async def start(self, timeline: Timeline) -> None: ...

    async def stop(self) -> None: ...


class Given:
    """Hands a session its cluster."""

    def __init__(self, cluster: Borrowed) -> None:
        self._cluster = cluster

    def pytest_fleet_cluster(self) -> Borrowed:
        return self._cluster


class Lab:
    """`with Lab(reports) as lab: …`: an embedded fleet with the stub."""

    def __init__(self, reports: Path) -> None:
        self.reports = reports
        self.instead: dict[str, Any] = {}  # what a session is told in place of what the cluster says, by attribute
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fleet", daemon=True)
        self._thread.start()
        self._new()

    def _new(self) -> None:
        options = EmbeddedOptions(profiles.load("embedded"), vllm="stub", run_id=f"faults-{secrets.token_hex(3)}")
        self.cluster = EmbeddedCluster(options)

    def __enter__(self) -> Lab:
        try:
            self.boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self.cluster.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def boot(self) -> None:
        said = Said()
        self.do(self.cluster.start(Timeline(said)))
        said.booting = False

    def reboot(self) -> None:
        """Begin again with a new fleet: what the last fault left cannot be told."""
        self.do(self.cluster.stop())
        self.instead.clear()
        self._new()
        self.boot()

    def do(self, job: Coroutine[Any, Any, T]) -> T:
        """Run `job` in the fleet's loop and wait for it."""
        future = asyncio.run_coroutine_threadsafe(job, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    # -- for faults -----------------------------------------------------------------------------------------

    @property
    def fleet(self) -> Fleet:
        assert self.cluster._fleet is not None, "the fleet is not running"
        return self.cluster._fleet

    def member(self, name: str) -> Member:
        if name == "fault-proxy":
            return self.fleet._proxy
        return next(member for member in self.fleet.members if member.name == name)

    def members(self, component: Component) -> list[Member]:
        return self.fleet.members_of(component)

    @property
    def workers(self) -> list[str]:
        return [member.name for member in self.members(Component.RAY_WORKER)]

    @property
    def orchestrators(self) -> list[str]:
        return [member.name for member in self.members(Component.ORCHESTRATOR)]

    @contextmanager
    def told(self, **instead: Any) -> Iterator[None]:
        """Sessions see these attributes in place of the cluster's own."""
        before = dict(self.instead)
        self.instead.update(instead)
        try:
            yield
        finally:
            self.instead.clear()
            self.instead.update(before)

    # -- sessions -------------------------------------------------------------------------------------------

    def session(self, name: str, ids: Collection[str]) -> Session:
        """Run these checks and no others; reports go to a folder of that name."""
        folder, began = self.reports / name, time.monotonic()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
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
        arguments += [
            "-W",
            "ignore::pytest.PytestAssertRewriteWarning",
        ]  # plugins are imported already, from the second on
        chosen = ["-m", "e2e", "-k", " or ".join(sorted(ids)), "--vllm", "stub", str(ROOT / "tests" / "e2e")]
        with (folder / "output.log").open("w", encoding="utf-8") as log, redirect_stdout(log):
            pytest.main(
                [*arguments, "--report-dir", str(folder), *chosen], [Given(Borrowed(self.cluster, self.instead))]
            )
        document = json.loads((folder / "conformance.json").read_text(encoding="utf-8"))
        return read(document["checks"], time.monotonic() - began)


def first_line(text: str) -> str:
    return re.sub(r"\s+", " ", text.strip().partition("\n")[0])


def read(rows: Iterable[dict[str, Any]], seconds: float) -> Session:
    """The session of a report's rows; what was not selected is no part of it."""
    rows = [row for row in rows if not (row["status"] == "disabled" and not row["duration_s"])]
    red = [row for row in rows if row["status"] in ("failed", "broken")]
    return Session(
        statuses={row["id"]: row["status"] for row in rows},
        causes={row["id"]: first_line(row["detail"]) for row in red if row["status"] == "failed" and not row["cause"]},
        details={row["id"]: first_line(row["detail"]) for row in red},
        seconds=seconds,
    )
