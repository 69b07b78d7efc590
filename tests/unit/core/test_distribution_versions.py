"""Versions of distributions, however they are written."""

from __future__ import annotations

import pytest

from fixtures.core.versions import is_version


@pytest.mark.parametrize(
    ("installed", "wanted"),
    [
        ("2.10.0", "2.10.0"),
        ("2.10.0", "2.10"),
        ("2.10", "2.10.0"),
        ("2.5.1+cu121", "2.5.1"),
        ("2.5.1+cu121", "2.5.1+CU121"),
        ("v2.10.0", "2.10.0"),
        ("2.0.0rc1", "2.0.0RC1"),
    ],
)
def test_it_is_the_version(installed: str, wanted: str) -> None:
    assert is_version(installed, wanted)


@pytest.mark.parametrize(
    ("installed", "wanted"),
    [
        ("", "2.10.0"),
        ("", "0"),
        ("2.9.0", "2.10.0"),
        ("2.1", "2.10"),
        ("2.10.0", "2.10.0+cu121"),
        ("2.10.0+cpu", "2.10.0+cu121"),
        ("2.10.0rc1", "2.10.0"),
        ("2.10.0.post1", "2.10.0"),
        ("+local", "2.10.0"),
        ("20.1.0", "2.1.0"),
    ],
)
def test_it_is_another(installed: str, wanted: str) -> None:
    assert not is_version(installed, wanted)
