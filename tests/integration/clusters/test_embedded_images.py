"""Images are built once, whole or not at all, and say in one line why they cannot be built."""

import asyncio
import errno
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn

import pytest

from fixtures.clusters import image_recipes
from fixtures.clusters.base import Timeline
from fixtures.clusters.cache import cache_folder
from fixtures.clusters.embedded import images
from fixtures.clusters.embedded.image_table import named
from fixtures.clusters.embedded.images import ImageStore
from fixtures.clusters.embedded.rundir import RunDirectory
from fixtures.core.errors import StartupError, UsageError

TABLE = """
ray.versions = ["2.49.2"]
kuberay.versions = ["1.6.2"]
[containers]

[environments.plain]
reference = "fleet/plain:1"
locks = ["empty.lock"]
packages = ["agent"]

[environments.needy]
reference = "fleet/needy:1"
locks = ["needy.lock"]
"""


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of small images and an empty cache of their own."""
    folder = tmp_path / "images"
    (folder / "agent").mkdir(parents=True)
    (folder / "agent" / "__init__.py").write_text("VALUE = 1\n")
    (folder / "images.toml").write_text(TABLE)
    (folder / "empty.lock").write_text("")
    (folder / "needy.lock").write_text(f"surely-not-there==1.0 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(image_recipes, "IMAGES", folder)
    monkeypatch.setenv("FLEET_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
async def run(recipes: Path) -> AsyncIterator[RunDirectory]:
    assert recipes.is_dir()
    run = RunDirectory(cache_folder())
    yield run
    await run.close(10)


@pytest.fixture
def store(run: RunDirectory) -> ImageStore:
    return ImageStore(run, Timeline())


def built() -> list[str]:
    """What lies in the cache, lock files apart."""
    return sorted(path.name for path in (cache_folder() / "images").iterdir() if path.suffix != ".lock")


async def test_an_image_is_built_once(store: ImageStore, run: RunDirectory) -> None:
    image = named("plain")
    folder = await store.ready(image)
    assert (folder / "bin" / "python").exists()
    assert built() == [folder.name]
    assert store.build_s > 0
    second = ImageStore(run, Timeline())
    assert await second.ready(image) == folder
    assert second.build_s == 0


async def test_two_runs_do_not_build_the_same_image_twice(run: RunDirectory) -> None:
    timelines = Timeline(), Timeline()
    one, other = (ImageStore(run, timeline) for timeline in timelines)
    assert len(set(await asyncio.gather(one.ready(named("plain")), other.ready(named("plain"))))) == 1
    assert len(built()) == 1


async def test_a_changed_package_is_another_image(store: ImageStore, recipes: Path) -> None:
    before = await store.ready(named("plain"))
    (recipes / "agent" / "__init__.py").write_text("VALUE = 2\n")
    after = await store.ready(named("plain"))
    assert before != after
    assert "VALUE = 2" in next(after.glob("lib/*/site-packages/agent/__init__.py")).read_text()


async def test_what_is_added_to_a_replica_does_not_reach_the_image(store: ImageStore) -> None:
    image = named("plain")
    folder = await store.instance(image, "replica")
    (next(folder.glob("lib/*/site-packages")) / "installed_by_hand.py").write_text("")
    assert not list((await store.ready(image)).rglob("installed_by_hand.py"))
    await store.remove("replica")
    assert not folder.exists()


async def test_where_no_hard_links_can_be_made_a_replica_gets_a_plain_copy(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As with a cache of another user's, or on another file system."""
    programs = tmp_path / "programs"
    programs.mkdir()
    refuses = '#!/bin/sh\ncase $1 in -al) mkdir -p "$3/bin"; echo "Operation not permitted" >&2; exit 1 ;; esac\n'
    (programs / "cp").write_text(f'{refuses}exec {shutil.which("cp")} "$@"\n')
    (programs / "cp").chmod(0o755)
    monkeypatch.setattr(os, "defpath", f"{programs}:{os.defpath}")
    folder = await store.instance(named("plain"), "replica")
    (package,) = folder.glob("lib/*/site-packages/agent/__init__.py")
    assert package.stat().st_nlink == 1
    assert (folder / "bin" / "python").exists()


async def test_an_unreachable_index_is_one_line_and_leaves_nothing(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(UsageError, match="package index could not be reached") as problem:
        await store.ready(named("needy"))
    assert "\n" not in str(problem.value)
    assert built() == []


async def test_an_offline_machine_is_one_line(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    with pytest.raises(UsageError, match="package index could not be reached"):
        await store.ready(named("needy"))
    assert built() == []


async def test_a_full_disk_is_one_line_and_leaves_nothing(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(UsageError, match=r"no space left for .* FLEET_CACHE names another"):
        await store.ready(named("plain"))
    assert built() == []


async def test_a_full_disk_under_uv_is_one_line(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "uv"
    script.write_text("#!/bin/sh\necho 'error: failed to write: No space left on device (os error 28)'; exit 2\n")
    script.chmod(0o755)
    monkeypatch.setattr(images, "suite_program", lambda _: script)
    with pytest.raises(UsageError, match="no space left"):
        await store.ready(named("plain"))
    assert built() == []


async def test_any_other_failure_carries_the_log(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "uv"
    script.write_text("#!/bin/sh\necho 'error: something is wrong'; exit 2\n")
    script.chmod(0o755)
    monkeypatch.setattr(images, "suite_program", lambda _: script)
    with pytest.raises(StartupError, match="something is wrong"):
        await store.ready(named("plain"))
    assert built() == []


async def test_a_build_that_is_cancelled_leaves_nothing(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "uv"
    script.write_text("#!/bin/sh\nsleep 600\n")
    script.chmod(0o755)
    monkeypatch.setattr(images, "suite_program", lambda _: script)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(store.ready(named("plain")), 0.3)
    assert built() == []
