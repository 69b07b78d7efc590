"""What a fleet lacks is read from its profile and its kind, each part with a reason that names the key."""

from __future__ import annotations

import pytest

from fixtures.profile.behaviour import Tools
from fixtures.profile.components import Consumers, Kubernetes
from fixtures.profile.fleet_services import Executor, Orchestrator, Variables
from fixtures.profile.model import Profile, load
from fixtures.profile.parts import ROWS, Absence, Part, absence_of_package, absences, literal_settings
from fixtures.report.texts import LANGUAGES, Texts
from tests.support.profiles import with_executor

PROFILE = with_executor(load("embedded"))
REFERENCE = load("swe-ai-fleet")


def with_contract(profile: Profile, section: str = "", **values: object) -> Profile:
    """The profile with other keys of a section of its contract, or of the contract itself."""
    contract = profile.contract
    if section:
        values = {section: getattr(contract, section).model_copy(update=values)}
    return profile.model_copy(update={"contract": contract.model_copy(update=values)})


def without_diversity(profile: Profile) -> Profile:
    completed = profile.contract.messages.completed
    fields = completed.fields.model_copy(update={"diversity": None})
    return with_contract(profile, "messages", completed=completed.model_copy(update={"fields": fields}))


def without_values(*fields: str) -> Profile:
    """Without these fields in the request of grpc.start, or in its constraints."""
    assert PROFILE.contract.grpc is not None
    start = PROFILE.contract.grpc.start
    constraints = {key: value for key, value in start.request["constraints"].items() if key not in fields}
    request = {key: value for key, value in {**start.request, "constraints": constraints}.items() if key not in fields}
    return with_contract(PROFILE, "grpc", start=start.model_copy(update={"request": request}))


def without_variable(name: str) -> Profile:
    variables = PROFILE.orchestrator.variables.model_copy(update={name: ""})
    return PROFILE.replaced("orchestrator", variables=variables)


def without_services(profile: Profile) -> Profile:
    return profile.model_copy(update={"orchestrator": Orchestrator.absent(), "executor": Executor.absent()})


#: What else such a fleet lacks.
IMPLIED: dict[Part, set[Part]] = {
    Part.CALLS: {Part.REPORTS, Part.ENDS, Part.TASKS, Part.CONSTRAINTS, Part.DEADLINES},
    Part.REPORTS: {Part.ENDS},
    Part.ENDS: {Part.REPORTS},
    Part.REFUSALS: {Part.PLANS},
    Part.IMAGE: {Part.HEAD_IMAGE},
    Part.ORCHESTRATOR: {Part.EXECUTOR},
    Part.COMPARABLE_REPLICAS: {Part.SEVERAL_REPLICAS},
}
#: Each part: a profile and a kind that lack it alone, and a word of the reason.
WITHOUT: dict[Part, tuple[Profile, str, str]] = {
    Part.KUBERNETES: (PROFILE, "embedded", "no cluster DNS"),
    Part.EXECUTOR: (load("embedded"), "kind", "[executor]"),
    Part.ORCHESTRATOR: (without_services(PROFILE), "kind", "[orchestrator]"),
    Part.DELIBERATIONS: (PROFILE.replaced("deliberations", mode="none"), "kind", "deliberations.mode"),
    Part.SEVERAL_REPLICAS: (with_contract(PROFILE, "grpc", at="executor"), "kind", "executor.replicas"),
    Part.COMPARABLE_REPLICAS: (PROFILE.replaced("orchestrator", replicas=1), "kind", "orchestrator.replicas"),
    Part.SEVERAL_AGENTS: (PROFILE.replaced("deliberations", agents=1), "kind", "deliberations.agents"),
    Part.AGENT_TYPE: (
        PROFILE.replaced("orchestrator", environment={"MAX_TOKENS": "32"}),
        "kind",
        "orchestrator.environment",
    ),
    Part.VLLM_URL: (without_variable("vllm_url"), "kind", "orchestrator.variables.vllm_url"),
    Part.VLLM_MODEL: (without_variable("vllm_model"), "kind", "orchestrator.variables.vllm_model"),
    Part.NATS_URL: (without_variable("nats_url"), "kind", "orchestrator.variables.nats_url"),
    Part.RAY_ADDRESS: (without_variable("ray_address"), "kind", "orchestrator.variables.ray_address"),
    Part.RAY_CLIENT: (PROFILE.replaced("ray", client=False), "kind", "ray.client"),
    Part.CONTEXT: (PROFILE.replaced("vllm", max_model_len=0), "kind", "vllm.max_model_len"),
    Part.IMAGE: (PROFILE.with_ray_image(""), "kind", "ray.head_image"),
    Part.HEAD_IMAGE: (PROFILE.replaced("ray", head_image=""), "kind", "ray.head_image"),
    Part.CONSUMERS: (PROFILE.replaced("nats", consumers=Consumers()), "kind", "nats.consumers"),
    Part.TASKS: (without_values("task_description"), "kind", "grpc.start.request"),
    Part.CONSTRAINTS: (without_values("rubric", "requirements", "metadata"), "kind", "grpc.start.request"),
    Part.RESULTS_SHARED: (PROFILE.replaced("features", results_shared=False), "kind", "features.results_shared"),
    Part.AGENT_FAILURES: (PROFILE.replaced("features", agent_failures=False), "kind", "features.agent_failures"),
    Part.DEADLINES: (without_values("timeout_seconds"), "kind", "grpc.start.request"),
    Part.SETTINGS: (
        PROFILE.replaced("orchestrator", environment={"AGENT_TYPE": "vllm"}),
        "kind",
        "orchestrator.environment",
    ),
    Part.TOOLS: (PROFILE.replaced("agent", tools=Tools()), "kind", "agent.tools"),
    Part.GRPC: (with_contract(PROFILE, grpc=None), "kind", "[grpc]"),
    Part.CALLS: (PROFILE.replaced("deliberations", mode="event"), "kind", "deliberations.mode"),
    Part.REFUSALS: (with_contract(without_values("role"), "grpc", result=None), "kind", "grpc.start.request"),
    Part.BACKGROUND: (PROFILE.replaced("deliberations", mode="rpc-sync"), "kind", "deliberations.mode"),
    Part.REPORTS: (PROFILE.replaced("deliberations", results="nats"), "kind", "deliberations.results"),
    Part.ENDS: (PROFILE.replaced("deliberations", results="nats"), "kind", "messages.outcome"),
    Part.STATUS: (with_contract(PROFILE, "grpc", status=None), "kind", "grpc.status"),
    Part.COUNCILS: (with_contract(PROFILE, "grpc", councils=None), "kind", "grpc.councils"),
    Part.PLANS: (with_contract(PROFILE, "messages", plan=None), "kind", "messages.plan"),
    Part.DIVERSITY: (without_diversity(PROFILE), "kind", "messages.completed.fields"),
    Part.RETURNED_MESSAGE: (with_contract(PROFILE, "agent", returns="other"), "kind", "agent.returns"),
    Part.AGENT_CLASS: (with_contract(PROFILE, "agent", factory="a:make"), "kind", "agent.factory"),
    Part.DECLARED_ABSENT: (PROFILE, "kind", "declares nothing absent"),
}


def lacking(profile: Profile, kind: str) -> dict[Part, Absence]:
    """What such a fleet lacks; that it says so, or lacks nothing, is no part of it."""
    return {part: absence for part, absence in absences(profile, kind).items() if part is not Part.DECLARED_ABSENT}


def test_every_part_has_a_row_and_a_case() -> None:
    assert list(ROWS) == list(Part), "a row for each part, in their order"
    assert set(WITHOUT) == set(Part), "a fleet without it, in WITHOUT of this file"


@pytest.mark.parametrize("part", Part)
def test_a_fleet_lacks_a_part_with_its_reason(part: Part) -> None:
    profile, kind, word = WITHOUT[part]
    assert lacking(profile, kind).keys() - {part} == IMPLIED.get(part, set())
    absence = absences(profile, kind)[part]
    assert absence.part == part.value and word in absence.because and "\n" not in absence.because


@pytest.mark.parametrize(
    ("feature", "part"),
    [
        ("councils", Part.COUNCILS),
        ("plan_events", Part.PLANS),
        ("diversity", Part.DIVERSITY),
        ("tools", Part.TOOLS),
        ("constraints", Part.CONSTRAINTS),
        ("deadlines", Part.DEADLINES),
    ],
)
def test_what_is_declared_absent_is(feature: str, part: Part) -> None:
    absence = lacking(PROFILE.replaced("features", **{feature: False}), "kind")
    assert absence == {part: Absence(part.value, f"the profile declares it absent (features.{feature})")}


def test_what_an_event_has_no_place_for_is_named_by_its_key() -> None:
    absence = absences(PROFILE.replaced("deliberations", mode="event"), "kind")
    because = "what starts a deliberation has no place for a deadline (messages.plan.body)"
    assert absence[Part.DEADLINES] == Absence("deadlines", because)


@pytest.mark.parametrize("fields", [("rubric",), ("requirements", "metadata")])
def test_some_of_the_constraints_are_constraints(fields: tuple[str, ...]) -> None:
    assert not lacking(without_values(*fields), "kind")


def test_plans_whose_deliberations_nobody_can_ask_for_are_none() -> None:
    absence = lacking(with_contract(PROFILE, "grpc", result=None), "kind")
    because = "no method reports how the deliberation of a plan ends (grpc.result)"
    assert absence == {Part.PLANS: Absence("plans", because)}


def test_a_fleet_outside_kubernetes_has_none() -> None:
    outside = PROFILE.model_copy(update={"kubernetes": Kubernetes.absent()})
    assert set(lacking(outside, "attach")) == {Part.KUBERNETES}


@pytest.mark.parametrize("kind", ["kind", "attach"])
def test_the_reference_lacks_nothing_but_an_executor(kind: str) -> None:
    assert not lacking(PROFILE, kind)
    assert set(lacking(load("embedded"), kind)) == {Part.EXECUTOR}
    assert Part.KUBERNETES not in absences(REFERENCE, kind)


def test_an_executor_to_which_nothing_leads_is_none_between() -> None:
    variables = PROFILE.orchestrator.variables.model_copy(update={"executor": ""})
    absence = lacking(PROFILE.replaced("orchestrator", variables=variables), "kind")
    because = "no variable of the orchestrator leads to the executor (orchestrator.variables.executor)"
    assert absence == {Part.EXECUTOR: Absence("executor", because)}


def test_a_variable_of_either_service_is_one() -> None:
    moved = without_variable("ray_address")
    assert absences(moved, "kind")[Part.RAY_ADDRESS].because == (
        "no variable of the orchestrator or executor leads to Ray (orchestrator.variables.ray_address)"
    )
    executor = moved.executor.model_copy(update={"variables": Variables(ray_address="RAY")})
    assert not lacking(moved.model_copy(update={"executor": executor}), "kind")


def test_an_executor_alone_is_asked_as_an_orchestrator_and_named_by_its_own_section() -> None:
    alone = PROFILE.model_copy(update={"orchestrator": Orchestrator.absent()})
    absence = absences(alone, "kind")
    assert absence[Part.EXECUTOR].because == (
        "no executor sits between an orchestrator and Ray ([orchestrator], [executor])"
    )
    assert Part.ORCHESTRATOR not in absence
    assert absence[Part.SEVERAL_REPLICAS].because == "the executor has one replica (executor.replicas)"
    assert absence[Part.NATS_URL].because == "no variable of the executor leads to NATS (executor.variables.nats_url)"


def test_a_package_that_the_profile_does_not_name() -> None:
    without = PROFILE.replaced("agent", dependencies=PROFILE.agent.dependencies[:1])
    module = PROFILE.agent.dependencies[-1].module
    assert absence_of_package(PROFILE, module) is None
    because = f"the profile names no {module} (agent.dependencies)"
    assert absence_of_package(without, module) == Absence(module, because)


def test_settings_are_what_is_compared_literally() -> None:
    environment = {"AGENT_TYPE": "vllm", "MAX_TOKENS": "32", "EMPTY": ""}
    assert literal_settings(PROFILE.orchestrator.model_copy(update={"environment": environment})) == {
        "MAX_TOKENS": "32",
        "EMPTY": "",
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_part_has_its_name_in_the_reports(language: str) -> None:
    assert not [part.value for part in Part if not Texts(language).first("part", part.value)]
