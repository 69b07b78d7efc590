"""What a run would be refused, asked of a stand-in for an API server that has roles; kind has the real one."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.clusters.kubernetes import access_review
from fixtures.clusters.kubernetes.rights import rights, role_files
from fixtures.command import service_answers
from fixtures.command.main import main
from fixtures.core.errors import UsageError
from fixtures.core.paths import ROOT
from fixtures.profile.model import load
from tests.support import published
from tests.support.kubernetes_stand_in import StandIn, status, write_kubeconfig
from tests.support.profiles import profile_text
from tests.unit.command.role_server import RoleServer, granted, serving

PROFILE = load("swe-ai-fleet")
READ_ONLY = ("role.yaml", "role-forward.yaml", "role-exec.yaml")
FLEET, RAY = "swe-ai-fleet", "ray"
OBJECTS = {
    (FLEET, "deployments"): ("vllm-server", "orchestrator"),
    (FLEET, "services"): ("vllm-server-service", "nats", "orchestrator"),
    (RAY, "rayclusters"): ("ray-gpu",),
    (RAY, "services"): ("ray-gpu-head-svc",),
}
SILENT_S = 30.0  # that a server says nothing


@pytest.fixture
def server() -> RoleServer:
    """One with everything that a read-only run needs."""
    return RoleServer(granted(PROFILE, *READ_ONLY), dict(OBJECTS))


@pytest.fixture(autouse=True)
def services(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What does not answer: the services themselves are asked on real fleets alone."""
    silent: list[str] = []

    async def answers(*_: object) -> tuple[list[str], list[str]]:
        return ["vLLM 0.32.0", "Ray 2.49.2", "NATS 2.15.1", "orchestrator 2 of 2 replicas"][len(silent) :], silent

    monkeypatch.setattr(service_answers, "ask", answers)
    return silent


@pytest.fixture
def ask(server: RoleServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """Runs preflight against it, however busy this machine is; returns (exit status, what it prints)."""
    profile = tmp_path / "patient.toml"
    profile.write_text(profile_text("swe-ai-fleet", timeouts={"preflight": SILENT_S}))
    with serving(server, tmp_path) as kubeconfig:

        def run(*options: str) -> tuple[int, str]:
            status = main(["preflight", "--profile", str(profile), "--kubeconfig", kubeconfig, *options])
            return status, capsys.readouterr().out

        yield run


def crosses(text: str) -> list[str]:
    return re.findall(r"^  ✗ (.+)$", text, re.MULTILINE)


def test_with_all_rights_nothing_is_missing(ask: Any) -> None:
    status, text = ask()
    assert status == 0 and not crosses(text), text
    assert "as system:serviceaccount:swe-ai-fleet:fleet-conformance" in text
    assert re.search(r"^rights +(\d+) of \1$", text, re.MULTILINE) and re.search(r"^names +7 of 7$", text, re.MULTILINE)
    assert "preflight: nothing is missing (" in text and "kind: Role" not in text
    assert "answers   4 of 4  vLLM 0.32.0, Ray 2.49.2, NATS 2.15.1, orchestrator 2 of 2 replicas\n" in text


def test_a_service_that_does_not_answer_is_one_line(ask: Any, services: list[str]) -> None:
    services.append("vLLM at http://127.0.0.1:1 does not answer /v1/models: ConnectError")
    status, text = ask()
    assert status == 1 and crosses(text) == services
    assert re.search(r"^answers +3 of 4  Ray", text, re.MULTILINE)


def test_services_are_asked_where_nothing_else_is_missing(server: RoleServer, ask: Any, services: list[str]) -> None:
    services.append("vLLM is not asked")
    server.objects = {}
    status, text = ask()
    assert status == 1 and services[0] not in text
    assert "answers   0 of 0  not asked: first what is missing above" in text


def test_plain_endpoints_have_credentials_and_answers_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = tmp_path / "plain.toml"
    urls = {"vllm": {"url": "http://a"}, "ray": {"url": "http://b"}, "nats": {"url": "nats://c"}}
    profile.write_text(profile_text("embedded", orchestrator={"url": ["d:1"]}, **urls))
    assert main(["preflight", "--profile", str(profile)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("plain endpoints\nsecrets ") and "answers   4 of 4" in told and "rights" not in told


EVERY_RULE = [
    (file.name, number)
    for file in role_files()
    if file.name in READ_ONLY
    for number in range(len(rights(PROFILE, file)))
]


@pytest.mark.parametrize(("file", "number"), EVERY_RULE)
def test_each_rule_that_is_missing_is_a_line_and_can_be_applied(
    server: RoleServer, ask: Any, file: str, number: int
) -> None:
    """Applied as it is printed, it is no longer missing."""
    (roles,) = [one for one in role_files() if one.name == file]
    right = rights(PROFILE, roles)[number]
    for role in server.roles:
        role["rules"] = [rule for rule in role["rules"] if not _is(rule, role, right)]
    status, text = ask()
    (line,) = [line for line in crosses(text) if not line.startswith("names")]
    assert status == 1
    assert f"({file})" in line or f"namespace {right.namespace}: none of" in line
    documents = list(yaml.safe_load_all(text[text.index("# what is missing") :].rpartition("preflight:")[0]))
    added = [document for document in documents if document["kind"] == "Role"]
    bound = [document for document in documents if document["kind"] == "RoleBinding"]
    assert [role["metadata"]["name"] for role in added] == [one["roleRef"]["name"] for one in bound]
    assert all(one["subjects"][0]["name"] == "fleet-conformance" for one in bound)
    server.roles += added
    assert ask()[0] == 0


def _is(rule: dict[str, Any], role: dict[str, Any], right: Any) -> bool:
    return bool(
        role["metadata"]["namespace"] == right.namespace
        and rule["apiGroups"] == [right.group]
        and tuple(rule["resources"]) == right.resources
        and tuple(rule.get("resourceNames", ())) == right.names
        and tuple(rule["verbs"]) == right.verbs
    )


def test_a_part_of_a_rule_is_named_alone(server: RoleServer, ask: Any) -> None:
    for role in server.roles:
        for rule in role["rules"]:
            if rule["resources"] == ["deployments"]:
                rule["resourceNames"] = ["vllm-server"]
    status, text = ask()
    assert status == 1 and any(
        line.startswith("get deployments.apps orchestrator in swe-ai-fleet (role.yaml)") for line in crosses(text)
    )


def test_what_disturbs_is_asked_for_where_it_will_be_used(server: RoleServer, ask: Any) -> None:
    assert ask()[0] == 0
    status, text = ask("--allow-disruptive")
    assert (
        status == 1 and len(crosses(text)) == len(rights(PROFILE, role_files()[-1])) and "role-disruptive.yaml" in text
    )
    server.roles += granted(PROFILE, "role-disruptive.yaml")
    assert ask("--allow-disruptive")[0] == 0


def test_a_namespace_that_is_not_there_is_one_line(server: RoleServer, ask: Any) -> None:
    server.roles = [role for role in server.roles if role["metadata"]["namespace"] != RAY]
    status, text = ask()
    assert status == 1 and len(crosses(text)) == 1, text
    assert "namespace ray: none of 7 rights. Is it there, and were the roles applied in it?" in text


def test_a_name_that_is_not_there_has_near_ones(server: RoleServer, ask: Any) -> None:
    server.objects = {**OBJECTS, (FLEET, "services"): ("vllm-server-service", "nats-headless", "orchestrator")}
    assert crosses(ask()[1]) == ['nats.service: no Service "nats" in swe-ai-fleet'], "services may not be listed"
    rule = {"apiGroups": [""], "resources": ["services"], "verbs": ["list"]}
    server.roles.append({"metadata": {"namespace": FLEET}, "rules": [rule]})
    assert crosses(ask()[1]) == ['nats.service: no Service "nats" in swe-ai-fleet; there is nats-headless']


def test_a_workload_may_be_of_any_kind(server: RoleServer, ask: Any) -> None:
    server.objects = {**OBJECTS, (FLEET, "deployments"): ("vllm-server",), (FLEET, "statefulsets"): ("orchestrator",)}
    assert ask()[0] == 0
    server.objects = {**OBJECTS, (FLEET, "deployments"): ("vllm-server",)}
    (line,) = crosses(ask()[1])
    assert line.startswith('orchestrator.workload: no Deployment, StatefulSet or DaemonSet "orchestrator"')


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, status(401, "Unauthorized", "Unauthorized")), "refuses the credentials of context here"),
        ((200, b"<html>a login page</html>"), "not a JSON object"),
        ((503, b""), "answered 503"),
        ((201, json.dumps({"status": []}).encode()), ""),
    ],
)
def test_a_server_that_does_not_answer_is_one_line(
    server: RoleServer, ask: Any, answer: tuple[int, bytes], words: str
) -> None:
    server.refuses = answer
    status, text = ask()
    assert status == 1 and crosses(text) and words in text, text


def test_a_silent_server_is_given_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    over = threading.Event()

    def silent(*_: Any) -> tuple[int, bytes]:
        over.wait(SILENT_S)
        return 500, b""

    stand_in = StandIn(silent)
    try:
        kubeconfig, began = write_kubeconfig(tmp_path / "kubeconfig", stand_in.url), time.monotonic()
        assert main(["preflight", "--profile", "swe-ai-fleet", "--kubeconfig", str(kubeconfig)]) == 1
        assert time.monotonic() - began < SILENT_S
    finally:
        over.set()
        stand_in.close()
    (line,) = crosses(capsys.readouterr().out)
    assert "no answer within 2 s" in line


def test_the_document_says_the_same(server: RoleServer, ask: Any) -> None:
    server.roles = granted(PROFILE, "role.yaml", "role-forward.yaml")
    status, text = ask("--json")
    found = json.loads(text)
    published.validate(found)
    assert (status, found["schema"], found["missing"]) == (1, "fleet-preflight/v1", 1)
    assert found["rights"]["asked"] - found["rights"]["there"] == len(found["rights"]["missing"]) == 1
    assert "pods/exec" in found["rights"]["missing"][0] and found["names"]["missing"] == []


def test_secrets_that_cannot_be_read_are_missing(
    server: RoleServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "fleet.toml"
    profile.write_text(profile_text("swe-ai-fleet", nats={"auth": {"token": {"env": "FLEET_TEST_TOKEN"}}}))
    monkeypatch.delenv("FLEET_TEST_TOKEN", raising=False)
    with serving(server, tmp_path) as kubeconfig:
        options = ["preflight", "--profile", str(profile), "--kubeconfig", kubeconfig]
        assert main(options) == 1
        assert any(
            "nats.auth.token ($FLEET_TEST_TOKEN) is not set" in line for line in crosses(capsys.readouterr().out)
        )
        monkeypatch.setenv("FLEET_TEST_TOKEN", "s3cret-of-the-suite")
        assert main(options) == 0
        text = capsys.readouterr().out
        assert "nats.auth.token ($FLEET_TEST_TOKEN)" in text and "s3cret" not in text


def test_without_kubernetes_there_is_nothing_to_ask(capsys: pytest.CaptureFixture[str]) -> None:
    votes = ROOT / "tests" / "second_stack" / "votes.toml"
    assert main(["preflight", "--profile", str(votes), "--kubeconfig", "k"]) == 4
    assert "has no [kubernetes]" in capsys.readouterr().err


def token(**claims: Any) -> str:
    parts = ({"alg": "none"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".x"


@pytest.mark.parametrize(
    ("header", "until"),
    [
        (f"Bearer {token(exp=1000)}", 1000.0),
        (f"Bearer {token(exp='soon')}", None),
        (f"Bearer {token()}", None),
        ("Bearer opaque", None),
        ("Bearer a.b.c", None),
        ("", None),
    ],
)
def test_when_a_token_ends(header: str, until: float | None) -> None:
    assert access_review.valid_until(header) == until


def test_the_end_of_a_token_is_said(
    server: RoleServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(server, tmp_path):
        stand_in = StandIn(with_body=server.answer)
        try:
            for seconds, words in ((2 * 3600 + 90, "token valid for 2 h 1 min"), (-150, "whose token ended 2 min ago")):
                user = {"token": token(exp=time.time() + seconds)}
                kubeconfig = write_kubeconfig(tmp_path / "other", stand_in.url, user)
                main(["preflight", "--profile", "swe-ai-fleet", "--kubeconfig", str(kubeconfig)])
                assert words in capsys.readouterr().out
        finally:
            stand_in.close()


def test_a_mistake_in_usage_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preflight"]) == 4
    assert "--profile" in capsys.readouterr().err
    with pytest.raises(UsageError, match="no such file"):
        load("none.toml")


def test_a_profile_is_held_against_the_names_of_the_cluster_alone(
    server: RoleServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each that is not there with what is near it."""
    profile = tmp_path / "fleet.toml"
    profile.write_text(profile_text("swe-ai-fleet"))
    with serving(server, tmp_path) as kubeconfig:
        command = ["init", "--check-profile", str(profile), "--kubeconfig", kubeconfig]
        assert main(command) == 0
        seen = capsys.readouterr()
        assert seen.out == "" and "init: 7 of 7 names of swe-ai-fleet are there" in seen.err
        profile.write_text(profile_text("swe-ai-fleet", nats={"service": "nats-cluster"}))
        assert main(command) == 1, "not looked at"
        assert "6 of 7 names of swe-ai-fleet are there; not looked at, for want" in capsys.readouterr().err
        everything = {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list"]}
        server.roles.append({"metadata": {"namespace": "swe-ai-fleet"}, "rules": [everything]})
        assert main(command) == 1
        (line,) = capsys.readouterr().out.splitlines()
        assert line.startswith('nats.service: no Service "nats-cluster" in swe-ai-fleet; there ') and "nats" in line
        server.refuses = (401, b"{}")
        assert main(command) == 4
        assert "refuses the credentials" in capsys.readouterr().err
