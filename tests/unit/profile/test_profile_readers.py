"""A key that no check reads is an expectation that nothing holds the fleet against, and its author relies on it."""

from __future__ import annotations

import re
from functools import cache

import pytest

from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import CATALOGUE
from fixtures.core.paths import ROOT
from fixtures.profile.behaviour import Features
from fixtures.profile.model import SERVICES, Profile
from fixtures.profile.readers import REPORTS, WATCH
from tests.unit.profile.test_profile_keys import readers

#: Each leaf of the profile → what reads it.
READERS = dict(readers(Profile))
#: What needs none, and what only reports show, or the suite waits by.
IDENTITY = {"version", "name"}
OF_REPORTS = {"nats.results_bucket", "ray.client_url", "levels"}
OF_REPORTS |= {key for key in READERS if key.startswith("timeouts")}

GROUPS = {"name": "group.name", "image": "image_of", "workers": "ray.wanted"}
GROUPS["runs_agents"] = "runs_agents"
OF_SERVICES = {"own_variables": ".own_variables", "variables": "variables.addresses", "tls": "front.tls"}
#: How the code spells a key where it is not as `section.key`.
SPELT = {
    "kubernetes.namespace": "kubernetes.namespace",
    "kubernetes.cluster_domain": "kubernetes.cluster_domain",
    **{f"{part}.{key}": f"named.{key}" for part in ("vllm", *SERVICES) for key in ("namespace", "workload", "pods")},
    **{f"{part}.{key}": f"service.{key}" for part in SERVICES for key in ("service", "port", "url", "version")},
    **{
        f"{part}.{key}": f"service.{key}" for part in SERVICES for key in ("environment", "replicas", "image", "python")
    },
    **{f"{part}.{key}": spelt for part in SERVICES for key, spelt in OF_SERVICES.items()},
    "nats.namespace": "named.namespace",
    "ray.gcs_port": "named.gcs_port",
    **{f"ray.groups.{key}": spelt for key, spelt in GROUPS.items()},
    "agent.tools.import": "tools.imports",
    **{f"features.{name}": f'"{name}"' for name in Features.model_fields},
    "vllm.metrics": "has_metrics",
    **dict.fromkeys(("nats.domain", "nats.js_prefix"), "nats.api"),
    "limits.deliberate_s": "TIMEOUTS.deliberate",  # Profile.waits
    "agent.class": "agent_code",
    "agent.actor_class": "agent.product_class",
    "deliberations.mode": "profile.mode",
    "deliberations.results": "profile.results",
    "deliberations.disturbs": "profile.disturbs",
    "contract.messages.outcome": "section.outcome",
    "contract.agent.factory": "agent_code",
    **{f"contract.agent.{key}": f"contract.{key}" for key in ("num_cpus", "keywords", "call")},
    "contract.agent.async": "contract.is_async",
    "contract.messages.completed": "MessageContract",
    "contract.messages.failed": "MessageContract",
    **{f"contract.grpc.{key}": "GrpcContract" for key in ("service", "descriptor")},
    "contract.grpc.at": "front_of",
    **{f"contract.grpc.{key}": f"section.{key}" for key in ("start", "status", "councils")},
    "contract.grpc.create_council": "create_council",
    "contract.grpc.refusals": "contract.refusals",
}

#: They make fleets, or show the profile; neither holds a fleet against it.
NO_READERS = (
    *("fixtures/clusters/embedded/", "fixtures/clusters/kind/", "fixtures/report/", "fixtures/profile/contract"),
    *("fixtures/profile/model.py", "fixtures/profile/sections.py", "fixtures/profile/remedy_"),
)


@cache
def code() -> str:
    """The source of everything that checks consist of."""
    files = [*(ROOT / "fixtures").rglob("*.py"), *(ROOT / "tests" / "e2e").glob("*.py")]
    kept = [file for file in sorted(files) if not str(file.relative_to(ROOT)).startswith(NO_READERS)]
    return "\n".join(file.read_text(encoding="utf-8") for file in kept)


def test_every_key_of_the_profile_names_what_reads_it() -> None:
    without = sorted(key for key, checks in READERS.items() if not checks and key not in IDENTITY)
    assert not without, f"name the checks with reads(…) at the field: {', '.join(without)}"
    assert {key for key, checks in READERS.items() if checks == (REPORTS,)} == OF_REPORTS
    assert not any(REPORTS in checks and len(checks) > 1 for checks in READERS.values())


def test_the_readers_are_checks() -> None:
    load_catalogue()
    unknown = {check for checks in READERS.values() for check in checks} - CATALOGUE.keys() - {REPORTS, WATCH}
    assert not unknown, f"there are no such checks: {', '.join(sorted(unknown))}"


@pytest.mark.parametrize("key", [key for key, checks in READERS.items() if checks and checks != (REPORTS,)])
def test_the_code_of_checks_reads_it(key: str) -> None:
    """A key that only a manifest of the suite's own fleets reads holds no other fleet against it."""
    parts = [key[: len(key) - len(end)] for end in ["", *(key[n:] for n, sign in enumerate(key) if sign == ".")]]
    spelt = [SPELT.get(part, ".".join(part.split(".")[-2:])) for part in parts if "." in part]
    read = [word for word in spelt if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", code())]
    assert read, f"no check, and nothing that it asks, reads {' or '.join(spelt)}"
