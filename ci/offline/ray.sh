# shellcheck shell=bash disable=SC2154 # names of ./lib.sh and ./images.sh
# Sourced by ./build, ./up and ./run: the base image "ray" of further versions of Ray, each made when it is asked for. It is not
# in ./images.sh, which is part of the node image's key.

# Those that images/images.toml has locks for; the first is that of images/ray/stock.lock, whose base is always there.
ray_versions() { sed -nE '/^\[ray\]/,/^\[[^r]/s/^versions = \[(.*)\].*/\1/p' "$ROOT/images/images.toml" | tr -d '",'; }

ray_has_own_lock() { [ -f "$ROOT/images/ray/$1/stock.lock" ]; }

# The recipe is that of the first version, with another lock; from here on after ./images.sh alone.
ray_reference() { echo "fleet-offline/ray:$1-py311-$(key "$python_key" "$IMAGES"/ray/* "$ROOT/images/ray/$1/stock.lock")"; }
ray_version_image() {
    local context
    context=$(context "ray-$1")
    cp "$IMAGES/ray/Dockerfile" "$ROOT/images/ray/$1/stock.lock" "$context"
    image "$(ray_reference "$1")" "$context" --build-arg "BASE=$python"
}

# The rows of [ray_versions] in sources.toml: of the images that the engine has.
ray_rows() {
    local version reference
    for version in $(ray_versions); do
        ray_has_own_lock "$version" || continue
        reference=$(ray_reference "$version")
        ! present "$reference" || echo "\"$version\" = { image = \"$reference\", python = \"3.11\" }"
    done
}
