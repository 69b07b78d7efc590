"""What the suite's own jobs are started with, so that they have the agents' code as the fleet's agents have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures.core.errors import Inconclusive
from fixtures.probes.delivery import delivered
from fixtures.profile.behaviour import Agent
from fixtures.profile.model import load
from fixtures.profile.runtime_env import RuntimeEnv
from fixtures.profile.sections import FOLDER

AGENT = load("embedded").agent


class Store:
    """Ray's store of packages."""

    async def upload(self, folder: Path, *, inside: bool = False) -> str:
        return f"gcs://{folder.name}{'/inside' if inside else ''}.zip"


def agent(folder: Path, **values: Any) -> Agent:
    runtime_env = RuntimeEnv.model_validate(values, context={FOLDER: folder})
    return AGENT.model_copy(update={"delivery": "runtime_env", "runtime_env": runtime_env})


async def of(agent: Agent) -> dict[str, Any]:
    return await delivered(Store(), agent)  # type: ignore[arg-type]


async def test_the_image_needs_nothing() -> None:
    assert await of(AGENT) == {}


async def test_folders_next_to_the_profile_are_uploaded_and_addresses_are_left_to_ray(tmp_path: Path) -> None:
    for name in ("votes", "site"):
        (tmp_path / name).mkdir()
    given = agent(
        tmp_path,
        py_modules=["votes", "s3://bucket/more.zip"],
        working_dir="site",
        pip=["nats-py>=2.10"],
        env_vars={"STRICT": "1"},
    )
    assert await of(given) == {
        "pip": ["nats-py>=2.10"],
        "env_vars": {"STRICT": "1"},
        "py_modules": ["gcs://votes.zip", "s3://bucket/more.zip"],
        "working_dir": "gcs://site/inside.zip",
    }


async def test_what_is_empty_is_left_out(tmp_path: Path) -> None:
    assert await of(agent(tmp_path, env_vars={"STRICT": "1"})) == {"env_vars": {"STRICT": "1"}}


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Inconclusive, match=r"agent\.runtime_env names what is no folder: .*/nothing"):
        await of(agent(tmp_path, py_modules=["nothing"]))
