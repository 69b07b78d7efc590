# shellcheck shell=bash
# Sourced by the commands of ci/: FLEET_CACHE, where the suite keeps what is slow to make, as an absolute path. What is in it is
# run, so that without a name it has to be below HOME, and the caller's own.
fleet_no_cache() { printf '%s: %s; FLEET_CACHE=/path names another folder\n' "${0##*/}" "$1" >&2; exit 4; }

if [ -z "${FLEET_CACHE:-}" ]; then
    [ -n "${XDG_CACHE_HOME:-}${HOME:-}" ] || fleet_no_cache "there is no HOME to keep the suite's environment below"
    FLEET_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/fleet-conformance
    if [ -e "$FLEET_CACHE" ] && [ ! -O "$FLEET_CACHE" ]; then fleet_no_cache "the cache folder $FLEET_CACHE is another user's"; fi
fi
case $FLEET_CACHE in /*) ;; *) FLEET_CACHE=$PWD/$FLEET_CACHE ;; esac # some commands change the working directory
export FLEET_CACHE
