"""Rounds, messages and whole watches, as tests need them."""

from __future__ import annotations

from typing import Any

from fixtures.checks.declaration import Link
from fixtures.watch.document import (
    LINKS,
    Claims,
    Command,
    Document,
    Entry,
    Event,
    Finding,
    Gap,
    Instance,
    Kind,
    Ledger,
    Look,
    Mixed,
    Replacement,
    Round,
    Settings,
    State,
    Suite,
    Word,
)

SETTINGS = Settings(
    every_s=5, healthy_rounds=12, until_s=1800, gap_limit_s=60, refused_limit=20, late_after_s=30, lost_after_s=60
)


def deliberation(number: int = 1, **values: Any) -> Round:
    return Round(
        **{"kind": Kind.DELIBERATION, "number": number, "due_s": 5.0 * number, "interval_s": 5.0, "task": f"t{number}"}
        | values
    )


def agent_job(number: int = 1, **values: Any) -> Round:
    return deliberation(number, kind=Kind.AGENT_JOB, **values)


def entry(sequence: int, task: str = "t1", **values: Any) -> Entry:
    return Entry(
        **{
            "sequence": sequence,
            "subject": "agent.response.completed",
            "stored_s": 10.0,
            "task": task,
            "agent": f"{task}-agent",
            "kind": "completed",
            "sha256": f"hash of {sequence}",
        }
        | values
    )


def look(at_s: float = 1.0, **values: Any) -> Look:
    return Look(
        **{"at_s": at_s, "first": 1, "last": 10, "messages": 10, "size": 1000, "created": "2026-11-28T10:00:00Z"}
        | values
    )


def ledger(*entries: Entry, looks: tuple[Look, ...] = (look(),)) -> Ledger:
    return Ledger(stream="AGENT_RESPONSES", entries=entries, looks=looks)


def document(**values: Any) -> Document:
    """A watch in which something of everything was seen. `values`: instead."""
    rounds = (
        deliberation(1, accepted_s=5.1, ended_s=6.0, end="completed", asked="orchestrator-1", word=Word.GOOD),
        agent_job(1, accepted_s=5.2, started_s=5.5, ended_s=6.5, end="completed", word=Word.GOOD),
        deliberation(2, refused=True, reason="UNAVAILABLE: down", word=Word.REFUSED),
        agent_job(2, word=None),
    )
    fields: dict[str, Any] = {
        "suite": Suite(version="0.1.0", commit="abc"),
        "run_id": "fc-1a2b3c",
        "started": "2026-11-28T17:40:00+00:00",
        "duration_s": 95.0,
        "profile": "prod",
        "cluster": "attach",
        "settings": SETTINGS,
        "state": State.FINISHED,
        "clean": False,
        "reasons": ("1 vanished",),
        "claims": Claims(
            rounds=4,
            good=2,
            late=0,
            refused=1,
            failed=0,
            lost=0,
            unseen=0,
            open=1,
            skipped=3,
            doubled=0,
            vanished=1,
            unreadable=0,
        ),
        "findings": (Finding(word="vanished", task="t1", agent="a", sequence=7, text="sequence 7 is not there"),),
        "links": LINKS,
        "gaps": (Gap(link=Link.JOB, from_s=10, to_s=53, beyond_s=38),),
        "replacements": (
            Replacement(
                at_s=34,
                component="ray-head",
                group="head",
                before="x2k",
                after="9fq",
                image_before="ray:2.49.2",
                image_after="ray:2.52.1",
            ),
        ),
        "mixed": (Mixed(component="ray", from_s=34, to_s=89, images=("head ray:2.52.1", "workers ray:2.49.2")),),
        "instances": (
            Instance(component="ray-head", group="head", name="x2k", image="ray:2.49.2", first_s=0, last_s=30),
            Instance(component="ray-head", group="head", name="9fq", image="ray:2.52.1", first_s=34, last_s=95),
        ),
        "rounds": rounds,
        "ledger": ledger(entry(7)),
        "command": Command(line="kubectl apply -f ray.yaml", began_s=21.0, ended_s=22.0, status=0),
        "events": (Event(at_s=21.0, text="$ kubectl apply -f ray.yaml"),),
    }
    return Document(**fields | values)
