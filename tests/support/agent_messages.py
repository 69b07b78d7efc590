"""Messages of agents as the contract of a profile reads them, for tests."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from fixtures.checks.contract import AgentMessage, MessageContract
from fixtures.profile.contract_messages import Messages
from fixtures.services.stream_messages import Message


def agent_message(messages: Messages, kind: str, document: dict[str, Any] | None, sequence: int = 1) -> AgentMessage:
    """A message on the subject of its kind."""
    subject = getattr(messages, kind).subject
    data = b"" if document is None else json.dumps(document).encode()
    return MessageContract(messages).read(Message(sequence, subject, data, document, datetime.now(UTC)))
