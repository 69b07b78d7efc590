"""What is said when an API server refuses, is away, or talks nonsense: one clear line each."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.clusters.kubernetes.client import transport
from fixtures.clusters.kubernetes.client.api import (
    CONFIG_MAPS,
    CRDS,
    DEPLOYMENTS,
    NODES,
    PODS,
    RAY_CLUSTERS,
    Api,
    connect,
)
from fixtures.clusters.kubernetes.client.errors import (
    ApiError,
    Asked,
    Forbidden,
    NotFound,
    Unauthorized,
    Unreachable,
    keeps_its_name,
    refusal,
)
from fixtures.clusters.kubernetes.client.exec import exit_status
from fixtures.core.errors import Inconclusive
from fixtures.core.timeouts import Timeouts, applied
from tests.support.kubernetes_stand_in import Answer, StandIn, status, write_kubeconfig

WAIT_S = 10.0  # for what ends after its timeout of 0.4 s

UNKNOWN = status(404, "NotFound", "the server could not find the requested resource")
RBAC = 'User "{}" cannot {} resource "{}" in API group "{}" {}'


@contextlib.asynccontextmanager
async def api_at(tmp_path: Path, server: str, **user: str) -> AsyncIterator[Api]:
    api = connect(str(write_kubeconfig(tmp_path / "k", server, user or None, context="prod")), None)
    try:
        yield api
    finally:
        await api.close()


@contextlib.asynccontextmanager
async def api_that_answers(
    tmp_path: Path, status: int | Callable[[str, str], Answer], body: bytes = b""
) -> AsyncIterator[Api]:
    server = StandIn(status if callable(status) else (status, body))
    try:
        async with api_at(tmp_path, server.url) as api:
            yield api
    finally:
        server.close()


@contextlib.contextmanager
def raw_server(talk: Callable[[socket.socket], object]) -> Iterator[str]:
    """A listener that hands each connection to `talk`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                talk(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


async def test_refused_credentials(tmp_path: Path) -> None:
    async with api_that_answers(tmp_path, 401, status(401, "Unauthorized", "Unauthorized")) as api:
        with pytest.raises(Unauthorized, match=r"refuses the credentials of context prod: token .*expired") as caught:
            await api.list(PODS, "ray")
        assert caught.value.status == 401


async def test_a_missing_right_names_who_what_where_and_the_grant(tmp_path: Path) -> None:
    said = "pods is forbidden: " + RBAC.format(
        "system:serviceaccount:ci:e2e", "list", "pods", "", 'in the namespace "ray"'
    )
    async with api_that_answers(tmp_path, 403, status(403, "Forbidden", said)) as api:
        with pytest.raises(Forbidden) as caught:
            await api.list(PODS, "ray")
    assert str(caught.value) == (
        "context prod: user system:serviceaccount:ci:e2e may not list pods in namespace ray; grant it with a Role in "
        'ray: apiGroups [""], resources ["pods"], verbs ["list"]'
    )


async def test_a_missing_right_in_the_whole_cluster_asks_for_a_cluster_role(tmp_path: Path) -> None:
    said = "x is forbidden: " + RBAC.format("jane", "get", "rayclusters", "ray.io", "at the cluster scope")
    async with api_that_answers(tmp_path, 403, status(403, "Forbidden", said)) as api:
        with pytest.raises(Forbidden, match=r"may not get rayclusters\.ray\.io in the whole cluster.*a ClusterRole:"):
            await api.get(RAY_CLUSTERS, "x", "ray")


@pytest.mark.parametrize(("stream", "role"), [("exec", "role-exec.yaml"), ("portforward", "role-forward.yaml")])
def test_a_right_with_a_file_of_its_own_names_it(stream: str, role: str) -> None:
    words = RBAC.format("e2e", "create", f"pods/{stream}", "", 'in the namespace "agents"')
    problem = refusal(Asked("get", f"pods/{stream}", "agents", "orchestrator-0"), "prod", 403, words.encode())
    assert str(problem).endswith(
        f'apiGroups [""], resources ["pods/{stream}"], verbs ["create"]; ci/attach/{role} has it'
    )


async def test_a_missing_right_on_a_workloads_size_asks_for_that_alone(tmp_path: Path) -> None:
    words = RBAC.format("e2e", "patch", "deployments/scale", "apps", 'in the namespace "agents"')
    server = StandIn((403, status(403, "Forbidden", f'deployments.apps "orchestrator" is forbidden: {words}')))
    try:
        async with api_at(tmp_path, server.url) as api:
            with pytest.raises(Forbidden) as caught:
                await api.scale(DEPLOYMENTS, "orchestrator", 1, "agents")
    finally:
        server.close()
    assert str(caught.value) == (
        "context prod: user e2e may not patch deployments.apps/scale in namespace agents; grant it with a Role in "
        'agents: apiGroups ["apps"], resources ["deployments/scale"], verbs ["patch"], resourceNames ["orchestrator"]'
    )
    ((method, path, headers),) = server.seen
    assert (method, path) == ("PATCH", "/apis/apps/v1/namespaces/agents/deployments/orchestrator/scale")
    assert headers["Content-Type"] == "application/merge-patch+json"


def test_an_api_servers_words_move_no_cursor() -> None:
    problem = refusal(Asked("get", "pods"), "prod", 500, b"down\x1b[2J\x07 for \xc2\x9b31mmaintenance")
    assert "down�[2J� for �31mmaintenance" in str(problem)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        (Asked("get", "services", "agents", "nats"), True),
        (Asked("patch", "rayclusters", "ray", "main", "apis/ray.io/v1"), True),
        (Asked("get", "pods/exec", "agents", "orchestrator-0"), False),  # the pod of tomorrow has another name
        (Asked("list", "pods", "agents"), False),
        (Asked("create", "configmaps", "agents", "x"), False),  # nothing has that name yet
    ],
)
def test_a_grant_is_for_one_object_where_it_keeps_its_name(asked: Asked, kept: bool) -> None:
    assert keeps_its_name(asked) is kept


async def test_a_403_that_is_no_missing_right_keeps_its_reason(tmp_path: Path) -> None:
    said = 'pods "x" is forbidden: exceeded quota: compute, requested: pods=1'
    async with api_that_answers(tmp_path, 403, status(403, "Forbidden", said)) as api:
        with pytest.raises(Forbidden, match=r"cannot create pods in namespace ray: forbidden: .*exceeded quota"):
            await api.create(PODS, {}, "ray")


async def test_an_absent_object_is_not_an_unknown_type(tmp_path: Path) -> None:
    absent = status(404, "NotFound", 'pods "x" not found', name="x", kind="pods")
    async with api_that_answers(tmp_path, 404, absent) as api:
        with pytest.raises(NotFound, match='pods "x" not found') as caught:
            await api.get(PODS, "x", "ray")
        assert not caught.value.unknown_type
        assert await api.delete(PODS, "x", "ray") is False


@pytest.mark.parametrize("body", [UNKNOWN, b"404 page not found\n", b""])
async def test_an_unknown_type_is_told_with_its_remedy(tmp_path: Path, body: bytes) -> None:
    async with api_that_answers(tmp_path, 404, body) as api:
        with pytest.raises(NotFound, match=r"no resource type rayclusters\.ray\.io: is its CustomRes") as caught:
            await api.list(RAY_CLUSTERS, "ray")
        assert caught.value.unknown_type
        with pytest.raises(NotFound, match=r"no resource type deployments\.apps$"):
            await api.list(DEPLOYMENTS, "ray")


async def test_somebody_elses_404_says_nothing_about_the_object(tmp_path: Path) -> None:
    async with api_that_answers(tmp_path, 404, b"<html>not here</html>") as api:
        with pytest.raises(ApiError, match=r"answered 404: <html>not here") as caught:
            await api.delete(PODS, "x", "ray")
        assert not isinstance(caught.value, NotFound)


async def test_a_taken_name_can_be_told_apart(tmp_path: Path) -> None:
    taken = status(409, "AlreadyExists", 'pods "x" already exists', name="x")
    async with api_that_answers(tmp_path, 409, taken) as api:
        with pytest.raises(ApiError, match="already exists") as caught:
            await api.create(PODS, {}, "ray")
        assert (caught.value.status, caught.value.reason) == (409, "AlreadyExists")


@pytest.mark.parametrize(
    ("code", "body", "told"),
    [
        (500, b"etcdserver: request timed out\nmore\nlines", "answered 500: etcdserver: request timed out more lines"),
        (503, b"", "answered 503: nothing more"),
        (302, b"", "answered 302: a redirect"),
        (502, b"<html>" + b"x" * 100_000, "answered 502: <html>x"),
        (200, b"<html>Please log in</html>", "the answer is not a JSON object: <html>Please log in</html>"),
        (200, b'{"items": [{"a": 1}, ', "the answer is not a JSON object"),
        (200, b'["a", "list"]', 'not a JSON object: ["a"'),
        (200, b'{"kind": "PodList"}', "has no items"),
    ],
)
async def test_strange_answers_are_one_short_line(tmp_path: Path, code: int, body: bytes, told: str) -> None:
    async with api_that_answers(tmp_path, code, body) as api:
        with pytest.raises(ApiError) as caught:
            await api.list(PODS, "ray")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


async def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        async with api_at(tmp_path, url) as api:
            with pytest.raises(Unreachable, match=f"cannot list pods in namespace ray: the API server {url} .*refused"):
                await api.list(PODS, "ray")


async def test_an_unknown_host(tmp_path: Path) -> None:
    async with api_at(tmp_path, "http://no-such-host.invalid") as api:
        with pytest.raises(Unreachable, match=r"no-such-host\.invalid does not answer: "):
            await api.list(PODS, "ray")


async def test_a_connection_that_is_cut_before_and_in_the_answer(tmp_path: Path) -> None:
    with raw_server(lambda connection: connection.recv(100)) as url:
        async with api_at(tmp_path, url) as api:
            with pytest.raises(Unreachable, match="does not answer: "):
                await api.list(PODS, "ray")

    def half(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"items": []}')

    with raw_server(half) as url:
        async with api_at(tmp_path, url) as api:
            with pytest.raises(ApiError, match="incomplete answer"):
                await api.list(PODS, "ray")


async def test_nothing_is_asked_twice(tmp_path: Path) -> None:
    asked = []

    def talk(connection: socket.socket) -> None:
        asked.append(connection.recv(10_000))

    with raw_server(talk) as url:
        async with api_at(tmp_path, url) as api:
            with pytest.raises(Unreachable):
                await api.list(PODS, "ray")
    assert len(asked) == 1


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds: list[float] = []

    async def sleep(delay: float) -> None:
        seconds.append(delay)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return seconds


async def test_a_busy_server_is_asked_again_when_it_says(tmp_path: Path, waited: list[float]) -> None:
    """It has done nothing of a request that it answers so."""
    answers = [(429, b"busy"), (429, b"busy"), (200, b'{"items": []}')]
    server = StandIn(lambda _method, _path: answers.pop(0))
    server.more = {"Retry-After": "2"}
    try:
        async with api_at(tmp_path, server.url) as api:
            assert await api.list(PODS, "ray") == [] and api.requests == 3
    finally:
        server.close()
    assert waited == [2, 2]


@pytest.mark.parametrize("after", ["", "600", "soon", "-1"])
async def test_a_busy_server_that_names_no_time_is_not_asked_again(
    tmp_path: Path, waited: list[float], after: str
) -> None:
    server = StandIn((429, b"busy"))
    server.more = {"Retry-After": after} if after else {}
    try:
        async with api_at(tmp_path, server.url) as api:
            with pytest.raises(ApiError, match="answered 429: busy"):
                await api.list(PODS, "ray")
    finally:
        server.close()
    assert len(server.seen) == 1 and not waited


async def test_silence_and_trickling_end_in_the_time_of_this_run(tmp_path: Path) -> None:
    done = threading.Event()

    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        with contextlib.suppress(OSError):
            while not done.wait(0.05):
                connection.sendall(b" ")

    for talk, told in ((lambda _: done.wait(), "no answer within 0.4 s"), (trickle, "not complete within 0.4 s")):
        with raw_server(talk) as url:
            async with api_at(tmp_path, url) as api:
                try:  # neither server ends by itself
                    async with asyncio.timeout(WAIT_S):
                        with applied(Timeouts(request=0.4)), pytest.raises(ApiError, match=told):
                            await api.list(PODS, "ray")
                finally:
                    done.set()
        done.clear()


async def test_silence_over_tls_is_no_error_of_tls(tmp_path: Path) -> None:
    done = threading.Event()
    with raw_server(lambda _: done.wait()) as url:
        async with api_at(tmp_path, url.replace("http:", "https:")) as api:
            try:
                with applied(Timeouts(request=0.4)), pytest.raises(ApiError, match=r"no answer within 0\.4 s"):
                    await api.list(PODS, "ray")
            finally:
                done.set()


async def test_an_endless_answer_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_RESPONSE_BYTES", 1 << 20)
    async with api_that_answers(tmp_path, 200, b" " * (3 << 20)) as api:
        with pytest.raises(ApiError, match="incomplete answer: more than 1 MiB"):
            await api.list(PODS, "ray")


async def test_requests_and_rights_are_counted_as_rbac_names_them(tmp_path: Path) -> None:
    async with api_that_answers(tmp_path, 200, b'{"items": []}') as api:
        await api.list(PODS, "ray", labels="a=b")
        await api.list(PODS, "ray", fields="metadata.name=x")
        await api.get(CONFIG_MAPS, "c", "ray")
        await api.patch(DEPLOYMENTS, "d", {"spec": {}}, "ns")
        await api.delete(CRDS, "x", grace_s=0)
        await api.logs("p", "ray")
        await api.list(NODES, "is-ignored")
        assert api.requests == 7
        assert dict(api.used) == {
            ("list", "pods"): 2,
            ("get", "configmaps"): 1,
            ("patch", "deployments.apps"): 1,
            ("delete", "customresourcedefinitions.apiextensions.k8s.io"): 1,
            ("get", "pods/log"): 1,
            ("list", "nodes"): 1,
        }


async def test_names_are_escaped_on_their_way(tmp_path: Path) -> None:
    paths = []

    def answer(method: str, path: str) -> Answer:
        paths.append(path)
        return 200, b'{"items": []}'

    async with api_that_answers(tmp_path, answer) as api:
        await api.get(CONFIG_MAPS, "../x?y", "a b")
        await api.list(PODS, labels="app in (a,b)")
    assert paths[0] == "/api/v1/namespaces/a%20b/configmaps/..%2Fx%3Fy"
    assert paths[1] == "/api/v1/pods?labelSelector=app+in+%28a%2Cb%29"


@pytest.mark.parametrize("sub", ["exec", "portforward"])
async def test_streams_are_refused_with_the_same_lines(tmp_path: Path, sub: str) -> None:
    said = "x is forbidden: " + RBAC.format("jane", "create", f"pods/{sub}", "", 'in the namespace "ray"')

    async def ask(api: Api) -> None:
        if sub == "exec":
            await api.execute("p", "ray", ["true"], timeout=5)
            return

        async def resolve_target() -> tuple[str, int]:
            return "p", 80

        forward = await api.forward("ray", resolve_target)
        try:
            host, port = forward.address.split(":")
            with socket.create_connection((host, int(port))) as local:
                assert await asyncio.to_thread(local.recv, 1) == b""
            assert forward.error
            raise forward.error
        finally:
            await forward.close()

    async with api_that_answers(tmp_path, 403, status(403, "Forbidden", said)) as api:
        with pytest.raises(Forbidden, match=rf'may not create pods/{sub} in namespace ray.*verbs \["create"\]'):
            await ask(api)
        assert {("get", f"pods/{sub}"), ("create", f"pods/{sub}")} == set(api.used)
        assert api.requests == 1
    async with api_that_answers(tmp_path, 404, status(404, "NotFound", 'pods "p" not found', name="p")) as api:
        with pytest.raises(NotFound, match='pods "p" not found'):
            await ask(api)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        async with api_at(tmp_path, f"http://127.0.0.1:{held.getsockname()[1]}") as api:
            with pytest.raises(Unreachable, match="refused"):
                await ask(api)
    async with api_that_answers(tmp_path, 200, b"no upgrade") as api:
        with pytest.raises(Inconclusive, match=f"cannot get pods/{sub}"):
            await ask(api)


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        ({"status": "Success"}, 0),
        (
            {
                "status": "Failure",
                "reason": "NonZeroExitCode",
                "details": {"causes": [{"reason": "ExitCode", "message": "42"}]},
            },
            42,
        ),
        (
            {"status": "Failure", "reason": "InternalError", "message": 'exec: "x": not found\nmore'},
            'exec: "x": not found more',
        ),
        ({"status": "Failure", "reason": "NonZeroExitCode"}, "NonZeroExitCode"),
        ("cut sh", "cut sh"),
        ([], r"\[\]"),
    ],
)
def test_the_exit_status_is_the_commands_own(outcome: Any, told: str | int) -> None:
    data = outcome.encode() if outcome == "cut sh" else json.dumps(outcome).encode()
    if isinstance(told, int):
        assert exit_status(data, "x in pod p") == told
    else:
        with pytest.raises(Inconclusive, match=f"^x in pod p: could not be run: .*{told}"):
            exit_status(data, "x in pod p")


def test_bytes_that_are_no_text_do_not_break_a_line() -> None:
    problem = refusal(Asked("get", "pods"), "prod", 500, b"\xff\x00\n\xfe")
    assert "answered 500" in str(problem) and "\n" not in str(problem)
