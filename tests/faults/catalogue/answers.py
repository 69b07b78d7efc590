"""What the model server answers to those who can reach it."""

from __future__ import annotations

from tests.faults.means import stub_answers
from tests.faults.model import Fault

FAULTS = (
    Fault(
        name="vllm-is-unhealthy",
        says="vLLM's /health answers 503 while the server is up, as with a dead engine",
        inject=stub_answers({"action": "unhealthy"}),
        breaks=("INF-02",),
        may_break=("INF-01",),
        words=("503",),
    ),
    Fault(
        name="vllm-content-is-null",
        says="vLLM answers with content null, as a reasoning parser does that took all tokens",
        inject=stub_answers({"action": "null-content"}),
        breaks=("JOB-04", "JOB-05", "ORC-04"),
        may_break=("JOB-06", "JOB-07", "E2E-01", "ORC-05"),
        words=("content", "null"),
    ),
)
