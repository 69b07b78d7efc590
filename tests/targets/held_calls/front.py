"""The stand-in: one gRPC server before one replica of the reference orchestrator.

A call of `Ask` starts a deliberation there, asks for its end until there is one, and answers with it. It has threads,
and no event loop: sessions have theirs in another thread of the same process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf import json_format

from fixtures.core.timeouts import TIMEOUTS
from fixtures.profile import descriptors
from fixtures.profile.contract_grpc import Grpc
from fixtures.services.grpc_contract import GrpcContract, document_of, text_at

CALLS = 64  # at once: ten deliberations and what asks beside them
LOOK_EVERY = 0.1  # seconds
WORDS = {"completed": "answered", "failed": "void", "timeout": "expired"}

#: What a call of Ask answers in place of this; None: nothing, for as long as somebody waits.
Changed = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]


class Front(grpc.GenericRpcHandler):  # type: ignore[misc,type-arg,unused-ignore]
    """Serves `served` at `target`, and asks the replica at `upstream` (host:port) by the reference's contract."""

    def __init__(self, served: Grpc, reference: GrpcContract, upstream: str, changed: Changed) -> None:
        self._served = descriptors.service(served.descriptor, served.service)
        self._reference, self._changed = reference, changed
        self._channel = grpc.insecure_channel(upstream)
        self._server = grpc.server(ThreadPoolExecutor(CALLS))
        self._server.add_generic_rpc_handlers([self])
        self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self) -> None:
        """Waits until all calls have ended."""
        self._server.stop(None).wait()
        self._channel.close()

    def service(self, details: Any) -> Any:
        name = details.method.rpartition("/")[2]
        answer = {"Ask": self._ask, "Health": self._health, "Councils": self._councils}.get(name)
        if answer is None or not details.method.startswith(f"/{self._served.descriptor.full_name}/"):
            return None  # UNIMPLEMENTED
        rpc = self._served.method(name)

        def handle(content: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                reply = answer(document_of(rpc.request.FromString(content)), context)
            except grpc.RpcError as error:
                context.abort(error.code(), error.details() or "")
                raise  # abort has raised
            return bytes(json_format.ParseDict(dict(reply), rpc.response()).SerializeToString())

        return grpc.unary_unary_rpc_method_handler(handle)

    def _upstream(self, purpose: str, **values: Any) -> dict[str, Any]:
        """The replica's answer. Raises grpc.RpcError."""
        call: Any = self._channel.unary_unary(self._reference.path(purpose))
        return self._reference.answer(purpose, call(self._reference.request(purpose, values), timeout=TIMEOUTS.request))

    def _ask(self, asked: Mapping[str, Any], context: grpc.ServicerContext) -> Mapping[str, Any]:
        gone = threading.Event()
        context.add_callback(gone.set)
        terms = {key: value for key, value in asked.get("terms", {}).items() if value}
        if asked["seconds"]:
            terms["deadline"] = asked["seconds"]
        started = self._upstream("start", task=asked["question"], role=asked["office"], agents=asked["voices"], **terms)
        task_id = text_at(started, self._reference.section.start.response.paths["task_id"])
        reply: Mapping[str, Any] | None = None
        while reply is None and not gone.wait(LOOK_EVERY):
            reply = self._end(task_id)
            reply = self._changed(reply) if reply else None
        return reply or {}  # to nobody

    def _end(self, task_id: str) -> dict[str, Any] | None:
        """The end of a deliberation in the stand-in's words; None before it."""
        section = self._reference.section.result
        assert section is not None
        answer, paths, parts = self._upstream("result", task_id=task_id), section.response.paths, section.proposal.paths
        end = section.states.end_of(text_at(answer, paths["state"]))
        if not end:
            return None
        voices = {"name": "author", "office": "role", "words": "content"}
        return {
            "question_id": task_id,
            "end": WORDS[end],
            "voices": [
                {name: text_at(row, parts[role]) for name, role in voices.items()}
                for row in paths["proposals"].read(answer)
            ],
            "preferred": text_at(answer, paths["winner"]),
            "problem": text_at(answer, paths["error"]),
            "notes": paths["tags"].read(answer) or {},
        }

    def _health(self, _asked: Mapping[str, Any], _context: grpc.ServicerContext) -> Mapping[str, Any]:
        answer, section = self._upstream("status"), self._reference.section.status
        assert section is not None
        paths = section.response.paths
        state = text_at(answer, paths["state"])
        return {"condition": "well" if state in section.healthy else state, "up_seconds": paths["uptime"].read(answer)}

    def _councils(self, _asked: Mapping[str, Any], _context: grpc.ServicerContext) -> Mapping[str, Any]:
        answer, section = self._upstream("councils"), self._reference.section.councils
        assert section is not None
        paths = section.response.paths
        rows = [
            {"office": paths["role"].read(row), "seats": paths["agents"].read(row), "model": paths["model"].read(row)}
            for row in paths["councils"].read(answer)
        ]
        return {"councils": rows}
