"""A key that no check reads is an expectation that nothing holds the fleet against, and its author relies on it."""

from __future__ import annotations

import re
from functools import cache

import pytest

from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import CATALOGUE
from fixtures.core.paths import ROOT
from fixtures.profile.behaviour import Features
from fixtures.profile.model import Profile
from tests.unit.profile.test_profile_keys import keys

#: Key, or section with all below it → the checks that fail, or ask elsewhere, where its value is another.
READERS = {
    "kubernetes.namespace": "INF-01 INF-09 INF-11 NET-07",
    "kubernetes.cluster_domain": "NET-03 NET-04 NET-07",
    "vllm.base": "INF-04",
    "kubernetes.operator": "INF-05",
    "kubernetes.operator_namespace": "INF-05",
    "vllm.namespace": "INF-01 NET-07",
    "vllm.pods": "INF-01",
    "vllm.workload": "INF-01",
    "vllm.service": "INF-01 INF-02 NET-03",
    "vllm.port": "INF-01 INF-02 NET-03",
    "vllm.url": "INF-02 NET-03",
    "vllm.url_inside": "NET-03 JOB-04",
    "vllm.replicas": "INF-01",
    "vllm.model": "INF-03 NET-01 JOB-04 ORC-02",
    "vllm.aliases": "INF-03 JOB-04 ORC-02",
    "vllm.metrics": "CFG-02 NET-01",
    "vllm.max_model_len": "INF-04 ORC-08",
    "vllm.fault_proxy": "ORC-07 ORC-12 E2E-04",
    "vllm.fault_proxy_port": "ORC-07 ORC-12 E2E-04",
    "vllm.fault_proxy_token": "ORC-07 ORC-12 E2E-04",
    "vllm.auth": "INF-03 NET-03",
    "vllm.tls": "INF-03 NET-03",
    "ray.cluster": "INF-05 INF-06",
    "ray.service": "INF-05 INF-06",
    "ray.selector": "INF-05 INF-06",
    "ray.namespace": "INF-05 INF-06",
    "ray.url": "INF-05",
    "ray.version": "INF-08 CFG-06 DEP-01",
    "ray.python": "INF-08 CFG-06 DEP-06",
    "ray.head_image": "IMG-01 IMG-03",
    "ray.head_service": "INF-05 NET-07",
    "ray.gcs_port": "INF-05",
    "ray.dashboard_port": "INF-05",
    "ray.client": "CFG-04 CFG-06 NET-06",
    "ray.client_port": "NET-07",
    "ray.groups.name": "IMG-04",
    "ray.groups.image": "IMG-01 IMG-03",
    "ray.groups.workers": "INF-06",
    "ray.groups.runs_agents": "DEP-07 JOB-02 LOAD-04",
    "ray.resources": "INF-07",
    "ray.auth": "INF-05",
    "ray.tls": "INF-05",
    "nats.namespace": "INF-09 NET-07",
    "nats.service": "INF-09 NET-04",
    "nats.port": "INF-09 NET-04",
    "nats.url": "INF-09 NET-04",
    "nats.url_inside": "NET-04",
    "nats.stream": "INF-10 INF-12 NET-04 CFG-05",
    "nats.consumers.completed": "INF-12 ORC-10",
    "nats.consumers.failed": "INF-12 ORC-10",
    "nats.inbox_prefix": "INF-09 NET-04",
    "nats.domain": "INF-09 NET-04 NET-05",
    "nats.js_prefix": "INF-09 NET-04 NET-05",
    "nats.auth": "INF-09 NET-04",
    "nats.tls": "INF-09 NET-04",
    "orchestrator.namespace": "INF-11 NET-07",
    "orchestrator.pods": "INF-11",
    "orchestrator.workload": "INF-11",
    "orchestrator.service": "INF-11",
    "orchestrator.port": "INF-11",
    "orchestrator.url": "INF-11 ORC-06",
    "orchestrator.replicas": "INF-11",
    "orchestrator.version": "INF-11 ORC-03",
    "orchestrator.environment": "CFG-01 CFG-08",
    "orchestrator.variables": "CFG-02 CFG-03 CFG-04 CFG-05 CFG-08",
    "orchestrator.own_variables": "CFG-07",
    "orchestrator.tls": "INF-11",
    "agent.class": "DEP-07 JOB-02",
    "agent.delivery": "DEP-07 IMG-04",
    "agent.package": "DEP-07 JOB-02",
    "agent.tools.enabled": "DEP-08",
    "agent.tools.import": "DEP-08 IMG-04",
    "deliberations.mode": "ORC-03 E2E-01",
    "features.councils": "ORC-02",
    "features.plan_events": "ORC-14",
    "features.diversity": "E2E-03",
    "features.constraints": "E2E-04",
    "features.tools": "DEP-08",
    "features.results_shared": "ORC-06 ORC-15",
    "features.agent_failures": "ORC-07",
    "features.deadlines": "ORC-16",
    "deliberations.roles": "ORC-02 E2E-01",
    "deliberations.agents": "ORC-04 E2E-01",
    "deliberations.diversity_factor": "E2E-03",
    "agent.temperature": "E2E-03",
    "agent.max_tokens": "JOB-04",
    "agent.dependencies": "DEP-01 DEP-02 DEP-03 DEP-04 DEP-11 IMG-04",
    "contract.agent.factory": "DEP-07 JOB-02",
    "contract.agent.method": "DEP-12 JOB-02 JOB-14",
    "contract.agent.async": "DEP-12 JOB-02",
    "contract.agent.num_cpus": "JOB-02 LOAD-04",
    "contract.agent.keywords": "DEP-12 JOB-02 JOB-06",
    "contract.agent.call": "DEP-12 JOB-02 JOB-06",
    "contract.agent.failure": "JOB-08 JOB-09 JOB-10",
    "contract.agent.returns": "JOB-07",
    "contract.messages.completed": "JOB-05 JOB-06 ORC-05 E2E-03 LOAD-02",
    "contract.messages.failed": "JOB-05 JOB-08 JOB-09 JOB-10",
    "contract.messages.plan": "ORC-14",
    "contract.grpc.service": "INF-11 ORC-01",
    "contract.grpc.descriptor": "INF-11 ORC-01",
    "contract.grpc.start": "ORC-03 ORC-04",
    "contract.grpc.result": "ORC-04 ORC-05 ORC-06",
    "contract.grpc.status": "INF-11 ORC-01",
    "contract.grpc.councils": "ORC-02",
    "contract.grpc.create_council": "ORC-02",
    "contract.grpc.refusals": "ORC-09",
    "limits.deliberate_s": "ORC-03",
    "limits.vllm_latency_ms": "NET-02",
    "limits.round_trip_p50_s": "E2E-05 LOAD-05",
    "limits.round_trip_p95_s": "E2E-05 LOAD-05",
}

#: What is no expectation.
NOT_HELD_AGAINST = {
    "version": "of the profile's own form",
    "name": "how reports call the profile",
    "nats.subjects": "what remedies make the stream with; the two subjects of answers are held against it",
    "nats.results_bucket": "where the report looks for what a run leaves",
    "ray.client_url": "what reports and remedies show of Ray Client, which no check asks from here",
    "contract.messages.outcome": "for deliberations that an event begins, which no check does yet",
    "timeouts": "how long the suite waits",
    "levels": "any SHOULD that it names",
}

GROUPS = {"name": "group.name", "image": "image_of", "workers": "ray.wanted"}
GROUPS["runs_agents"] = "runs_agents"
#: How the code spells a key where it is not as `section.key`.
SPELT = {
    "kubernetes.namespace": "kubernetes.namespace",
    "kubernetes.cluster_domain": "kubernetes.cluster_domain",
    **{f"{part}.{key}": f"named.{key}" for part in ("vllm", "orchestrator") for key in ("namespace", "pods")},
    "nats.namespace": "named.namespace",
    "ray.gcs_port": "named.gcs_port",
    **{f"ray.groups.{key}": spelt for key, spelt in GROUPS.items()},
    "orchestrator.variables": "variables.addresses",
    "agent.tools.import": "tools.imports",
    **{f"features.{name}": f'"{name}"' for name in Features.model_fields},
    "vllm.metrics": "has_metrics",
    **dict.fromkeys(("nats.domain", "nats.js_prefix"), "nats.api"),
    "limits.deliberate_s": "TIMEOUTS.deliberate",  # Profile.waits
    "agent.class": "agent_code",
    "contract.agent.factory": "agent_code",
    **{f"contract.agent.{key}": f"contract.{key}" for key in ("num_cpus", "keywords", "call")},
    "contract.agent.async": "contract.is_async",
    "contract.messages.completed": "MessageContract",
    "contract.messages.failed": "MessageContract",
    **{f"contract.grpc.{key}": "GrpcContract" for key in ("service", "descriptor")},
    **{f"contract.grpc.{key}": f"section.{key}" for key in ("start", "status", "councils")},
    "contract.grpc.create_council": "create_council",
    "contract.grpc.refusals": "contract.refusals",
}

#: They make fleets, or show the profile; neither holds a fleet against it.
NO_READERS = (
    *("fixtures/clusters/embedded/", "fixtures/clusters/kind/", "fixtures/report/", "fixtures/profile/contract"),
    *(f"fixtures/profile/{name}.py" for name in ("model", "sections", "remedy_values")),
)


@cache
def code() -> str:
    """The source of everything that checks consist of."""
    files = [*(ROOT / "fixtures").rglob("*.py"), *(ROOT / "tests" / "e2e").glob("*.py")]
    kept = [file for file in sorted(files) if not str(file.relative_to(ROOT)).startswith(NO_READERS)]
    return "\n".join(file.read_text(encoding="utf-8") for file in kept)


def is_part(key: str, of: str) -> bool:
    return key == of or key.startswith(f"{of}.")


def test_every_key_of_the_profile_has_a_check_that_reads_it() -> None:
    declared = {**READERS, **NOT_HELD_AGAINST}
    known = list(keys(Profile))
    leaves = [key for key in known if not any(other.startswith(f"{key}.") for other in known)]
    without = [key for key in leaves if not any(is_part(key, of) for of in declared)]
    assert not without, f"name the checks that read them in READERS of this file: {', '.join(without)}"
    gone = [of for of in declared if of not in known]
    assert not gone, f"the profile has no such keys: {', '.join(gone)}"
    assert not READERS.keys() & NOT_HELD_AGAINST.keys()


def test_the_readers_are_checks() -> None:
    load_catalogue()
    unknown = {check for checks in READERS.values() for check in checks.split()} - CATALOGUE.keys()
    assert not unknown and all(READERS.values())


@pytest.mark.parametrize("key", READERS)
def test_the_code_of_checks_reads_it(key: str) -> None:
    """A key that only a manifest of the suite's own fleets reads holds no other fleet against it."""
    spelt = SPELT.get(key, ".".join(key.split(".")[-2:]))
    assert re.search(rf"(?<!\w){re.escape(spelt)}(?!\w)", code()), f"no check, and nothing that it asks, reads {spelt}"
