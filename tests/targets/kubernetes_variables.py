"""Where the orchestrator's variables lead it, in a fleet in Kubernetes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fixtures.clusters.kubernetes.client.transport import Document
from fixtures.profile.model import Profile
from tests.targets.kubernetes_objects import orchestrator_is
from tests.targets.target import Change


def with_variables(template: Document, values: Mapping[str, str]) -> Document:
    """A pod template in whose first container variables that it has by value have other ones."""
    first, *others = template["spec"]["containers"]
    env = [{**row, "value": values[row["name"]]} if row["name"] in values else row for row in first["env"]]
    return {**template, "spec": {**template["spec"], "containers": [{**first, "env": env}, *others]}}


def orchestrator_leads_to(values: Callable[[Profile], Mapping[str, str]]) -> Change:
    """The orchestrator with other values of its variables, made from the profile."""
    return lambda target: orchestrator_is(lambda template: with_variables(template, values(target.profile)))(target)
