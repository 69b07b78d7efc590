"""How an orchestrator may call the executor that it has start agents."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.e2e.test_connectivity import test_orchestrator_reaches_executor as reaches_executor
from tests.support.executor_names import Fleet, report
from tests.variants.model import Document

WAYS = (
    "ray-executor:50056",
    "ray-executor.swe-ai-fleet.svc.cluster.local:50056",
    "ray-executor",  # the software knows the port
    "dns:///ray-executor:50056",
    "dns://10.96.0.10/ray-executor:50056",
    "ipv4:10.96.0.4:50056",
    "grpc://ray-executor:50056/",
    "http://executor-alias",  # another service of the same pods, on port 80
    "10.0.0.8:50056",  # one of its pods
)


def executors_are_named_in_many_ways() -> None:
    fleet: Any = Fleet()
    for way in WAYS:
        asyncio.run(reaches_executor((report(way), report(way, name="orchestrator-2")), fleet))


DOCUMENTS = (
    Document(
        name="executors-are-named-in-many-ways",
        description="the executor's address is a name, a URL, a target of gRPC, or another service of it",
        holds=executors_are_named_in_many_ways,
        stretches=("NET-08",),
    ),
)
