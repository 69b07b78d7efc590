"""The few Prometheus series of a vLLM server that this suite reads, in the text format."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from vllm_stub import __version__


@dataclass
class Counters:
    """What the stub has done. ``started`` (Unix seconds) is fixed at start: it distinguishes running servers."""

    model: str
    started: float = field(default_factory=time.time)
    running: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0
    finished: dict[str, int] = field(default_factory=lambda: {"stop": 0, "length": 0})

    def exposition(self) -> str:
        """The series in Prometheus' text format."""
        labels = f'engine="0",model_name="{self.model}"'
        rows = [("process_start_time_seconds", "gauge", "", self.started)]
        rows += [("vllm_stub_info", "gauge", f'version="{__version__}"', 1)]
        rows += [
            (f"vllm:{name}", kind, labels, value)
            for name, kind, value in (
                ("num_requests_running", "gauge", self.running),
                ("num_requests_waiting", "gauge", 0),
                ("kv_cache_usage_perc", "gauge", 0),
                ("prompt_tokens_total", "counter", self.prompt_tokens),
                ("generation_tokens_total", "counter", self.generation_tokens),
            )
        ]
        rows += [
            ("vllm:request_success_total", "counter", f'{labels},finished_reason="{reason}"', count)
            for reason, count in self.finished.items()
        ]
        lines: list[str] = []
        for name, kind, label, value in rows:
            header = f"# TYPE {name} {kind}"
            if header not in lines:
                lines.append(header)
            lines.append(f"{name}{{{label}}} {float(value)!r}" if label else f"{name} {float(value)!r}")
        return "\n".join(lines) + "\n"
