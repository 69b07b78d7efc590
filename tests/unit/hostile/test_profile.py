"""Whatever stands in a profile, and in the files and variables that it names:
a profile or one line that says what is wrong.
"""

from __future__ import annotations

import json
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.clusters.base import Endpoints
from fixtures.clusters.endpoints import EndpointsCluster
from fixtures.core.errors import UsageError
from fixtures.profile import credentials
from fixtures.profile import model as profiles
from fixtures.profile.addresses import from_pods
from fixtures.profile.contract import CONTRACTS
from fixtures.profile.scalars import bytes_of
from tests.unit.hostile.answers import ODD_NUMBERS, a_reason_at_most, texts, values, wounded

OLD = Path(__file__).parents[1] / "profile" / "v1"
SECRET = "Pr0file-s3cret-0f-a-user"

VERSION_1: dict[str, Any] = tomllib.loads((OLD / "swe-ai-fleet.toml").read_text("utf-8")) | {
    "endpoints": {
        "vllm": "https://vllm:8000",
        "dashboard": "http://10.0.0.1:8265",
        "nats": "nats://nats:4222",
        "orchestrators": ["one:50055", "[::1]:50055"],
        "ray_client": "ray://head:10001",
        "inside": {"nats": "tls://nats.in:4222"},
    }
}
VALID: dict[str, Any] = tomllib.loads((profiles.PROFILES / "swe-ai-fleet.toml").read_text("utf-8"))
VALID["vllm"]["url"] = "https://vllm:8000"
VALID["ray"] |= {"url": "http://10.0.0.1:8265", "client_url": "ray://head:10001"}
VALID["nats"] |= {"url": "nats://nats:4222", "url_inside": "tls://nats.in:4222"}
VALID["orchestrator"]["url"] = ["one:50055", "[::1]:50055"]
VALID["vllm"]["auth"] = {"api_key": {"env": "KEY"}}
VALID["nats"]["auth"] = {"user": {"env": "USER_NAME"}, "password": {"env": "KEY"}}
VALID["nats"]["tls"] = {"ca": "ca.pem", "server_name": "nats"}

numbers = st.sampled_from([*ODD_NUMBERS, float("inf"), float("nan"), 65536])
instead = values | numbers | texts | st.just(SECRET) | st.just({"env": "KEY"})


def toml(value: Any) -> str:
    """A TOML value: inline tables, basic strings. What TOML does not know is an empty string."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))} = {toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return repr(value) if "." in repr(value) or "e" in repr(value) or "n" in repr(value) else f"{value!r}.0"
    return (
        '""'
        if value is None
        else json.dumps(value, ensure_ascii=True)
        if isinstance(value, str)
        else str(value).lower()
    )


@pytest.fixture(scope="module")
def file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "profile.toml"


def use(path: Path) -> None:
    """Load it and do with it what a run does before anything is started."""
    found = profiles.load(str(path))
    json.dumps(found.model_dump(mode="json"), allow_nan=False)
    assert bytes_of(found.ray.resources.memory) >= 0
    with a_reason_at_most(UsageError):
        credentials.resolve(found, {"KEY": SECRET, "USER_NAME": "suite"})
    with a_reason_at_most(UsageError):
        EndpointsCluster(found, "fc-1", allow_disruptive=False)
    Endpoints.of(from_pods(found))


def test_the_valid_profile_is_one(file: Path) -> None:
    file.write_text("\n".join(f"{key} = {toml(value)}" for key, value in VALID.items()), "utf-8")
    use(file)


@given(wounded(VALID, instead=instead))
def test_any_document(file: Path, document: Any) -> None:
    rows = document.items() if isinstance(document, dict) else [("name", document)]
    text = "\n".join(f"{json.dumps(str(key))} = {toml(value)}" for key, value in rows)
    file.write_bytes(text.encode("utf-8", "replace"))
    with a_reason_at_most(UsageError):
        use(file)


@given(wounded(VERSION_1, instead=instead))
def test_any_document_of_version_1(file: Path, document: Any) -> None:
    rows = document.items() if isinstance(document, dict) else [("name", document)]
    text = "\n".join(f"{json.dumps(str(key))} = {toml(value)}" for key, value in rows)
    file.write_bytes(text.encode("utf-8", "replace"))
    with a_reason_at_most(UsageError):
        use(file)
        text = profiles.upgraded_text(str(file))
        loaded = profiles.load(str(file))
        file.write_text(text, encoding="utf-8")
        assert profiles.load(str(file)) == loaded


CONTRACT: dict[str, Any] = tomllib.loads((CONTRACTS / "reference.toml").read_text("utf-8"))
CONTRACT["grpc"]["descriptor"] = str(CONTRACTS / "orchestrator.json")


@given(wounded(CONTRACT, instead=instead | st.sampled_from(["{task_id}", "{x}", "a.b[0]", "a..b", "/a", "{", "run"])))
def test_any_contract(file: Path, document: Any) -> None:
    sections = document if isinstance(document, dict) else {"messages": document}
    agent = sections.get("agent")
    rows = VALID | sections | {"agent": {**VALID["agent"], **agent} if isinstance(agent, dict) else agent}
    text = "\n".join(f"{json.dumps(str(key))} = {toml(value)}" for key, value in rows.items())
    file.write_bytes(text.encode("utf-8", "replace"))
    with a_reason_at_most(UsageError):
        use(file)


def test_the_valid_contract_is_one(file: Path) -> None:
    sections = VALID | CONTRACT | {"agent": {**VALID["agent"], **CONTRACT["agent"]}}
    file.write_text("\n".join(f"{key} = {toml(value)}" for key, value in sections.items()), "utf-8")
    use(file)


AUTH = {"user": {"env": "USER_NAME"}, "password": {"file": "x", "env": None}, "token": {"env": "KEY"}}


@given(wounded(AUTH, instead=st.just(SECRET) | st.just([SECRET]) | st.just({"env": SECRET, "x": SECRET})))
def test_what_stands_under_auth_is_never_quoted(file: Path, document: Any) -> None:
    sections = {**VALID, "nats": {**VALID["nats"], "auth": document}}
    file.write_text("\n".join(f"{key} = {toml(value)}" for key, value in sections.items()), "utf-8")
    said = ""
    try:
        use(file)
    except UsageError as problem:
        said = str(problem)
    assert "\n" not in said
    assert SECRET not in said or "is not set in the environment" in said  # where it stands for a variable's name


TRAPS = {
    "brackets": b"a = " + b"[" * 100_000,
    "tables": b"a = " + b"{a = " * 20_000,
    "dotted": b".".join([b"a"] * 30_000) + b" = 1",
    "a long number": b"a = " + b"9" * 5000,
    "memory of any size": b"9" * 400,
    "no text": b"\xff\xfe\x00",
    "NUL": b'name = "\x00"',
    "a day that is none": b"a = 2026-02-31",
    "empty": b"",
    "huge": b"#" * (2 << 20),
}


@pytest.mark.parametrize("name", TRAPS)
def test_traps(file: Path, name: str) -> None:
    file.write_bytes(TRAPS[name])
    with a_reason_at_most(UsageError):
        use(file)
        pytest.fail("such a profile was loaded")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with a_reason_at_most(UsageError):
        use(file)


@given(st.text(max_size=50))
def test_any_name(name: str) -> None:
    with a_reason_at_most(UsageError):
        profiles.load(name)


@given(st.binary(max_size=300) | st.just(b"x" * (2 << 20)), texts)
def test_any_file_or_variable_of_a_credential(file: Path, content: bytes, variable: str) -> None:
    secret = file.with_name("secret")
    secret.write_bytes(content)
    sections = {
        **VALID,
        "nats": {**VALID["nats"], "auth": {"credentials": {"file": "secret"}}, "tls": {"ca": "secret"}},
        "vllm": {**VALID["vllm"], "auth": {"api_key": {"env": "VARIABLE"}}},
    }
    for left_out in ("nats", "vllm"):
        file.write_text(
            "\n".join(f"{k} = {toml(VALID[k] if k == left_out else v)}" for k, v in sections.items()), "utf-8"
        )
        with a_reason_at_most(UsageError):
            credentials.resolve(profiles.load(str(file)), {"VARIABLE": variable})


@pytest.mark.parametrize("target", ["dns:orchestrator:50055", "fd00::5:50055", "[orchestrator:50055", "a:0", ":50055"])
def test_a_target_that_is_no_host_with_a_port_is_refused_in_one_line(file: Path, target: str) -> None:
    document = {**VALID, "orchestrator": {**VALID["orchestrator"], "url": [target]}}
    file.write_text("\n".join(f"{key} = {toml(value)}" for key, value in document.items()), "utf-8")
    with pytest.raises(UsageError, match=r"must be host:port, an IPv6 address in brackets"):
        use(file)


@pytest.mark.parametrize("target", ["orchestrator:50055", "[fd00::5]:50055", "10.0.0.7:1"])
def test_a_target_is_a_host_with_a_port(file: Path, target: str) -> None:
    document = {**VALID, "orchestrator": {**VALID["orchestrator"], "url": [target]}}
    file.write_text("\n".join(f"{key} = {toml(value)}" for key, value in document.items()), "utf-8")
    use(file)
