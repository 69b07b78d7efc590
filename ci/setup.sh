# Sourced by the commands in ci/: makes the suite's own Python environment, once per lock file and interpreter,
# outside the checkout, and puts it first on PATH. Needs only a Python >= 3.11, < 3.14 with venv. Sets ROOT and FLEET_CACHE.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$ROOT/ci/cache.sh"

# Some images set this; every start of the suite would compile it and its packages again: 5 s of CPU instead of 2.
unset PYTHONDONTWRITEBYTECODE

fleet_die() { printf '%s: %s\n' "${0##*/}" "$1" >&2; exit "${2:-1}"; }

fleet_python() { # the first interpreter that the suite runs on; FLEET_PYTHON names another
    local candidate candidates=(python3 python3.13 python3.12 python3.11)
    [ -z "${FLEET_PYTHON:-}" ] || candidates=("$FLEET_PYTHON")
    for candidate in "${candidates[@]}"; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            "$candidate" -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))'
            return
        fi
    done
    return 1
}

fleet_install() { # ENVIRONMENT LOCK: uv by pip, all else by uv
    "$python" -m venv "$1" &&
        "$1/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r <(sed -n '/^uv==/,/^[a-z]/{/^uv==/p;/^ /p}' "$2") &&
        "$1/bin/uv" pip install -q --python "$1/bin/python" --require-hashes -r "$2" &&
        touch "$1/complete"
}

fleet_environment() {
    local python lock key env
    python=$(fleet_python) || fleet_die "needs Python 3.11 to 3.13 with venv (on Debian and Ubuntu: apt-get install python3-venv); found: $(python3 --version 2>&1 || true). FLEET_PYTHON=/path/to/python names another." 4
    lock=$ROOT/ci/locks/suite.lock
    key=$( { "$python" -c 'import os, sys; print(sys.version, os.path.realpath(sys.executable))'; cat "$lock"; } | sha256sum | cut -c1-16)
    env=$FLEET_CACHE/suite-$key
    if [ ! -e "$env/complete" ]; then
        mkdir -p "$FLEET_CACHE" 2>/dev/null || fleet_die "cannot create the cache folder $FLEET_CACHE; FLEET_CACHE=/path names another" 4
        { exec 9>"$env.lock"; } 2>/dev/null || fleet_die "cannot write to the cache folder $FLEET_CACHE; FLEET_CACHE=/path names another" 4
        flock 9 || fleet_die "cannot lock $env.lock: FLEET_CACHE=/path names a cache folder on a file system that has locks" 4
        if [ ! -e "$env/complete" ]; then
            printf 'Preparing the suite (once): Python packages into %s …\n' "$env" >&2
            rm -rf "$env"
            fleet_install "$env" "$lock" >"$env.log" 2>&1 || {
                tail -n 5 "$env.log" >&2
                rm -rf "$env"
                fleet_die "the packages of ci/locks/suite.lock could not be installed (is the package index reachable, is there room in $FLEET_CACHE?); the whole log: $env.log" 4
            }
            rm -f "$env.log"
        fi
        exec 9>&-
    fi
    if [ -w "$ROOT" ] && { [ -L "$ROOT/.venv" ] || [ ! -e "$ROOT/.venv" ]; }; then ln -sfn "$env" "$ROOT/.venv"; fi # not into a folder of the user's
    PATH=$env/bin:$PATH
    export PATH VIRTUAL_ENV=$env
}

fleet_environment
