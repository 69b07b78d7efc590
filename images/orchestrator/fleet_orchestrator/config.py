"""Configuration, from the environment and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Optional
from urllib.parse import quote, urlsplit

DEFAULT_AGENT_JOB = "swe_ai_fleet.orchestrator.ray_jobs.vllm_agent_job:VLLMAgentJob"


class ConfigError(Exception):
    """A variable is missing or not what it should be; the text is for the operator and names it."""


@dataclass(frozen=True)
class Settings:
    """What one replica runs with. Times are in seconds."""

    agent_type: str
    vllm_url: str
    vllm_model: str
    ray_address: str
    nats_url: str
    grpc_host: str
    grpc_port: int
    max_tokens: int
    temperature: float
    agent_job: str
    agent_delivery: str
    enable_tools: bool
    agent_timeout: float
    deliberation_timeout: float
    council_agents: int
    nats_user: Optional[str]
    nats_password: Optional[str]
    nats_token: Optional[str]
    nats_creds: Optional[str]

    @property
    def agent_nats_url(self) -> str:
        """The NATS URL for the agents, which have no other place for a user or a token."""
        if "@" in self.nats_url or not (self.nats_user or self.nats_token):
            return self.nats_url
        scheme, host = self.nats_url.split("://", 1)
        if self.nats_token:
            return f"{scheme}://{quote(self.nats_token, safe='')}@{host}"
        return f"{scheme}://{quote(self.nats_user or '', safe='')}:{quote(self.nats_password or '', safe='')}@{host}"


def load(environment: Mapping[str, str]) -> Settings:
    """Read the settings. Raises `ConfigError`."""
    read = _Reader(environment)
    return Settings(
        agent_type=read.choice("AGENT_TYPE", ("vllm", "mock")),
        vllm_url=read.url("VLLM_URL", ("http", "https")),
        vllm_model=read.text("VLLM_MODEL"),
        ray_address=read.url("RAY_ADDRESS", ("ray",)),
        nats_url=read.url("NATS_URL", ("nats", "tls")),
        grpc_host=read.text("GRPC_HOST", "0.0.0.0"),
        grpc_port=int(read.number("GRPC_PORT", "50055", 1, 65535)),
        max_tokens=int(read.number("MAX_TOKENS", "2048", 1)),
        temperature=read.number("TEMPERATURE", "0.7", 0),
        agent_job=read.text("AGENT_JOB", DEFAULT_AGENT_JOB),
        agent_delivery=read.choice("AGENT_DELIVERY", ("image", "job"), "image"),
        enable_tools=read.choice("ENABLE_TOOLS", ("true", "false"), "false") == "true",
        agent_timeout=read.number("AGENT_TIMEOUT", "60", 1),
        deliberation_timeout=read.number("DELIBERATION_TIMEOUT", "120", 1),
        council_agents=int(read.number("COUNCIL_AGENTS", "3", 1, 50)),
        nats_user=environment.get("NATS_USER") or None,
        nats_password=environment.get("NATS_PASSWORD") or None,
        nats_token=environment.get("NATS_TOKEN") or None,
        nats_creds=environment.get("NATS_CREDS") or None,
    )


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, default: Optional[str] = None) -> str:
        value = self._environment.get(name, "").strip() or default
        if value is None:
            raise ConfigError(f"{name} is not set")
        return value

    def choice(self, name: str, allowed: "tuple[str, ...]", default: Optional[str] = None) -> str:
        value = self.text(name, default).lower()
        if value not in allowed:
            raise ConfigError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
        return value

    def url(self, name: str, schemes: "tuple[str, ...]") -> str:
        value = self.text(name)
        try:
            parts = urlsplit(value)
            usable = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:  # a port that is no number
            usable = False
        if not usable:
            raise ConfigError(f"{name} is {value!r}; expected {' or '.join(schemes)}://host:port")
        return value

    def number(self, name: str, default: str, lowest: float, highest: float = float("inf")) -> float:
        value = self.text(name, default)
        try:
            number = float(value)
        except ValueError:
            raise ConfigError(f"{name} is {value!r}; expected a number") from None
        if not lowest <= number <= highest:
            raise ConfigError(f"{name} is {value}; expected {lowest:g} to {highest:g}")
        return number
