"""A ballot from its opening to its close, as a document that all clerks share. Nothing here waits or connects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


class Malformed(Exception):
    """What a message lacks, in words."""


@dataclass
class Ballot:
    """`closes`: seconds since the epoch. `votes`: voter → text; `spoiled`: voter → why there is no vote."""

    ballot: str
    question: str
    office: str
    voters: int
    closes: float
    votes: dict[str, str] = field(default_factory=dict)
    spoiled: dict[str, str] = field(default_factory=dict)
    result: str = ""  # "decided", "void" or "expired"; "" while it is open

    @classmethod
    def opened(cls, message: Any, now: float) -> Ballot:
        """By a message on ballots.opened. Raises Malformed."""
        try:
            data = message["data"]
            texts = [data[key] for key in ("ballot", "question", "office")]
            voters, closes = int(data["voters"]), float(data["closes"])
        except (KeyError, TypeError, ValueError) as error:
            raise Malformed(f"no ballot can be opened: {error!r}") from error
        if not all(isinstance(text, str) and text for text in texts) or voters < 1:
            raise Malformed("a ballot needs texts (ballot, question, office) and at least one voter")
        return cls(texts[0], texts[1], texts[2], voters, now + closes)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Ballot:
        return cls(**document)

    @property
    def document(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def names(self) -> list[str]:
        """Of its voters: the same for every clerk."""
        return [f"{self.ballot}-voter-{number}" for number in range(1, self.voters + 1)]

    def count(self, voter: str, text: str, quorum: int) -> None:
        """Take a vote; one that is there already counts once."""
        if voter in self.names and voter not in self.votes:
            self.votes[voter] = text
            self.spoiled.pop(voter, None)
            self._close_when_complete(quorum)

    def spoil(self, voter: str, why: str, quorum: int) -> None:
        """Take word that a voter has failed."""
        if voter in self.names and voter not in self.votes:
            self.spoiled[voter] = why
            self._close_when_complete(quorum)

    def expire(self, now: float) -> None:
        """Close it without the missing votes, where its time is over."""
        if not self.result and now >= self.closes:
            self.result = "expired"

    def _close_when_complete(self, quorum: int) -> None:
        if not self.result and len(self.votes) + len(self.spoiled) >= self.voters:
            self.result = "decided" if len(self.votes) >= min(quorum, self.voters) else "void"

    @property
    def outcome(self) -> dict[str, Any]:
        """What is published when it is closed. The winner is the voter with the longest reasoning."""
        document: dict[str, Any] = {"ballot": self.ballot, "result": self.result, "votes": len(self.votes)}
        if self.result == "decided":
            document["winner"] = max(sorted(self.votes), key=lambda voter: len(self.votes[voter]))
        else:
            missing = sorted(set(self.names) - set(self.votes) - set(self.spoiled))
            reasons = [*(f"{voter}: {why}" for voter, why in sorted(self.spoiled.items()))]
            reasons += [f"no vote of {', '.join(missing)} in time"] if missing else []
            document["reason"] = "; ".join(reasons)
        return document


def vote_in(message: Any) -> tuple[str, str, str, bool]:
    """Of a message on votes.cast or votes.spoiled: ballot, voter, its text, and whether it is a vote. Raises
    Malformed."""
    try:
        data = message["data"]
        ballot, voter, cast = data["ballot"], data["voter"]["id"], "vote" in data
        text = data["vote"]["text"] if cast else data["reason"]["text"]
    except (KeyError, TypeError) as error:
        raise Malformed(f"no vote: {error!r}") from error
    if not all(isinstance(value, str) and value for value in (ballot, voter, text)):
        raise Malformed("a vote needs texts: ballot, voter.id, vote.text or reason.text")
    return ballot, voter, text, cast
