"""Ways to break a running fleet from outside, each an async context manager that heals what it did."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from fixtures.clusters.base import Component
from fixtures.clusters.embedded.image_table import Image
from fixtures.clusters.embedded.reaper import descendants
from fixtures.clusters.embedded.replica import LaunchSpec, LocalReplica
from fixtures.services.vllm import FaultProxy
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.target import Change

Undo = Callable[[], None]
RAY = (Component.RAY_HEAD, Component.RAY_WORKER)

# -- files of a replica's own copy of its image -----------------------------------------------------------------


class FileChange(Protocol):
    """A change to the packages of one replica. Paths are relative to site-packages."""

    def apply(self, packages: Path) -> Undo: ...


@dataclass(frozen=True)
class Edit:
    """A mutant: `old` becomes `new`, at the one place where it stands."""

    path: str
    old: str
    new: str

    def apply(self, packages: Path) -> Undo:
        file = packages / self.path
        before = file.read_text(encoding="utf-8")
        assert before.count(self.old) == 1, f"{self.path} has {self.old!r} {before.count(self.old)} times, not once"
        put(file, before.replace(self.old, self.new))
        return lambda: put(file, before)


@dataclass(frozen=True)
class Added:
    """A file that the image does not have, in a folder of its own or one that is there; an existing one is put back."""

    path: str
    text: str

    def apply(self, packages: Path) -> Undo:
        file = packages / self.path
        before = file.read_text(encoding="utf-8") if file.exists() else None
        made = not file.parent.exists()
        file.parent.mkdir(exist_ok=True)
        put(file, self.text)

        def undo() -> None:
            if before is not None:
                put(file, before)
            elif made:
                shutil.rmtree(file.parent)
            else:
                file.unlink()

        return undo


@dataclass(frozen=True)
class Copied:
    """A folder that is there a second time, where nothing is in its place."""

    path: str
    to: str

    def apply(self, packages: Path) -> Undo:
        copy = shutil.copytree(packages / self.path, packages / self.to)
        return lambda: shutil.rmtree(copy)


@dataclass(frozen=True)
class Removed:
    """A file or folder that is taken away; `path` may be a pattern that fits one."""

    path: str

    def apply(self, packages: Path) -> Undo:
        (found,) = packages.glob(self.path)
        aside = found.with_name(f".{found.name}.aside")
        found.rename(aside)

        def undo() -> None:
            aside.rename(found)

        return undo


def put(file: Path, text: str) -> None:
    """Write by replacing: the copy is made of hard links, and the image must stay as it is."""
    part = file.with_name(f"{file.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)


def packages_in(folder: Path) -> Path:
    """site-packages of a replica's copy of its image."""
    (found,) = folder.glob("lib/python3.*/site-packages")
    return found


@asynccontextmanager
async def changed(target: EmbeddedTarget, names: Sequence[str], *changes: FileChange) -> AsyncIterator[None]:
    """Change the packages of running replicas: whoever imports them from now on gets the changed ones."""
    undo = [change.apply(packages_in(target.member(name).folder)) for name in names for change in changes]
    try:
        yield
    finally:
        for one in reversed(undo):
            one()


# -- processes --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def restarted(
    target: EmbeddedTarget,
    names: Sequence[str],
    *changes: FileChange,
    environment: Mapping[str, str] | None = None,
    launch: Callable[[LaunchSpec], LaunchSpec] | None = None,
    image: Image | None = None,
    ready: bool = True,
) -> AsyncIterator[None]:
    """Start replicas again with another environment, other arguments, changed packages, or from another image.

    `ready`: wait until they are; a change that keeps them from it says False. In the end they are started as they were.
    """
    members = [target.member(name) for name in names]
    launcher = target.fleet.launcher
    immediately = not any(member.component in RAY for member in members)  # a node that is killed is listed for 5 s more
    await launcher.end(*members, immediately=immediately)
    try:
        for member in members:
            started = member.launch()
            started.environment.update(environment or {})
            if launch:
                started = launch(started)
            member.image = image or member.image
            if not (started.program or started.shared):  # a copy of its own; a node of Ray changes it as it starts
                await launcher.store.remove(member.name)
                member.folder = await launcher.store.instance(member.image, member.name)
            for change in changes:
                change.apply(packages_in(member.folder))  # the copy is made anew in the end
            launcher.begin(member, started)
        for member in members if ready else ():
            await launcher.ready(member)
        yield
    finally:
        await launcher.end(*members, immediately=immediately)
        await target.fleet.start_again(*members)


@asynccontextmanager
async def imaged(target: EmbeddedTarget, names: Sequence[str], *changes: FileChange) -> AsyncIterator[None]:
    """Replicas run from a changed image, also those that a check starts again."""
    store, members = target.fleet.launcher.store, [target.member(name) for name in names]
    sound = store.instance

    async def changed_instance(image: Image, name: str) -> Path:
        folder = await sound(image, name)
        if name in names:
            for change in changes:
                change.apply(packages_in(folder))
        return folder

    store.instance = changed_instance  # type: ignore[method-assign]
    try:
        await target.fleet.start_again(*members)
        yield
    finally:
        store.instance = sound  # type: ignore[method-assign]
        await target.fleet.start_again(*members)


@asynccontextmanager
async def killed(target: EmbeddedTarget, *names: str) -> AsyncIterator[None]:
    """SIGKILL; started again in the end."""
    members = [target.member(name) for name in names]
    await target.fleet.launcher.end(*members)
    try:
        yield
    finally:
        await target.fleet.start_again(*members)


def tree(member: LocalReplica) -> list[int]:
    """The pids of a replica, its main process first."""
    main = member.part.pid
    assert main is not None, f"{member.name} is not running"
    return [main, *descendants(main)]


def processes_of(member: LocalReplica, word: str) -> list[int]:
    """Of a replica those whose command line has this word."""

    def words(pid: int) -> str:
        with suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""

    return [pid for pid in tree(member) if word in words(pid)]


@asynccontextmanager
async def frozen(target: EmbeddedTarget, name: str, word: str = "") -> AsyncIterator[None]:
    """SIGSTOP to all processes of a replica, or to those with `word` in their command line; SIGCONT in the end."""
    member = target.member(name)
    stopped = processes_of(member, word) if word else tree(member)
    assert stopped, f"{name} has no process {word!r}"
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


# -- what the model server answers, and the way to it -----------------------------------------------------------


@asynccontextmanager
async def ruled(target: EmbeddedTarget, url: str, *rules: Mapping[str, Any]) -> AsyncIterator[None]:
    """Fault rules (images/vllm/README.md) in the stub, or in the proxy before it, at `url`."""
    proxy = FaultProxy(url, target.cluster.fault_proxy_access)
    try:
        async with AsyncExitStack() as stack:
            for rule in rules:
                await stack.enter_async_context(proxy.fault(**rule))
            yield
    finally:
        await proxy.close()


# -- as a Change, for faults and variants that are data ----------------------------------------------------------------


def among(names: Sequence[str], only: int | None) -> Sequence[str]:
    """All of them, or the one of that number, from 0."""
    return names if only is None else [names[only]]


def workers_have(*changes: FileChange, only: int | None = None) -> Change:
    """Changed packages on every worker, or on the one of that number, from 0."""
    return lambda target: changed(target, among(target.workers, only), *changes)


def head_has(*changes: FileChange) -> Change:
    """Changed packages on the head, which submits jobs and unpickles what the workers run."""
    return lambda target: changed(target, [member.name for member in target.members(Component.RAY_HEAD)], *changes)


def head_has_record(*changes: FileChange) -> Change:
    """As `head_has`, of a distribution's record: one that is put back is younger than the running head, as of one that
    was installed by hand. So Ray is started again in the end."""

    @asynccontextmanager
    async def change(target: EmbeddedTarget) -> AsyncIterator[None]:
        try:
            async with head_has(*changes)(target):
                yield
        finally:
            await target.cluster.restart_ray()

    return change


def agent_code(*changes: FileChange) -> Change:
    """A mutant of the agent job, in the image of every node. Each agent imports it anew."""
    return lambda target: changed(
        target, [*[m.name for m in target.members(Component.RAY_HEAD)], *target.workers], *changes
    )


def orchestrator_code(*changes: FileChange, only: int | None = None) -> Change:
    """A mutant of the orchestrator: on every replica, or on the one of that number, from 0."""
    return lambda target: restarted(target, among(target.orchestrators, only), *changes)


def orchestrator_image(*changes: FileChange) -> Change:
    """A mutant of the orchestrator, also of replicas that a check starts again."""
    return lambda target: imaged(target, target.orchestrators, *changes)


def orchestrator_released(tag: str, *changes: FileChange) -> Change:
    """The specification names another tag of the orchestrator's image, which has these changes."""

    @asynccontextmanager
    async def released(target: EmbeddedTarget) -> AsyncIterator[None]:
        plan, before = target.fleet.plan, target.fleet.plan.orchestrator
        plan.orchestrator = replace(before, reference=f"{before.reference.rpartition(':')[0]}:{tag}")
        try:
            async with imaged(target, target.orchestrators, *changes):
                yield
        finally:
            plan.orchestrator = before
            await target.fleet.start_again(*(target.member(name) for name in target.orchestrators))

    return released


def orchestrator_has(only: int | None = None, **environment: str) -> Change:
    """Another environment: of every replica, or of the one of that number, from 0."""
    return lambda target: restarted(target, among(target.orchestrators, only), environment=environment)


def stub_answers(*rules: Mapping[str, Any]) -> Change:
    """What the model server answers to everybody."""
    return lambda target: ruled(target, target.cluster.endpoints.vllm, *rules)


def proxy_answers(*rules: Mapping[str, Any]) -> Change:
    """What the orchestrator and its agents get: their way to the model server leads through the suite's proxy."""
    return lambda target: ruled(target, target.cluster.endpoints.fault_proxy, *rules)
