"""How a replica of the embedded cluster that is down says why."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.clusters.base import Component
from fixtures.clusters.embedded.image_table import Image
from fixtures.clusters.embedded.replica import LocalReplica

REFUSED = "ray.exceptions.AuthenticationError: the authentication token is invalid or incorrect"


def down(status: int | None, log: Path) -> LocalReplica:
    part: Any = SimpleNamespace(alive=False, status=status, log=log, started=0.0)
    unused: Any = None
    return LocalReplica("ray-worker-2", Component.RAY_WORKER, "g", Image("", "", ""), part, unused, 1.0)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (1, f"has ended with status 1; its log ends with: {REFUSED}"),
        (0, "has ended with status 0"),
        (137, "has ended with status 137"),  # killed: its log has nothing of that
        (None, "has not been started"),
    ],
)
async def test_one_that_ended_by_itself_says_what_its_log_ends_with(
    status: int | None, reason: str, tmp_path: Path
) -> None:
    log = tmp_path / "ray-worker-2.log"
    log.write_text(f"Traceback\n{REFUSED}\n\n---\n")
    assert (await down(status, log).listed()).reason == reason


async def test_one_without_a_log_says_how_it_ended(tmp_path: Path) -> None:
    assert (await down(1, tmp_path / "none").listed()).reason == "has ended with status 1"
