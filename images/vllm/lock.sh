#!/bin/sh
# Make the lock files again: stub.lock, cpu.lock (all of vLLM but torch), cpu-torch.lock (torch from the default index, with the
# CUDA libraries that build is linked to). Needs uv.
set -eu
cd "$(dirname "$0")"
export UV_CUSTOM_COMPILE_COMMAND="images/vllm/lock.sh"

uv pip compile --quiet stub.in --universal --python-version 3.9 --generate-hashes --no-annotate --no-emit-index-url -o stub.lock

whole=$(mktemp)
trap 'rm -f "$whole"' EXIT
uv pip compile --quiet cpu.in --override cpu-override.txt --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
    --generate-hashes --no-header --no-annotate --no-emit-index-url -o "$whole"
# A requirement and its hashes are one logical line, continued by backslashes.
split() {
    printf '# Made by images/vllm/lock.sh for Python 3.11 on x86-64 Linux. Install with --no-deps.\n'
    awk -v torch="$1" '/^[a-z]/ { mine = ($0 ~ /^(torch|nvidia-[a-z0-9-]+)==/) == torch; skip = ($0 ~ /^cuda-/) } mine && !skip' "$whole"
}
split 0 >cpu.lock
split 1 >cpu-torch.lock
