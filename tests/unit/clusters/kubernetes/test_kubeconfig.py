"""Which API server a kubeconfig leads to, as whom, and what is said when it does not lead anywhere."""

import asyncio
import base64
import contextlib
import datetime
import json
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.clusters.kubernetes.client import credentials, kubeconfig
from fixtures.clusters.kubernetes.client.api import NAMESPACES, Api, connect
from fixtures.clusters.kubernetes.client.errors import ApiError, Unauthorized, Unreachable
from fixtures.clusters.kubernetes.client.kubeconfig import environment_proxy, find
from fixtures.core.errors import UsageError
from tests.support.kubernetes_stand_in import StandIn, b64, pem, write_kubeconfig
from tests.support.tls_services import Authority


@pytest.fixture(autouse=True)
def no_other_kubeconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home without a kubeconfig, and no pod around."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in list(os.environ):
        if name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    server = StandIn((200, b'{"items": []}'))
    yield server
    server.close()


@contextlib.asynccontextmanager
async def api_of(*arguments: str | None) -> AsyncIterator[Api]:
    api = connect(*arguments)
    try:
        yield api
    finally:
        await api.close()


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> str:
    document = yaml.safe_load(path.read_text())
    edit(document)
    path.write_text(yaml.safe_dump(document))
    return str(path)


# -- which file, which context -----------------------------------------------------------------------------


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--kubeconfig .*/nowhere: no such file$"):
        find(str(tmp_path / "nowhere"), None)


def test_without_any_kubeconfig_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"~/.kube/config does not exist.*--kubeconfig FILE"):
        find(None, None)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "gone"))
    with pytest.raises(UsageError, match=r"\$KUBECONFIG \(.*gone\) does not exist"):
        find(None, None)


def test_the_home_and_the_environment_are_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "home" / ".kube").mkdir(parents=True)
    write_kubeconfig(tmp_path / "home" / ".kube" / "config", context="at-home")
    assert find(None, None).context == "at-home"
    monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "other", context="elsewhere")))
    assert find(None, None).context == "elsewhere"


def test_several_files_are_merged_and_the_first_goes_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one = write_kubeconfig(tmp_path / "one", "http://one:1", context="first")
    two = write_kubeconfig(tmp_path / "two", "http://two:2", context="second")
    change(two, lambda d: d["clusters"][0].update(name="c2") or d["contexts"][0]["context"].update(cluster="c2"))
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join((str(tmp_path / "absent"), str(one), str(two))))
    assert (find(None, None).context, find(None, None).server) == ("first", "http://one:1")
    assert find(None, "second").server == "http://two:2"


def test_an_unknown_context_is_told_with_those_that_exist(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "k", context="prod")
    with pytest.raises(UsageError, match=r"--kube-context staging: no such context; it has prod$"):
        find(str(path), "staging")


def test_no_current_context_is_told(tmp_path: Path) -> None:
    path = change(write_kubeconfig(tmp_path / "k"), lambda d: d.pop("current-context"))
    with pytest.raises(UsageError, match=r"no current context is set; --kube-context NAME chooses one: it has here"):
        find(path, None)
    assert find(path, "here").context == "here"


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda d: d["contexts"][0]["context"].pop("cluster"), "context here: names no cluster"),
        (lambda d: d["contexts"][0]["context"].pop("user"), "context here: names no user"),
        (lambda d: d.update(clusters=None), "cluster c is not among the clusters"),
        (lambda d: d.update(users=[]), "user u is not among the users"),
        (lambda d: d["clusters"][0]["cluster"].pop("server"), r"server \(none\) is no http\(s\) URL"),
        (lambda d: d["clusters"][0]["cluster"].update(server="localhost:6443"), "localhost:6443 is no http"),
        (lambda d: d["clusters"][0]["cluster"].update({"proxy-url": "socks5://p:1"}), "only http and https proxies"),
        (lambda d: d.update(contexts={"here": 1}), "contexts must be a list"),
        (lambda d: d.update(users=["u"]), "an entry of users lacks its name or its user"),
    ],
)
def test_a_context_that_hangs_in_the_air_is_told(
    tmp_path: Path, edit: Callable[[dict[str, Any]], object], told: str
) -> None:
    path = change(write_kubeconfig(tmp_path / "k"), edit)
    with pytest.raises(UsageError, match=told):
        find(path, None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [b\nc: d", "line 2: not YAML"),
        ("", "empty"),
        ("- just\n- a list", "not a kubeconfig"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "k"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match=told) as caught:
        find(str(path), None)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Is a directory"):
        find(str(tmp_path), None)


# -- certificates ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "cluster", "told"),
    [
        ({}, {"certificate-authority-data": "%%%"}, "certificate-authority-data is not base64"),
        ({}, {"certificate-authority-data": b64(b"nonsense")}, "certificate authority is no PEM certificate"),
        ({}, {"certificate-authority": "gone.crt"}, "gone.crt"),
        ({"client-certificate-data": "x"}, {}, "client-certificate-data is not base64"),
        ({"client-certificate-data": b64(pem("CERTIFICATE"))}, {}, "without its client key"),
        (
            {"client-certificate-data": b64(pem("CERTIFICATE")), "client-key-data": b64(b"nonsense")},
            {},
            "client certificate and key cannot be used",
        ),
    ],
)
def test_broken_certificates_are_told(tmp_path: Path, user: dict[str, Any], cluster: dict[str, Any], told: str) -> None:
    path = write_kubeconfig(tmp_path / "k", "https://127.0.0.1:1", user, **cluster)
    with pytest.raises(UsageError, match=told) as caught:
        find(str(path), None)
    assert "\n" not in str(caught.value)


def test_no_key_is_left_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    user = {"client-certificate-data": b64(pem("CERTIFICATE")), "client-key-data": b64(pem("PRIVATE KEY"))}
    path = write_kubeconfig(tmp_path / "k", "https://127.0.0.1:1", user)
    assert find(str(path), None).tls is not None
    assert os.listdir(tmp_path) == ["k"]


async def test_tls_is_verified_by_the_authority_and_the_name(tmp_path: Path) -> None:
    server = StandIn((200, b'{"items": []}'), tls=True)
    authority: dict[str, Any] = {"certificate-authority-data": b64(pem("CERTIFICATE"))}
    try:
        good = write_kubeconfig(tmp_path / "good", server.url, **authority)
        async with api_of(str(good), None) as api:
            assert await api.list(NAMESPACES) == []
        other_name = write_kubeconfig(tmp_path / "n", server.url, **authority | {"tls-server-name": "stand-in.test"})
        async with api_of(str(other_name), None) as api:
            assert await api.list(NAMESPACES) == []
        anyone: dict[str, Any] = {"insecure-skip-tls-verify": True}
        trusting = write_kubeconfig(tmp_path / "t", server.url, **anyone)
        async with api_of(str(trusting), None) as api:
            assert await api.list(NAMESPACES) == []
        unknown = write_kubeconfig(tmp_path / "unknown", server.url)
        async with api_of(str(unknown), None) as api:
            with pytest.raises(Unreachable, match="its certificate is not trusted"):
                await api.list(NAMESPACES)
        wrong = write_kubeconfig(tmp_path / "w", server.url, **authority | {"tls-server-name": "another.test"})
        async with api_of(str(wrong), None) as api:
            with pytest.raises(Unreachable, match=r"its certificate is not trusted.*another\.test"):
                await api.list(NAMESPACES)
    finally:
        server.close()


async def test_an_authority_in_the_middle_of_a_chain_is_trusted(tmp_path: Path) -> None:
    """As kubectl trusts it: the certificate that the kubeconfig has need not be its own issuer."""
    root = Authority(tmp_path, "root")
    middle = root.intermediate("middle")
    certificate, key = middle.issue("server")
    server = StandIn((200, b'{"items": []}'), tls=(certificate, key))
    named: dict[str, Any] = {"certificate-authority-data": b64(middle.ca.read_bytes())}
    other: dict[str, Any] = {"certificate-authority-data": b64(Authority(tmp_path, "o").ca.read_bytes())}
    try:
        async with api_of(str(write_kubeconfig(tmp_path / "k", server.url, **named)), None) as api:
            assert await api.list(NAMESPACES) == []
        async with api_of(str(write_kubeconfig(tmp_path / "k", server.url, **other)), None) as api:
            with pytest.raises(Unreachable, match="its certificate is not trusted"):
                await api.list(NAMESPACES)
    finally:
        server.close()


# -- credentials -------------------------------------------------------------------------------------------


def plugin(path: Path, script: str) -> dict[str, Any]:
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(path), "installHint": "get it"}}


CREDENTIAL = (
    'echo \'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "%s"}}\''
)


async def test_an_exec_plugin_gives_the_token(tmp_path: Path, stand_in: StandIn) -> None:
    path = write_kubeconfig(tmp_path / "k", stand_in.url, plugin(tmp_path / "login", CREDENTIAL % "t0k"))
    async with api_of(str(path), None) as api:
        await api.list(NAMESPACES)
    assert stand_in.seen[0][2]["Authorization"] == "Bearer t0k"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            "echo please log in >&2; exit 1",
            r"the exec plugin .*/login gives no credentials \(it ended with status 1: please log in\)$",
        ),
        ("exit 3", "it ended with status 3: it printed no reason"),
        ("echo nonsense", "what it printed cannot be used, is not JSON"),
        ("echo '{}'", "what it printed cannot be used, apiVersion is missing"),
        (CREDENTIAL % "x" + " | sed s,/v1,/v1beta1,", "it answers in client.authentication.k8s.io/v1beta1, not in"),
        (CREDENTIAL.replace('"token": "%s"', ""), "neither a token nor a certificate with its key"),
    ],
)
def test_a_failing_exec_plugin_is_told(tmp_path: Path, script: str, told: str) -> None:
    path = write_kubeconfig(tmp_path / "k", user=plugin(tmp_path / "login", script))
    with pytest.raises(UsageError, match=told):
        find(str(path), None)


def test_a_plugin_that_does_not_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "PLUGIN_S", 0.2)
    path = write_kubeconfig(tmp_path / "k", user=plugin(tmp_path / "login", "exec sleep 60"))
    with pytest.raises(UsageError, match=r"gives no credentials \(it did not end within 0\.2 s\)"):
        find(str(path), None)


async def test_a_plugins_token_is_renewed_before_it_expires(
    tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"echo x >> {tmp_path}/runs; " + CREDENTIAL.replace("%s", "t'$(wc -l < %s/runs)'") % tmp_path
    script = script.replace('"token"', '"expirationTimestamp": "2030-01-01T00:00:00Z", "token"')
    path = write_kubeconfig(tmp_path / "k", stand_in.url, plugin(tmp_path / "login", script))
    expires = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC).timestamp()
    now = expires - 3600
    monkeypatch.setattr("time.time", lambda: now)
    async with api_of(str(path), None) as api:
        await api.list(NAMESPACES)
        now = expires - 30
        await api.list(NAMESPACES)
    assert [headers["Authorization"] for _, _, headers in stand_in.seen] == ["Bearer t1", "Bearer t2"]


@pytest.fixture
def particular() -> Iterator[StandIn]:
    """A server that refuses whoever does not come with the token t2."""

    def answer(_method: str, _path: str) -> tuple[int, bytes]:
        return (200, b'{"items": []}') if server.seen[-1][2].get("Authorization") == "Bearer t2" else (401, b"")

    server = StandIn(answer)
    yield server
    server.close()


async def test_a_plugin_is_asked_again_when_what_it_gave_is_refused(tmp_path: Path, particular: StandIn) -> None:
    """It need not say when its token expires."""
    script = f"echo x >> {tmp_path}/runs; " + CREDENTIAL.replace("%s", "t'$(wc -l < %s/runs)'") % tmp_path
    path = write_kubeconfig(tmp_path / "k", particular.url, plugin(tmp_path / "login", script))
    async with api_of(str(path), None) as api:
        await asyncio.gather(*(api.list(NAMESPACES) for _ in range(3)))
    assert (tmp_path / "runs").read_text() == "x\n" * 2, "once for all that were refused together"


@pytest.mark.parametrize("user", ["a token", "a plugin"])
async def test_what_is_refused_again_is_refused(tmp_path: Path, particular: StandIn, user: str) -> None:
    source = {"token": "t1"} if user == "a token" else plugin(tmp_path / "login", CREDENTIAL % "t1")
    async with api_of(str(write_kubeconfig(tmp_path / "k", particular.url, source)), None) as api:
        with pytest.raises(Unauthorized, match="refuses the credentials"):
            await api.list(NAMESPACES)
    assert len(particular.seen) == (1 if user == "a token" else 2)


async def test_a_plugins_new_certificate_is_shown(tmp_path: Path) -> None:
    authority, refused = Authority(tmp_path, "clients"), set[str]()

    def give(name: str) -> None:
        certificate, key = authority.issue(name)
        pair = {"clientCertificateData": certificate.read_text(), "clientKeyData": key.read_text()}
        answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": pair}
        (tmp_path / "answer").write_text(json.dumps(answer))

    def answer(_method: str, _path: str) -> tuple[int, bytes]:
        return (401, b"") if server.known[-1] in refused else (200, b'{"items": []}')

    server = StandIn(answer, tls=True, clients=authority.ca)
    trusting: dict[str, Any] = {"certificate-authority-data": b64(pem("CERTIFICATE"))}
    give("first")
    user = plugin(tmp_path / "login", f"cat {tmp_path}/answer")
    try:
        async with api_of(str(write_kubeconfig(tmp_path / "k", server.url, user, **trusting)), None) as api:
            await api.list(NAMESPACES)
            give("second")
            refused.add("first")
            await api.list(NAMESPACES)
            await api.list(NAMESPACES)
    finally:
        server.close()
    assert server.known == ["first", "first", "second", "second"]


def test_a_plugin_is_given_what_the_kubeconfig_says(tmp_path: Path) -> None:
    script = f'printf "%s\\n" "$1" "$PLACE" "$KUBERNETES_EXEC_INFO" "$PWD" > {tmp_path}/given; ' + CREDENTIAL % "t"
    user = plugin(tmp_path / "login", script)
    user["exec"] |= {"args": ["now"], "env": [{"name": "PLACE", "value": "here"}], "provideClusterInfo": True}
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "a"}}
    (tmp_path / "ca.crt").write_bytes(pem("CERTIFICATE"))
    authority = {"certificate-authority": "ca.crt"}
    path = write_kubeconfig(tmp_path / "k", "https://127.0.0.1:1", user, extensions=[extension], **authority)
    find(str(path), None)
    argument, variable, info, folder = (tmp_path / "given").read_text().splitlines()
    assert (argument, variable, folder) == ("now", "here", str(tmp_path))
    assert json.loads(info) == {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "spec": {
            "interactive": False,
            "cluster": {
                "server": "https://127.0.0.1:1",
                "certificate-authority-data": b64(pem("CERTIFICATE")),
                "config": {"audience": "a"},
            },
        },
    }


def test_a_plugin_may_give_a_certificate(tmp_path: Path) -> None:
    status = {"clientCertificateData": pem("CERTIFICATE").decode(), "clientKeyData": pem("PRIVATE KEY").decode()}
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    (tmp_path / "answer").write_text(json.dumps(answer))
    path = write_kubeconfig(tmp_path / "k", "https://127.0.0.1:1", plugin(tmp_path / "login", f"cat {tmp_path}/answer"))
    found = find(str(path), None)
    assert found.tls is not None and found.authorization() == ""
    (tmp_path / "answer").write_text(json.dumps({**answer, "status": {**status, "clientKeyData": "nonsense"}}))
    with pytest.raises(UsageError, match="client certificate and key cannot be used"):
        find(str(path), None)


def test_a_user_with_a_password_is_basic(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "k", user={"username": "me", "password": "word"})
    assert find(str(path), None).authorization() == f"Basic {b64(b'me:word')}"


def id_token(expires: int) -> str:
    """A JSON Web Token, as far as a client reads it."""
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, {"exp": expires}, {})]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def test_the_legacy_auth_provider_is_read(tmp_path: Path) -> None:
    token = id_token(4102444800)
    user = {"auth-provider": {"name": "oidc", "config": {"id-token": token}}}
    assert find(str(write_kubeconfig(tmp_path / "k", user=user)), None).authorization() == f"Bearer {token}"
    user = {"auth-provider": {"name": "oidc", "config": {"id-token": id_token(0)}}}
    with pytest.raises(UsageError, match=r"auth-provider gives no credentials \(") as caught:
        find(str(write_kubeconfig(tmp_path / "k", user=user)), None)
    assert "\n" not in str(caught.value)


def test_the_official_client_is_not_imported() -> None:
    """It costs 865 modules and seconds in each run on Kubernetes."""
    program = "import sys, fixtures.clusters.kubernetes.cluster; sys.exit('kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_an_absent_exec_plugin_is_told_with_its_hint(tmp_path: Path) -> None:
    user = plugin(tmp_path / "login", "")
    (tmp_path / "login").unlink()
    path = write_kubeconfig(tmp_path / "k", user=user)
    with pytest.raises(UsageError, match=r"/login gives no credentials \(there is no such command.*; get it$"):
        find(str(path), None)


async def test_a_token_file_is_read_anew(tmp_path: Path, stand_in: StandIn) -> None:
    (tmp_path / "token").write_text("one\n")
    path = write_kubeconfig(tmp_path / "k", stand_in.url, {"tokenFile": "token"})
    async with api_of(str(path), None) as api:
        await api.list(NAMESPACES)
        (tmp_path / "token").write_text("two")
        await api.list(NAMESPACES)
        (tmp_path / "token").unlink()
        with pytest.raises(Unauthorized, match="the token of context here cannot be renewed"):
            await api.list(NAMESPACES)
    assert [headers["Authorization"] for _, _, headers in stand_in.seen] == ["Bearer one", "Bearer two"]


def test_an_absent_token_file_is_told(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "k", user={"tokenFile": "gone"})
    with pytest.raises(UsageError, match="gone"):
        find(str(path), None)


async def test_the_pods_service_account_is_found_and_its_token_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = StandIn((200, b'{"items": []}'), tls=True)
    (tmp_path / "token").write_text("first")
    (tmp_path / "ca.crt").write_bytes(pem("CERTIFICATE"))
    monkeypatch.setattr(kubeconfig, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", server.url.rpartition(":")[2])
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    try:
        with pytest.raises(UsageError, match="there are no contexts"):
            find(None, "prod")
        async with api_of(None, None) as api:
            assert (api.inside, api.context) == (True, "in-cluster")
            await api.list(NAMESPACES)
            (tmp_path / "token").write_text("second")
            await api.list(NAMESPACES)
        assert [h["Authorization"] for _, _, h in server.seen] == ["Bearer first", "Bearer second"]
    finally:
        server.close()


# -- proxies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "taken"),
    [
        ("https://api.example.org:6443", "http://proxy:3128"),
        ("http://api.example.org", None),  # only $HTTPS_PROXY is set
        ("https://127.0.0.1:6443", None),
        ("https://[::1]:6443", None),
        ("https://localhost:6443", None),
        ("https://api.internal", None),
    ],
)
def test_a_proxy_is_taken_as_kubectl_takes_it(monkeypatch: pytest.MonkeyPatch, server: str, taken: str | None) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "internal")
    assert environment_proxy(server) == taken


@pytest.mark.parametrize(
    ("server", "excepted"),
    [
        ("https://10.3.4.5:6443", True),
        ("https://11.3.4.5:6443", False),
        ("https://[fd00::7]:6443", True),
        ("https://api.corp.example:6443", True),
        ("https://corp.example", False),
        ("https://api.port.example:6443", True),
        ("https://api.port.example:6444", False),
        ("https://api.dotted.example", True),
        ("https://10.example", False),
    ],
)
def test_no_proxy_may_name_networks_and_wildcards(monkeypatch: pytest.MonkeyPatch, server: str, excepted: bool) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv(
        "NO_PROXY", "10.0.0.1/8, fd00::/8,*.corp.example,*.port.example:6443,.dotted.example,10.0.0.0/99"
    )
    assert environment_proxy(server) == (None if excepted else "http://proxy:3128")


def test_a_proxy_without_a_scheme_is_an_http_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    assert environment_proxy("https://api.example.org") == "http://proxy:3128"


def test_a_proxy_of_another_kind_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy:1080")
    path = write_kubeconfig(tmp_path / "k", "https://api.example.org")
    with pytest.raises(UsageError, match=r"^\$HTTPS_PROXY: only http and https proxies can be used for https://api"):
        connect(str(path), None)


def test_the_kubeconfigs_proxy_goes_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    own: dict[str, Any] = {"proxy-url": "http://own:1"}
    path = write_kubeconfig(tmp_path / "k", "https://api.example.org", **own)
    assert find(str(path), None).proxy == "http://own:1"


@pytest.mark.parametrize("name", [{}, {"tls-server-name": "stand-in.test"}], ids=["by-host", "by-tls-server-name"])
async def test_requests_and_streams_go_through_the_proxy_with_its_password(
    tmp_path: Path, name: dict[str, str]
) -> None:
    server = StandIn((200, b'{"items": []}'), tls=True)
    asked, tunnels = [], []

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head)
        host, port = head.split()[1].split(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
            sink.close()

        try:
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        finally:
            far_writer.transport.abort()
            writer.transport.abort()

    proxy = await asyncio.start_server(
        lambda *pair: tunnels.append(asyncio.ensure_future(tunnel(*pair))), "127.0.0.1", 0
    )
    url = f"http://me:word@127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    settings: dict[str, Any] = {"certificate-authority-data": b64(pem("CERTIFICATE")), **name, "proxy-url": url}
    path = write_kubeconfig(tmp_path / "k", server.url, **settings)
    try:
        async with api_of(str(path), None) as api:
            assert await api.list(NAMESPACES) == []
            with pytest.raises(ApiError, match="answered 200"):  # the stand-in does not upgrade connections
                await api.execute("p", "ns", ["true"], timeout=5)
    finally:
        proxy.close()
        for one in tunnels:
            one.cancel()
        await asyncio.gather(*tunnels, return_exceptions=True)
        server.close()
    secret = base64.b64encode(b"me:word").decode()
    assert len(asked) == 2
    for head in asked:
        assert head.startswith("CONNECT 127.0.0.1:") and f"asic {secret}" in head
