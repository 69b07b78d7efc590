"""Whatever stands in a kubeconfig: access or one line that says what is wrong. No plugin is run here."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fixtures.clusters.kubernetes.client import kubeconfig
from fixtures.clusters.kubernetes.client.errors import Unauthorized
from fixtures.core.errors import UsageError
from tests.support.kubernetes_stand_in import b64, pem
from tests.unit.hostile.answers import a_reason_at_most, scalars, values, wounded

CONTEXT = {"cluster": "c", "user": "u", "namespace": "ray"}
CLUSTER = {
    "server": "https://10.0.0.1:6443",
    "certificate-authority-data": b64(pem("CERTIFICATE")),
    "tls-server-name": "k",
}
VALID: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "here",
    "clusters": [
        {"name": "c", "cluster": CLUSTER},
        {"name": "plain", "cluster": {"server": "http://x:1", "proxy-url": "http://p:3"}},
    ],
    "users": [
        {"name": "u", "user": {"token": "abc"}},
        {
            "name": "cert",
            "user": {"client-certificate-data": b64(pem("CERTIFICATE")), "client-key-data": b64(pem("PRIVATE KEY"))},
        },
        {"name": "file", "user": {"tokenFile": "token", "username": "x", "password": "y"}},
        {"name": "nobody", "user": {}},
    ],
    "contexts": [{"name": "here", "context": CONTEXT}]
    + [{"name": f"as-{user}", "context": {**CONTEXT, "user": user}} for user in ("cert", "file", "nobody")],
}


@pytest.fixture(scope="module")
def file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "token").write_text("abc")
        yield Path(folder) / "kubeconfig"


def use(file: Path, context: str | None = None) -> None:
    found = kubeconfig.find(str(file), context)
    assert isinstance(found.authorization(), str)


def test_a_misplaced_token_is_not_quoted(file: Path) -> None:
    users = [{"name": "u", "user": None, "token": "Kub3-s3cret", "password": "Kub3-s3cret"}]
    file.write_text(yaml.safe_dump({**VALID, "users": users}))
    with pytest.raises(UsageError) as raised:
        use(file)
    assert "Kub3-s3cret" not in str(raised.value)


def without_plugins(document: Any) -> bool:
    text = str(document)
    return "exec" not in text and "auth-provider" not in text


@pytest.mark.parametrize("context", [None, "as-cert", "as-file", "as-nobody"])
def test_the_valid_one_is_read(file: Path, context: str | None) -> None:
    file.write_text(yaml.safe_dump(VALID))
    use(file, context)


@given(
    wounded(VALID, instead=values | scalars).filter(without_plugins),
    st.sampled_from([None, "here", "as-cert", "as-file"]),
)
def test_any_document(file: Path, document: Any, context: str | None) -> None:
    file.write_text(yaml.safe_dump(document), "utf-8")
    with a_reason_at_most(UsageError, Unauthorized):
        use(file, context)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with a_reason_at_most(UsageError):
        use(file)


TRAPS = {
    "brackets": "[" * 10_000,
    "maps": "".join(f"{' ' * n}a:\n" for n in range(2000)),
    "laughs": "\n".join(
        [
            "a0: &a0 [x]",
            *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)),
            "current-context: *a11",
        ]
    ),
    "a day that is none": "current-context: 2026-02-31",
    "a long number": f"current-context: {'9' * 5000}",
    "a number that is none": "current-context: !!int ''",
    "a truth that is none": "current-context: !!bool maybe",
    "a time that is none": "current-context: !!timestamp soon",
    "a float that is none": "current-context: !!float much",
    "bytes that are none": "current-context: !!binary ä",
    "a key that is a list": "? [a]\n: b",
    "another language": "current-context: !!python/object/apply:os.system ['true']",
    "itself": "&a {current-context: here, contexts: *a}",
    "huge": "#" * (16 << 20),
    "NUL": 'current-context: "\\0"',
    "half": 'current-context: "\\ud800"',
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", TRAPS)
def test_traps(file: Path, name: str) -> None:
    file.write_text(TRAPS[name], "utf-8")
    with a_reason_at_most(UsageError):
        use(file)
        pytest.fail("such a kubeconfig was read")
