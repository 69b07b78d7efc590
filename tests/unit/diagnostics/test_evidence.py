"""Evidence is bounded, named safely and without secrets."""

import json
from pathlib import Path

import pytest

from fixtures.diagnostics.evidence import LIMIT, Evidence
from fixtures.redaction.redact import Redactor


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return Evidence(tmp_path, "INF-03", Redactor())


def test_the_suffix_follows_the_content(evidence: Evidence) -> None:
    evidence.attach("answer", {"id": 1})
    evidence.attach("log", "text")
    evidence.attach("raw", b"\x00\x01")
    evidence.attach("named.yaml", "a: 1")
    assert [Path(path).name for path in evidence.paths] == ["answer.json", "log.txt", "raw.bin", "named.yaml"]
    assert evidence.paths[0] == "evidence/INF-03/answer.json"


def test_a_picture_is_kept_as_it_is(evidence: Evidence) -> None:
    png = b"\x89PNG\r\n\x1a\n\x00\xff\xfe\xc3(" + bytes(range(256))
    path = evidence.attach("seen.png", png)
    assert path.name == "seen.png"
    assert path.read_bytes() == png


def test_secrets_are_replaced_and_the_callers_data_is_left_alone(evidence: Evidence) -> None:
    data = {"password": "x1", "at": Path("/x"), "max_tokens": 32}
    written = json.loads(evidence.attach("request", data).read_text())
    assert written == {"password": "[redacted]", "at": "/x", "max_tokens": 32}
    assert data["password"] == "x1"
    assert b"hunter2" not in evidence.attach("raw", b"nats://u:hunter2@h \xff").read_bytes()


def test_a_name_cannot_leave_the_folder_nor_overwrite(evidence: Evidence, tmp_path: Path) -> None:
    paths = [evidence.attach("../../x/y.txt", "1"), evidence.attach("../../x/y.txt", "2"), evidence.attach("..", "3")]
    assert all(path.parent == tmp_path / "evidence" / "INF-03" for path in paths)
    assert len(set(paths)) == 3


def test_what_cannot_be_written_is_a_line_and_no_error(tmp_path: Path) -> None:
    problems: list[str] = []
    (tmp_path / "evidence").write_text("a file in the way")
    evidence = Evidence(tmp_path, "INF-03", Redactor(), problems)
    evidence.attach("seen", {"a": 1})
    assert len(problems) == 1 and problems[0].startswith("evidence of INF-03: ")
    assert not evidence.paths


def test_a_folder_that_cannot_be_looked_into_is_a_line_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, **_: object) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    problems: list[str] = []
    path = Evidence(tmp_path, "INF-03", Redactor(), problems).attach("../seen", {"a": 1})
    assert problems == ["evidence of INF-03: [Errno 13] Permission denied"]
    assert path == tmp_path / "evidence" / "INF-03" / "seen.json"


def test_what_is_too_large_is_cut_and_says_so(evidence: Evidence) -> None:
    path = evidence.attach("big", {"x": "y" * (2 * LIMIT)})
    assert path.suffix == ".txt"
    assert path.stat().st_size < LIMIT + 200
    assert "cut here" in path.read_text()[-100:]
