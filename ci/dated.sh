# Sourced: runs the suite into a folder that is named by the time, keeps the last ones, and points `latest` at the newest.
#   dated_run FOLDER KEEP COMMAND…    COMMAND gets `--report-dir FOLDER/TIME`; returns its status; DATED is that folder
#   dated_tell STATUS ALERT REPORT…   afterwards: posts to FLEET_WEBHOOK, and returns the status for ALERT (always, new);
#                                     REPORT… is ./ci/report, or what does the same elsewhere
# The kept runs, if there are any, are what the new one is compared with: COMMAND gets `--baseline FOLDER`, too.

dated_run() {
    local folder=$1 keep=$2 child status
    shift 2
    case $keep in '' | *[!0-9]* | 0) printf 'how many reports to keep must be a number from 1 up, not "%s"\n' "$keep" >&2; return 4 ;; esac
    mkdir -p "$folder" || { printf 'cannot create the folder for reports %s\n' "$folder" >&2; return 4; }
    folder=$(cd "$folder" && pwd)
    DATED_LANG=$(dated_language "$@")
    DATED=$folder/$(date -u +%Y-%m-%dT%H-%M-%SZ)

    if compgen -G "$folder/20*Z/conformance.json" >/dev/null; then set -- "$@" --baseline "$folder"; fi

    # In a process group of its own, so that it does not inherit the shell's ignored SIGINT; what ends this shell is handed on
    # to it, and its clean-up is waited for.
    # The webhook is none of the suite's business, and none of what it starts.
    set -m
    env -u FLEET_WEBHOOK "$@" --report-dir "$DATED" </dev/null &
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

# A webhook that is not told changes no status. With ALERT new a red run of which nothing is new ends with 0; a status that is
# not the verdict's (interrupted, a report that could not be written) stays.
dated_tell() {
    local status=$1 alert=$2 link=${FLEET_LINK:-}
    shift 2
    [ -f "${DATED:-}/conformance.json" ] || return "$status"
    set -- "$@" --reports "$DATED" ${DATED_LANG:+--lang "$DATED_LANG"}
    if [ -n "${FLEET_WEBHOOK:-}" ]; then FLEET_LINK=${link//\{\}/${DATED##*/}} "$@" --webhook || true; fi
    if [ "$status" = 1 ] && [ "$alert" = new ] && ! "$@" --alert always 2>/dev/null && "$@" --alert new; then
        printf 'nothing is new since the run before: no alert\n' >&2
        return 0
    fi
    return "$status"
}

# What would be told only when the night is over.
dated_options_fit() {
    case $1 in always | new) ;; *) printf 'when to alert must be always or new, not "%s"\n' "$1" >&2; return 1 ;; esac
    case ${FLEET_WEBHOOK:-http://} in http://* | https://*) ;; *) printf 'the webhook must be a URL (https://…)\n' >&2; return 1 ;; esac
    case ${FLEET_WEBHOOK_FORMAT:-generic} in generic | slack | teams) ;; *)
        printf 'the webhook takes generic, slack or teams, not "%s"\n' "$FLEET_WEBHOOK_FORMAT" >&2
        return 1 ;;
    esac
}

# The language of the reports, as the suite's options have it.
dated_language() {
    local language='' before='' option
    for option; do
        case $option in --lang=*) language=${option#*=} ;; esac
        [ "$before" != --lang ] || language=$option
        before=$option
    done
    printf '%s' "$language"
}

# Remove all but the newest KEEP folders; what is not named by a time is left alone.
dated_prune() {
    local folder=$1 keep=$2 old
    find "$folder" -mindepth 1 -maxdepth 1 -type d -name '20[0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]-[0-9][0-9]-[0-9][0-9]Z' |
        sort -r | tail -n "+$((keep + 1))" | while IFS= read -r old; do rm -rf "$old"; done
}
