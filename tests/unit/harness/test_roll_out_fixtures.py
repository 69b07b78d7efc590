"""What the roll-out from the stock image needs, to be a judgement on the fleet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures.clusters.base import Component, Replica, Workload
from fixtures.core.errors import Inconclusive
from fixtures.exercises.agent_jobs import Scenario
from fixtures.exercises.agent_run import AgentRun, AgentRuns
from fixtures.harness.roll_out_fixtures import is_left, require_agents_code, require_image, run_on_stock_image
from fixtures.profile.model import Profile, load
from tests.support.profiles import profile_text

STOCK, CUSTOM = "fleet/ray-stock:2.49.2", "fleet/ray:2.49.2"
OF_RAY = (Component.RAY_WORKER, "gpu")
OWN = load("swe-ai-fleet").replaced("agent", job_class="acme.agents:Agent", package="images/ray/swe_ai_fleet")


def run(missing_module: str) -> AgentRun:
    return AgentRun(
        task_id="t", name="stock image", ok=False, started=1.0, missing_module=missing_module, agent_id="a", messages=()
    )


@pytest.mark.parametrize("module", ["acme", "acme.agents"])
def test_agents_whose_code_is_not_there_say_nothing_about_the_image(module: str) -> None:
    with pytest.raises(Inconclusive, match=r"\(acme\) is neither on the image .*: name its folder as agent\.package"):
        require_agents_code(run(module), OWN)


@pytest.mark.parametrize("module", ["nats", "nats.js", "acmeish", ""])
def test_agents_that_lack_something_else_are_judged(module: str) -> None:
    require_agents_code(run(module), OWN)


class Fleet:
    """A cluster whose specification names one image, and whose worker runs another or the same; nothing rolls out."""

    rollout_from = STOCK

    async def roll_out(self, image: str) -> None:
        """Somebody puts the image back at once."""

    def __init__(self, specified: str, running: str) -> None:
        replica = Replica("w-1", *OF_RAY, running, "", True)
        self.groups: tuple[Workload, ...] = (Workload("gpu", Component.RAY_WORKER, 1, specified, "", (replica,)),)

    async def ray_groups(self) -> tuple[Workload, ...]:
        return self.groups


@pytest.mark.parametrize(
    ("specified", "running", "words"),
    [(CUSTOM, STOCK, f"gpu names {CUSTOM}"), (STOCK, CUSTOM, f"w-1 runs {CUSTOM}"), (STOCK, STOCK, "")],
)
async def test_an_image_that_somebody_puts_back_says_nothing_about_the_fleet(
    specified: str, running: str, words: str
) -> None:
    cluster: Any = Fleet(specified, running)
    if not words:
        await require_image(cluster, STOCK)
        return
    with pytest.raises(Inconclusive, match=f"somebody put Ray's image back while {STOCK} was rolled out: {words}"):
        await require_image(cluster, STOCK)


@pytest.mark.parametrize(
    ("specified", "running", "left"), [(CUSTOM, CUSTOM, False), (STOCK, STOCK, True), (CUSTOM, STOCK, True)]
)
async def test_what_still_runs_the_stock_image_is_restarted(specified: str, running: str, left: bool) -> None:
    cluster: Any = Fleet(specified, running)
    assert await is_left(cluster, OWN.with_ray_image(CUSTOM)) is left


def workers(name: str, image: str) -> Workload:
    return Workload(name, Component.RAY_WORKER, 1, image, "", (Replica(f"{name}-1", *OF_RAY, image, "", True),))


async def test_groups_with_an_image_each_are_held_against_their_own(tmp_path: Path) -> None:
    """The profile's image of the head is not that of a group that runs agents: nothing is left to be put back."""
    groups = [{"name": "gpu-workers", "image": CUSTOM, "workers": 1}, {"name": "models", "workers": 1}]
    file = tmp_path / "two.toml"
    file.write_text(profile_text("swe-ai-fleet", ray={"head_image": "fleet/ray-head:1", "groups": groups}))
    profile, cluster = load(str(file)), Fleet(CUSTOM, CUSTOM)
    there = (workers("head", "fleet/ray-head:1"), workers("gpu-workers", CUSTOM), workers("models", "fleet/ray-head:1"))
    cluster.groups = there
    checked: Any = cluster
    assert not await is_left(checked, profile)
    cluster.groups = (*there[:2], workers("models", STOCK))
    assert await is_left(checked, profile), "a group without agents is put back, too"


class Jobs:
    """Agent jobs that end so."""

    def __init__(self, end: AgentRun) -> None:
        self.end = end

    def with_profile(self, profile: Profile) -> Jobs:
        assert profile.agent.delivery == "job"
        return self

    async def run(
        self, batch: str, _scenarios: list[Scenario], _environment: dict[str, Any] | None = None
    ) -> AgentRuns:
        name = "stock image" if batch == "stock" else batch
        return AgentRuns({name: self.end}, (), "01000000")


async def on_stock(running: str, end: AgentRun) -> None:
    cluster: Any = Fleet(running, running)
    jobs: Any = Jobs(end)
    await run_on_stock_image(cluster, jobs, OWN.with_ray_image(CUSTOM))


async def test_what_ran_on_the_stock_image_is_looked_at_before_it_is_judged() -> None:
    await on_stock(STOCK, run("nats"))
    with pytest.raises(Inconclusive, match=r"name its folder as agent\.package"):
        await on_stock(STOCK, run("acme"))
    with pytest.raises(Inconclusive, match="somebody put Ray's image back"):
        await on_stock(CUSTOM, run("nats"))
