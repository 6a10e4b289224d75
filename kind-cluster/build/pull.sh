#!/usr/bin/env bash
# Pulls the images of node and Istio, and takes the programs out of them or from their releases.
set -euo pipefail
. "$(dirname "$0")/../lib.sh"
need_docker

tag=$(image_tag)
node=kindest/node:$KINDEST_NODE_VERSION
for image in "$node" docker.io/istio/{pilot,proxyv2,istioctl}:"$ISTIO_VERSION"; do pull "$image"; done

# Copies a program out of an image: take IMAGE PATH FOLDER
take() {
  local into=$cache/bin/$3/${2##*/} container
  if [ -x "$into" ]; then return; fi
  mkdir -p "$cache/bin/$3"
  # The command is never run; an image may have none.
  container=$(docker create "$1" none)
  docker cp -q "$container:$2" "$into"
  docker rm "$container" >/dev/null
}
take "$node" /usr/bin/kubectl "kubectl-$KINDEST_NODE_VERSION"
take "docker.io/istio/istioctl:$ISTIO_VERSION" /usr/local/bin/istioctl "istioctl-$ISTIO_VERSION"

machine=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
kind=$cache/bin/kind-$KIND_VERSION helm=$cache/bin/helm-$HELM_VERSION
new=$(mktemp -d "$cache/bin/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
if [ ! -d "$kind" ]; then
  step "fetching kind $KIND_VERSION"
  mkdir "$new/kind"
  if fetch "https://kind.sigs.k8s.io/dl/$KIND_VERSION/kind-linux-$machine" "kind-$KIND_VERSION-linux-$machine" "$new"; then
    mv "$new/kind-$KIND_VERSION-linux-$machine" "$new/kind/kind"
    chmod +x "$new/kind/kind"
    mv -T "$new/kind" "$kind"
  else
    "$here/build/go.sh" kind
  fi
fi
if [ ! -d "$helm" ]; then
  step "fetching helm $HELM_VERSION"
  archive=helm-$HELM_VERSION-linux-$machine.tar.gz
  if fetch "https://get.helm.sh/$archive" "$archive" "$new"; then
    tar -C "$new" -xzf "$new/$archive"
    mv -T "$new/linux-$machine" "$helm"
  else
    "$here/build/go.sh" helm
  fi
fi

# Shell, curl, drill and busybox for the scenarios.
if ! docker image inspect "localhost/ssa-kind/tools:$tag" >/dev/null 2>&1; then
  step "making the image of tools"
  docker rm -f ssa-kind-tools-builder >/dev/null 2>&1 || true
  pull debian:bookworm-slim
  # A daemon that was started here has no bridge.
  logged tools docker run --network host --name ssa-kind-tools-builder debian:bookworm-slim sh -euc \
    'apt-get update -q; apt-get install -q -y --no-install-recommends ca-certificates curl busybox-static ldnsutils iproute2 iptables'
  docker commit --change 'CMD ["sleep", "infinity"]' ssa-kind-tools-builder "localhost/ssa-kind/tools:$tag" >/dev/null
  docker rm -f ssa-kind-tools-builder >/dev/null
fi
