"""What files of own checks import, and what fixtures of these names give them. All else of the suite is internal.

docs/tutorial/own-checks.md shows each. Errors of the three services, and of what is not there, are NonConformance;
Inconclusive is what could not be decided.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar

_Test = TypeVar("_Test", bound=Callable[..., Any])

class Level(StrEnum):
    MUST = "MUST"
    SHOULD = "SHOULD"

MUST: Level
SHOULD: Level

class NonConformance(AssertionError):
    """The fleet does not do what it must: the check has failed. As a plain `assert`."""

    def __init__(self, text: str = "", findings: Iterable[str] = ()) -> None: ...

class Inconclusive(Exception):
    """It could not be found out: the check is broken."""

class Asked:
    """Questions that every worker answers in the one census of a run: `worker.asked[name]`."""

    def __init__(
        self,
        modules: Mapping[str, str] = ...,
        tcp: Mapping[str, str] = ...,
        http: Mapping[str, str] = ...,
        run: Mapping[str, Sequence[str]] = ...,
        timeout: str = "20s",
    ) -> None: ...

def area(key: str, name: str) -> None: ...
def check(
    id: str,
    level: Level,
    title: str,
    *,
    remedy: str | Sequence[str],
    follows: Sequence[str] = (),
    asks: Asked = ...,
    needs: Sequence[str] = (),
    disrupts: str = "nothing",
    impact: str = "",
    gate: bool = False,
) -> Callable[[_Test], _Test]: ...
def case(
    *values: object,
    id: str,
    level: Level,
    title: str,
    meaning: str,
    remedy: str | Sequence[str],
    follows: Sequence[str] = (),
    asks: Asked = ...,
    needs: Sequence[str] = (),
    disrupts: str = "nothing",
    impact: str = "",
    gate: bool = False,
) -> Any: ...
def require_none(wrong: Iterable[str], heading: str = "", *, separator: str = "; ", text: str = "") -> None:
    """Fail where anything is wrong: one text for each place, each a finding of its own."""

def by_place(wrong: Mapping[str, object]) -> list[str]:
    """Findings of a table: the place, and what is there."""

# What fixtures give.

class Answer(Protocol):
    """To one question. `error` says why it is not ok."""

    @property
    def ok(self) -> bool: ...
    @property
    def error(self) -> str: ...
    @property
    def ms(self) -> float | None: ...
    @property
    def file(self) -> str: ...
    @property
    def status(self) -> int: ...
    @property
    def body(self) -> str: ...
    @property
    def exit(self) -> int | None: ...
    @property
    def output(self) -> str: ...
    @property
    def errors(self) -> str: ...

class Worker(Protocol):
    """`distributions`: name → version of what is installed there."""

    @property
    def name(self) -> str: ...
    @property
    def python(self) -> str: ...
    @property
    def resources(self) -> Mapping[str, float]: ...
    @property
    def distributions(self) -> Mapping[str, str]: ...
    @property
    def asked(self) -> Mapping[str, Answer]: ...

class Census(Protocol):
    """The fixture `census`. `workers`: those on which agents run."""

    @property
    def workers(self) -> Sequence[Worker]: ...

class Evidence(Protocol):
    """The fixture `evidence`: what is attached is masked, and kept with the check."""

    def attach(self, name: str, content: str | bytes | dict[str, Any] | list[Any]) -> Path: ...

class HttpResponse(Protocol):
    @property
    def status_code(self) -> int: ...
    @property
    def text(self) -> str: ...
    def json(self) -> Any: ...

class Vllm(Protocol):
    """The fixture `vllm`. Paths as /v1/models; the profile's key is sent."""

    async def models(self) -> Mapping[str, Any]: ...
    async def get(self, path: str) -> HttpResponse: ...

class Ray(Protocol):
    """The fixture `ray`: the dashboard."""

    async def version(self) -> Any: ...
    async def nodes(self) -> Sequence[Any]: ...
    async def jobs(self, contains: str = "") -> Sequence[Any]: ...

class Nats(Protocol):
    """The fixture `nats`, as the profile's user."""

    async def account(self) -> Any: ...
    async def stream(self, name: str) -> Any: ...
    async def consumer(self, stream: str, name: str) -> Any: ...
    async def messages(self, stream: str, after: int, *, subjects: Sequence[str] = ()) -> Sequence[Any]: ...

class OrchestratorReplica(Protocol):
    async def status(self) -> Any: ...
    async def call(self, purpose: str, within: float | None = None, **values: Any) -> dict[str, Any]: ...

class Orchestrator(Protocol):
    """The fixture `orchestrator`."""

    @property
    def replicas(self) -> Sequence[OrchestratorReplica]: ...

class Profile(Protocol):
    """The fixture `profile`, by the keys of docs/reference/profile.md: `profile.vllm.model`."""

    @property
    def name(self) -> str: ...
    @property
    def kubernetes(self) -> Any: ...
    @property
    def vllm(self) -> Any: ...
    @property
    def ray(self) -> Any: ...
    @property
    def nats(self) -> Any: ...
    @property
    def orchestrator(self) -> Any: ...
    @property
    def executor(self) -> Any: ...
    @property
    def deliberations(self) -> Any: ...
    @property
    def agent(self) -> Any: ...
    @property
    def limits(self) -> Any: ...
