# shellcheck shell=bash disable=SC2154 # names of ./build and ./images.sh
# Sourced by ./build, ./up and ./run: KubeRay's operator, of each version that is asked for. It is not in ./images.sh, which is
# part of the node image's key.
KUBERAY_MODULE=github.com/ray-project/kuberay/ray-operator
KUBERAY_PINS=$ROOT/images/kuberay # a folder for each version

# Those that images/images.toml lists; the first is built in any case.
kuberay_versions() { sed -nE '/^\[kuberay\]/,/^\[[^k]/s/^versions = \[(.*)\].*/\1/p' "$ROOT/images/images.toml" | tr -d '",'; }
kuberay_first() { local known; known=$(kuberay_versions); echo "${known%% *}"; }

# kuberay_require_go VERSION: a clear line where the compiler is older than that KubeRay takes.
kuberay_require_go() {
    local needed
    needed=go$(sed -n 's/^go //p' "$KUBERAY_PINS/$1/go.mod")
    [ "$(printf '%s\n' "$needed" "$go_release" | sort -V | head -n 1)" = "$needed" ] ||
        die "KubeRay $1 needs Go ${needed#go} or newer; $GO is $go_release" 4
}

kuberay_reference() { echo "fleet-offline/kuberay-operator:v$1-$(key "$(go_key "$KUBERAY_PINS/$1")" "$IMAGES/kuberay/Dockerfile")"; }
kuberay_program() { echo "kuberay-$1-$(go_key "$KUBERAY_PINS/$1")"; }
kuberay_image() {
    local context
    context=$(context "kuberay-$1")
    cp "$IMAGES/kuberay/Dockerfile" "$context"
    cp "$CACHE/programs/$(kuberay_program "$1")/ray-operator" "$context/manager"
    cp -r "$(module "$KUBERAY_PINS/$1" "$KUBERAY_MODULE")/config/crd/bases" "$context/crds"
    chmod -R u+w,a+rX "$context/crds"
    image "$(kuberay_reference "$1")" "$context"
}
build_kuberay() {
    ! present "$(kuberay_reference "$1")" || return 0
    kuberay_require_go "$1"
    build_program "$KUBERAY_PINS/$1" "KubeRay $1" "$(kuberay_program "$1")"
    step "KubeRay $1 image" kuberay_image "$1"
}

# The rows of [kuberay_versions] in sources.toml: of the images that the engine has.
kuberay_rows() {
    local version reference
    for version in $(kuberay_versions); do
        [ "$version" != "$(kuberay_first)" ] || continue
        reference=$(kuberay_reference "$version")
        ! present "$reference" || echo "\"$version\" = \"$reference\""
    done
}
