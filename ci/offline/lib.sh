# shellcheck shell=bash
# Sourced by the commands of this folder: where things are, how steps report, what the engine is.
set -euo pipefail
OFFLINE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$OFFLINE/../.." && pwd)
. "$ROOT/ci/cache.sh"
CACHE=$FLEET_CACHE/offline
ENGINE=$CACHE/engine
# Socket paths may have 107 bytes, and a cache folder may be deep: the sockets get a short folder of their own.
RUN=/run/fleet-offline-$(printf %s "$ENGINE" | sha256sum | cut -c1-8)
LOG=$CACHE/logs

# Proxies by either spelling of their variables, as the programs that are called here take them.
for name in HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    lower=${name,,}
    [ -n "${!name:-}" ] || [ -z "${!lower:-}" ] || export "$name=${!lower}"
done

say() { printf 'offline: %s\n' "$*" >&2; }
die() { printf 'offline: %s\n' "$1" >&2; exit "${2:-1}"; }

# The key of a piece: a short hash of the files (and other words) that decide it.
key() {
    local part
    for part; do if [ -f "$part" ]; then sha256sum <"$part"; else printf '%s\n' "$part"; fi; done | sha256sum | cut -c1-10
}

# step NAME COMMAND…: runs it with its output in a log; says the name and the seconds, and on failure the log's end.
# In the background: only there does errexit hold in spite of the status being asked for.
step() {
    local name=$1 log start=$SECONDS
    shift
    log=$LOG/${name//[^A-Za-z0-9.-]/-}.log
    mkdir -p "$LOG"
    say "$name …"
    ("$@") >"$log" 2>&1 </dev/null &
    if wait $!; then say "$name: $((SECONDS - start)) s"; return; fi
    say "$name: failed after $((SECONDS - start)) s"
    tail -n 15 "$log" >&2
    die "$name failed; the whole log: $log" "${STEP_STATUS:-1}"
}

# Ends a process and all that it started: bash starts background commands deaf to Ctrl-C.
end() {
    local child
    for child in $(pgrep -P "$1"); do end "$child"; done
    kill "$1" 2>/dev/null || true
}

private_engine() { [ -S "$RUN/docker.sock" ] && DOCKER_HOST=unix://$RUN/docker.sock timeout 10 docker info >/dev/null 2>&1; }

# Sets DOCKER_HOST to the private engine, or leaves an ordinary engine's as it is. Fails where neither answers.
find_engine() {
    if private_engine; then export DOCKER_HOST=unix://$RUN/docker.sock; return; fi
    timeout 10 docker info >/dev/null 2>&1
}

# The environment that ci/offline/run gives, as lines for a shell.
environment() {
    [ -z "${DOCKER_HOST:-}" ] || printf 'export DOCKER_HOST=%q\n' "$DOCKER_HOST"
    # shellcheck disable=SC2016 # the reader's PATH
    printf 'export PATH=%q:"$PATH"\nexport FLEET_KIND_SOURCES=%q\n' "$(readlink -f "$CACHE/bin")" "$CACHE/sources.toml"
}
