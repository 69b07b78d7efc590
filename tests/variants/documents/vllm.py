"""vLLM's answers."""

from __future__ import annotations

import json

from fixtures.services.vllm import context_of, parse_models
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


DOCUMENTS = (
    Document(
        name="model-is-a-lora-adapter",
        description="the profile's model is a LoRA adapter: its row has a parent, and no length of its own",
        holds=an_adapter_has_its_parents_context,
        stretches=("INF-03", "INF-04", "CFG-03"),
    ),
)
