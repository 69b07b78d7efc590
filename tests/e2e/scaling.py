"""Replicas that start or end because their number changes, told from those that are missing."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from fixtures.clusters.base import Replica, Workload
from fixtures.profile.amounts import Span, least, most
from fixtures.profile.model import Profile
from fixtures.services.ray import Node


def what_starts(workload: Workload, wanted: int) -> str:
    """Which replicas are missing because a roll-out replaces them, or because they are asked for beyond those that the
    profile wants, which are ready; "" where none is, where one is stuck, which waiting does not help, or where one was
    ready before, which does not start."""
    if workload.stuck or not workload.not_ready:
        return ""
    if workload.rollout:
        return f"{workload.rollout}: {workload.not_ready}"
    if len(workload.ready) < wanted or any(replica.lost and not replica.ready for replica in workload.replicas):
        return ""
    return f"{workload.name} was scaled to {workload.desired}: {workload.not_ready}"


def run(workload: Workload, alive: Collection[Node]) -> list[Replica]:
    """The replicas that are ready, or run and are in Ray's node table."""
    return [
        replica
        for replica in workload.replicas
        if replica.ready or (replica.running and any(replica.is_node(node.name, node.address) for node in alive))
    ]


def by_amount(workers: Workload, profile: Profile) -> list[tuple[int | Span, Workload]]:
    """Each group of workers with the number that the profile has for it; all as one where it names other groups."""
    if workers.by_group.keys() != {group.name for group in profile.ray.groups}:
        return [(profile.ray.wanted, workers)]
    return [
        (
            group.workers,
            replace(
                workers,
                name=group.name,
                desired=workers.by_group[group.name],
                replicas=tuple(replica for replica in workers.replicas if replica.group == group.name),
            ),
        )
        for group in profile.ray.groups
    ]


def what_moves(workers: Workload, alive: Sequence[Node], profile: Profile) -> str:
    """Which workers start or end, where that alone explains that there are more or fewer than are asked for, and where
    the profile leaves their number open and as many may be there; else "".
    """
    ending = workers.ending if len(alive) > len(workers.replicas) else ()
    if not len(run(workers, alive)) <= len(alive) <= len(workers.replicas) + len(ending):
        return ""  # a worker that Ray has lost, or one that is no replica
    words = []
    for amount, group in by_amount(workers, profile):
        running = run(group, alive)
        if len(running) == group.desired:
            continue
        counted = replace(group, replicas=tuple(replace(one, ready=one in running) for one in group.replicas))
        why = what_starts(counted, least(amount))
        if len(running) > group.desired and len(running) <= most(amount):
            why = f"{group.name} was scaled to {group.desired}, and {len(running)} run"
        if not why or not isinstance(amount, Span):
            return ""
        words.append(why)
    if ending and isinstance(profile.ray.wanted, Span):
        words.append(f"being ended: {', '.join(ending)}")
    return "; ".join(words)
