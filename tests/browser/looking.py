"""A page as a reader has it before them, and what it complains of meanwhile."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Playwright

Scheme = Literal["light", "dark"]  # a page's colours

ON_PATH = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def launch(playwright: Playwright) -> Browser:
    """$FLEET_CHROMIUM, a Chromium or Chrome on PATH, or Playwright's own; to be used as a context manager."""
    found = os.environ.get("FLEET_CHROMIUM") or next(filter(None, map(shutil.which, ON_PATH)), None)
    # root has no sandbox; the pages are the suite's own
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=found, args=arguments)


@dataclass
class Look:
    """An opened page.

    `complaints` gathers errors of its scripts and console, and requests to anywhere but its own folder.
    """

    path: Path
    page: Page
    context: BrowserContext
    complaints: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, browser: Browser, path: Path, width: int, height: int, scheme: Scheme) -> Look:
        """`width` and `height` are the viewport's, in CSS pixels."""
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        page = context.new_page()
        look = cls(path, page, context)
        page.on("pageerror", lambda error: look.complaints.append(f"error: {error}"))
        page.on("console", look._printed)
        page.on("request", lambda request: look._requested(request.url))
        page.goto(path.resolve().as_uri(), wait_until="load")
        return look

    def _printed(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"console: {message.text}")

    def _requested(self, url: str) -> None:
        if not url.startswith((self.path.resolve().parent.as_uri(), "data:", "blob:")):
            self.complaints.append(f"request to {url}")

    def close(self) -> None:
        self.context.close()

    def first_view(self) -> str:
        """The text that can be read without scrolling or clicking: of every line that lies wholly in the viewport."""
        text = self.page.evaluate(_IN_VIEW)
        return re.sub(r"\s+", " ", text)

    def text(self) -> str:
        return re.sub(r"\s+", " ", self.page.inner_text("body"))

    def wider_than_the_window(self) -> int:
        """CSS pixels by which the page would have to be scrolled sideways."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def lengthen_words(self) -> int:
        """Give every text of the suite's that is not kept on its line a word without a break, as long as the names of
        pods, classes and images are; how many texts these are.
        """
        return int(self.page.evaluate(_LENGTHEN))

    def violations(self, within: str | None = None) -> list[str]:
        """What axe finds against WCAG 2.1 A and AA, contrast included,
        in the page or `within` what a selector names.
        """
        found = Axe().run(self.page, within, {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
        return [
            f"{each['id']}: {each['help']} ({len(each['nodes'])}×, e.g. {each['nodes'][0]['html'][:160]})"
            for each in found.response["violations"]
        ]

    def focused(self) -> Locator:
        return self.page.locator(":focus")


_LENGTHEN = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), nodes = [];
  while (walker.nextNode()) nodes.push(walker.currentNode);
  const open = nodes.filter(({data, parentElement}) => data.trim() && parentElement.closest('.fleet') &&
    !parentElement.closest('style, script') && getComputedStyle(parentElement).whiteSpace !== 'nowrap');
  for (const node of open) node.data += ' ' + 'Unbroken'.repeat(12);
  return open.length;
}"""

#: Text nodes whose whole box is visible: in the viewport, not cut off by a scrolling ancestor, neither
#: hidden nor covered.
_IN_VIEW = """() => {
  const seen = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const clips = element => {
    let box = {left: 0, top: 0, right: innerWidth, bottom: innerHeight};
    for (let each = element; each && each !== document.documentElement; each = each.parentElement) {
      const style = getComputedStyle(each);
      if (/(hidden|auto|scroll|clip)/.test(style.overflowX + style.overflowY) && each !== document.body) {
        const own = each.getBoundingClientRect();
        box = {left: Math.max(box.left, own.left), top: Math.max(box.top, own.top),
               right: Math.min(box.right, own.right), bottom: Math.min(box.bottom, own.bottom)};
      }
    }
    return box;
  };
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.data.trim() || !parent.checkVisibility({checkOpacity: true, checkVisibilityCSS: true})) continue;
    const range = document.createRange(), box = clips(parent), words = [];
    for (const found of node.data.matchAll(/\\S+/g)) {
      range.setStart(node, found.index);
      range.setEnd(node, found.index + found[0].length);
      const all = [...range.getClientRects()];
      if (all.length && all.every(rect => rect.top >= box.top && rect.bottom <= box.bottom + 1 &&
          rect.left >= box.left - 1 && rect.right <= box.right + 1)) words.push(found[0]);
    }
    if (words.length) seen.push(words.join(' '));
  }
  return seen.join('\\n');
}"""


def shown(summary: dict[str, int]) -> dict[str, int]:
    """The numbers that people are shown: of known failures only where there are some."""
    return {status: count for status, count in summary.items() if count or status != "known"}
