"""Runs agent jobs over Ray Client, inside the image's environment: cases in (standard input), outcomes out, as JSON.

A case is {"job": constructor keywords, "run": run keywords, "options": actor options, "twice": bool,
"kill_when_asked": URL of a vLLM stub}; an outcome {"results": [...]} or {"type", "cause", "module", "text"}.
"""

import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"

import ray
from swe_ai_fleet.orchestrator.ray_jobs.vllm_agent_job import VLLMAgentJob


def main() -> None:
    document = json.load(sys.stdin)
    ray.init(document["address"], log_to_driver=False)
    started = {name: start(case) for name, case in document["cases"].items()}
    outcomes = {name: outcome(*begun) for name, begun in started.items()}
    outcomes["cpus left"] = ray.cluster_resources()["CPU"] - idle_cpus()
    print(json.dumps(outcomes))


def start(case: dict[str, Any]) -> tuple[Any, list[Any], float]:
    actor_class: Any = VLLMAgentJob  # of ray.remote's making, which is invisible to mypy
    actor = actor_class.options(**case.get("options", {})).remote(**case["job"])
    refs = [actor.run.remote(**case["run"]) for _ in range(2 if case.get("twice") else 1)]
    if case.get("kill_when_asked"):
        wait(lambda: hits(case["kill_when_asked"]) > 0)
        ray.kill(actor, no_restart=False)  # returns before the process is dead: it must not be answered
        wait(lambda: hits(case["kill_when_asked"]) > 1)  # its successor asks, too
        delete_faults(case["kill_when_asked"])
    return actor, refs, time.monotonic()


def outcome(actor: Any, refs: list[Any], begun: float) -> dict[str, Any]:
    try:
        return {"results": [ray.get(ref) for ref in refs]}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome
        cause = getattr(error, "cause", None)
        return {
            "type": type(error).__name__,
            "cause": type(cause).__name__,
            "module": getattr(cause, "name", None),
            "text": str(cause),
            "seconds": time.monotonic() - begun,
        }
    finally:
        ray.kill(actor)


def idle_cpus() -> float:
    wait(lambda: ray.available_resources().get("CPU", 0) == ray.cluster_resources()["CPU"])
    return float(ray.available_resources()["CPU"])


TOKEN = {"X-Fault-Proxy-Token": "token-of-the-debug-routes"}  # as tests/support/stub_process.py starts the stub
_STRAIGHT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the stub is on loopback


def hits(url: str) -> int:
    with _STRAIGHT.open(urllib.request.Request(f"{url}/debug/faults", headers=TOKEN)) as answer:
        return sum(rule["hits"] for rule in json.load(answer)["faults"] if rule["id"] == "crash")


def delete_faults(url: str) -> None:
    _STRAIGHT.open(urllib.request.Request(f"{url}/debug/faults/crash", headers=TOKEN, method="DELETE")).close()


def wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("the state did not come about in 60 s")
        time.sleep(0.05)


main()
