# Sourced by the commands in ci/: makes the suite's own Python environment, once per lock file and interpreter,
# outside the checkout, and puts it first on PATH. Needs only a Python >= 3.10, < 3.14 with venv. Sets ROOT.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
: "${FLEET_CACHE:=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/fleet-conformance}"
export FLEET_CACHE

fleet_die() { printf '%s: %s\n' "${0##*/}" "$1" >&2; exit "${2:-1}"; }

fleet_python() { # the first interpreter that the suite runs on; FLEET_PYTHON names another
    local candidate
    for candidate in ${FLEET_PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null; then
            "$candidate" -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))'
            return
        fi
    done
    return 1
}

fleet_environment() {
    local python lock key env log
    python=$(fleet_python) || fleet_die "needs Python 3.10 to 3.13 with venv (on Debian and Ubuntu: apt-get install python3-venv); found: $(python3 --version 2>&1 || true). FLEET_PYTHON=/path/to/python names another." 4
    lock=$ROOT/ci/locks/suite.lock
    key=$( { "$python" -c 'import os, sys; print(sys.version, os.path.realpath(sys.executable))'; cat "$lock"; } | sha256sum | cut -c1-16)
    env=$FLEET_CACHE/suite-$key
    if [ ! -e "$env/complete" ]; then
        mkdir -p "$FLEET_CACHE" 2>/dev/null || fleet_die "cannot create the cache folder $FLEET_CACHE; FLEET_CACHE=/path names another" 4
        exec 9>"$env.lock" && flock 9
        if [ ! -e "$env/complete" ]; then
            printf 'Preparing the suite (once): Python packages into %s …\n' "$env" >&2
            rm -rf "$env" && log=$env.log
            { "$python" -m venv "$env" &&
                "$env/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r <(sed -n '/^uv==/,/^[a-z]/{/^uv==/p;/^ /p}' "$lock") &&
                "$env/bin/uv" pip install -q --python "$env/bin/python" --require-hashes -r "$lock" &&
                touch "$env/complete"; } >"$log" 2>&1 || {
                tail -n 5 "$log" >&2
                rm -rf "$env"
                fleet_die "the packages of ci/locks/suite.lock could not be installed (is the package index reachable, is there room in $FLEET_CACHE?); the whole log: $log" 4
            }
            rm -f "$log"
        fi
        exec 9>&-
    fi
    [ -w "$ROOT" ] && ln -sfn "$env" "$ROOT/.venv"
    PATH=$env/bin:$PATH
    export PATH VIRTUAL_ENV=$env
}

fleet_environment
