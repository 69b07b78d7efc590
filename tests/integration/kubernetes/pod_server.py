"""What runs in the pods of these tests (sent as `python -c`): servers of all the kinds that a forward has to carry.

8001 lines: "echo" returns all that follows; "send N": N bytes, then the end; "late N": waits for the client's end of
input or half a second, sends N bytes, then the end; "count": all connections of this port that are open, then the end.
8002 HTTP/1.1 with keep-alive: GET /N answers N bytes, POST answers the body's length and SHA-256.
8003 gRPC: /test/Echo returns its message, /test/Count streams numbers until it is cancelled.
"""

import asyncio
import contextlib
import hashlib
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc

OPEN: set[asyncio.StreamWriter] = set()
PIECE = bytes(range(256)) * 256


async def lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    OPEN.add(writer)
    try:
        word, _, number = (await reader.readline()).decode().strip().partition(" ")
        if word == "echo":
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        elif word == "count":
            writer.write(str(len(OPEN)).encode())
        elif word in ("send", "late"):
            if word == "late":
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(), 0.5)
            left = int(number)
            while left:
                writer.write(PIECE[: min(left, len(PIECE))])
                left -= min(left, len(PIECE))
                await writer.drain()
        await writer.drain()
    except OSError:
        pass
    finally:
        OPEN.discard(writer)
        writer.close()


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        size = int(self.path[1:])
        self.answer((PIECE * (size // len(PIECE) + 1))[:size])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode())

    def log_message(self, *arguments: object) -> None:
        pass


def echo(request: bytes, _context: "grpc.ServicerContext") -> bytes:
    return request


def count(_request: bytes, context: "grpc.ServicerContext") -> Iterator[bytes]:
    for number in itertools.count():
        if not context.is_active():
            return
        yield str(number).encode()
        time.sleep(0.05)


def serve_grpc() -> grpc.Server:
    server = grpc.server(ThreadPoolExecutor(60))
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
        "Count": grpc.unary_stream_rpc_method_handler(count),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test", handlers)])
    server.add_insecure_port("0.0.0.0:8003")
    server.start()
    return server


async def main() -> None:
    http = ThreadingHTTPServer(("0.0.0.0", 8002), Http)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    rpc = serve_grpc()
    server = await asyncio.start_server(lines, "0.0.0.0", 8001, backlog=256)
    print("serving", flush=True)
    async with server:
        await server.serve_forever()
    rpc.stop(0)


asyncio.run(main())
