"""What a clerk is started with: variables of its environment, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Addresses, and how many votes a ballot needs."""

    base: str  # LLM_BASE: the model server, without /v1
    model: str  # LLM_NAME
    bus: list[str]  # BUS: NATS, separated by commas
    pool: str  # POOL: ray://host:port
    quorum: int  # QUORUM: of votes
    voter: str  # VOTER: module:class
    heat: float
    limit: int  # tokens
    patience: float  # seconds of a voter
    ready_file: str  # READY_FILE: made once the clerk serves; "": none

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Settings:
        """Raises KeyError with the name of a variable that is missing, ValueError for one that is no number."""
        return cls(
            base=environment["LLM_BASE"].rstrip("/"),
            model=environment["LLM_NAME"],
            bus=environment["BUS"].split(","),
            pool=environment["POOL"],
            quorum=int(environment.get("QUORUM", "1")),
            voter=environment.get("VOTER", "acme_votes.voter:Voter"),
            heat=float(environment.get("HEAT", "0.7")),
            limit=int(environment.get("LIMIT", "64")),
            patience=float(environment.get("PATIENCE", "60")),
            ready_file=environment.get("READY_FILE", ""),
        )
