"""Which release an image's tag names, and when it names none."""

from __future__ import annotations

import pytest

from fixtures.core.versions import is_other_release, release_of


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("0.8.1", "0.8.1"),
        ("v0.8.1", "0.8.1"),
        ("0.8.1+7", "0.8.1"),
        ("0.8.1-slim", "0.8.1"),
        ("v10.8.12", "10.8.12"),
        ("0.8.1.4", "0.8.1"),
        ("0.8", None),
        ("git-1a2b3c", None),
        ("1a2b3c4", None),
        ("2026.11.05", None),
        ("latest", None),
        ("", None),
    ],
)
def test_a_release_is_read_as_a_whole(version: str, release: str | None) -> None:
    assert release_of(version) == release


@pytest.mark.parametrize("image", ["orch:10.8.12", "orch:v0.8.12", "0.8.1/orch:v0.7.3", "orch:v0.7.3", "r:1/o:0.8.10"])
def test_a_version_that_is_part_of_another_number_is_another_release(image: str) -> None:
    assert is_other_release(image, "0.8.1")


@pytest.mark.parametrize(
    "image",
    ["orch:0.8.1", "orch:v0.8.1", "orch:0.8.1_7", "orch:git-1a2b3c", "orch@sha256:1a2b", "r:5000/orch", "orch:main"],
)
def test_the_release_itself_and_what_names_none_pass(image: str) -> None:
    assert not is_other_release(image, "0.8.1")
