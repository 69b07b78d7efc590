"""The reports as people see them: pages of real runs in a real browser (headless Chromium, driven by Playwright).

The browser is $FLEET_CHROMIUM, a Chromium or Chrome on PATH, or Playwright's own. The runs are folders of reports below
$FLEET_BROWSER_RUNS; one that is not there is made, which takes a fleet.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.looking import Look, Scheme, launch
from tests.browser.runs import RUNS, make


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, launch(playwright) as launched:
        yield launched


@pytest.fixture
def look(browser: Browser) -> Iterator[Callable[..., Look]]:
    """Opens a file: `look(path, width=1280, height=800, scheme="light")`; in the end, the page must have been clean."""
    opened: list[Look] = []

    def open_page(path: Path, width: int = 1280, height: int = 800, scheme: Scheme = "light") -> Look:
        opened.append(Look.open(browser, path, width, height, scheme))
        return opened[-1]

    yield open_page
    for each in opened:
        each.close()
    for each in opened:
        assert not each.complaints, f"{each.path}: {each.complaints}"


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The report folder of a real run by its name in `RUNS`."""
    given = os.environ.get("FLEET_BROWSER_RUNS")
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            there = Path(given, name) if given else None
            if there and (there / "conformance.json").is_file():
                made[name] = there
            else:
                made[name] = tmp_path_factory.mktemp("runs") / name
                make(name, made[name])
        return made[name]

    return folder


@pytest.fixture(params=sorted(RUNS))
def run(request: pytest.FixtureRequest, reports: Callable[[str], Path]) -> Path:
    """The report folder of each of the runs, one after the other."""
    return reports(request.param)
