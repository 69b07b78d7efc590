"""Profiles for tests: a shipped one in which keys differ, as a model and as the text that a user would write."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from fixtures.core.toml_writing import toml_text
from fixtures.profile.components import Consumers
from fixtures.profile.fleet_services import Executor, OrchestratorVariables
from fixtures.profile.model import PROFILES, Profile, load

VARIABLES = load("embedded").orchestrator.variables  # as the reference orchestrator calls them


def with_executor(profile: Profile, **keys: Any) -> Profile:
    """With an executor between the orchestrator and Ray, which has these keys, and the variable that leads to it."""
    names = profile.orchestrator.variables.model_dump() | {"executor": "EXECUTOR_ADDRESS"}
    place = {"namespace": profile.orchestrator.namespace, "workload": "ray-executor", "service": "ray-executor"}
    profile = profile.replaced("orchestrator", variables=OrchestratorVariables(**names))
    return profile.model_copy(update={"executor": Executor(**{**place, **keys})})


def profile_text(name: str, **sections: Mapping[str, Any]) -> str:
    """The text of a shipped profile in which these keys of these sections have other values."""
    document = tomllib.loads((PROFILES / f"{name}.toml").read_text(encoding="utf-8"))
    for section, values in sections.items():
        document[section] = document.get(section, {}) | dict(values)
    return toml_text(document)


def with_urls(
    profile: Profile,
    *,
    vllm: str,
    ray: str,
    nats: str,
    orchestrator: Sequence[str],
    vllm_inside: str | None = None,
    nats_inside: str | None = None,
) -> Profile:
    """A copy in which every part is reached by an address."""
    profile = profile.replaced("vllm", url=vllm, url_inside=vllm_inside).replaced("ray", url=ray)
    profile = profile.replaced("nats", url=(nats,), url_inside=(nats_inside,) if nats_inside else ())
    return profile.replaced("orchestrator", url=tuple(orchestrator))


def with_consumers(profile: Profile, **names: str) -> Profile:
    """A copy in which these consumers are called otherwise."""
    consumers: Consumers = profile.nats.consumers.model_copy(update=names)
    return profile.replaced("nats", consumers=consumers)
