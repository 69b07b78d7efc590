"""What Ray's nodes offer, and what hides among them."""

from __future__ import annotations

from tests.faults.model import Fault
from tests.targets.ray_injectors import ray_started, with_option

FAULTS = (
    Fault(
        name="all-cpus-are-the-heads",
        description="the head offers the CPUs, where no agent of a deliberation may run; each worker has one",
        inject=ray_started(
            ray_head=with_option("--num-cpus", "8"),
            ray_worker_1=with_option("--num-cpus", "1"),
            ray_worker_2=with_option("--num-cpus", "1"),
        ),
        expected_failures=("INF-07",),
        tolerated_failures=("ORC-17",),  # agents run where CPUs are
        expected_terms=("workers have too little of CPU: 2 of 8", "ray-head: GPU 0, CPU 8"),
    ),
)
