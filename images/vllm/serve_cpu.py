"""Start the real vLLM server on CPU as cpu.toml says, in the place of this process.

Run it with the interpreter of the vLLM environment. Refuses, in one line and with exit status 2, where the wheel cannot
run or the model is missing.
"""

import argparse
import os
import platform
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

SETTINGS = Path(__file__).with_name("cpu.toml")


def obstacle(settings: dict[str, Any], model_dir: Path) -> str:
    """Why the server cannot run here, in one line; empty when nothing is in the way."""
    if platform.machine() != settings["machine"]:
        return f"vLLM's CPU wheel is for {settings['machine']}, this machine is {platform.machine()}; use the stub"
    flags = re.findall(r"^flags\s*:(.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    missing = [flag for flag in settings["cpu_flags"] if not flags or flag not in flags[0].split()]
    if missing:
        return f"vLLM's CPU wheel needs a CPU with {', '.join(missing)}, which this one lacks; use the stub"
    if not (model_dir / "config.json").is_file():
        return f"no model in {model_dir}; make one with tiny_qwen3.py"
    return ""


def main() -> None:
    """Check, then exec the server."""
    parser = argparse.ArgumentParser(description="Serve the tiny model with the real vLLM on CPU.")
    parser.add_argument("--model-dir", type=Path, required=True, help="folder made by tiny_qwen3.py")
    parser.add_argument("--model", default="Qwen/Qwen3-0.6B", help="id to serve it under (default: %(default)s)")
    parser.add_argument("--max-model-len", type=int, default=40960, metavar="TOKENS", help="default: %(default)s")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s")
    parser.add_argument("--cache-dir", type=Path, required=True, help="kept from run to run, for faster starts")
    parser.add_argument("--tmp-dir", type=Path, required=True, help="for sockets; a short path")
    arguments = parser.parse_args()
    settings = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))
    reason = obstacle(settings, arguments.model_dir)
    if reason:
        print(reason, file=sys.stderr)
        sys.exit(2)
    for folder in (arguments.cache_dir, arguments.tmp_dir):
        folder.mkdir(parents=True, exist_ok=True)
    values = {name: str(value) for name, value in vars(arguments).items()}
    environment = {name: text.format_map(values) for name, text in settings["env"].items()}
    command = [sys.executable, *(text.format_map(values) for text in settings["argv"])]
    os.execve(sys.executable, command, {**os.environ, **environment})


if __name__ == "__main__":
    main()
