"""A gRPC server in an executor's place, for the interpreter of an image that has grpcio: executor_server.py HOST:PORT.

It is what others see of an executor: it answers at its address, and refuses every method as unknown. It starts no
agents.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc


def main(target: str) -> None:
    server = grpc.server(ThreadPoolExecutor(1), options=(("grpc.so_reuseport", 0),))
    server.add_insecure_port(target)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(sys.argv[1])
