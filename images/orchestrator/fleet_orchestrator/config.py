"""Configuration, from the environment and nowhere else."""

from __future__ import annotations

from typing import Mapping, Optional
from urllib.parse import quote, urlsplit

DEFAULT_AGENT_JOB = "swe_ai_fleet.orchestrator.ray_jobs.vllm_agent_job:VLLMAgentJob"
NATS_LOGIN = {"user": "NATS_USER", "password": "NATS_PASSWORD", "token": "NATS_TOKEN", "user_credentials": "NATS_CREDS"}
"""The keyword of `nats.connect` to the variable it is taken from."""


class ConfigError(Exception):
    """A variable is missing or not what it should be; the text is for the operator and names it."""


class Settings:
    """What one replica runs with. Times are in seconds."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Read the settings. Raises `ConfigError`."""
        self._environment = environment
        self.agent_type = self._choice("AGENT_TYPE", ("vllm", "mock"))
        self.vllm_url = self._url("VLLM_URL", ("http", "https"))
        self.vllm_model = self._text("VLLM_MODEL")
        self.ray_address = self._url("RAY_ADDRESS", ("ray",))
        self.nats_url = self._url("NATS_URL", ("nats", "tls"))
        self.grpc_host = self._text("GRPC_HOST", "0.0.0.0")
        self.grpc_port = int(self._number("GRPC_PORT", "50055", 1, 65535))
        self.max_tokens = int(self._number("MAX_TOKENS", "2048", 1))
        self.temperature = self._number("TEMPERATURE", "0.7", 0)
        self.agent_job = self._text("AGENT_JOB", DEFAULT_AGENT_JOB)
        if self.agent_job.count(":") != 1:
            raise ConfigError(f"AGENT_JOB is {self.agent_job!r}; expected module:Class")
        self.agent_delivery = self._choice("AGENT_DELIVERY", ("image", "job"), "image")
        self.enable_tools = self._choice("ENABLE_TOOLS", ("true", "false"), "false") == "true"
        self.agent_timeout = self._number("AGENT_TIMEOUT", "60", 1)
        self.deliberation_timeout = self._number("DELIBERATION_TIMEOUT", "120", 1)
        self.council_agents = int(self._number("COUNCIL_AGENTS", "3", 1, 50))
        self.nats_login = {option: environment[name] for option, name in NATS_LOGIN.items() if environment.get(name)}

    @property
    def agent_nats_url(self) -> str:
        """The NATS URL for the agents, which have no other place for a user or a token."""
        user, password, token = (quote(self.nats_login.get(key, ""), safe="") for key in ("user", "password", "token"))
        if "@" in self.nats_url or not (user or token):
            return self.nats_url
        return self.nats_url.replace("://", f"://{token or f'{user}:{password}'}@", 1)

    def _text(self, name: str, default: Optional[str] = None) -> str:
        value = self._environment.get(name, "").strip() or default
        if value is None:
            raise ConfigError(f"{name} is not set")
        return value

    def _choice(self, name: str, allowed: "tuple[str, ...]", default: Optional[str] = None) -> str:
        value = self._text(name, default).lower()
        if value not in allowed:
            raise ConfigError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
        return value

    def _url(self, name: str, schemes: "tuple[str, ...]") -> str:
        value = self._text(name)
        try:
            parts = urlsplit(value)
            usable = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:  # a port that is no number
            usable = False
        if not usable:
            shown = value.rsplit("@", 1)[-1]  # without user and password
            raise ConfigError(f"{name} is {shown!r}; expected {' or '.join(schemes)}://host:port")
        return value

    def _number(self, name: str, default: str, lowest: float, highest: float = float("inf")) -> float:
        value = self._text(name, default)
        try:
            number = float(value)
        except ValueError:
            raise ConfigError(f"{name} is {value!r}; expected a number") from None
        if not lowest <= number <= highest or number == float("inf"):
            raise ConfigError(f"{name} is {value}; expected {lowest:g} to {highest:g}")
        return number
