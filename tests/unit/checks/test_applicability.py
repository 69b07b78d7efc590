"""Which checks of the catalogue apply to a fleet: what they need, held against profile and kind."""

from __future__ import annotations

import pytest

from fixtures.checks.applicability import applicability
from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import AREAS, CATALOGUE, MUST, Check, Need
from fixtures.clusters.base import Feature
from fixtures.profile.behaviour import Tools
from fixtures.profile.components import Consumers
from fixtures.profile.declared_absent import declared_absent
from fixtures.profile.model import Profile, load
from fixtures.profile.parts import Absence, Part
from tests.support.profiles import with_executor
from tests.unit.profile.contracts import second
from tests.unit.profile.test_parts import with_contract, without_services, without_values, without_variable

PROFILE = with_executor(load("embedded"))


#: Of a fleet without deliberations, and what is asked of an orchestrator all the same.
DELIBERATED = {*(f"ORC-{number:02}" for number in (*range(3, 9), *range(10, 20)))}
DELIBERATED |= {f"E2E-{number:02}" for number in range(1, 6)}
ORCHESTRATED = {"INF-11", "NET-01", "NET-02", "NET-05", "NET-06", "NET-08", "ORC-01", "ORC-02", "ORC-09"}
ORCHESTRATED |= {f"CFG-{number:02}" for number in range(1, 9)}


def without_orchestrator() -> Profile:
    return without_services(PROFILE).replaced("deliberations", mode="none")


@pytest.fixture(scope="module")
def catalogue() -> list[Check]:
    load_catalogue()
    return [check for check in CATALOGUE.values() if check.id.partition("-")[0] in AREAS]


def absent_from(profile: Profile, kind: str, catalogue: list[Check]) -> set[str]:
    why_not = applicability(profile, kind)
    return {check.id for check in catalogue if why_not(check)}


@pytest.mark.parametrize(
    ("profile", "kind", "expected"),
    [
        (PROFILE, "kind", set()),
        (PROFILE, "embedded", {"NET-07"}),
        (load("embedded"), "kind", {"NET-08"}),
        (PROFILE.replaced("orchestrator", replicas=1), "kind", {"CFG-07", "ORC-06", "ORC-15"}),
        (without_orchestrator(), "kind", ORCHESTRATED | DELIBERATED),
        (PROFILE.replaced("deliberations", mode="none"), "kind", DELIBERATED),
        (PROFILE.replaced("ray", client=False), "kind", {"CFG-04", "CFG-06", "NET-06"}),
        (without_variable("vllm_url"), "kind", {"CFG-02", "NET-01", "NET-02"}),
        (PROFILE.with_ray_image(""), "kind", {"IMG-01", "IMG-06", "IMG-07"}),
        (PROFILE.replaced("ray", head_image=""), "kind", {"IMG-06", "IMG-07"}),
        (without_variable("vllm_model"), "kind", {"CFG-03"}),
        (without_variable("ray_address"), "kind", {"CFG-04", "CFG-06", "NET-06"}),
        (without_variable("nats_url"), "kind", {"CFG-05", "NET-05"}),
        (PROFILE.replaced("orchestrator", environment={"MAX_TOKENS": "32"}), "kind", {"CFG-01"}),
        (PROFILE.replaced("vllm", max_model_len=0), "kind", {"INF-04", "ORC-08"}),
        (
            PROFILE.replaced("nats", consumers=Consumers()),
            "kind",
            {"INF-12", "INF-15", "ORC-10", "ORC-11", "ORC-13", "LOAD-03"},
        ),
        (
            PROFILE.replaced("features", results_shared=False, deadlines=False, constraints=False),
            "kind",
            {"ORC-06", "ORC-15", "ORC-16", "E2E-04"},
        ),
        (without_values("rubric", "requirements", "metadata", "timeout_seconds"), "kind", {"E2E-04", "ORC-16"}),
        (without_values("task_description"), "kind", {"E2E-04", "ORC-08"}),
        (without_values("role"), "kind", set()),
        (with_contract(without_values("role"), "grpc", result=None), "kind", {"ORC-09", "ORC-14"}),
        (PROFILE.replaced("features", agent_failures=False), "kind", {"ORC-07"}),
        (PROFILE.replaced("deliberations", agents=1), "kind", {"ORC-07", "ORC-12"}),
        (PROFILE.replaced("orchestrator", environment={"AGENT_TYPE": "vllm"}), "kind", {"CFG-08"}),
        (PROFILE.replaced("agent", tools=Tools()), "kind", {"DEP-08"}),
        (with_contract(PROFILE, "grpc", status=None, councils=None), "kind", {"ORC-01", "ORC-02"}),
        (with_contract(PROFILE, "messages", plan=None), "kind", {"ORC-14"}),
        (with_contract(PROFILE, "agent", returns="other", factory="a:make"), "kind", {"JOB-07", "JOB-12"}),
        (
            # and no message of an end, and no constraints in a plan
            with_contract(PROFILE, grpc=None).replaced("deliberations", mode="event"),
            "kind",
            {"E2E-04", *(f"ORC-{number:02}" for number in (1, 2, 3, 5, 6, 7, 8, 9, 12, 14, 16))},
        ),
        (
            with_contract(PROFILE, grpc=None, messages=second().messages).replaced("deliberations", mode="event"),
            "kind",
            {"E2E-03", "E2E-04", *(f"ORC-{number:02}" for number in (1, 2, 3, 5, 6, 9, 14))},
        ),
        (PROFILE.replaced("deliberations", mode="rpc-sync"), "kind", {"ORC-03", "ORC-06", "ORC-11", "ORC-15"}),
        (
            PROFILE.replaced("deliberations", results="nats"),
            "kind",
            {f"ORC-{number:02}" for number in (5, 6, 7, 8, 12, 16)},
        ),
        (
            with_contract(PROFILE, grpc=None).replaced("deliberations", mode="none"),
            "kind",
            {*(f"ORC-{number:02}" for number in range(1, 20)), *(f"E2E-{number:02}" for number in range(1, 6))},
        ),
        (
            PROFILE.replaced(
                "agent", dependencies=tuple(row for row in PROFILE.agent.dependencies if row.module != "nats")
            ),
            "attach",
            {"DEP-04", "DEP-05", "JOB-01", "JOB-13", "IMG-06", "IMG-07"},
        ),
    ],
)
def test_what_does_not_apply_to_a_fleet(
    profile: Profile, kind: str, expected: set[str], catalogue: list[Check]
) -> None:
    looks_for_nothing = set() if declared_absent(profile) else {"INF-16"}
    assert absent_from(profile, kind, catalogue) == expected | looks_for_nothing


def test_every_part_is_needed_by_a_check(catalogue: list[Check]) -> None:
    assert {part for check in catalogue for part in check.parts} == set(Part)


def test_the_first_part_that_is_missing_is_the_reason_and_features_are_none() -> None:
    needs: frozenset[Need] = frozenset({Part.TOOLS, Part.SEVERAL_AGENTS, Feature.REPLICAS})
    check = Check("INF-01", MUST, "title", (), needs=needs, package="absent")
    profile = PROFILE.replaced("agent", tools=Tools())
    assert applicability(profile, "kind")(check) == Absence("tools", "agents run without tools (agent.tools)")
    assert applicability(PROFILE, "kind")(check) == Absence(
        "absent", "the profile names no absent (agent.dependencies)"
    )
    assert check.features == [Feature.REPLICAS] and check.parts == [Part.SEVERAL_AGENTS, Part.TOOLS]


def test_a_part_is_not_taken_for_a_feature_of_the_same_name() -> None:
    needs: frozenset[Need] = frozenset({Feature.KUBERNETES})
    assert Part.KUBERNETES not in needs
