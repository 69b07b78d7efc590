"""``python -m vllm_stub``: serve the stand-in until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import os

from vllm_stub.launch import add_address, positive, serve
from vllm_stub.server import make_app


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="vllm_stub", description="A stand-in for vLLM's OpenAI-compatible server.")
    add_address(parser)
    parser.add_argument(
        "--served-model-name",
        nargs="+",
        metavar="NAME",
        default=["Qwen/Qwen3-0.6B"],
        help="the model's id, and further names of it (default: %(default)s)",
    )
    parser.add_argument(
        "--max-model-len", type=positive, default=40960, metavar="TOKENS", help="context length (default: %(default)s)"
    )
    parser.add_argument(
        "--api-key",
        nargs="+",
        metavar="KEY",
        default=[key for key in (os.environ.get("VLLM_API_KEY"),) if key],
        help="requests to /v1 must carry one of these keys (default: $VLLM_API_KEY, if set)",
    )
    arguments = parser.parse_args()
    model, *aliases = arguments.served_model_name
    app = make_app(model, arguments.max_model_len, arguments.api_key, aliases)
    serve(app, "vLLM stub", arguments.host, arguments.port)


if __name__ == "__main__":
    main()
