# Sourced: runs the suite into a folder that is named by the time, keeps the last ones, and points `latest` at the newest.
#   dated_run FOLDER KEEP COMMAND…    COMMAND gets `--report-dir FOLDER/TIME`; returns its status; DATED is that folder
# The kept runs, if there are any, are what the new one is compared with: COMMAND gets `--baseline FOLDER`, too.

dated_run() {
    local folder=$1 keep=$2 child status
    shift 2
    case $keep in '' | *[!0-9]* | 0) printf 'how many reports to keep must be a number from 1 up, not "%s"\n' "$keep" >&2; return 4 ;; esac
    mkdir -p "$folder" || { printf 'cannot create the folder for reports %s\n' "$folder" >&2; return 4; }
    folder=$(cd "$folder" && pwd)
    DATED=$folder/$(date -u +%Y-%m-%dT%H-%M-%SZ)

    if compgen -G "$folder/20*Z/conformance.json" >/dev/null; then set -- "$@" --baseline "$folder"; fi

    # In a process group of its own, so that it does not inherit the shell's ignored SIGINT; what ends this shell is handed on
    # to it, and its clean-up is waited for.
    set -m
    "$@" --report-dir "$DATED" </dev/null &
    child=$!
    set +m
    trap 'kill -TERM "$child" 2>/dev/null || true' TERM INT HUP
    status=0
    wait "$child" || status=$?
    while kill -0 "$child" 2>/dev/null; do # the wait above ends with the first signal
        status=0
        wait "$child" || status=$?
    done
    trap - TERM INT HUP

    [ -d "$DATED" ] || return "$status"
    ln -sfn "${DATED##*/}" "$folder/latest" || printf 'no link to the latest reports: %s\n' "$folder/latest" >&2
    dated_prune "$folder" "$keep"
    return "$status"
}

# Remove all but the newest KEEP folders; what is not named by a time is left alone.
dated_prune() {
    local folder=$1 keep=$2 old
    find "$folder" -mindepth 1 -maxdepth 1 -type d -name '20[0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]-[0-9][0-9]-[0-9][0-9]Z' |
        sort -r | tail -n "+$((keep + 1))" | while IFS= read -r old; do rm -rf "$old"; done
}
