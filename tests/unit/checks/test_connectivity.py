"""What NET-01, -03, -04, -05 and -06 say of the links that failed."""

from typing import Any

import pytest

from tests.e2e.test_connectivity import broken_links

HTTP: dict[str, Any] = {"ok": False, "status": 503, "error": ""}
NATS: dict[str, Any] = {"ok": False, "stage": "tcp", "error": "refused"}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (HTTP, "worker-1: 503"),
        (HTTP | {"error": "timed out"}, "worker-1: timed out"),
        (NATS, "worker-1 fails at tcp: refused"),
        (
            NATS | {"stage": "NATS_URL", "error": "NATS_URL is not set"},
            "worker-1 fails at NATS_URL: NATS_URL is not set",
        ),
    ],
)
def test_a_broken_link_is_named_with_its_reason(answer: dict[str, Any], reason: str) -> None:
    assert broken_links([("worker-0", {"ok": True}), ("worker-1", answer)]) == [reason]
