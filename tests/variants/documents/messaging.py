"""JetStream's answers."""

from __future__ import annotations

from fixtures.services.jetstream import covers
from tests.variants.model import Document


def subjects_are_patterns() -> None:
    answers = ("agent.response.completed", "agent.response.failed")
    for pattern in ("agent.response.>", "agent.>", ">", "agent.response.*", "*.response.*"):
        assert all(covers(pattern, subject) for subject in answers), pattern
    assert covers("agent.>", "agent.response.>") and covers("agent.*.*", "agent.response.*")
    for pattern in ("agent.response", "agent.response.*.*", "agent.response.completed.>", "agents.>", "agent.*"):
        assert not covers(pattern, "agent.response.completed"), pattern
    assert not covers("agent.response.*", "agent.response.>"), "which has subjects of four words, too"
    assert not covers("agent.response.completed", "agent.response.*")


DOCUMENTS = (
    Document(
        name="subjects-are-patterns",
        description="streams capture, and consumers filter, by wildcards that have the agents' subjects among others",
        holds=subjects_are_patterns,
        stretches=("INF-10", "INF-12"),
    ),
)
