"""What is written as TOML is read as the same."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.core.toml_writing import toml_text

plain: st.SearchStrategy[Any] = st.text(st.characters(exclude_categories=["Cs"])) | st.booleans()
plain = plain | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False)
values = st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text("aä.-\"' ", max_size=4), inner))


@given(st.dictionaries(st.text("ab.-\"' \x7f\n", max_size=4), values))
def test_it_is_read_as_it_was(document: dict[str, Any]) -> None:
    assert tomllib.loads(toml_text(document)) == document


def test_sections_are_tables_and_short_mappings_stand_in_lines() -> None:
    document = {"nats": {"auth": {"token": {"env": "T"}}, "port": 1}, "name": "x", "long": ["y" * 60, "z" * 60]}
    assert toml_text(document) == (
        f'name = "x"\nlong = [\n    "{"y" * 60}",\n    "{"z" * 60}",\n]\n\n'
        '[nats]\nauth = { token = { env = "T" } }\nport = 1\n'
    )


def test_what_toml_has_no_form_for() -> None:
    with pytest.raises(TypeError, match="NoneType"):
        toml_text({"a": None})
