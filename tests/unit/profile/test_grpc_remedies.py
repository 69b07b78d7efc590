"""How remedies have grpcurl know the messages of the contract, and which methods they call."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.remedy import filled
from fixtures.core.paths import ROOT
from fixtures.profile.model import Profile, load
from fixtures.profile.remedy_values import KubernetesTarget, RemedyValues, remedy_values
from tests.unit.profile.contracts import second
from tests.unit.profile.test_parts import with_contract

PROFILE = load("swe-ai-fleet")


def values(profile: Profile) -> dict[str, str]:
    return dict(remedy_values(profile, "attach", KubernetesTarget(context="prod")).names)


def test_the_references_commands_name_its_proto_and_its_methods() -> None:
    names = values(PROFILE)
    words = names["grpc_schema"].split()
    assert words[0::2] == ["-import-path", "-proto"]
    assert (ROOT / words[1] / words[3]).is_file()
    assert names["list_councils"] == "orchestrator.v1.OrchestratorService/ListCouncils"
    assert names["create_council"] == "orchestrator.v1.OrchestratorService/CreateCouncil"
    assert names["council_of_role"] == """'{"role": "'"${ROLE:?}"'", "num_agents": 3}'"""


@pytest.mark.parametrize(
    ("descriptor", "words"),
    [
        ("/fleet/ballots.binpb", "-protoset /fleet/ballots.binpb"),
        ("/my fleet/ballots.proto", "-import-path '/my fleet' -proto ballots.proto"),
        ("/fleet/ballots.json", '-proto "${PROTO:?the .proto of the contract}"'),
    ],
)
def test_grpcurl_gets_what_it_reads(descriptor: str, words: str) -> None:
    profile = with_contract(PROFILE, "grpc", descriptor=str(Path(descriptor)))
    assert values(profile)["grpc_schema"] == words


def test_without_grpc_there_is_nothing_to_call() -> None:
    names = values(PROFILE.model_copy(update={"contract": second()}))
    assert (names["grpc_schema"], names["list_councils"], names["council_of_role"]) == ("", "", "")


def test_a_council_that_no_call_makes_is_only_looked_for() -> None:
    without = values(with_contract(PROFILE, "grpc", create_council=None))
    lines = {bool(names["create_council"]): _remedy_of_councils(names) for names in (values(PROFILE), without)}
    assert lines[True][:-2] == lines[False] and "ListCouncils" in lines[False][-1]
    assert lines[True][-2] == "Then create the one of ROLE:" and lines[True][-1].endswith("/CreateCouncil")


def _remedy_of_councils(names: dict[str, str]) -> list[str]:
    return [step.text for step in filled(load_catalogue()["ORC-02"].remedy, RemedyValues(names=names))]
