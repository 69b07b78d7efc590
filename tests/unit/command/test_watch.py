"""The command line of a watch: mistakes are one line and status 4, and what the exit status is made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.command import watch
from fixtures.command.main import main
from fixtures.nightly import dated_run
from fixtures.watch.document import Checks, Document, State
from tests.support.profiles import profile_text
from tests.unit.watch.samples import document

GOOD = ("--profile", "embedded")


def with_urls(folder: Path) -> str:
    """A profile of plain endpoints at which nobody is."""
    text = profile_text(
        "embedded",
        vllm={"url": "http://127.0.0.1:9"},
        ray={"url": "http://127.0.0.1:9"},
        nats={"url": "nats://127.0.0.1:9"},
        orchestrator={"url": ["127.0.0.1:9"]},
    )
    (folder / "plain.toml").write_text(text)
    return str(folder / "plain.toml")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "--profile"),
        (("--profile", "none.toml"), "no such file"),
        ((*GOOD, "--every", "0s"), "--every '0s'"),
        ((*GOOD, "--every", "500ms"), "from 1s to 60s"),
        ((*GOOD, "--until", "3h"), "--until '3h'"),
        ((*GOOD, "--until", "forever"), "from 10s to 7200s"),
        ((*GOOD, "--healthy-rounds", "0"), "--healthy-rounds '0'"),
        ((*GOOD, "--healthy-rounds", "-1"), "--healthy-rounds"),
        ((*GOOD, "--"), "nothing is there"),
        ((*GOOD, "kubectl", "apply"), "kubectl apply"),
        ((*GOOD, "--nochecks"), "--nochecks"),
        ((*GOOD, "--kubeconfig", "/nowhere/at/all"), "/nowhere/at/all"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status = main(["watch", "--report-dir", str(tmp_path), *arguments])
    output = capsys.readouterr()
    assert status == 4
    assert output.out == ""
    assert len(output.err.strip().splitlines()) == 1 and named in output.err


def test_help_says_what_the_statuses_mean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "--help"]) == 0
    text = capsys.readouterr().out
    assert "--healthy-rounds" in text and "COMMAND" in text and "exit status" in text


def test_a_word_of_the_command_is_none_of_ours() -> None:
    options, words = watch._parsed([*GOOD, "--every", "2s", "--", "helm", "--help", "--", "--every", "x"])
    assert (options.every, options.checks) == (2.0, True)
    assert words == ["helm", "--help", "--", "--every", "x"]


@pytest.mark.parametrize(
    ("values", "interrupted", "problems", "status"),
    [
        ({"clean": True, "reasons": ()}, False, [], 0),
        ({"clean": False}, False, [], 1),
        ({"clean": False}, True, [], 2),
        ({"clean": True, "reasons": ()}, False, ["watch.html: no room"], 3),
        ({"clean": False}, False, ["watch.html: no room"], 1),
        ({"clean": True, "reasons": (), "checks": Checks(status=1, seconds=9)}, False, [], 1),
        ({"clean": True, "reasons": (), "checks": Checks(status=0, seconds=9)}, False, [], 0),
        ({"clean": True, "reasons": (), "checks": Checks(status=2, seconds=9)}, False, [], 2),
        ({"clean": True, "reasons": (), "checks": Checks(status=3, seconds=9)}, False, [], 3),
        ({"clean": True, "reasons": (), "checks": Checks(status=4, seconds=9)}, False, [], 1),
    ],
)
def test_the_exit_status(values: dict[str, Any], interrupted: bool, problems: list[str], status: int) -> None:
    assert watch._status(document(**values), interrupted, problems) == status


Patched = Callable[[Document, bool], None]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Patched:
    """Have the watch itself end with a document."""

    def set_to(result: Document, interrupted: bool) -> None:
        monkeypatch.setattr(watch, "_watched", lambda *_: (result, interrupted))

    return set_to


def test_reports_are_written_and_the_checks_follow_in_the_same_folder(
    watched: Patched, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []

    def run_to_end(command: list[str], _environment: dict[str, str]) -> int:
        asked.append(command)
        (tmp_path / "conformance.json").write_text('{"verdict": "conformant"}')
        (tmp_path / "status.md").write_text("# Conformant\n")
        return 0

    monkeypatch.setattr(dated_run, "run_to_end", run_to_end)
    watched(document(clean=True, reasons=(), findings=()), False)
    profile = with_urls(tmp_path)
    assert main(["watch", "--profile", profile, "--report-dir", str(tmp_path), "--kube-context", "prod"]) == 0
    (command,) = asked
    assert command[command.index("check") :] == [
        *("check", "-m", "e2e and not disruptive", "--cluster", "attach", "--profile", profile),
        *("--kube-context", "prod", "--report-dir", str(tmp_path)),
    ]
    assert '"verdict": "conformant"' in (tmp_path / "watch.json").read_text()
    assert "## Roll-out" in (tmp_path / "status.md").read_text()
    assert "roll-out: clean; quiet checks: conformant" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "interrupted"), [(("--no-checks",), False), ((), True)])
def test_no_checks_follow(
    watched: Patched, options: tuple[str, ...], interrupted: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(dated_run, "run_to_end", lambda *_: pytest.fail("checks were run"))
    watched(document(state=State.INTERRUPTED if interrupted else State.FINISHED), interrupted)
    status = main(["watch", "--profile", with_urls(tmp_path), "--report-dir", str(tmp_path), *options])
    assert status == (2 if interrupted else 1)
    assert (tmp_path / "watch.html").is_file()


def test_credentials_that_cannot_be_read_begin_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = Path(with_urls(tmp_path))
    profile.write_text(profile.read_text() + '\n[vllm.auth]\napi_key = { env = "FLEET_TEST_NO_SUCH_KEY" }\n')
    assert main(["watch", "--profile", str(profile), "--report-dir", str(tmp_path / "reports")]) == 4
    assert "FLEET_TEST_NO_SUCH_KEY" in capsys.readouterr().err
    assert not (tmp_path / "reports").exists()
