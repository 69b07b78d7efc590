"""The pictures in docs/pictures, taken of the pages as they are now.

usage: python -m tests.browser.pictures RUNS

RUNS is a folder with the report folders `green` and `incident`, the latter with its Allure site in `incident/allure`.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from fixtures.core.paths import ROOT
from tests.browser.looking import Look, Scheme, launch

FOLDER = ROOT / "docs" / "pictures"
COLOURS = 128  # flat pages need no more, and a picture stays below 100 kB

#: picture → run, page, width and height of the window in CSS pixels, scheme
PICTURES: dict[str, tuple[str, str, int, int, Scheme]] = {
    "green": ("green", "status.html", 1280, 720, "light"),
    "incident": ("incident", "status.html", 1280, 720, "light"),
    "incident-dark": ("incident", "status.html", 1280, 720, "dark"),
    "incident-report": ("incident", "report.html", 1280, 960, "light"),
    "incident-allure": ("incident", "allure/index.html", 1280, 800, "light"),
}


def main(runs: Path) -> None:
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright, launch(playwright) as browser:
        for name, (run, page, width, height, scheme) in PICTURES.items():
            look = Look.open(browser, runs / run / page, width, height, scheme)
            if page.startswith("allure"):
                look.page.get_by_test_id("tab-all").wait_for()  # its app has begun
            taken = Image.open(io.BytesIO(look.page.screenshot()))
            taken.convert("RGB").quantize(COLOURS).save(FOLDER / f"{name}.png", optimize=True)
            look.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
