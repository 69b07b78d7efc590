"""What a fleet lacks is read from its profile and its kind, each part with a reason that names the key."""

from __future__ import annotations

import pytest

from fixtures.profile.model import Profile, Tools, load
from fixtures.profile.parts import ROWS, Absence, Part, absence_of_package, absences, literal_settings
from fixtures.report.texts import LANGUAGES, Texts

PROFILE = load("embedded")
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


#: Each part: a profile and a kind that lack it alone, and a word of the reason.
WITHOUT: dict[Part, tuple[Profile, str, str]] = {
    Part.KUBERNETES: (PROFILE, "embedded", "no cluster DNS"),
    Part.SEVERAL_REPLICAS: (PROFILE.replaced("orchestrator", replicas=1), "kind", "orchestrator.replicas"),
    Part.SEVERAL_AGENTS: (PROFILE.replaced("deliberations", agents=1), "kind", "deliberations.agents"),
    Part.SETTINGS: (
        PROFILE.replaced("orchestrator", environment={"AGENT_TYPE": "vllm"}),
        "kind",
        "orchestrator.environment",
    ),
    Part.TOOLS: (PROFILE.replaced("agent", tools=Tools()), "kind", "agent.tools"),
    Part.GRPC: (with_contract(PROFILE, grpc=None), "kind", "[grpc]"),
    Part.STATUS: (with_contract(PROFILE, "grpc", status=None), "kind", "grpc.status"),
    Part.COUNCILS: (with_contract(PROFILE, "grpc", councils=None), "kind", "grpc.councils"),
    Part.PLANS: (with_contract(PROFILE, "messages", plan=None), "kind", "messages.plan"),
    Part.DIVERSITY: (without_diversity(PROFILE), "kind", "messages.completed.fields"),
    Part.RETURNED_MESSAGE: (with_contract(PROFILE, "agent", returns="other"), "kind", "agent.returns"),
    Part.AGENT_CLASS: (with_contract(PROFILE, "agent", factory="a:make"), "kind", "agent.factory"),
}


def test_every_part_has_a_row_and_a_case() -> None:
    assert list(ROWS) == list(Part), "a row for each part, in their order"
    assert set(WITHOUT) == set(Part), "a fleet without it, in WITHOUT of this file"


@pytest.mark.parametrize("part", Part)
def test_a_fleet_lacks_a_part_with_its_reason(part: Part) -> None:
    profile, kind, word = WITHOUT[part]
    assert set(absences(profile, kind)) == {part}
    absence = absences(profile, kind)[part]
    assert absence.part == part.value and word in absence.because and "\n" not in absence.because


@pytest.mark.parametrize("kind", ["kind", "attach"])
def test_the_reference_lacks_nothing(kind: str) -> None:
    assert not absences(PROFILE, kind)
    assert Part.KUBERNETES not in absences(REFERENCE, kind)


def test_a_package_that_the_profile_does_not_name() -> None:
    without = PROFILE.replaced("agent", dependencies=PROFILE.agent.dependencies[:1])
    module = PROFILE.agent.dependencies[-1].module
    assert absence_of_package(PROFILE, module) is None
    because = f"the profile names no {module} (agent.dependencies)"
    assert absence_of_package(without, module) == Absence(module, because)


def test_settings_are_what_is_compared_literally() -> None:
    environment = {"AGENT_TYPE": "vllm", "MAX_TOKENS": "32", "EMPTY": ""}
    assert literal_settings(PROFILE.replaced("orchestrator", environment=environment)) == {
        "MAX_TOKENS": "32",
        "EMPTY": "",
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_part_has_its_name_in_the_reports(language: str) -> None:
    assert not [part.value for part in Part if not Texts(language).first("part", part.value)]
