"""A worker group of another image, for other work than agents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fixtures.clusters.kubernetes.client.transport import Document
from fixtures.profile.amounts import Span
from fixtures.profile.ray_section import Group
from tests.targets.kubernetes_ray import SECOND, group, second_group
from tests.targets.kubernetes_target import KubernetesTarget


def with_image(template: Document, image: str) -> Document:
    """A template whose first container, Ray's own, runs another image."""
    first, *others = template["spec"]["containers"]
    return {**template, "spec": {**template["spec"], "containers": [{**first, "image": image}, *others]}}


@asynccontextmanager
async def another_image_runs_no_agents(target: KubernetesTarget) -> AsyncIterator[None]:
    """A second group of the stock image, which lacks what agents import and offers neither CPUs nor GPUs. The profile
    names both groups: the first one with a range, the second one as one for other work."""
    first = await group(target)
    parameters = {**first["rayStartParams"], "num-cpus": "0", "num-gpus": "0"}
    template = with_image(first["template"], target.stock_image)
    named = target.profile.ray.group(first["groupName"]) or target.profile.ray.groups[0]
    ranged = named.model_copy(update={"workers": Span(min=1, max=first["replicas"] + 2)})
    other = Group(name=SECOND, image=target.stock_image, workers=1, runs_agents=False)
    with target.profiled({"ray.groups": (ranged, other)}):
        async with second_group(1, template=template, rayStartParams=parameters)(target):
            yield
