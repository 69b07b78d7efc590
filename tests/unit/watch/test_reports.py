"""What a watch writes: a document that reads back, a page and a picture that no text of a fleet can break."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fixtures.redaction.redact import MASK, Redactor
from fixtures.watch import terminal, writing
from fixtures.watch.document import Checks, Claims, Command, Document, Event, Finding, Instance, Replacement, Word
from fixtures.watch.page import html_page, status_section
from fixtures.watch.timeline import drawn
from tests.support import published
from tests.unit.watch.samples import agent_job, deliberation, document

HOSTILE = "</text><script>alert(1)</script>\"'&]]>\x00\x1b[31m\u202e{{ 7 * 7 }}{% raw %}| `x` <!-- \ud800"


def hostile() -> Document:
    return document(
        profile=HOSTILE,
        reasons=(HOSTILE,),
        findings=(Finding(word="lost", task=HOSTILE, agent=HOSTILE, text=HOSTILE),),
        instances=(Instance(component=HOSTILE, group="g", name=HOSTILE, image=HOSTILE, first_s=0, last_s=9),),
        replacements=(Replacement(at_s=1, component=HOSTILE, group="g", before=HOSTILE, after=HOSTILE),),
        rounds=(deliberation(1, word=Word.FAILED, end="failed", ended_s=6.0, reason=HOSTILE, task=HOSTILE),),
        command=Command(line=HOSTILE, began_s=1.0),
        notes=(HOSTILE,),
        events=(Event(at_s=1, text=HOSTILE),),
        checks=Checks(status=1, verdict=HOSTILE, seconds=2),
    )


def test_the_document_reads_back_and_is_what_its_schema_says() -> None:
    text = writing.json_text(document())
    value = json.loads(text)
    published.validate(value)
    assert value["schema"] == "fleet-watch/v1"
    assert Document.of(value) == document()
    assert value["rounds"][3]["word"] is None


def test_the_picture_is_xml_and_has_a_mark_for_everything() -> None:
    svg = drawn(document())
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    titles = [element.text or "" for element in root.iter() if element.tag.endswith("title")]
    for word in ("x2k, 00:00 to 00:30: ray:2.49.2", "deliberation 2 at 00:10", "refused: UNAVAILABLE", "open when"):
        assert any(word in title for title in titles), word
    assert any("no agent started from 00:10 to 00:53, 38 s beyond" in title for title in titles)
    assert "url(#fw-hatch)" in svg
    assert "prefers-color-scheme: dark" in svg
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", svg), "it needs no other file"


def test_replicas_of_two_images_have_two_colours() -> None:
    svg = drawn(document())
    assert re.search(r'class="i0"[^>]*><title>x2k', svg)
    assert re.search(r'class="i1"[^>]*><title>9fq', svg)


@pytest.mark.parametrize("made", [drawn, html_page])
def test_hostile_texts_stay_texts(made: object) -> None:
    page = made(hostile())  # type: ignore[operator]
    assert "<script>alert" not in page
    assert "\x00" not in page and "\x1b" not in page and "\u202e" not in page
    assert "{{ 7 * 7 }}" in page, "it is no template"
    page.encode("utf-8")


def test_a_hostile_picture_is_xml() -> None:
    ElementTree.fromstring(drawn(hostile()))


def test_a_hostile_event_breaks_no_table_of_the_status_page() -> None:
    section = status_section(hostile())
    rows = [line for line in section.splitlines() if line.startswith("| 00:01")]
    assert len(rows) == 1
    assert "\\|" in rows[0] and "<script>" not in section


def test_the_page_has_the_answer_the_picture_and_each_word() -> None:
    page = html_page(document())
    assert "<h1>The roll-out is not clean</h1>" in page
    assert "<svg" in page and "<script" not in page
    assert "sequence 7 is not there" in page
    for word in ("lost", "doubled", "vanished", "unreadable", "refused", "failed", "late", "skipped"):
        assert f"<td>{word}</td>" in page
    assert '<meta name="color-scheme" content="light dark">' in page


def test_a_long_watch_shows_the_rounds_that_were_not_good() -> None:
    rows = [deliberation(number, ended_s=5.0 * number + 1, end="completed", word=Word.GOOD) for number in range(1, 500)]
    rows.append(agent_job(500, refused=True, reason="the one that counts", word=Word.REFUSED))
    page = html_page(document(rounds=tuple(rows)))
    assert "1 of 500 rounds" in page
    assert "the one that counts" in page


def test_what_is_shown_in_the_end() -> None:
    lines = terminal.closing(document(checks=Checks(status=0, verdict="conformant", seconds=59.2)))
    assert lines[0].startswith("vanished")
    assert lines[1] == (
        "lost 0 · doubled 0 · vanished 1 · unreadable 0 · refused 1 · failed, reported 0 · late 0 · skipped 3 "
        "· open 1, of 4 rounds"
    )
    assert lines[2] == (
        "longest gap      orchestrator 0 s · job 38 s · vllm 0 s · publish 0 s · collect 0 s (limit 60 s)"
    )
    assert lines[3] == "mixed versions   ray, 00:34 to 01:29: head ray:2.52.1, workers ray:2.49.2"
    assert lines[-1] == "roll-out: not clean (1 vanished); quiet checks: conformant (59 s)"
    clean = document(clean=True, reasons=(), findings=())
    assert terminal.closing(clean)[-1] == "roll-out: clean"


def test_secrets_are_in_no_file(tmp_path: Path) -> None:
    redactor = Redactor()
    redactor.add("s3cret-of-the-fleet")
    leaky = document(
        command=Command(line="helm upgrade x --set token=s3cret-of-the-fleet", began_s=1.0),
        events=(Event(at_s=1, text="$ helm s3cret-of-the-fleet"),),
        notes=("nats://user:s3cret-of-the-fleet@nats:4222",),
    )
    clean = writing.scrubbed(leaky, redactor)
    assert writing.write(clean, tmp_path) == []
    texts = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert texts.keys() == {"watch.json", "watch.html", "timeline.svg"}
    for name, text in texts.items():
        assert "s3cret" not in text, name
    assert MASK in texts["watch.html"]


def test_a_file_that_cannot_be_written_takes_no_other_with_it(tmp_path: Path) -> None:
    (tmp_path / "watch.html").mkdir()
    problems = writing.write(document(), tmp_path)
    assert len(problems) == 1 and "watch.html" in problems[0]
    assert (tmp_path / "watch.json").is_file()


def test_the_status_page_of_the_checks_gets_one_section(tmp_path: Path) -> None:
    checked = document(checks=Checks(status=0, verdict="conformant", seconds=59))
    assert writing.add_to_status(checked, tmp_path) == [], "no checks have written one"
    status = tmp_path / "status.md"
    status.write_text("# Conformant\n")
    for _ in range(2):
        assert writing.add_to_status(checked, tmp_path) == []
    text = status.read_text()
    assert text.startswith("# Conformant\n")
    assert text.count("## Roll-out") == 1
    assert "[watch.html](watch.html)" in text


def test_claims_have_a_count_for_each_word() -> None:
    assert {word.value for word in Word} <= Claims.model_fields.keys()
