"""The few Prometheus series of a vLLM server that this suite reads, in the text format."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from vllm_stub import __version__


@dataclass
class Counters:
    """What the stub has done. ``started`` and ``created`` (Unix seconds) are fixed: they distinguish servers."""

    model: str
    started: float = field(default_factory=time.time)
    created: float = field(default_factory=time.time)
    running: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0
    finished: dict[str, int] = field(default_factory=lambda: {"stop": 0, "length": 0})

    def exposition(self) -> str:
        """The series in Prometheus' text format."""
        labels = f'engine="0",model_name="{self.model}"'
        return f"""\
# TYPE process_start_time_seconds gauge
process_start_time_seconds {self.started}
# TYPE vllm_stub_info gauge
vllm_stub_info{{version="{__version__}"}} 1.0
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{{labels}}} {self.running:.1f}
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{{{labels}}} 0.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{{{labels}}} 0.0
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{{{labels}}} {self.prompt_tokens:.1f}
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{{{labels}}} {self.generation_tokens:.1f}
# TYPE vllm:request_success_total counter
vllm:request_success_total{{{labels},finished_reason="stop"}} {self.finished["stop"]:.1f}
vllm:request_success_total{{{labels},finished_reason="length"}} {self.finished["length"]:.1f}
# TYPE vllm:request_success_created gauge
vllm:request_success_created{{{labels},finished_reason="stop"}} {self.created}
vllm:request_success_created{{{labels},finished_reason="length"}} {self.created}
"""
