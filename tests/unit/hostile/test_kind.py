"""Whatever docker, podman, kind and KubeRay's image say: what is to be known, or a reason."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.clusters.base import Completed
from fixtures.clusters.kind import commands, crds, kind_tool
from fixtures.clusters.kind.engine import Engine, find, require_kind, require_room
from fixtures.clusters.kind.kind_tool import Kind
from fixtures.core.errors import Inconclusive, StartupError, UsageError
from tests.unit.hostile import servers
from tests.unit.hostile.answers import a_reason_at_most, texts, wounded

ended = st.builds(Completed, st.just(()), st.sampled_from([0, 0, 1, 124, 127, -9]), texts, texts)


@given(ended, ended)
def test_any_engine(first: Completed, second: Completed) -> None:
    answers = iter([first, second])
    with a_reason_at_most(UsageError):
        assert find(lambda _argv: next(answers)).program in ("docker", "podman")
    with a_reason_at_most(UsageError):
        require_kind(lambda _argv: first)
    with a_reason_at_most(UsageError):
        require_room(Engine("docker"), lambda _argv: first)


@given(ended)
async def test_any_answer_of_kind(done: Completed) -> None:
    async def run(*_: Any, **__: Any) -> Completed:
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind_tool, "run", run)
        tool = Kind(Engine("docker"), "fleet", Path("/nonexistent/fleet.kubeconfig"))
        with a_reason_at_most(StartupError):
            assert isinstance(await tool.images(), set)
        with a_reason_at_most(StartupError):
            await tool.load(["fleet/ray:1"])
        assert isinstance(await tool.exists(), bool)


DEFINITION = {
    "spec": {"group": "ray.io", "names": {"plural": "rayclusters"}, "versions": [{"name": "v1", "served": True}]}
}


@given(wounded(DEFINITION))
def test_any_definition(document: Any) -> None:
    with a_reason_at_most(StartupError):
        assert all(one.path.startswith("apis/") for one in crds.types(document))


@given(st.binary(max_size=100))
def test_any_file_of_an_image(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "crds"
    folder.mkdir(exist_ok=True)
    (folder / "a.yaml").write_bytes(content)
    with a_reason_at_most(StartupError):
        assert isinstance(crds._parsed(folder), list)


async def test_a_program_that_prints_without_end() -> None:
    program = "while True: print('x' * 65536)"
    with servers.within_bounds(), a_reason_at_most(Inconclusive):
        await commands.run([sys.executable, "-c", program], timeout=1.0)
        pytest.fail("it has ended")


async def test_of_a_long_output_the_end_is_kept() -> None:
    program = f"print('x' * {5 * commands.MAX_OUTPUT_BYTES}); print('the end')"
    done = await commands.run([sys.executable, "-c", program], timeout=30.0)
    assert done.stdout.endswith("the end\n")
    assert len(done.stdout) <= 2 * commands.MAX_OUTPUT_BYTES + (1 << 16)
