"""The API client against a real API server: requests, rights, logs and commands in pods."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from fixtures.clusters.base import Completed
from fixtures.clusters.kubernetes.client import exec
from fixtures.clusters.kubernetes.client.api import (
    CONFIG_MAPS,
    NAMESPACES,
    PODS,
    SERVICE_ACCOUNTS,
    Api,
    Resource,
    connect,
)
from fixtures.clusters.kubernetes.client.errors import ApiError, Forbidden, NotFound, Unauthorized
from fixtures.clusters.kubernetes.client.schemas import KubernetesObject
from fixtures.core.errors import Inconclusive
from fixtures.core.polling import wait_until
from tests.integration.kubernetes import pods
from tests.integration.kubernetes.resources import ROLE_BINDINGS, ROLES

EXEC_S = 20.0  # for a command that is quick, and for the end of one that is given up


async def test_the_life_of_an_object(api: Api, namespace: str) -> None:
    name = f"map-{secrets.token_hex(3)}"
    made = await api.create(
        CONFIG_MAPS, {"metadata": {"name": name, "labels": {"for": name}}, "data": {"a": "1", "b": "2"}}, namespace
    )
    assert made["metadata"]["uid"]
    merged = await api.patch(CONFIG_MAPS, name, {"data": {"a": None, "c": "3"}}, namespace)
    assert merged["data"] == {"b": "2", "c": "3"}
    patched = await api.patch(CONFIG_MAPS, name, [{"op": "replace", "path": "/data/b", "value": "ß"}], namespace)
    assert patched["data"] == {"b": "ß", "c": "3"}
    assert (await api.get(CONFIG_MAPS, name, namespace)).raw["data"] == {"b": "ß", "c": "3"}
    for selector in ({"labels": f"for={name}"}, {"fields": f"metadata.name={name}"}):
        assert [one.raw["metadata"]["name"] for one in await api.list(CONFIG_MAPS, namespace, **selector)] == [name]
    assert await api.list(CONFIG_MAPS, namespace, labels="for=nobody") == []
    with pytest.raises(ApiError, match="already exists") as taken:
        await api.create(CONFIG_MAPS, {"metadata": {"name": name}}, namespace)
    assert (taken.value.status, taken.value.reason) == (409, "AlreadyExists")
    assert await api.delete(CONFIG_MAPS, name, namespace) is True
    assert await api.delete(CONFIG_MAPS, name, namespace) is False


async def test_absent_and_unknown_are_told_apart(api: Api, namespace: str) -> None:
    for resource, name, place, unknown in (
        (PODS, "nobody", namespace, False),
        (NAMESPACES, "fleet-nowhere", "", False),
        (Resource("apis/nothing.example.org/v1", "things", KubernetesObject), "x", namespace, True),
        (Resource("apis/apps/v9", "deployments", KubernetesObject), "x", namespace, True),
        (Resource("apis/apps/v1", "things", KubernetesObject), "x", namespace, True),
    ):
        with pytest.raises(NotFound) as caught:
            await api.get(resource, name, place)
        assert caught.value.unknown_type is unknown, caught.value
        assert "\n" not in str(caught.value)
    with pytest.raises(NotFound, match="fleet-nowhere") as caught:
        await api.create(CONFIG_MAPS, {"metadata": {"name": "x"}}, "fleet-nowhere")
    assert not caught.value.unknown_type
    with pytest.raises(NotFound, match='pods "nobody" not found'):
        await api.execute("nobody", namespace, ["true"], timeout=10)


async def test_the_server_tells_its_version(api: Api) -> None:
    assert (await api.version()).startswith("v1.")


async def test_requests_are_counted(api: Api, namespace: str) -> None:
    before, used = api.requests, api.used.copy()
    await asyncio.gather(*(api.list(PODS, namespace) for _ in range(30)))
    assert api.requests == before + 30
    assert api.used - used == {("list", "pods"): 30}


# -- rights ------------------------------------------------------------------------------------------------


@dataclass
class Limited:
    """A client of a service account, and who can give its role a right."""

    api: Api
    admin: Api
    namespace: str
    account: str

    async def grant(self, resource: str, *verbs: str) -> None:
        rule = {"apiGroups": [""], "resources": [resource], "verbs": list(verbs)}
        role = await self.admin.get(ROLES, self.account, self.namespace)
        await self.admin.patch(ROLES, self.account, {"rules": [*role.raw.get("rules", []), rule]}, self.namespace)


@pytest.fixture
async def limited(api: Api, namespace: str, kubeconfig: str, tmp_path: Path) -> AsyncIterator[Limited]:
    """A service account with an empty role."""
    name = f"limited-{secrets.token_hex(3)}"
    await api.create(SERVICE_ACCOUNTS, {"metadata": {"name": name}}, namespace)
    await api.create(ROLES, {"metadata": {"name": name}, "rules": []}, namespace)
    binding = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }
    await api.create(ROLE_BINDINGS, binding, namespace)
    tokens = Resource(SERVICE_ACCOUNTS.path, f"serviceaccounts/{name}/token", KubernetesObject)
    token = await api.create(
        tokens, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}, namespace
    )
    document = yaml.safe_load(Path(kubeconfig).read_text("utf-8"))
    document["users"] = [{"name": "limited", "user": {"token": token["status"]["token"]}}]
    current = next(one for one in document["contexts"] if one["name"] == document["current-context"])
    current["context"]["user"] = "limited"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    client = connect(str(path), None)
    yield Limited(client, api, namespace, name)
    await client.close()
    for resource in (SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS):
        await api.delete(resource, name, namespace)


async def allowed(ask: Callable[[], Awaitable[object]]) -> None:
    """Ask until a right that was granted counts, which takes the API server a moment."""

    async def probe() -> bool:
        try:
            await ask()
        except Forbidden:
            return False
        return True

    await wait_until(probe, "a granted right counts", 10.0)


async def test_a_missing_right_is_named_and_the_grant_that_is_named_mends_it(limited: Limited, namespace: str) -> None:
    user = f"system:serviceaccount:{namespace}:{limited.account}"
    with pytest.raises(Forbidden) as caught:
        await limited.api.list(PODS, namespace)
    assert f"user {user} may not list pods in namespace {namespace}" in str(caught.value)
    assert f'a Role in {namespace}: apiGroups [""], resources ["pods"], verbs ["list"]' in str(caught.value)
    await limited.grant("pods", "list")
    await allowed(lambda: limited.api.list(PODS, namespace))


async def test_exec_and_forward_need_the_rights_that_are_counted(limited: Limited, namespace: str, server: str) -> None:
    async def run() -> Completed:
        return await limited.api.execute(server, namespace, ["true"], timeout=20)

    with pytest.raises(Forbidden, match=rf"may not (get|create) pods/exec in namespace {namespace}"):
        await run()
    rights = {verb for verb, right in limited.api.used if right == "pods/exec"}
    assert rights == {"get", "create"}
    await limited.grant("pods/exec", *rights)
    await allowed(run)

    async def resolve_target() -> tuple[str, int]:
        return server, 8001

    forward = await limited.api.forward(namespace, resolve_target)
    try:
        host, port = forward.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert isinstance(forward.error, Forbidden) and "pods/portforward" in forward.last_error
        rights = {verb for verb, right in limited.api.used if right == "pods/portforward"}
        await limited.grant("pods/portforward", *rights)

        async def count() -> bytes:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"count\n")
            answer = await reader.read()
            writer.close()
            if not answer:
                assert forward.error
                raise forward.error
            return answer

        await allowed(count)
        assert not forward.error and not forward.last_error
    finally:
        await forward.close()


async def test_a_revoked_token_is_told(limited: Limited, api: Api, namespace: str) -> None:
    await api.delete(SERVICE_ACCOUNTS, limited.account, namespace)

    async def refused() -> Unauthorized | None:
        try:
            await limited.api.list(PODS, namespace)
        except Unauthorized as problem:
            return problem
        except Forbidden:
            pass
        return None

    told = await wait_until(refused, "the revoked token is refused", 30.0, every=0.5)
    assert "expired or revoked" in str(told)
    with pytest.raises(Unauthorized):
        await limited.api.execute("any", namespace, ["true"], timeout=10)


# -- logs --------------------------------------------------------------------------------------------------


async def test_logs_of_this_life_and_the_one_before(api: Api, namespace: str, image: str) -> None:
    script = (
        "import os, time\nprint('\\n'.join(f'line {n}' for n in range(500)), flush=True)\n"
        "while not os.path.exists('/tmp/end'): time.sleep(0.05)"
    )
    name = await pods.start(api, namespace, image, ["python", "-c", script])
    try:

        async def restarted() -> bool:
            pod = await api.get(PODS, name, namespace)
            return pod.status.containerStatuses[0].restartCount > 0

        with pytest.raises(ApiError, match="main") as none_yet:
            await api.logs(name, namespace, previous=True)
        assert none_yet.value.status == 400
        await api.execute(name, namespace, ["touch", "/tmp/end"], timeout=EXEC_S)
        await wait_until(restarted, "the container starts again", pods.UP, every=0.2)
        assert (await api.logs(name, namespace, previous=True, lines=2)).split("\n") == ["line 498", "line 499", ""]
        assert (await api.logs(name, namespace, container="main", previous=True, lines=1000)).count("\n") == 500
        with pytest.raises(ApiError, match="other"):
            await api.logs(name, namespace, container="other")
    finally:
        await pods.remove(api, namespace, name)


# -- commands ----------------------------------------------------------------------------------------------


async def test_a_command_has_its_own_status_and_separate_outputs(api: Api, namespace: str, server: str) -> None:
    script = "import sys; print('öut'); print('err', file=sys.stderr); sys.exit(42)"
    done = await api.execute(server, namespace, ["python", "-c", script, "ignored $HOME 'x'"], timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (42, "öut\n", "err\n")
    assert done.args[0] == "python"
    done = await api.execute(server, namespace, ["true"], container="main", timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("size", [1, 3 << 20])
async def test_input_arrives_whole_and_ends(api: Api, namespace: str, server: str, size: int) -> None:
    text = ("äöü\n" * (size // 4 + 1))[:size]
    script = (
        "import sys, hashlib; data = sys.stdin.buffer.read(); "
        "print(len(data), hashlib.sha256(data).hexdigest()); sys.exit(7)"
    )
    done = await api.execute(server, namespace, ["python", "-c", script], stdin=text, timeout=60)
    data = text.encode()
    assert (done.returncode, done.stdout) == (7, f"{len(data)} {hashlib.sha256(data).hexdigest()}\n"), done.stderr


@pytest.mark.parametrize("size", [100, 200_000, 4 << 20])
async def test_a_command_that_does_not_read_its_input_still_ends(
    api: Api, namespace: str, server: str, size: int
) -> None:
    done = await api.execute(server, namespace, ["sh", "-c", "echo done; exit 3"], stdin="x" * size, timeout=20)
    assert (done.returncode, done.stdout) == (3, "done\n")


async def test_output_is_complete_or_told(
    api: Api, namespace: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 20 << 20
    script = (
        f"import sys; sys.stdout.write('0123456789abcdef' * {size // 16}); sys.stderr.write('e' * 1000000); sys.exit(5)"
    )
    done = await api.execute(server, namespace, ["python", "-c", script], timeout=120)
    assert (done.returncode, len(done.stdout), len(done.stderr)) == (5, size, 1_000_000)
    assert hashlib.sha256(done.stdout.encode()).digest() == hashlib.sha256(b"0123456789abcdef" * (size // 16)).digest()
    monkeypatch.setattr(exec, "MAX_OUTPUT_BYTES", 1 << 20)
    with pytest.raises(Inconclusive, match="more than 1 MiB of output"):
        await api.execute(server, namespace, ["python", "-c", script], timeout=60)


async def test_short_outputs_are_complete_every_time(api: Api, namespace: str, server: str) -> None:
    async def run(number: int) -> tuple[int, str]:
        done = await api.execute(server, namespace, ["sh", "-c", f"echo {number}; exit {number}"], timeout=60)
        return done.returncode, done.stdout

    results = []
    for start in range(0, 60, 20):
        results += await asyncio.gather(*(run(start + number) for number in range(20)))
    assert results == [(number, f"{number}\n") for number in range(60)]


async def test_a_command_that_does_not_end_is_told_in_time(api: Api, namespace: str, server: str) -> None:
    async with asyncio.timeout(EXEC_S):
        with pytest.raises(Inconclusive, match=r"^sleep 60 in pod .*: not ended within 2 s$"):
            await api.execute(server, namespace, ["sleep", "60"], timeout=2)


async def test_a_command_that_cannot_start_is_told(api: Api, namespace: str, server: str) -> None:
    with pytest.raises(Inconclusive, match="no-such-command"):
        await api.execute(server, namespace, ["no-such-command"], timeout=20)
    with pytest.raises(Inconclusive, match="other"):
        await api.execute(server, namespace, ["true"], container="other", timeout=20)


async def test_a_pod_that_dies_under_a_command_is_told(api: Api, namespace: str, image: str) -> None:
    name = await pods.start(api, namespace, image, ["sleep", "3600"])
    command = ["sh", "-c", "touch /tmp/begun; sleep 60"]
    running = asyncio.create_task(api.execute(name, namespace, command, timeout=45))

    async def begun() -> bool:
        return (await api.execute(name, namespace, ["test", "-e", "/tmp/begun"], timeout=EXEC_S)).returncode == 0

    await wait_until(begun, "the command begins", EXEC_S)
    await pods.remove(api, namespace, name)
    (outcome,) = await asyncio.gather(running, return_exceptions=True)
    if isinstance(outcome, Inconclusive):
        assert "\n" not in str(outcome)
    else:
        assert isinstance(outcome, Completed), outcome
        assert outcome.returncode == 137, "killed: that is the truth, too"
