"""vLLM's answers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

from fixtures.clusters.base import Endpoints
from fixtures.probes.packaging import document_in, probe_source
from fixtures.probes.replicas import ReplicaReport, request
from fixtures.probes.vllm_report import VllmReport
from fixtures.profile.model import load
from fixtures.services.vllm import Server, Vllm, context_of, parse_models
from tests.e2e import test_configuration as configuration
from tests.e2e import test_connectivity as connectivity
from tests.support.profiles import VARIABLES
from tests.support.stub_process import REQUEST_S, running
from tests.variants.model import Document

BASE = {"id": "Qwen/Qwen3-0.6B", "root": "/models/qwen3", "parent": None, "max_model_len": 40960}
ADAPTER = {"id": "team-adapter", "root": "/adapters/team", "parent": "Qwen/Qwen3-0.6B", "max_model_len": None}


def an_adapter_has_its_parents_context() -> None:
    """The rows of a vLLM with --enable-lora: the base model's has a length, the adapter's a parent."""
    served = parse_models(json.dumps({"object": "list", "data": [BASE, ADAPTER]}), "http://vllm:8000")
    assert ADAPTER["id"] in served
    assert context_of(served, "team-adapter") == context_of(served, "Qwen/Qwen3-0.6B") == 40960
    orphan = parse_models(json.dumps({"data": [{**ADAPTER, "parent": None}]}), "http://vllm:8000")
    assert context_of(orphan, "team-adapter") == 0, "it does not say"


def an_adapter_comes_between_two_looks() -> None:
    """The very process that the replica met lists one model more when the suite asks it."""
    url = "http://vllm:8000"
    before, after = (parse_models(json.dumps({"data": rows}), url) for rows in ([BASE], [BASE, ADAPTER]))
    met = VllmReport("VLLM_URL", "http://proxy:8001", "http://proxy:8001", "", before, "1700000000.25")
    servers = [Server("1700000000.25", after)]
    assert met.difference(servers, url, {url}) == "" and met.is_known(servers, {url})
    assert "serves other models" in met.difference([Server("1700000001.5", after)], url, {url})


def the_variable_has_the_base_of_the_api() -> None:
    """The probe as it runs in a replica, against a server that answers where OpenAI's clients ask, and nowhere else."""
    profile = load("embedded")

    async def judged(report: ReplicaReport, url: str) -> None:
        seen, vllm = Endpoints(url, "", "", ""), Vllm(url)
        cluster: Any = SimpleNamespace(inside=seen, endpoints=seen)
        try:
            await connectivity.test_orchestrator_reaches_vllm((report,), profile)
            await configuration.test_vllm_url((report,), vllm, cluster)
            await configuration.test_vllm_model((report,), profile)
        finally:
            await vllm.close()

    with running("vllm_stub") as url:
        for base in (f"{url}/v1", f"{url}/v1/", url):
            environment = {VARIABLES.vllm_url: base, VARIABLES.vllm_model: profile.vllm.model}
            asked = json.dumps(request(environment, profile))
            probe = [sys.executable, "-c", probe_source()]
            ran = subprocess.run(probe, input=asked, text=True, capture_output=True, timeout=REQUEST_S * 2, check=True)
            document = document_in(ran.stdout, "the probe")
            asyncio.run(judged(ReplicaReport("o-1", environment, document, variables=VARIABLES), url))


DOCUMENTS = (
    Document(
        name="model-is-a-lora-adapter",
        description="the profile's model is a LoRA adapter: its row has a parent, and no length of its own",
        holds=an_adapter_has_its_parents_context,
        stretches=("INF-03", "INF-04", "CFG-03"),
    ),
    Document(
        name="an-adapter-comes-between-two-looks",
        description="a LoRA adapter is loaded after the replicas were asked and before the suite asks",
        holds=an_adapter_comes_between_two_looks,
        stretches=("CFG-02",),
    ),
    Document(
        name="variable-has-the-base-of-the-api",
        description="the orchestrator's variable ends in /v1, as OpenAI's clients want it (OPENAI_BASE_URL)",
        holds=the_variable_has_the_base_of_the_api,
        stretches=("CFG-02", "CFG-03", "NET-01"),
    ),
)
