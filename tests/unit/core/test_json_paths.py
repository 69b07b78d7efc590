"""Paths into JSON: what they read, set, and say of what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.core.json_path import JsonPath

DOCUMENT: dict[str, Any] = {"a": {"b": [{"c": 1}, {"c": 2}]}, "x/y": {"~": 3}, "": 4}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b[1].c", 2),
        ("/a/b/1/c", 2),
        ("/x~1y/~0", 3),
        ("/", 4),
        ("a.b[2].c", None),
        ("a.b.c", None),
        ("a.b[0].c.d", None),
        ("nothing", None),
    ],
)
def test_what_a_path_reads(text: str, value: object) -> None:
    assert JsonPath.of(text).read(DOCUMENT) == value


@pytest.mark.parametrize("text", ["", "a..b", ".a", "a.", "a[x]", "a[]", "[0]", "a b", "a[0]b"])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match=r"names joined by dots, as proposal\.content or results\[0\]\.id"):
        JsonPath.of(text)


@pytest.mark.parametrize("text", ["a", "a.b", "a.b[1].c", "a[0]", "/a/b"])
def test_what_is_put_is_read(text: str) -> None:
    document: dict[str, Any] = {}
    JsonPath.of(text).put(document, 7)
    assert JsonPath.of(text).read(document) == 7


def test_what_is_put_replaces_what_cannot_hold_it_and_keeps_the_rest() -> None:
    document = {"a": "text", "b": 1}
    JsonPath.of("a.c").put(document, 7)
    assert document == {"a": {"c": 7}, "b": 1}


def test_a_path_in_an_envelope_starts_there_and_a_pointer_at_the_root() -> None:
    envelope = JsonPath.of("data.payload")
    assert JsonPath.of("vote.text").after(envelope).steps == ("data", "payload", "vote", "text")
    assert JsonPath.of("/time").after(envelope).steps == ("time",)
    assert JsonPath.of("vote.text").after(None).shown == "vote.text"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.d", "a has: b"),
        ("a.d.e", "a has: b"),
        ("z", "it has: a, x/y, "),
        ("a.b[5].c", "a.b is no object"),
        ("/a/d", "/a has: b"),
    ],
)
def test_what_is_missing_is_said_with_what_is_there(text: str, words: str) -> None:
    assert JsonPath.of(text).missing_in(DOCUMENT) == words
