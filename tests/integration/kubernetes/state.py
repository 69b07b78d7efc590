"""What is in a fleet that a run may not change: everything that has a name, by kind."""

from __future__ import annotations

import asyncio

import httpx
import nats
from nats.js import JetStreamContext

from fixtures.clusters.kubernetes.client.api import NAMESPACES, PODS, Api
from fixtures.clusters.kubernetes.client.schemas import Pod
from fixtures.profile.model import Profile


async def of(api: Api, profile: Profile, nats_address: str, dashboard: str) -> dict[str, list[str]]:
    """Namespaces, pods (with their age and restarts), Ray jobs, streams, consumers and the keys of all buckets."""
    spaces = profile.kubernetes
    namespaces, ray_pods, pods = await asyncio.gather(
        api.list(NAMESPACES), api.list(PODS, profile.ray.namespace), api.list(PODS, spaces.namespace)
    )
    async with httpx.AsyncClient(trust_env=False) as http:
        jobs = (await http.get(f"http://{dashboard}/api/jobs/")).json()
    return {
        "namespaces": sorted(str(one.raw["metadata"]["name"]) for one in namespaces),
        "pods": sorted(_life(pod) for pod in (*ray_pods, *pods)),
        "jobs": sorted(str(job.get("submission_id") or job.get("job_id")) for job in jobs if job.get("submission_id")),
        **await _nats(nats_address, profile.nats.stream),
    }


def _life(pod: Pod) -> str:
    restarts = sum(row.restartCount for row in pod.status.containerStatuses)
    return f"{pod.metadata.name} {pod.metadata.uid} restarts {restarts}"


async def _nats(address: str, answers: str) -> dict[str, list[str]]:
    """Passing consumers count on the stream of the agents' `answers` alone:
    on its buckets the orchestrator has its own.
    """
    client = await nats.connect(f"nats://{address}")
    try:
        context = client.jetstream()
        streams = await context.streams_info()
        consumers = [
            f"{stream.config.name}/{consumer.name}"
            for stream in streams
            for consumer in await context.consumers_info(stream.config.name)
            if consumer.config.durable_name or stream.config.name == answers
        ]
        keys: list[str] = []
        for bucket in (one.config.name.removeprefix("KV_") for one in streams if one.config.name.startswith("KV_")):
            keys += await _keys(context, bucket)
        return {
            "streams": sorted(f"{one.config.name} {one.created} {one.config.subjects}" for one in streams),
            "consumers": sorted(consumers),
            "keys": sorted(keys),
            "first messages": sorted(
                f"{one.config.name} {one.state.first_seq}" for one in streams if not one.config.name.startswith("KV_")
            ),
        }
    finally:
        await client.close()


async def _keys(context: JetStreamContext, bucket: str) -> list[str]:
    """Each key with its revision: another one means that its value was written again.

    Not by the client's `keys()`, which leaves a consumer on the server.
    """
    subjects = (await context.stream_info(f"KV_{bucket}", subjects_filter=f"$KV.{bucket}.>")).state.subjects or {}
    last = [await context.get_last_msg(f"KV_{bucket}", subject) for subject in sorted(subjects)]
    return [f"{message.subject}@{message.seq}" for message in last]


def differences(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, dict[str, list[str]]]:
    """What is gone and what came, by kind."""
    changed = {}
    for kind, was in before.items():
        now = after[kind]
        gone, come = sorted(set(was) - set(now)), sorted(set(now) - set(was))
        if gone or come:
            changed[kind] = {"gone": gone, "come": come}
    return changed
