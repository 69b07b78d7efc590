"""`--metrics`: a file is replaced as a whole, a Pushgateway gets what it takes, and no password is shown."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.core.errors import UsageError
from fixtures.core.timeouts import Timeouts, applied
from fixtures.redaction.redact import Redactor
from fixtures.report.export import command
from fixtures.report.metrics.destinations import NotDelivered, Pushgateway, TextFile, destination_of
from fixtures.report.results import conformance
from tests.support.metrics import PushgatewayStandIn, full_run, listening, parsed

TEXT = '# HELP a b\n# TYPE a gauge\na{fleet="prod"} 1\n'
PASSWORD = "s3cr3t-of-the-gateway"


@pytest.fixture
def gateway() -> Iterator[PushgatewayStandIn]:
    with listening() as server:
        yield server


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


# -- a file -----------------------------------------------------------------------------------------------


def test_a_file_is_replaced_and_can_be_read_by_the_collector(tmp_path: Path) -> None:
    file = tmp_path / "fleet.prom"
    file.write_text("of the run before")
    file.chmod(0o600)
    before = file.open()
    mask = os.umask(0o077)
    try:
        destination_of("fleet.prom", tmp_path).deliver(TEXT, "prod")
    finally:
        os.umask(mask)
    assert file.read_text() == TEXT
    assert file.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["fleet.prom"]
    with before:
        assert before.read() == "of the run before", "whoever reads it has the old one, as a whole"


def test_a_file_that_cannot_be_replaced_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fleet.prom").write_text("of the run before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(NotDelivered, match=r"^--metrics .*/fleet\.prom: No space left on device$"):
        destination_of("fleet.prom", tmp_path).deliver(TEXT, "prod")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["of the run before"]


# -- a Pushgateway ----------------------------------------------------------------------------------------


def test_a_pushgateway_gets_the_metrics_of_the_fleet(gateway: PushgatewayStandIn, tmp_path: Path) -> None:
    destination_of(f"http://fleet:{PASSWORD}@{gateway.address}/prefix/", tmp_path).deliver(TEXT, "prod")
    ((method, path, headers, body),) = gateway.requests
    assert (method, path, body) == ("PUT", "/prefix/metrics/job/fleet_conformance/fleet/prod", TEXT)
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode() == f"fleet:{PASSWORD}"


@pytest.mark.parametrize("name", ["a/b", "", "..", ".", "eu west", "a%2Fb", "ñ", 'say "hi"\n', "?x#y", ">>>???"])
def test_a_name_that_is_no_part_of_a_path_goes_in_base64(
    gateway: PushgatewayStandIn, tmp_path: Path, name: str
) -> None:
    destination_of(f"http://{gateway.address}", tmp_path).deliver(TEXT, name)
    ((_, path, _, _),) = gateway.requests
    prefix, _, code = path.rpartition("/")
    assert prefix == "/metrics/job/fleet_conformance/fleet@base64"
    assert base64.urlsafe_b64decode(code).decode() == name if name else code == "="


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("pushed metrics are invalid: bad line\nmore", "HTTP 400 pushed metrics are invalid: bad line"),
        (f"no user fleet:{PASSWORD}", "HTTP 400 no user [redacted]"),
        ("", "HTTP 400"),
    ],
)
def test_a_pushgateway_that_refuses_is_one_line(
    gateway: PushgatewayStandIn, tmp_path: Path, body: str, shown: str
) -> None:
    gateway.status, gateway.body = 400, body
    destination = destination_of(f"http://fleet:{PASSWORD}@{gateway.address}", tmp_path)
    with pytest.raises(NotDelivered) as problem:
        destination.deliver(TEXT, "prod")
    assert (
        str(problem.value) == f"--metrics: the Pushgateway at {gateway.address} refused the metrics: it answers {shown}"
    )


def test_a_redirect_is_not_followed(gateway: PushgatewayStandIn, tmp_path: Path) -> None:
    gateway.status = 302
    with pytest.raises(NotDelivered, match="HTTP 302"):
        destination_of(f"http://{gateway.address}", tmp_path).deliver(TEXT, "prod")
    assert len(gateway.requests) == 1


def test_a_pushgateway_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(NotDelivered) as problem:
        destination_of(f"http://fleet:{PASSWORD}@127.0.0.1:{port}", tmp_path).deliver(TEXT, "prod")
    assert str(problem.value) == f"--metrics: the Pushgateway at 127.0.0.1:{port} could not be reached: ConnectError"


def test_a_pushgateway_that_never_answers_is_waited_for_no_longer_than_the_timeout(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, applied(Timeouts(pushgateway=0.05)):
        destination = destination_of(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path)
        with pytest.raises(NotDelivered, match="could not be reached: ReadTimeout"):
            destination.deliver(TEXT, "prod")


@pytest.mark.parametrize(
    ("userinfo", "secrets"),
    [
        ("", []),
        ("fleet:s3cr%2Ft", ["fleet:s3cr%2Ft", "s3cr%2Ft", "s3cr/t"]),
        ("token-alone", ["token-alone", "token-alone", "token-alone"]),
    ],
)
def test_what_is_secret_of_a_url_is_known(userinfo: str, secrets: list[str]) -> None:
    gateway = Pushgateway(f"https://{userinfo}{'@' if userinfo else ''}gateway:9091")
    assert list(gateway.secrets) == secrets
    assert not userinfo or userinfo not in repr(gateway)


# -- what is none -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("", "a file or a URL is missing"),
        (".", "is a folder; name a file in it, e.g. ./fleet.prom"),
        ("new/", "is a folder; name a file in it, e.g. new/fleet.prom"),
        ("no/such/fleet.prom", "the folder of no/such/fleet.prom is not there"),
        (f"ftp://fleet:{PASSWORD}@gateway/x", "ftp:// leads to no Pushgateway; http:// and https:// do"),
        (f"https://fleet:{PASSWORD}@", "names no host"),
        (f"http://fleet:{PASSWORD}@gateway:port", "names no host"),
        (f"http://fleet:{PASSWORD}@gateway/?a=b", "has no \\? and no #"),
        (f"fleet:{PASSWORD}@gateway:9091", "begins with http:// or https://"),
        ("gateway:9091/metrics", "begins with http:// or https://"),
        ("$NO_SUCH_VARIABLE", "--metrics \\$NO_SUCH_VARIABLE: this variable is not set"),
        ("$", "--metrics \\$: this variable is not set"),
    ],
)
def test_what_is_no_destination_is_one_line_without_credentials(tmp_path: Path, named: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as problem:
        destination_of(named, tmp_path)
    assert PASSWORD not in str(problem.value) and "\n" not in str(problem.value)


def test_a_folder_that_takes_no_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(UsageError, match=r"nothing can be written to the folder of fleet\.prom"):
        destination_of("fleet.prom", tmp_path)


def test_what_is_no_plain_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match=r"^--metrics: pipe is no plain file, and would be replaced by one$"):
        destination_of("pipe", tmp_path)


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "textfile").mkdir()
    (tmp_path / "fleet.prom").symlink_to("textfile/fleet.prom")
    destination_of("fleet.prom", tmp_path).deliver(TEXT, "prod")
    assert (tmp_path / "fleet.prom").is_symlink() and (tmp_path / "textfile/fleet.prom").read_text() == TEXT


def test_a_variable_names_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_METRICS", "http://gateway:9091")
    assert destination_of("$FLEET_METRICS", tmp_path) == Pushgateway("http://gateway:9091")
    monkeypatch.setenv("FLEET_METRICS", "fleet.prom")
    assert destination_of("$FLEET_METRICS", tmp_path) == TextFile(tmp_path / "fleet.prom")


# -- of a finished run ------------------------------------------------------------------------------------


def test_the_metrics_of_a_finished_run_go_everywhere(gateway: PushgatewayStandIn, tmp_path: Path) -> None:
    conformance.write(full_run(), tmp_path / "conformance.json", Redactor())
    file = tmp_path / "fleet.prom"
    url = f"http://{gateway.address}"
    assert command.main(["--reports", str(tmp_path), "--metrics", str(file), "--metrics", url]) == 0
    assert gateway.requests[0][3] == file.read_text()
    assert "fleet_conformance_verdict" in parsed(file.read_text())


@pytest.mark.parametrize(
    ("key", "value"), [("started", "yesterday"), ("green_before", "9"), ("until", "9999-12-31"), ("until", "soon")]
)
def test_a_document_that_somebody_changed_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, value: str
) -> None:
    content = full_run().to_json()
    if key == "until":
        content["checks"][6]["known"]["until"] = value
    else:
        content[key] = value
    (tmp_path / "conformance.json").write_text(json.dumps(content))
    assert command.main(["--reports", str(tmp_path), "--metrics", str(tmp_path / "fleet.prom")]) == 4
    assert f"{tmp_path / 'conformance.json'}: " in capsys.readouterr().err


def test_a_pushgateway_that_refuses_a_finished_run_is_status_1_and_no_folder_is_4(
    gateway: PushgatewayStandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conformance.write(full_run(), tmp_path / "conformance.json", Redactor())
    gateway.status = 400
    url, file = f"http://fleet:{PASSWORD}@{gateway.address}", tmp_path / "fleet.prom"
    assert command.main(["--reports", str(tmp_path), "--metrics", url, "--metrics", str(file)]) == 1
    assert file.exists(), "the others get theirs"
    assert command.main(["--reports", str(tmp_path), "--metrics", str(tmp_path)]) == 4
    output = capsys.readouterr()
    assert len(output.err.splitlines()) == 2 and PASSWORD not in output.err + output.out
