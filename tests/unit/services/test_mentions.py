"""Messages that name a task are found however their publishers write JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from fixtures.services.stream_messages import mentions

TASK = "a/b-é:JURÍDICO R&D 🗳"


def in_upper_case(document: Any) -> str:
    """As System.Text.Json does."""
    text = json.dumps(document).replace("&", "\\u0026")
    return re.sub(r"\\u[0-9a-f]{4}", lambda escape: "\\u" + escape[0][2:].upper(), text)


WRITERS: dict[str, Callable[[Any], str]] = {
    "Python's json": json.dumps,
    "as it stands": partial(json.dumps, ensure_ascii=False),
    "System.Text.Json": in_upper_case,
    "Go's encoding/json": lambda document: json.dumps(document, ensure_ascii=False).replace("&", "\\u0026"),
    "PHP's json_encode": lambda document: json.dumps(document).replace("/", "\\/"),
}


@pytest.mark.parametrize("written", WRITERS.values(), ids=list(WRITERS))
def test_words_are_found_however_they_are_written(written: Callable[[Any], str]) -> None:
    data = written({"t": TASK}).encode()
    assert json.loads(data) == {"t": TASK}, "the same document"
    assert mentions("other", TASK)(data)
    assert not mentions("other", TASK + "2", TASK.lower())(data)


def test_what_a_pattern_would_read_otherwise_is_itself() -> None:
    assert mentions("a.b")(b'"a.b"') and not mentions("a.b")(b'"a-b"')
    assert mentions('"[x]*\\')(json.dumps('"[x]*\\').encode())


def test_no_word_is_in_nothing() -> None:
    assert not mentions()(b"{}")
    assert not mentions("")(b"{}"), "of a task that was refused nothing is known"
