"""The Allure site of every run, as ./ci/report renders it with the real Allure command line,
which takes Node.js and npm.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from fixtures.core.paths import ROOT
from fixtures.report.texts import Texts
from tests.browser.looking import Look
from tests.browser.runs import RUNS

Looking = Callable[..., Look]
Sites = Callable[..., Path]


def render(folder: Path, site: Path, *options: str) -> None:
    done = subprocess.run(
        [ROOT / "ci" / "report", "--reports", folder, "--site", site, *options],
        capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def sites(reports: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Sites:
    """The page of a run: `sites("incident")`."""
    rendered: dict[str, Path] = {}

    def page(name: str) -> Path:
        if name not in rendered:
            folder = tmp_path_factory.mktemp(name) / "reports"
            shutil.copytree(reports(name), folder)
            render(folder, folder / "site")
            rendered[name] = folder / "site" / "index.html"
        return rendered[name]

    return page


@pytest.fixture(params=sorted(RUNS))
def page(request: pytest.FixtureRequest, sites: Sites) -> Path:
    """The page of each of the runs, one after the other."""
    return sites(request.param)


def opened(look: Looking, path: Path, **window: Any) -> Look:
    """With Allure's app begun."""
    view = look(path, **window)
    view.page.get_by_test_id("tab-all").wait_for()
    return view


def document(page: Path) -> dict[str, Any]:
    return dict(json.loads((page.parents[1] / "conformance.json").read_text(encoding="utf-8")))


def tab(page: Page, name: str) -> str:
    return re.sub(r"\s+", " ", page.get_by_test_id(f"tab-{name}").inner_text())


def test_verdict_numbers_and_categories_are_those_of_the_run(page: Path, look: Looking) -> None:
    """The strip is seen at once and read by all; the rest of the page is Allure's own."""
    found, texts, view = document(page), Texts("en"), opened(look, page)
    summary, app, seen = found["summary"], view.page, view.first_view()
    assert f"Fleet conformance: {texts('verdict.' + found['verdict'])}" in seen
    assert texts("head.counts", **summary) in seen
    for scheme in ("light", "dark"):
        app.emulate_media(color_scheme=scheme)
        assert view.violations(within="#fleet") == [], scheme

    shown = {each: summary[each] for each in ("passed", "failed", "broken")}
    shown["skipped"] = summary["not_applicable"] + summary["unsupported"] + summary["disabled"]
    assert tab(app, "all") == f"Total {sum(summary.values())}"
    for status, count in shown.items():
        if count:
            assert tab(app, status) == f"{status.capitalize()} {count}"
        else:
            assert app.get_by_test_id(f"tab-{status}").count() == 0

    categories = {each: summary[each] for each in ("failed", "broken", "not_applicable", "unsupported", "disabled")}
    if not any(categories.values()):
        assert app.get_by_test_id("nav-tab-categories").count() == 0
        return
    app.get_by_test_id("nav-tab-categories").click()
    first = next(status for status, count in categories.items() if count)
    app.get_by_text(texts(f"allure.{first}")).first.wait_for()
    listed = re.sub(r"\s+", " ", app.locator("#app").inner_text())
    for status, count in categories.items():
        assert (f"{texts('allure.' + status)} {count}" in listed) is bool(count), listed


def test_cause_and_remedy_of_the_missing_nats_incident_are_seen_at_once(sites: Sites, look: Looking) -> None:
    seen = opened(look, sites("incident")).first_view()
    for words in (
        "not conformant",
        "DEP-04 (MUST) nats imports on every worker",
        "nats-py on ray-worker-1, ray-worker-2",  # what is missing, and where
        "No result ever reaches the orchestrator",  # the impact
        "docker build -f images/ray/Dockerfile",  # the remedy: image, patch, restart
        "-n ray patch raycluster ray-gpu",
        "-n ray delete pods -l ray.io/cluster=ray-gpu",
    ):
        assert words in seen, f"{words!r} is not in view: {seen}"


def test_on_a_telephone_too(sites: Sites, look: Looking) -> None:
    view = opened(look, sites("incident"), width=390, height=844)
    seen = view.first_view()
    for words in ("not conformant", "DEP-04 (MUST)", "nats-py on", "Remedy", "docker build -f"):
        assert words in seen, f"{words!r} is not in view: {seen}"
    assert view.wider_than_the_window() == 0
    assert view.page.evaluate("document.getElementById('app').getBoundingClientRect().height") > 300


def test_of_a_broken_environment_the_reason_is_seen(sites: Sites, look: Looking) -> None:
    seen = opened(look, sites("broken")).first_view()
    assert "inconclusive" in seen and "connection refused" in seen
    assert "nothing can be said about the fleet" in seen


def test_the_app_has_the_rest_of_the_window(sites: Sites, look: Looking) -> None:
    page = opened(look, sites("incident")).page
    heights = "() => ['fleet', 'app'].map(id => document.getElementById(id).getBoundingClientRect().height)"
    strip, app = page.evaluate(heights)
    assert strip + app == 800
    assert page.evaluate("document.documentElement.scrollHeight") == 800
    page.locator("#fleet summary").press("Enter")
    folded, rest = page.evaluate(heights)
    assert folded < 50
    assert folded + rest == 800


def test_the_link_leads_to_the_status_page(sites: Sites, look: Looking) -> None:
    page = sites("incident")
    target = opened(look, page).page.locator("#fleet a").get_attribute("href")
    assert target is not None
    assert (page.parent / target).resolve() in [page.parents[1] / name for name in ("status.html", "status.md")]


def test_a_check_shows_its_explanation_evidence_and_history(
    reports: Callable[[str], Path], tmp_path: Path, look: Looking
) -> None:
    """Two nights, the second in Spanish: the history has both, and the check knows the night before."""
    before, night = tmp_path / "2026-01-01T03-15-00Z", tmp_path / "2026-01-02T03-15-00Z"
    shutil.copytree(reports("green"), before)
    shutil.copytree(reports("incident"), night)
    path = before / "conformance.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"started": "2026-01-01T03:15:00+00:00"}), "utf-8")
    render(before, before / "site")
    render(night, night / "site", "--lang", "es")
    assert len((tmp_path / "allure-history.jsonl").read_text("utf-8").splitlines()) == 2
    page, texts = night / "site" / "index.html", Texts("es")
    view = opened(look, page)
    app, seen = view.page, view.first_view()
    for words in ("no conforme", texts("head.counts", **document(page)["summary"]), "Remedio", "Fallido"):
        assert words in seen, f"{words!r} is not in view: {seen}"
    app.get_by_test_id("tree-leaf-title").get_by_text("DEP-04 nats imports").click()
    shown = app.locator("#app").inner_text()
    for words in ("ray-worker-1.txt", texts("allure.failed")):
        assert words in shown, shown
    app.frame_locator("[data-testid=test-result-description-frame]").get_by_text("When it fails:").wait_for()
    app.get_by_test_id("test-result-tab-history").click()
    assert app.get_by_test_id("test-result-history-item").count() == 1


def test_the_app_may_start_before_the_browser_has_read_the_data(sites: Sites, browser: Browser) -> None:
    whole = sites("incident").read_bytes()
    data, go_on = whole.rindex(b"<script async>"), threading.Event()

    class InTwoParts(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(whole[:data])
            go_on.wait(60)
            self.wfile.write(whole[data:])

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), InTwoParts)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = browser.new_page()
    try:
        page.goto(f"http://127.0.0.1:{server.server_port}/", wait_until="commit")
        page.locator("#app > *").first.wait_for(state="attached")
        go_on.set()
        page.get_by_test_id("tab-all").wait_for()
    finally:
        go_on.set()
        page.close()
        server.shutdown()
        server.server_close()
