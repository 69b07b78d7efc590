# shellcheck shell=bash disable=SC2034 # read by who sources this
# Sourced by ./build, ./up and ./run: which versions of Ray and KubeRay a command line asks for.
. "$OFFLINE/ray.sh"
. "$OFFLINE/kuberay.sh"

# require_version OPTION VERSION: a clear line where there is no lock.
require_version() {
    local known
    case $1 in
    --ray) known=$(ray_versions) ;;
    --kuberay) known=$(kuberay_versions) ;;
    esac
    [[ " $known " = *" ${2:-none} "* ]] || die "$1 ${2:-}: there is no lock for it; allowed are ${known// /, }" 4
}

# take_versions ARGUMENTS…: the options at the beginning into `versions`, as they are; what follows them into `rest`.
versions=() rest=()
take_versions() {
    while [[ ${1:-} = --ray || ${1:-} = --kuberay ]]; do
        require_version "$1" "${2:-}"
        versions+=("$1" "$2") && shift 2
    done
    rest=("$@")
}
