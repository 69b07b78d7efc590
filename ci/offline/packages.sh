# shellcheck shell=bash
# Sourced: the Debian packages that the build and the engine need, installed where absent.
packages_missing() {
    local command
    for command in docker jq mmdebstrap iptables curl; do command -v "$command" >/dev/null || echo "$command"; done
    find_engine || for command in dockerd containerd runc; do command -v "$command" >/dev/null || echo "$command"; done
}

packages_install() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -q -y --no-install-recommends docker.io containerd runc iptables mmdebstrap jq curl
}
missing=$(packages_missing | paste -sd ' ')
if [ -n "$missing" ]; then
    { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; } ||
        die "needs $missing (Debian: docker.io containerd runc iptables mmdebstrap jq curl); install these, or run this as root on Debian" 4
    STEP_STATUS=4 step "Debian packages" packages_install
fi
