"""Remedies as data: what is filled, what is left out, and what is done first."""

from __future__ import annotations

from fixtures.checks.remedy import (
    EMBEDDED,
    ENDPOINTS,
    Remedy,
    Step,
    as_text,
    blocks,
    do,
    filled,
    kubectl,
    opening,
    shell,
    steps,
)
from fixtures.profile.remedy_values import KubernetesTarget, RemedyValues, System

MIXED = steps(
    "Look first:",
    kubectl("-n {namespace} get pods -o jsonpath='{.items[0]}'"),
    do("{note}"),
    do("Start it again.", ENDPOINTS),
    shell("./ci/e2e", EMBEDDED),
)


def texts(remedy: Remedy) -> list[str]:
    return [step.text for step in remedy]


def test_names_are_filled_and_other_braces_stay() -> None:
    values = RemedyValues(names={"kubectl": "kubectl --context prod", "namespace": "fleet", "note": ""})
    assert texts(filled(MIXED, values)) == [
        "Look first:",
        "kubectl --context prod -n fleet get pods -o jsonpath='{.items[0]}'",
    ]


def test_steps_of_other_systems_are_left_out() -> None:
    assert texts(filled(MIXED[3:], RemedyValues(System.ENDPOINTS))) == ["Start it again."]
    assert texts(filled(MIXED[3:], RemedyValues(System.EMBEDDED))) == ["./ci/e2e"]


def test_without_a_context_a_comment_before_the_first_kubectl_names_the_cluster() -> None:
    remedy = filled(
        steps("a", kubectl("get pods"), "b", kubectl("get nodes")), RemedyValues(server="https://10.0.0.1:443")
    )
    assert texts(remedy) == ["a", "# cluster: https://10.0.0.1:443", "{kubectl} get pods", "b", "{kubectl} get nodes"]
    assert texts(filled(steps("a"), RemedyValues(server="https://10.0.0.1:443"))) == ["a"]


def test_text_is_prose_and_nested_remedies_are_flat() -> None:
    assert steps("a", steps("b", shell("c"))) == (Step("a"), Step("b"), Step("c", is_command=True))
    assert as_text(steps("a", shell("b"))) == "a\nb"
    assert [step.kind for step in steps("a", shell("b"))] == ["prose", "command"]


def test_neighbours_of_one_kind_are_one_block() -> None:
    remedy = steps("a", shell("b"), shell("c"), "d")
    assert blocks(remedy) == [(False, ["a"]), (True, ["b", "c"]), (False, ["d"])]


def test_the_opening_goes_to_the_first_command_where_it_comes_soon() -> None:
    assert texts(opening(steps("Do it:", shell("a"), shell("b")))) == ["Do it:", "a"]
    assert texts(opening(steps("It is so.", "Do it:", shell("a")))) == ["It is so.", "Do it:", "a"]
    assert texts(opening(steps("Do it.", "b", "c", "d", shell("a")))) == ["Do it."]
    assert texts(opening(steps("Do it.", "b"))) == ["Do it."]
    assert texts(opening(steps(shell("# cluster: x"), shell("a")))) == ["# cluster: x", "a"]
    assert opening(()) == ()


def test_kubectl_names_the_cluster_of_the_run() -> None:
    assert KubernetesTarget("prod").kubectl == "kubectl --context prod"
    assert KubernetesTarget("a b", "/k/my config").kubectl == "kubectl --kubeconfig '/k/my config' --context 'a b'"
    assert KubernetesTarget(server="https://10.0.0.1").kubectl == "kubectl"
    assert KubernetesTarget().kubectl == 'kubectl --context "${CONTEXT:?}"', "an unset $CONTEXT must stop the shell"


def test_what_is_about_nothing_is_left_out() -> None:
    remedy = steps(do("Then make it:", about="method"), shell("call {method}", about="method"), "Look again.")
    assert texts(filled(remedy, RemedyValues(names={"method": "Make"}))) == [
        "Then make it:",
        "call Make",
        "Look again.",
    ]
    assert texts(filled(remedy, RemedyValues(names={"method": ""}))) == ["Look again."]
