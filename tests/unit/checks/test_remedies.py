"""Every remedy of every check, as reports show it: for each shipped profile and for what operators have besides."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator

import pytest

from fixtures.checks.applicability import applicability
from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import AREAS
from fixtures.checks.remedy import Remedy, filled
from fixtures.core.paths import ROOT
from fixtures.profile import model as profiles
from fixtures.profile.fleet_services import Variables
from fixtures.profile.model import Profile
from fixtures.profile.remedy_values import KubernetesTarget, RemedyValues, remedy_values
from fixtures.profile.sections import Secret, Tls, VllmAuth
from tests.support.profiles import with_executor, with_urls

PROGRAMS = {"kubectl", "docker", "nats", "grpcurl", "ray", "curl", "python3", "./ci/e2e", "#"}
DESTRUCTIVE = re.compile(r"\b(delete|patch|restart|scale|set env (?!.*--list)|stream (rm|edit)|consumer (rm|edit))\b")
READING = re.compile(r"\b(get|describe|logs|exec|info|view|set env .*--list|rollout status)\b")
TARGET = KubernetesTarget(
    "prod-eu",
    "/home/me/kube config",
    worker_groups=("gpu-workers", "cpu-workers"),
    selectors={
        ("swe-ai-fleet", "vllm-server"): "app.kubernetes.io/name=vllm,tier=models",
        ("swe-ai-fleet", "orchestrator"): "app=orchestrator",
    },
    workloads={("swe-ai-fleet", "vllm-server"): "statefulsets"},
)
DIGEST = "fleet/ray-custom@sha256:" + "a" * 64


def with_tls() -> Profile:
    profile = profiles.load("swe-ai-fleet").with_ray_image(DIGEST).replaced("ray", tls=Tls())
    key = VllmAuth(api_key=Secret(env="VLLM_API_KEY"))
    profile = profile.replaced("vllm", tls=Tls(), auth=key).replaced("nats", tls=Tls())
    return profile.replaced("orchestrator", tls=Tls(), environment={})


def without_kubernetes() -> Profile:
    return with_urls(
        with_tls(),
        vllm="https://models.example",
        ray="http://ray.example:8265",
        nats="tls://nats.example:4222",
        orchestrator=("orchestrator.example:50055",),
    )


def known_by_labels() -> Profile:
    profile = profiles.load("swe-ai-fleet").replaced("vllm", workload="", pods="app=llm,tier=models")
    return profile.replaced("orchestrator", workload="", pods="app=api")


def by_url(profile: Profile) -> Profile:
    """vLLM, NATS and the orchestrator by their URL alone, Ray in Kubernetes."""
    profile = profile.replaced("vllm", workload="", service="", url="https://models.example/v")
    profile = profile.replaced("orchestrator", workload="", service="", url=("api.example:443",))
    return profile.replaced(
        "nats", service="", url=("tls://bus.example:4333",), url_inside=("tls://bus.internal:4444",)
    )


def everywhere(profile: Profile) -> Profile:
    """Each part in a namespace of its own."""
    for part in ("vllm", "ray", "nats", "orchestrator"):
        profile = profile.replaced(part, namespace=f"of-{part}")
    return profile


PROD = KubernetesTarget("prod-eu")
REFERENCE = profiles.load("swe-ai-fleet")
PLATFORM = profiles.load(str(ROOT / "tests" / "unit" / "profile" / "platform.toml"))
ERAS = ("a-council", "b-executor", "c-hexagonal", "d-envelope")
#: A fleet, the kind of cluster, and Kubernetes as far as the run knows it.
CASES: dict[str, tuple[Profile, str, KubernetesTarget | None]] = {
    "embedded": (profiles.load("embedded"), "embedded", None),
    "votes": (profiles.load(str(ROOT / "tests" / "second_stack" / "votes.toml")), "embedded", None),
    "kind": (profiles.load("kind"), "kind", KubernetesTarget("kind-fleet", "/cache/fleet.kubeconfig")),
    "kind-offline": (profiles.load("kind-offline"), "kind", KubernetesTarget("kind-fleet", "/k")),
    "swe-ai-fleet": (REFERENCE, "attach", KubernetesTarget()),
    **{f"era-{era}": (profiles.load(f"swe-ai-fleet-{era}"), "attach", PROD) for era in ERAS},
    "attached": (with_tls(), "attach", TARGET),
    "in-cluster": (with_tls(), "attach", KubernetesTarget(server="https://10.96.0.1:443")),
    "labels": (known_by_labels(), "attach", PROD),
    "platform": (PLATFORM, "attach", PROD),
    "everywhere": (everywhere(REFERENCE), "attach", PROD),
    "selector": (REFERENCE.replaced("ray", cluster="", selector="team=agents", head_service="h"), "attach", PROD),
    "by-url": (by_url(REFERENCE), "attach", PROD),
    "ray-by-url": (REFERENCE.replaced("ray", cluster="", url="https://ray.example"), "attach", PROD),
    "url-and-name": (without_kubernetes(), "attach", TARGET),
    "endpoints": (without_kubernetes(), "attach", None),
    "executor": (with_executor(with_tls(), variables=Variables(nats_url="BUS")), "attach", TARGET),
}
SYSTEMS: dict[str, RemedyValues] = {name: remedy_values(*case) for name, case in CASES.items()}


def remedies(system: str) -> Iterator[tuple[str, Remedy]]:
    """Of the checks that apply to its fleet."""
    absent = applicability(*CASES[system][:2])
    for check in load_catalogue().values():
        if check.id.partition("-")[0] in AREAS and not absent(check):
            yield check.id, filled(check.remedy, SYSTEMS[system])


def commands(system: str) -> Iterator[tuple[str, str]]:
    for id, remedy in remedies(system):
        yield from ((id, step.text) for step in remedy if step.is_command)


def of(system: str, id: str) -> str:
    return "\n".join(step.text for step in dict(remedies(system))[id])


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_command_is_one_that_a_shell_parses_and_begins_with_a_known_program(system: str) -> None:
    script = []
    for id, command in commands(system):
        assert shlex.split(command, comments=True) or command.startswith("#"), id
        assert command.split()[0] in PROGRAMS, f"{id}: {command}"
        script.append(command)
    checked = subprocess.run(["bash", "-n"], input="\n".join(script), text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert not re.search(r"\.\s[A-Z][a-z]+ ", re.sub(r"'[^']*'|\"[^\"]*\"", "", "\n".join(script))), (
        "prose in a command"
    )


@pytest.mark.parametrize("system", SYSTEMS)
def test_no_placeholder_is_left_and_every_check_has_something_to_say(system: str) -> None:
    for id, remedy in remedies(system):
        assert remedy, id
        for step in remedy:
            assert not re.search(r"(?<!\$)\{\w+\}", step.text), f"{id}: {step.text}"


@pytest.mark.parametrize("system", SYSTEMS)
def test_prose_that_announces_commands_is_followed_by_one_and_holds_none(system: str) -> None:
    for id, remedy in remedies(system):
        for step, after in zip(remedy, [*remedy[1:], None], strict=True):
            if step.is_command:
                continue
            assert not re.search(r"\b(kubectl|docker|curl|nats|ray) (-|get|job|list|build|stream)", step.text), (
                f"{id}: {step}"
            )
            if step.text.endswith(":"):
                assert after is not None and after.is_command, f"{id}: nothing follows {step.text!r}"


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_command_that_reads_comes_before_the_first_that_changes_something_and_in_a_block_of_its_own(
    system: str,
) -> None:
    for id, remedy in remedies(system):
        first = next((n for n, step in enumerate(remedy) if step.is_command and DESTRUCTIVE.search(step.text)), None)
        if first is not None:
            assert any(READING.search(step.text) for step in remedy[:first] if step.is_command), (
                f"{id}: {remedy[first]}"
            )
            assert not remedy[first - 1].is_command, f"{id}: one paste reads and changes"


@pytest.mark.parametrize("system", SYSTEMS)
def test_no_command_has_a_gap_where_a_name_should_be(system: str) -> None:
    """Such as `-n  get`, `service/ 4222`, `-t  images` or `http:///v1`."""
    for id, command in commands(system):
        outside_quotes = re.sub(r"'[^']*'|\"[^\"]*\"", "''", command)
        assert not re.search(r"\s\s|/ |/$|=(\s|$|,)|:// |:///| -n (-|get|exec)", outside_quotes), f"{id}: {command}"
        assert '"value": ""' not in command, f"{id}: {command}"


@pytest.mark.parametrize("system", ["embedded", "endpoints"])
def test_where_no_kubernetes_is_nothing_is_sent_to_one_by_mistake(system: str) -> None:
    """Embedded shows the roll-out of the deployment that it stands for; the shell stops where $CONTEXT is not set."""
    for id, command in commands(system):
        assert ".svc:" not in command and "cluster.local" not in command, id
        if "kubectl" in command:
            assert system == "embedded" and command.startswith('kubectl --context "${CONTEXT:?}" -n ray'), (
                f"{id}: {command}"
            )


@pytest.mark.parametrize(
    ("system", "named"),
    [
        ("kind", "kubectl --kubeconfig /cache/fleet.kubeconfig --context kind-fleet "),
        ("swe-ai-fleet", 'kubectl --context "${CONTEXT:?}" '),
        ("attached", "kubectl --kubeconfig '/home/me/kube config' --context prod-eu "),
    ],
)
def test_every_kubectl_names_the_cluster(system: str, named: str) -> None:
    seen = [command for _, command in commands(system) if "kubectl" in command]
    assert len(seen) > 60
    for command in seen:
        assert command.count("kubectl ") == command.count(named), command


def test_in_a_pod_the_first_line_names_the_api_server() -> None:
    for id, remedy in remedies("in-cluster"):
        with_kubectl = [
            step.text for step in remedy if (step.is_command and "kubectl" in step.text) or step.text[0] == "#"
        ]
        assert not with_kubectl or with_kubectl[0] == "# cluster: https://10.96.0.1:443", id


def test_the_roll_out_reaches_every_worker_group_that_was_read() -> None:
    patch = of("attached", "DEP-04")
    for group in ("headGroupSpec", "workerGroupSpecs/0", "workerGroupSpecs/1"):
        assert f"/spec/{group}/template/spec/containers/0/image" in patch
    assert '"op": "test", "path": "/spec/workerGroupSpecs/1/groupName", "value": "cpu-workers"' in patch
    assert "did not read" not in patch


def test_where_no_worker_group_was_read_the_first_is_patched_and_the_others_are_spoken_of() -> None:
    text = of("swe-ai-fleet", "DEP-04")
    assert "/spec/workerGroupSpecs/0/template" in text and "/spec/workerGroupSpecs/1/template" not in text
    assert "The run did not read the worker groups" in text


def test_a_digest_is_no_tag_to_build() -> None:
    text = of("attached", "DEP-04")
    assert "-t fleet/ray-custom:2.49.2 images && docker push fleet/ray-custom:2.49.2" in text
    assert f"The profile pins {DIGEST}" in text
    assert "pins" not in of("kind", "DEP-04")
    assert "kind load docker-image fleet/ray-custom:2.49.2 --name fleet" in of("kind", "DEP-04")


def test_selectors_and_kinds_of_workloads_are_those_that_were_read() -> None:
    assert "get pods -l app.kubernetes.io/name=vllm,tier=models -o wide" in of("attached", "INF-01")
    assert "logs statefulset/vllm-server" in of("attached", "INF-01")
    assert "logs -l app=orchestrator --prefix" in of("attached", "INF-11")
    assert "describe pods\n" in of("swe-ai-fleet", "INF-01"), "all of the namespace where no selector was read"
    assert "logs deployment/orchestrator " in of("swe-ai-fleet", "INF-11")


def test_pods_of_no_workload_are_known_by_the_profiles_labels() -> None:
    assert "get pods -l app=llm,tier=models -o wide" in of("labels", "INF-01")
    assert 'logs "${WORKLOAD:?}"' in of("labels", "INF-01"), "what keeps them is for the reader to say"
    assert "logs -l app=api --prefix" in of("labels", "INF-11")
    assert not [id for id, command in commands("labels") if re.search(r"(deployment|statefulset)/(\s|$)", command)]


def test_tls_of_the_profile_is_in_what_is_set_and_asked() -> None:
    assert "VLLM_URL=https://vllm-server-service.swe-ai-fleet.svc:8000" in of("attached", "CFG-02")
    assert "NATS_URL=tls://nats.swe-ai-fleet.svc:4222" in of("attached", "CFG-05")
    assert "grpcurl -insecure" in of("attached", "ORC-02") and "Authorization" in of("attached", "JOB-04")
    assert "curl -sS https://models.example/v1/models" in of("endpoints", "NET-03")
    assert "nats --server tls://nats.example:4222 stream info" in of("endpoints", "INF-10")


def test_a_variable_is_set_to_what_the_profile_has() -> None:
    assert "VLLM_URL=http://fault-proxy.swe-ai-fleet" in of("kind", "CFG-02")


def test_a_variable_of_openais_clients_is_set_to_the_base_of_the_api() -> None:
    profile = profiles.load("swe-ai-fleet")
    named = profile.orchestrator.variables.model_copy(update={"vllm_url": "OPENAI_BASE_URL"})
    profile = profile.replaced("orchestrator", variables=named)
    values = remedy_values(profile, "attach", TARGET)
    check = load_catalogue()["CFG-02"]
    text = "\n".join(step.text for step in filled(check.remedy, values))
    assert "OPENAI_BASE_URL=http://vllm-server-service.swe-ai-fleet.svc:8000/v1" in text


def test_a_log_is_read_before_the_pod_that_has_it_is_deleted() -> None:
    lines = of("attached", "INF-06").splitlines()
    read = next(n for n, line in enumerate(lines) if "raylet.err" in line)
    gone = next(n for n, line in enumerate(lines) if "delete pod" in line)
    assert read < gone


@pytest.mark.parametrize("id", ["IMG-01", "INF-08"])
def test_where_the_profile_is_what_is_old_it_is_corrected_and_nothing_is_replaced(id: str) -> None:
    for system in SYSTEMS:
        text = of(system, id)
        assert text.removeprefix("# cluster: https://10.96.0.1:443\n").startswith("Where all ")
        assert "correct ray.version, ray.python, ray.head_image and ray in agent.dependencies of the profile" in text


def test_what_is_wrong_with_the_replicas_of_the_orchestrator_decides_what_to_do() -> None:
    text = of("attached", "INF-11")
    for words in (
        "describe pods -l app=orchestrator",
        "--previous",
        "orchestrator.version",
        "get deployment/orchestrator -o yaml",
        f"scale deployment/orchestrator --replicas={with_tls().orchestrator.replicas}",
        "get services,endpointslices -o wide",
    ):
        assert words in text
    assert text.index("-o yaml") < text.index("scale ")


def test_a_worker_that_is_not_there_is_looked_for_before_one_is_replaced() -> None:
    text = of("attached", "INF-06")
    places = [
        text.index(words)
        for words in (
            "ray.io/node-type=worker -o wide",
            "describe pods -l ray.io/cluster=",
            "describe raycluster ",
            "get resourcequotas",
            "ray.groups of the profile",
            "it has lost its raylet",
            "delete pod",
        )
    ]
    assert places == sorted(places)
    assert "ray.groups of the profile" in of("endpoints", "INF-06")


def test_a_server_that_does_not_answer_is_not_called_one_with_a_dead_engine() -> None:
    text = of("endpoints", "INF-02")
    assert text.startswith("Where nothing answers: ")
    assert "curl -sS -i https://models.example/health" in text
    for system in ("endpoints", "attached"):
        text = of(system, "INF-02")
        assert "Where the server's certificate has expired: renew it" in text
        assert "Where it answers with another status than 200, its engine is dead." in text
    assert "Where the server's certificate has expired" in of("attached", "INF-01")


def test_what_cannot_be_edited_is_copied_before_it_is_made_again() -> None:
    text = of("attached", "INF-10")
    places = [text.index(word) for word in ("stream info", "stream add", "stream edit", "stream backup", "stream rm")]
    assert places == sorted(places)
    assert "consumer rm" in of("attached", "INF-12")


def test_a_stream_is_made_again_as_the_profile_wants_it() -> None:
    profile = without_kubernetes().replaced("nats", storage="memory", retention="workqueue", stream_replicas=3)
    text = "\n".join(
        step.text for step in filled(load_catalogue()["INF-10"].remedy, remedy_values(profile, "attach", None))
    )
    assert text.count("--storage memory --retention work --replicas 3 --defaults") == 2
    assert "--storage file --retention limits --defaults" in of("attached", "INF-10")
