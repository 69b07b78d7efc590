"""What a cluster answers that overrides nothing: the reason why it cannot, or an empty value;
never an AttributeError.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import pytest

from fixtures.clusters.base import Cluster, Component, Feature, Replica, Timeline, Unsupported
from fixtures.core.errors import Inconclusive

REPLICA = Replica("worker-1", Component.RAY_WORKER, "gpu-workers", "ray:1", "", ready=True)

Call = Callable[[Cluster], Awaitable[object]]

RAISING: dict[str, tuple[Feature, Call]] = {
    "workload": (Feature.REPLICAS, lambda it: it.workload(Component.NATS)),
    "ray_groups": (Feature.REPLICAS, lambda it: it.ray_groups()),
    "memory": (Feature.REPLICAS, lambda it: it.memory(Component.NATS)),
    "requested_resources": (Feature.KUBERNETES, lambda it: it.requested_resources()),
    "environment": (Feature.REPLICAS, lambda it: it.environment(REPLICA)),
    "exec": (Feature.REPLICAS, lambda it: it.exec(REPLICA, ["true"], timeout=1)),
    "logs": (Feature.REPLICAS, lambda it: it.logs(REPLICA)),
    "run_image": (Feature.FRESH_INSTANCE, lambda it: it.run_image("ray:1", ["true"], timeout=1)),
    "kill": (Feature.DISRUPTION, lambda it: it.kill(REPLICA)),
    "revive": (Feature.DISRUPTION, lambda it: it.revive(REPLICA)),
    "replace": (Feature.DISRUPTION, lambda it: it.replace(REPLICA)),
    "restart_ray": (Feature.DISRUPTION, lambda it: it.restart_ray()),
    "roll_out": (Feature.ROLL_OUT, lambda it: it.roll_out("ray:1")),
}


class Bare(Cluster):
    """Offers nothing, and has a reason for all but one feature."""

    kind = "bare"

    @property
    def unsupported(self) -> Mapping[Feature, str]:
        return {feature: f"no {feature.value} here" for feature in Feature if feature is not Feature.ROLL_OUT}

    async def start(self, timeline: Timeline) -> None: ...


@pytest.mark.parametrize("method", [name for name in RAISING if name != "roll_out"])
async def test_a_missing_feature_is_inconclusive_and_named_with_the_clusters_reason(method: str) -> None:
    feature, call = RAISING[method]
    with pytest.raises(Unsupported, match=f"unsupported: {feature.value}: no {feature.value} here") as refused:
        await call(Bare())
    assert isinstance(refused.value, Inconclusive)


async def test_a_feature_that_is_missing_without_a_reason_names_the_kind_of_cluster() -> None:
    feature, call = RAISING["roll_out"]
    with pytest.raises(Unsupported, match=f"ray:1: unsupported: {feature.value}: --cluster bare does not implement it"):
        await call(Bare())


async def test_what_needs_no_feature_has_an_empty_answer() -> None:
    it = Bare()
    it.prepare()
    assert await it.ready_endpoint_count(Component.NATS) is None
    assert (await it.raycluster_not_ready_reason(), await it.operator(), await it.ray_objects()) == ("", {}, {})
    assert await it.describe(Component.NATS) == {}
    assert (it.build_s, it.persistent, it.keep_instructions, it.measurements, list(it.rights)) == (
        0.0,
        False,
        "",
        {},
        [],
    )
    assert list(it.connection_failures(0.0)) == []
    await it.stop()
