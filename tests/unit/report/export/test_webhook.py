"""What a webhook is told, and what happens where it is not: a real server, the limits of chats, the secret URL."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from fixtures.checks.declaration import MUST, SHOULD, Check
from fixtures.checks.remedy import steps
from fixtures.core.errors import UsageError
from fixtures.redaction.redact import Redactor
from fixtures.report.diagnosis import diagnose
from fixtures.report.export import chat, command, webhook
from fixtures.report.export.completed_run import CompletedRun
from fixtures.report.export.message import message_of
from fixtures.report.model import Run, Status
from fixtures.report.results import conformance
from tests.support import published
from tests.unit.report.history.test_outcome_diff import night, nights

SECRET = "/services/T0001/B0001/s3cr3tW3bh00k?sig=AbCd-1234"


class Server(HTTPServer):
    """Keeps what is posted, and answers with `status` and `body`; with None for `status` it never answers."""

    status: int | None = 200
    body = "ok"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}{SECRET}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        assert self.headers["content-type"] == "application/json"
        self.server.posted.append((self.path, json.loads(body)))
        if self.server.status is None:
            self.server.over.wait(30)
            return
        self.send_response(self.server.status)
        self.send_header("location", "/elsewhere")
        self.end_headers()
        self.wfile.write(self.server.body.encode())

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        yield listening
        listening.over.set()
        listening.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLEET_WEBHOOK", "FLEET_WEBHOOK_FORMAT", "FLEET_LINK", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def broken_fleet() -> Run:
    return nights(night(1, "ppppp"), night(2, "ppfff"))


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    conformance.write(broken_fleet(), tmp_path / "conformance.json", Redactor())
    return tmp_path


def finished(run: Run, language: str = "en") -> CompletedRun:
    return CompletedRun(Path("reports"), run, diagnose(run), language)


def many(causes: int, text: str = "x" * 5000) -> Run:
    """A run that fails in many ways, with much to say about each."""
    run = broken_fleet()
    run.results.clear()
    for number in range(causes):
        found = night(1, "ppfpp").results[2]
        found.check = Check(f"INF-{number:02}", SHOULD if number % 2 else MUST, text, steps(text))
        found.status, found.detail, found.remedy = Status.FAILED, text, steps(text)
        run.results.append(found)
    return run


# -- posting ----------------------------------------------------------------------------------------------


def test_the_run_is_told_once(server: Server, reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = ["--reports", str(reports), "--webhook", server.url, "--link", "https://reports.example/1"]
    assert command.main(told) == 0
    ((path, said),) = server.posted
    assert path == SECRET
    assert (said["schema"], said["verdict"], said["red"], said["run_id"]) == (
        "fleet-webhook/v1",
        "nonconformant",
        True,
        "fc-2",
    )
    others = {"known": 0, "broken": 0, "not_applicable": 0, "unsupported": 0, "disabled": 0}
    assert said["summary"] == {"passed": 2, "failed": 3, **others}
    assert (said["scope"]["applies"], said["scope"]["of"]) == (5, 5)
    assert (said["duration_s"], said["link"]) == (0.0, "https://reports.example/1")
    assert said["changes"]["previous"]["verdict"] == "conformant"
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("format", "key"), [("generic", "schema"), ("slack", "blocks"), ("teams", "attachments")])
def test_by_the_environment(
    server: Server, reports: Path, monkeypatch: pytest.MonkeyPatch, format: str, key: str
) -> None:
    monkeypatch.setenv("FLEET_WEBHOOK", server.url)
    monkeypatch.setenv("FLEET_WEBHOOK_FORMAT", format)
    assert command.main(["--reports", str(reports), "--webhook"]) == 0
    assert key in server.posted[0][1]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, "no_service", "HTTP 404 no_service"),
        (302, "", "HTTP 302"),
        (500, f"no such hook: {SECRET}", "HTTP 500"),
        (403, "s3cr3tW3bh00k is not known\nmore", "HTTP 403"),
        (403, "signature AbCd-1234 is wrong", "signature"),
        (None, "", "ReadTimeout"),
    ],
)
def test_a_webhook_that_does_not_take_it_is_one_line(
    server: Server,
    reports: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    status: int | None,
    body: str,
    words: str,
) -> None:
    server.status, server.body = status, body
    monkeypatch.setattr(webhook, "ANSWER_WITHIN", 0.3)
    assert command.main(["--reports", str(reports), "--webhook", server.url]) == 1
    out, said = capsys.readouterr()
    assert out == "" and len(said.splitlines()) == 1 and words in said
    assert len(server.posted) == 1, "tried again, or elsewhere"
    assert not any(part in said for part in (SECRET, "s3cr3t", "T0001", "B0001", "AbCd"))


@pytest.mark.parametrize(
    ("url", "status"),
    [
        (f"http://127.0.0.1:1{SECRET}", 1),
        (f"http://no-such-host.invalid{SECRET}", 1),
        (f"ftp://x{SECRET}", 4),
        (f"http://[{SECRET}", 1),
        (f"http://a:99999999{SECRET}", 1),
        ("", 4),
    ],
)
def test_the_url_is_never_shown(reports: Path, capsys: pytest.CaptureFixture[str], url: str, status: int) -> None:
    assert command.main(["--reports", str(reports), "--webhook", url]) == status
    out, said = capsys.readouterr()
    assert out == "" and len(said.splitlines()) == 1
    assert "s3cr3t" not in said and "T0001" not in said


@pytest.mark.parametrize(
    "options",
    [["--webhook"], ["--webhook", "-", "--webhook-format", "irc"], ["--webhook", "-", "--link", "javascript:alert(1)"]],
)
def test_what_cannot_be_told_is_said_so(reports: Path, capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    assert command.main(["--reports", str(reports), *options]) == 4
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_it_can_be_printed_instead(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--reports", str(reports), "--webhook", "-", "--lang", "es"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["texts"]["title"] == "❌ Conformidad de la flota: no conforme"


def test_an_alert_is_heard_although_the_webhook_is_not(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--reports", str(reports), "--webhook", "http://127.0.0.1:1/", "--alert", "new"]
    assert command.main(options) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert "could not be reached" in first and "NEW: DEP-04" in second


# -- messages ---------------------------------------------------------------------------------------------


def test_causes_have_their_first_step_and_the_new_one_comes_first() -> None:
    said = message_of(finished(broken_fleet()))
    published.validate(json.loads(json.dumps(said)))
    (cause,) = said["causes"]
    assert (cause["id"], cause["first_step"], cause["consequences"]) == ("DEP-04", "remedy", ["JOB-01", "E2E-01"])
    assert said["texts"]["news"][2] == "  NEW: DEP-04 (MUST): nats imports; 2 more checks fail because of it"


def test_a_long_link_is_refused() -> None:
    with pytest.raises(UsageError):
        message_of(finished(broken_fleet()), "https://x/" + "y" * 3000)


def texts_of(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("type") in ("mrkdwn", "plain_text", "TextRun"):
            yield node["text"]
        for each in node.values():
            yield from texts_of(each)
    elif isinstance(node, list):
        for each in node:
            yield from texts_of(each)


WORDS = (
    "x" * 5000,
    "<!channel> & <https://x|y> " * 300,
    "ñ→❌ " * 2000,
    "`*_~[a](http://x)" * 400,
    "```\nall below" * 300,
)


@pytest.mark.parametrize("causes", [0, 1, 5, 80])
@pytest.mark.parametrize("text", WORDS)
def test_slack_takes_it(causes: int, text: str) -> None:
    """docs.slack.dev, "Blocks" and "Formatting text": the limits, and what must be escaped."""
    said = chat.slack(message_of(finished(many(causes, text)), "https://reports.example/1"))
    assert set(said) == {"text", "blocks"} and len(said["text"]) <= 3000
    assert len(said["blocks"]) <= 50
    for block in said["blocks"]:
        assert block["type"] in ("header", "section", "context", "actions")
        (shown,) = [block["text"]] if "text" in block else block["elements"]
        longest = {"header": 150, "section": 3000}.get(block["type"], 150)
        assert 0 < len(shown["text"] if isinstance(shown["text"], str) else shown["text"]["text"]) <= longest
    assert sum(map(len, texts_of(said["blocks"]))) < 12_000
    sections = [block["text"] for block in said["blocks"] if block["type"] == "section"]
    assert all(shown["verbatim"] is True for shown in sections), "an address would become a link"
    for each in texts_of(said["blocks"]):
        assert "```" not in each
        assert "<" not in each and ">" not in each
        assert all(part.startswith(("amp;", "lt;", "gt;")) for part in each.split("&")[1:]), "cut in an escape"


@pytest.mark.parametrize("causes", [0, 1, 5, 80])
@pytest.mark.parametrize("text", WORDS)
def test_teams_takes_it(causes: int, text: str) -> None:
    """adaptivecards.io, schema 1.4; learn.microsoft.com: 28 KB a message."""
    said = chat.teams(message_of(finished(many(causes, text)), "https://reports.example/1"))
    assert len(json.dumps(said)) <= 20_000
    (attachment,) = said["attachments"]
    assert (said["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert card["actions"] == [
        {"type": "Action.OpenUrl", "title": "Open the report", "url": "https://reports.example/1"}
    ]

    def elements(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for node in nodes:
            yield node
            yield from elements(node.get("items", []))

    kinds = {node["type"] for node in elements(card["body"])}
    assert kinds <= {"Container", "RichTextBlock"}, "a TextBlock would take text for Markdown"
    assert all(texts_of(card["body"]))


def test_causes_that_are_not_shown_are_named() -> None:
    said = message_of(finished(many(7, "short")))
    for shown in (chat.slack(said), chat.teams(said)):
        assert "More causes: INF-03, INF-05" in json.dumps(shown)


def test_a_run_that_ended_early_says_why_instead_of_what_it_could_not_tell() -> None:
    said = message_of(finished(night(1, "bbbbb", aborted="the cluster did not come up")))
    for shown in (chat.slack(said), chat.teams(said)):
        assert "the cluster did not come up" in json.dumps(shown)
        assert "NET-04" not in json.dumps(shown)


def test_no_secret_of_the_system_is_told() -> None:
    run = broken_fleet()
    run.results[2].detail = "cannot log in with password: hunter2hunter2"
    assert "hunter2" not in json.dumps(message_of(finished(run)))
