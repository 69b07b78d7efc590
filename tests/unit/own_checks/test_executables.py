"""An executable of an own check: what it gets, what is seen of it, and that nothing of it stays."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.own_checks import executables
from fixtures.own_checks.executables import Executable
from fixtures.own_checks.verdict import outcome
from fixtures.probes.payload.executables import MAX_OUTPUT_BYTES, run_executable
from fixtures.probes.payload.probe import probe
from fixtures.probes.schema import Answer
from tests.support import published

HERE = {"PATH": os.environ["PATH"]}


def asked(script: str, *arguments: str, timeout: float = 10.0, **more: Any) -> dict[str, Any]:
    files = {"tools/check.sh": base64.b64encode(script.encode()).decode()}
    command = ["tools/check.sh", *arguments]
    return {"command": command, "files": files, "question": {"check": "ACME-01"}, "timeout": timeout, **more}


def ran(script: str, *arguments: str, timeout: float = 10.0, **more: Any) -> Answer:
    return Answer.of(run_executable(asked(script, *arguments, timeout=timeout, **more)))


def test_its_question_is_on_standard_input_with_the_place() -> None:
    answer = ran("#!/bin/sh\ncat\n")
    assert answer.ok and answer.exit == 0 and answer.ms
    assert json.loads(answer.output) == {"check": "ACME-01", "place": {"host": os.uname().nodename}}


def test_what_it_is_asked_is_as_published(tmp_path: Path) -> None:
    item = Executable("ACME-01", "ACME-01", "workers", ("check.sh",), {}, 5.0)
    about = {"run_id": "r1", "profile": {"name": "prod"}, "endpoints": {"vllm": "http://vllm:8000"}}
    row = item.question(about)["executable"]
    script = base64.b64encode(b"#!/bin/sh\ncat\n").decode()
    published.validate(json.loads(run_executable({**row, "files": {"check.sh": script}})["output"]))


def test_it_may_leave_its_question_unread() -> None:
    assert ran("#!/bin/sh\nexec <&-\nexit 0\n", question={"long": "x" * (1 << 20)}).ok


def test_it_runs_in_a_folder_of_its_own_which_goes() -> None:
    answer = ran('#!/bin/sh\npwd; ls; touch left\necho "$1"\n', "an argument; with $signs")
    folder, name, argument = answer.output.splitlines()
    assert (name, argument) == ("tools", "an argument; with $signs")
    assert not Path(folder).exists()


def test_it_gets_the_environment_of_its_place_or_the_one_that_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_TOKEN", "secret")
    script = '#!/bin/sh\necho "${NATS_TOKEN:-none}"\n'
    assert ran(script).output == "secret\n"
    assert ran(script, environment=HERE).output == "none\n"


def test_what_runs_here_gets_what_is_named_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_TOKEN", "secret")
    monkeypatch.setenv("ACME_TOKEN", "handed on")
    item = Executable("ACME-01", "ACME-01", "here", ("x",), {}, 1.0, ("ACME_TOKEN", "NOT_SET"))
    environment = item.environment()
    assert environment["ACME_TOKEN"] == "handed on" and environment["PATH"] == os.environ["PATH"]
    assert not {"NATS_TOKEN", "NOT_SET"} & set(environment)


def test_one_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    answer = ran(f"#!/bin/sh\nsleep 600 &\necho $! > {pids}\necho waiting >&2\nsleep 600\n", timeout=0.5)
    assert (answer.ok, answer.exit, answer.errors) == (False, None, "waiting\n")
    assert answer.error == "it did not end within 0.5 s, and was killed"
    assert not psutil.pid_exists(int(pids.read_text())) or _is_ending(int(pids.read_text()))


def test_what_it_leaves_in_the_background_ends_with_it(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    answer = ran(f"#!/bin/sh\nsleep 600 &\necho $! > {pids}\necho done\n")
    assert answer.ok and answer.output == "done\n"
    assert not psutil.pid_exists(int(pids.read_text())) or _is_ending(int(pids.read_text()))


def _is_ending(pid: int) -> bool:
    """A process that was killed is there until whoever inherited it has looked."""
    try:
        return psutil.Process(pid).status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return True


def test_of_much_output_the_end_is_kept() -> None:
    answer = ran("#!/bin/sh\nhead -c 10000000 /dev/zero | tr '\\0' x\necho the end\n")
    assert answer.ok and len(answer.output) == MAX_OUTPUT_BYTES and answer.output.endswith("xthe end\n")


def test_a_signal_has_its_name() -> None:
    assert ran("#!/bin/sh\nkill -SEGV $$\n").error == "it was ended by SIGSEGV"


@pytest.mark.parametrize("script", ["no first line", "#!/no/such/interpreter\n"])
def test_what_cannot_be_started_is_no_exception(script: str) -> None:
    answer = ran(script)
    assert (answer.ok, answer.exit) == (False, None) and "Error" in answer.error


def test_the_probe_asks_all_at_once_and_answers_by_name() -> None:
    slow = asked("#!/bin/sh\nsleep 0.4\n")
    rows: list[dict[str, Any]] = [{"name": f"slow {number}", "executable": slow} for number in range(4)]
    rows += [{"name": "json", "module": "json"}, {"name": "none", "module": "no_such_module"}]
    rows += [{"name": "port", "tcp": "127.0.0.1:1"}, {"name": "page", "http": "http://127.0.0.1:1/"}]
    answers = {name: Answer.of(answer) for name, answer in probe({"asked": rows})["asked"].items()}
    assert set(answers) == {row["name"] for row in rows}
    assert all(answers[f"slow {number}"].ok for number in range(4))
    assert answers["json"].ok and answers["json"].file.endswith("__init__.py")
    assert [answers[name].ok for name in ("none", "port", "page")] == [False] * 3
    assert "no_such_module" in answers["none"].error and "refused" in answers["page"].error


# -- what the answers mean ------------------------------------------------------------------------------------------


def answer(status: int | None, output: str = "", errors: str = "", error: str = "") -> Answer:
    return Answer(ok=status == 0, exit=status, output=output, errors=errors, error=error)


def test_it_passes_where_it_passes_everywhere() -> None:
    seen = outcome({"w1": answer(0, 'noise\n{"measurements": {"GB": 50}}\n'), "w2": answer(0, "fine")})
    seen.raise_unless_passed()
    assert seen.measurements("ACME-01") == {"ACME-01 GB, w1": 50.0}
    assert outcome({"": answer(0, '{"measurements": {"GB": 50}}')}).measurements("ACME-01") == {"ACME-01 GB": 50.0}


def test_it_fails_in_its_own_words_with_a_finding_for_each_place() -> None:
    answers = {
        "w1": answer(0),
        "w2": answer(1, '{"detail": "12 GB left"}'),
        "w3": answer(1, "first\nno room\n"),
        "w4": answer(1, "", "no df"),
        "w5": answer(1),
        "w6": answer(2, "cannot tell"),
    }
    with pytest.raises(NonConformance) as raised:
        outcome(answers).raise_unless_passed()
    assert raised.value.findings == (
        "w2: 12 GB left",
        "w3: first\nno room",
        "w4: no df",
        "w5: ended with 1, without a word",
    )
    assert str(raised.value).endswith("\nnot decided: w6: cannot tell")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (answer(2, '{"detail": "the server is new"}'), "w1: the server is new"),
        (answer(127, "", "sh: df: not found"), "w1: ended with 127, which is none of 0, 1 and 2: sh: df: not found"),
        (answer(None, "", "a\nb", "it was ended by SIGKILL"), "w1: it was ended by SIGKILL; it wrote last: b"),
        (answer(None, error="PermissionError: no"), "w1: PermissionError: no"),
    ],
)
def test_what_it_does_not_decide_is_broken(given: Answer, words: str) -> None:
    with pytest.raises(Inconclusive) as raised:
        outcome({"w1": given, "w2": answer(0)}).raise_unless_passed()
    assert str(raised.value) == words


@pytest.mark.parametrize("line", ["[1]", "{", '{"measurements": {"GB": "many"}}', "[" * 100_000])
def test_a_last_line_that_is_no_document_is_its_words(line: str) -> None:
    with pytest.raises(NonConformance) as raised:
        outcome({"": answer(1, f"seen\n{line}")}).raise_unless_passed()
    assert raised.value.findings == (f"seen\n{line}",)


def test_a_duration_is_whole_seconds_up_to_a_minute() -> None:
    assert [executables.seconds_of(text) for text in ("1s", "60s")] == [1.0, 60.0]
    for text in ("0s", "61s", "2m", "1.5s", " 1s", "1s\n"):
        with pytest.raises(ValueError, match="must be a number of seconds"):
            executables.seconds_of(text)
