"""What a service may answer instead of what it should: strategies, and how a reader of answers must take it.

"A valid answer with a wound" finds more than any random JSON: it gets past the first look at the document.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st

from fixtures.core.errors import Inconclusive, NonConformance, UsageError

OURS = (NonConformance, Inconclusive, UsageError)
MAX_REASON_CHARS = 12_000  # characters of a reason; a report shows 3,000 (fixtures/harness/outcome.py)

ODD_NUMBERS = (0, -1, 2**31, 2**63, 10**400, -(10**400), 0.5, -0.0, 1e308, 5e-324)
ODD_TEXTS = (
    "",
    " ",
    "\x00",
    "\n",
    "null",
    "0",
    "-1",
    "NaN",
    "a" * 5000,
    "\u202e",
    "🦑",
    "é" * 100,
    "[::1",
    "%",
    "../..",
    "{x}",
)

numbers = st.sampled_from(ODD_NUMBERS) | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.sampled_from(ODD_TEXTS) | st.text(max_size=30)
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to each value in a document, its own among them."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from _places(one, (*path, key))


@st.composite
def wounded(draw: Callable[[Any], Any], valid: Any, wounds: int = 3, instead: Any = values) -> Any:
    """The valid document with one to `wounds` values replaced, left out, put in besides or nested deeper."""
    document = [copy.deepcopy(valid)]  # in a list, so that the whole can be replaced, too
    for _ in range(draw(st.integers(1, wounds))):
        path = draw(st.sampled_from(list(_places(document))[1:]))
        holder: Any = document
        for key in path[:-1]:
            holder = holder[key]
        key, how = path[-1], draw(st.sampled_from(("replace", "replace", "leave out", "put in", "nest")))
        if how == "leave out" and len(path) > 1:
            del holder[key]
        elif how == "put in" and isinstance(holder, list) and len(path) > 1:
            holder.insert(key, copy.deepcopy(draw(instead)))
        elif how == "put in" and isinstance(holder, dict):
            holder[draw(st.text(max_size=8))] = copy.deepcopy(draw(instead))
        elif how == "nest":
            holder[key] = [holder[key]] if draw(st.booleans()) else {"x": holder[key]}
        else:
            holder[key] = copy.deepcopy(draw(instead))
    return document[0]


#: Texts that are nearly JSON, or that a parser of JSON takes and its user dies of.
TRAPS = (
    b"",
    b"null",
    b"NaN",
    b'{"a": Infinity}',
    b"[" * 100_000,
    b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    b'{"data": ' + b"9" * 5000 + b"}",
    b"1e999",
    b'"\\ud800"',
    b'{"data": "\\udfff"}',
    b"\xff\xfe\x00{",
    b"\xef\xbb\xbf{}",
    b"<html><body>502 Bad Gateway</body></html>",
    b"\x00" * 1000,
)


@st.composite
def bodies(draw: Callable[[Any], Any], valid: Any) -> bytes:
    """Bytes of an answer: a wounded document, one cut short, a trap, or anything at all."""
    how = draw(st.sampled_from(("wounded",) * 6 + ("cut", "trap", "bytes", "json")))
    if how == "trap":
        return bytes(draw(st.sampled_from(TRAPS)))
    if how == "bytes":
        return bytes(draw(st.binary(max_size=200)))
    if how == "json":
        return json.dumps(draw(values)).encode()
    body = json.dumps(draw(wounded(valid))).encode()
    return body[: draw(st.integers(0, len(body)))] if how == "cut" else body


@contextmanager
def a_reason_at_most(*raised: type[BaseException]) -> Iterator[None]:
    """The body ends well, or in one of the suite's own errors (`raised`: in one of these) that gives a reason."""
    try:
        yield
    except raised or OURS as error:  # noqa: B030
        assert_is_a_reason(str(error))


def assert_is_a_reason(text: str) -> None:
    """A few lines in words; not a traceback, and not the bare name of a Python exception."""
    assert text.strip(), "the error says nothing"
    assert len(text) <= MAX_REASON_CHARS, f"the reason has {len(text)} characters: {text[:200]}"
    assert "Traceback (most recent call last)" not in text, text
    assert not re.search(
        r"\b(?:Key|Type|Attribute|Index|Value|Recursion|UnboundLocal|Overflow|Unicode\w*|Validation)Error\b", text
    ), text
