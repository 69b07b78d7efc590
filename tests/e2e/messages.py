"""What an agent's message says that cannot be so, although it has every field of the contract."""

from fixtures.checks.contract import AgentMessage
from fixtures.checks.message_kind import MessageKind
from fixtures.profile.contract import AgentCall
from fixtures.services.vllm import ModelNames

ROUNDED = 1.0  # seconds by which a duration may be longer than what it is a part of
DAY = 86_400.0


def in_another_unit(kind: MessageKind, message: AgentMessage, took: float | None, whole: str) -> list[str]:
    """What a conformant completed message says of time that cannot be in the contract's units: one line for each role.

    An agent works no longer than what its work is a part of, which `took` seconds (None: not known; `whole`: what that
    is). A time that in the other unit is the day on which NATS stored the message is in that unit.
    """
    lines, units = [], kind.section.units
    if message.seconds is not None and took is not None and message.seconds > took + ROUNDED:
        lines.append(
            f"{kind.label('duration')} is {message.number('duration'):g} {units.duration} "
            f"(messages.completed.units), and {whole} took {took:.1f} s"
        )
    moment = message.number("timestamp")
    if moment is not None and units.timestamp != "iso8601":
        other, seconds = ("epoch_s", moment) if units.timestamp == "epoch_ms" else ("epoch_ms", moment / 1000)
        if abs(seconds - message.stored.timestamp()) < DAY:
            lines.append(f"{kind.label('timestamp')} is {other}, not {units.timestamp} (messages.completed.units)")
    return lines


def of_another_agent(kind: MessageKind, message: AgentMessage, call: AgentCall, models: ModelNames) -> list[str]:
    """What a conformant completed message names twice, and not alike, or that no agent can have been given: one line
    for each role. It is not known what the agents of a deliberation were given; those of the suite's own jobs, which
    are called as they are, name themselves alike in both places."""
    lines = []
    for name, other in (("author_id", "agent_id"), ("author_role", "role")):
        seen, expected = message.values.get(name), message.values.get(other)
        if {name, other} <= kind.paths.keys() and call.given_by(other) and seen != expected:
            lines.append(f"{kind.label(name)} is {seen!r}, and {kind.label(other)} {expected!r}")
    for name in ("model", "author_model"):
        if name in kind.paths and models.complete and message.values.get(name) not in models:
            served = ", ".join(sorted(models.names))
            lines.append(f"{kind.label(name)} is {message.values.get(name)!r}, not {served}")
    return lines
