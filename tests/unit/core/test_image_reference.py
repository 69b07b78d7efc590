"""Images are compared by what their references stand for; another tag, digest or repository is another image."""

from __future__ import annotations

import pytest

from fixtures.core.image_reference import (
    ImageReference,
    digest_of,
    is_floating,
    parse_reference,
    runs_image,
    same_image,
)


@pytest.mark.parametrize(
    ("text", "host", "path", "tag", "digest"),
    [
        ("x", "docker.io", "library/x", "latest", ""),
        ("x:1", "docker.io", "library/x", "1", ""),
        ("fleet/ray:2.49.2", "docker.io", "fleet/ray", "2.49.2", ""),
        ("index.docker.io/library/x", "docker.io", "library/x", "latest", ""),
        ("localhost/x:1", "localhost", "x", "1", ""),
        ("localhost:5000/x", "localhost:5000", "x", "latest", ""),
        ("registry.local:5000/a/b/x:1@sha256:a", "registry.local:5000", "a/b/x", "1", "sha256:a"),
        ("registry.local/x@sha256:a", "registry.local", "x", "", "sha256:a"),
        ("127.0.0.1:8000", "docker.io", "library/127.0.0.1", "8000", ""),
        ("", "docker.io", "library/", "latest", ""),
        (":@", "docker.io", "library/:", "latest", ""),
    ],
)
def test_a_reference_in_its_full_form(text: str, host: str, path: str, tag: str, digest: str) -> None:
    assert parse_reference(text) == ImageReference(host, path, tag, digest)


@pytest.mark.parametrize(
    ("image_id", "digest"),
    [
        ("docker-pullable://fleet/ray@sha256:a", "sha256:a"),
        ("registry.local:5000/fleet/ray@sha256:a", "sha256:a"),
        ("docker://sha256:a", "sha256:a"),
        ("sha256:a", "sha256:a"),
        ("", ""),
    ],
)
def test_the_digest_in_what_a_runtime_reports(image_id: str, digest: str) -> None:
    assert digest_of(image_id) == digest


@pytest.mark.parametrize(
    ("wanted", "seen", "same"),
    [
        ("x:1", "x:1", True),
        ("x", "docker.io/library/x:latest", True),
        ("x:1", "x:1@sha256:a", True),
        ("x:1@sha256:a", "x:2@sha256:a", True),
        ("x@sha256:a", "x:1@sha256:a", True),
        ("x:1", "x:2", False),
        ("x:1", "x:2@sha256:a", False),
        ("x:1@sha256:a", "x:1@sha256:b", False),
        ("x:1@sha256:a", "x:2", False),
        ("x:1", "y:1", False),
        ("fleet/x:1", "mirror.example/fleet/x:1", False),
        ("x:1", "x@sha256:a", None),
        ("x:1@sha256:a", "x:1", None),
        ("x@sha256:a", "x:1", None),
    ],
)
def test_two_references(wanted: str, seen: str, same: bool | None) -> None:
    assert same_image(wanted, seen) is same


@pytest.mark.parametrize(
    ("wanted", "seen", "same"),
    [
        ("fleet/x:1", "mirror.example/fleet/x:1", True),
        ("fleet/x:1", "mirror.example/docker.io/fleet/x:1", True),
        ("registry.local/fleet/x:1", "mirror.example/fleet/x:1@sha256:a", True),
        ("x:1", "mirror.example/library/x:1", True),
        ("fleet/x:1", "mirror.example/fleet/x:2", False),
        ("fleet/x:1", "mirror.example/other/x:1", False),
        ("fleet/x:1", "mirror.example/my-fleet/x:1", False),
        ("rayproject/ray:2.49.2", "registry.local/ray:2.49.2", False),
        ("registry.local/ray:2.49.2", "rayproject/ray:2.49.2", False),
        ("registry.local/ray:2.49.2", "other.local/ray:2.49.2", False),
        ("fleet/x:1", "mirror.example/fleet/x@sha256:a", None),
    ],
)
def test_a_mirror_has_the_same_path_of_two_words(wanted: str, seen: str, same: bool | None) -> None:
    assert same_image(wanted, seen, mirrored=True) is same


@pytest.mark.parametrize(
    ("wanted", "wanted_id", "running", "running_id", "runs"),
    [
        ("x:1", "a/x@sha256:a", "y:7", "b/y@sha256:a", True),
        ("x:1", "x@sha256:b", "x:1", "x@sha256:a", False),
        ("x:1", "sha256:1", "x:1", "sha256:2", False),
        ("x:1", "sha256:1", "y:1", "sha256:1", True),
        ("x:1", "x@sha256:a", "x:1@sha256:a", "", True),
        ("x:1", "x@sha256:b", "x:1@sha256:a", "", False),
        ("x@sha256:all", "x@sha256:all", "x@sha256:all", "x@sha256:amd64", True),
        ("x:1", "x@sha256:a", "x:1", "sha256:configuration", True),
        ("x:2", "x@sha256:a", "x:1", "sha256:configuration", False),
        ("x:1", "", "x@sha256:a", "x@sha256:a", None),
        ("x:1@sha256:a", "x@sha256:a", "x:1", "sha256:configuration", None),
    ],
)
def test_digests_decide_before_references(
    wanted: str, wanted_id: str, running: str, running_id: str, runs: bool | None
) -> None:
    assert runs_image(wanted, wanted_id, running, running_id) is runs


LATEST = ("latest", "2-latest", "py311-latest", "latest-py311", "2.49.2-latest")
MAJOR = ("v1", "2", "V2", "3-slim", "2-py311", "1-gpu")
BRANCHES = ("main", "nightly", "dev", "nightly-py311", "stable-cuda")
RELEASES = ("2.49.2", "v0.8.1", "2.49.2-py311-gpu", "2.49", "1.2.3-stable", "0.8.1-dev")
BUILDS = ("2.49.2-54fd228b243a", "1a2b3c4", "main-1a2b3c4", "nightly-2026-01-31", "nightly.20260131", "dev-104711")
OTHERS = ("mainline", "latests", "r104", "git-1a2b3c4", "20260131")


@pytest.mark.parametrize("tag", [*LATEST, *MAJOR, *BRANCHES])
def test_tags_that_float(tag: str) -> None:
    assert is_floating(f"registry.local:5000/fleet/x:{tag}")
    assert not is_floating(f"registry.local:5000/fleet/x:{tag}@sha256:a")


@pytest.mark.parametrize("tag", [*RELEASES, *BUILDS, *OTHERS])
def test_tags_that_are_pinned(tag: str) -> None:
    assert not is_floating(f"fleet/x:{tag}")


def test_no_tag_floats() -> None:
    assert is_floating("x") and is_floating("localhost:5000/x")
