"""vLLM's answers."""

from __future__ import annotations

import json

from fixtures.probes.vllm_report import VllmReport
from fixtures.services.vllm import Server, context_of, parse_models
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
)
