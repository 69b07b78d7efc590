"""`--list-checks` and `--explain` say what the code declares."""

import pytest

from fixtures.checks.applicability import everything_applies
from fixtures.checks.catalogue import explain, find, list_checks
from fixtures.checks.declaration import MUST, SHOULD, Check, Disruption, Need
from fixtures.checks.remedy import shell, steps
from fixtures.clusters.base import Feature
from fixtures.core.errors import UsageError
from fixtures.profile.parts import Absence, Part
from fixtures.profile.remedy_values import RemedyValues

BY_NAME: frozenset[Need] = frozenset({Part.KUBERNETES, Feature.KUBERNETES, Feature.REPLICAS})
CHECKS = {
    check.id: check
    for check in (
        Check(
            "DEP-04",
            MUST,
            "nats imports",
            steps("Build it:", shell("docker build -t {image} .")),
            "The agents need it.",
        ),
        Check("NET-07", MUST, "names resolve", steps("x"), needs=BY_NAME),
        Check("JOB-12", SHOULD, "a crash " * 12, steps("x"), disrupts=Disruption.REPLICA, follows=("DEP-04",)),
    )
}


def test_the_list_is_grouped_marked_and_narrow() -> None:
    text = list_checks(CHECKS, everything_applies, "votes")
    assert text.index("Connectivity") < text.index("Dependencies of the workers") < text.index("Agent job")
    assert "  NET-07  MUST    -K  names resolve" in text
    assert "  JOB-12  SHOULD  D-  a crash" in text
    assert "3 checks, 2 of them MUST" in text
    assert "3 of 3 checks apply to votes." in text
    assert max(map(len, text.splitlines())) <= 80
    assert "apply to" not in list_checks(CHECKS, everything_applies, ""), "no profile was asked for"


def test_the_list_says_what_does_not_apply_and_why() -> None:
    def why_not(check: Check) -> Absence | None:
        return Absence("kubernetes", "it runs processes, " * 6) if check.id == "NET-07" else None

    text = list_checks(CHECKS, why_not, "votes")
    assert "  NET-07  MUST    -n  names resolve\n                      does not apply: it runs processes," in text
    assert text.count("does not apply:") == 1
    assert "2 of 3 checks apply to votes.  n: does not apply" in text
    assert max(map(len, text.splitlines())) <= 80


def test_explain_says_meaning_needs_origin_and_remedy() -> None:
    text = explain(find("job-12", CHECKS, "list"), CHECKS, RemedyValues())
    assert text.startswith("JOB-12 (SHOULD)")
    assert "Follows:    DEP-04 nats imports" in text
    assert "restarts, replaces or adds single replicas" in text
    assert "Needs:      kubernetes, replicas" in explain(CHECKS["NET-07"], CHECKS, RemedyValues())
    text = explain(CHECKS["DEP-04"], CHECKS, RemedyValues(names={"image": "custom"}))
    assert text.endswith("When it fails:\n  Build it:\n    docker build -t custom ."), "a command is apart from prose"


@pytest.mark.parametrize(("wanted", "hint"), [("DEP-44", "DEP-04"), ("NET-99", "NET-07"), ("zzz", "--list-checks")])
def test_an_unknown_id_is_answered_with_near_ones(wanted: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        find(wanted, CHECKS, "--list-checks")
