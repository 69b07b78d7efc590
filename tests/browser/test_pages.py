"""Every page of every run, as it is read: what it says, by keyboard, in light and dark, narrow and wide."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.report.model import Status
from fixtures.report.texts import Texts
from tests.browser.looking import Look, Scheme, shown

PAGES = ("status.html", "report.html")
Looking = Callable[..., Look]


def document(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "conformance.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", PAGES)
def test_the_verdict_is_seen_at_once_in_any_window(run: Path, look: Looking, name: str) -> None:
    found, page = document(run), look(run / name)
    seen = page.first_view()
    for status, count in shown(found["summary"]).items():
        assert f"{count} {Status(status).words}" in seen
    assert found["run_id"] in seen and found["cluster"]["kind"] in seen
    for width in (360, 768, 1280, 1920):
        page.page.set_viewport_size({"width": width, "height": 800})
        assert page.wider_than_the_window() == 0, f"{width} pixels are too narrow"
        assert Texts("en")(f"verdict.{found['verdict']}") in page.first_view()


@pytest.mark.parametrize("name", PAGES)
def test_no_word_is_too_long_for_a_narrow_window(run: Path, look: Looking, name: str) -> None:
    page = look(run / name, width=360)
    assert page.lengthen_words() > 20
    assert page.wider_than_the_window() == 0


@pytest.mark.parametrize(("name", "schemes"), [("status.html", ("light", "dark")), ("report.html", ("light",))])
def test_contrast_names_and_roles(run: Path, look: Looking, name: str, schemes: tuple[Scheme, ...]) -> None:
    page = look(run / name)
    for scheme in schemes:
        page.page.emulate_media(color_scheme=scheme)
        assert page.violations() == [], scheme


@pytest.mark.parametrize("name", PAGES)
def test_cause_and_remedy_of_the_missing_nats_incident_are_seen_at_once(
    reports: Callable[[str], Path], look: Looking, name: str
) -> None:
    page = look(reports("incident") / name)
    seen = page.first_view()
    for words in (
        "not conformant",
        "DEP-04 (MUST) nats imports on every worker",
        "nats-py on ray-worker-1, ray-worker-2",  # what is missing, and where
        "No module named 'nats'",
        "No result ever reaches the orchestrator",  # the impact
        "docker build -f images/ray/Dockerfile",  # the remedy: image, patch, restart
        "-n ray patch raycluster ray-gpu",
        "-n ray delete pods -l ray.io/cluster=ray-gpu",
    ):
        assert words in seen, f"{words!r} is not in view: {seen}"
    cut = page.page.locator(".chain .cut").all_inner_texts()
    assert [" ".join(link.split()) for link in cut] == [
        "worker imports (cut here)",
        "NATS publish (cut here)",
        "orchestrator collects (cut here)",
    ]


@pytest.mark.parametrize("name", PAGES)
def test_of_several_faults_the_first_cause_is_seen_and_all_are_named(
    reports: Callable[[str], Path], look: Looking, name: str
) -> None:
    folder = reports("several")
    found, page = document(folder), look(folder / name)
    causes = [row["id"] for row in found["checks"] if row["status"] == "failed" and not row["cause"]]
    assert len(causes) >= 3
    shown = page.page.locator(".cause h3").all_inner_texts()
    assert {text.split()[0] for text in shown} == set(causes)
    assert shown[0].split()[0] in page.first_view()


@pytest.mark.parametrize("name", PAGES)
def test_of_a_broken_environment_the_reason_is_seen_and_nothing_is_said_of_the_fleet(
    reports: Callable[[str], Path], look: Looking, name: str
) -> None:
    seen = look(reports("broken") / name).first_view()
    assert "inconclusive" in seen and "connection refused" in seen
    assert "says nothing about the fleet" in seen


def dep_04(folder: Path) -> dict[str, Any]:
    (row,) = [row for row in document(folder)["checks"] if row["id"] == "DEP-04"]
    return dict(row)


def test_a_command_is_copied_by_keyboard(reports: Callable[[str], Path], look: Looking) -> None:
    page = look(reports("incident") / "status.html")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    command = page.page.locator(".command").first
    page.page.keyboard.press("Tab")
    assert page.focused().inner_text() == "Copy", "the first thing that Tab reaches is the remedy"
    page.page.keyboard.press("Enter")
    command.get_by_text("Copied").wait_for()
    assert page.page.evaluate("navigator.clipboard.readText()") == command.locator("code").inner_text()
    commands = [step["text"] for step in dep_04(reports("incident"))["remedy_steps"] if step["kind"] == "command"]
    copied = page.page.locator(".command code").all_inner_texts()
    assert "\n".join(copied) == "\n".join(commands), "the buttons copy commands alone, and all of them"


def test_sections_are_reached_by_keyboard(reports: Callable[[str], Path], look: Looking) -> None:
    page = look(reports("green") / "status.html")
    page.page.keyboard.press("Tab")
    page.page.keyboard.press("Enter")
    page.page.wait_for_function("scrollY > 0 || location.hash === '#next'")
    for link in page.page.locator("nav a").all():
        target = str(link.get_attribute("href"))
        assert page.page.locator(f"h2{target}").count() == 1, target


def test_rows_are_filtered_and_unfolded_by_keyboard(reports: Callable[[str], Path], look: Looking) -> None:
    folder = reports("incident")
    found, page = document(folder), look(folder / "report.html")
    rows = page.page.locator("#results-table tbody .collapsible")
    assert rows.count() == len(found["checks"])
    passed = page.page.get_by_role("checkbox", name="passed")
    passed.focus()
    page.page.keyboard.press("Space")
    assert rows.count() == len(found["checks"]) - found["summary"]["passed"]
    first = rows.first.locator(".col-result")
    first.focus()
    page.page.keyboard.press("Enter")
    unfolded = page.page.locator("#results-table .extras-row:not(.hidden)")
    assert unfolded.count() == 1
    assert "docker build" in unfolded.inner_text()
    assert "col-result" in str(page.focused().get_attribute("class")), "the focus stays where it was"


def test_evidence_is_folded_in_its_row(reports: Callable[[str], Path], look: Looking) -> None:
    page = look(reports("incident") / "report.html")
    page.page.get_by_role("button", name="Show all details").click()
    pieces = page.page.locator("#results-table .extras-row details")
    assert pieces.count() > 10
    assert not pieces.first.locator("pre").is_visible()
    pieces.first.locator("summary").click()
    assert pieces.first.locator("pre").is_visible()


@pytest.mark.parametrize("name", PAGES)
def test_pictures_of_the_round_trip_and_of_latencies(reports: Callable[[str], Path], look: Looking, name: str) -> None:
    folder = reports("green")
    page, measured = look(folder / name), document(folder)["facts"]["measurements"]
    drawn = page.page.locator(".bars")
    assert f"agents work {measured[chr(39).join(('leg: agents', ' work, p50 s'))]:.3f} s" in str(
        drawn.get_attribute("aria-label")
    )
    widths = [bar.bounding_box()["width"] for bar in drawn.locator(".bar").first.locator("i").all()]  # type: ignore[index]
    assert len(widths) == 4
    seconds = [measured[f"leg: {leg}, p50 s"] for leg in ("submit", "agents' start", "agents' work", "collection")]
    for width, took in zip(widths, seconds, strict=True):
        assert width / max(widths) == pytest.approx(took / max(seconds), abs=0.02)
    assert page.page.locator("td.drawn .bar i").count() == len(document(folder)["facts"]["links"])


def test_the_printed_page_leaves_out_what_is_for_the_screen(reports: Callable[[str], Path], look: Looking) -> None:
    page = look(reports("incident") / "status.html", scheme="dark")
    page.page.emulate_media(media="print")
    assert not page.page.locator("nav").is_visible()
    assert not page.page.locator(".command button").first.is_visible()
    assert page.page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)", "black, whatever the scheme"
