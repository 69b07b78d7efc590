"""The embedded fleet as sessions see it that attach to it by plain URLs, with the profile that a user writes for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fixtures.clusters.base import Feature
from fixtures.clusters.endpoints import UNSUPPORTED
from tests.support.profiles import profile_text
from tests.targets.target import Change

if TYPE_CHECKING:
    from tests.targets.embedded_target import EmbeddedTarget


@dataclass(frozen=True)
class Urls:
    """The URLs of a profile, and what else it says about the ways to a fleet."""

    vllm: str
    dashboard: str
    nats: str  # several servers with commas between them
    orchestrators: tuple[str, ...]  # host:port
    fault_proxy: str = ""
    fault_proxy_token: str = ""
    inside: Mapping[str, str] = field(default_factory=dict)  # how Ray's workers reach them, where that is another way
    sections: str = ""  # further sections of the profile, in TOML

    @classmethod
    def of(cls, target: EmbeddedTarget) -> Urls:
        """Every part at its own address."""
        at, token = target.cluster.endpoints, target.fleet.factory.debug_token
        return cls(at.vllm, at.dashboard, at.nats, tuple(at.orchestrators.values()), at.fault_proxy, token)

    @property
    def unsupported(self) -> frozenset[Feature]:
        """What cannot be looked at by URLs."""
        return frozenset(UNSUPPORTED) - ({Feature.FAULT_PROXY} if self.fault_proxy else set())

    def options(self, folder: Path) -> list[str]:
        """The options of a session that attaches with this profile, which is written to `folder`."""
        file, token = folder / "attached.toml", folder / "fault-proxy-token"
        token.write_text(self.fault_proxy_token, encoding="utf-8")
        secret = {"fault_proxy_token": {"file": token.name}} if self.fault_proxy_token else {}
        file.write_text(self.profile(**secret), encoding="utf-8")
        return ["--cluster", "attach", "--allow-disruptive", "--profile", str(file)]

    def profile(self, **vllm: Any) -> str:
        """The embedded fleet's profile with these URLs, and these keys of [vllm]."""
        text = profile_text(
            "embedded",
            vllm={"url": self.vllm, "fault_proxy": self.fault_proxy, **self._inside("vllm"), **vllm},
            ray={"url": self.dashboard},
            nats={"url": self.nats.split(","), **self._inside("nats")},
            orchestrator={"url": list(self.orchestrators)},
        )
        return f"{text}\n{self.sections}\n"

    def _inside(self, part: str) -> dict[str, str]:
        return {"url_inside": self.inside[part]} if part in self.inside else {}


Ways = Callable[["EmbeddedTarget"], AbstractAsyncContextManager[Mapping[str, Any]]]
"""What stands before the parts of a fleet: entered, the fields of `Urls` that it changes."""


@asynccontextmanager
async def nothing_between(_: EmbeddedTarget) -> AsyncIterator[Mapping[str, Any]]:
    """Every part is reached at its own address."""
    yield {}


def attached(ways: Ways = nothing_between) -> Change:
    """Sessions attach to the fleet by URLs."""

    @asynccontextmanager
    async def changed(target: EmbeddedTarget) -> AsyncIterator[None]:
        async with ways(target) as differing:
            target.attached = replace(Urls.of(target), **differing)
            try:
                yield
            finally:
                target.attached = None

    return changed
