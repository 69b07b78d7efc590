"""Foreign text in Markdown: whatever it is, a real parser reads the same text back, and no markup."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from fixtures.report.markdown import cell

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
#: What cells are made of: a word, each sign, digits, and what begins and ends things in Markdown.
PIECES = st.lists(st.sampled_from([*"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ a1\n", "&amp;", "&#42;", "``", "<b>", "a_b"]))


def read_back(markdown: str, around: str) -> str:
    """The text of what stands in place of % in a document, as a reader sees it; code spans keep one backtick."""
    html = PARSER.render(around.replace("%", markdown))
    (inner,) = re.findall(r"<(?:td|p)>(.*)</(?:td|p)>", html, re.DOTALL)
    inner = inner.replace("<br>", "\n").replace("<code>", "`").replace("</code>", "`")
    assert not re.search(r"<[a-z/!]", inner), f"markup: {html}"
    return unescape(inner)


def as_read(text: str) -> str:
    """Blanks as a reader sees them; the length of a run of backticks that opens or closes a code span is not seen."""
    lines = [re.sub(r"\s+", " ", line).strip() for line in text.strip().splitlines()]
    return re.sub(r"[` ]+", "", "\n".join(lines))


@pytest.mark.parametrize("around", ["| h |\n|---|\n| % |\n", "%\n", "x: %\n"], ids=["cell", "paragraph", "line"])
@given(pieces=PIECES)
def test_nothing_is_taken_for_markup(around: str, pieces: list[str]) -> None:
    text = "".join(pieces)
    if cell(text):
        shown = read_back(cell(text), around)
        assert as_read(shown.removeprefix("x: ")) == as_read(text)


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("no `nats` on ray-worker-1", "no `nats` on ray-worker-1"),
        (r"\<img src=x>", r"\\\<img src=x\>"),
        (r"\[click\](http://evil)", r"\\\[click\\\](http://evil)"),
        ("`` <img> `", r"\`\` \<img\> \`"),
        ("a_b is_not_ _this_", r"a_b is_not\_ \_this\_"),
        ("NATS_URL=nats://10.0.0.1:4222 | 2", r"NATS_URL=nats://10.0.0.1:4222 \| 2"),
        ("# no heading", r"\# no heading"),
        ("1. no list", r"1\. no list"),
        ("6.1 s, -5 and #7", "6.1 s, -5 and #7"),
        ("- no list", r"\- no list"),
        ("---", r"\---"),
        ("two\nlines", "two<br>lines"),
        ("&lt; $x$ ~~y~~", r"\&lt; \$x\$ \~\~y\~\~"),
    ],
)
def test_what_becomes_of_it(text: str, markdown: str) -> None:
    assert cell(text) == markdown
