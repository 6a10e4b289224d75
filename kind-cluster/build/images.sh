#!/usr/bin/env bash
# Makes the images of node, Istio and tools from Debian, the Go module proxy and PyPI, where the daemon lacks them.
set -euo pipefail
. "$(dirname "$0")/../lib.sh"
need_docker

tag=$(image_tag)
node=ssa-kind/node:$tag
of_istio=("localhost/ssa-kind/tools:$tag" "localhost/ssa-kind/pilot:$tag" "localhost/ssa-kind/proxyv2:$tag")
there() { docker image inspect "$@" >/dev/null 2>&1; }
if there "$node" "${of_istio[@]}"; then exit 0; fi

work=$(mktemp -d "$cache/images.XXXXXX")
builder=ssa-kind-node-builder
# shellcheck disable=SC2317 # the trap calls it
finish() {
  docker rm -f "$builder" >/dev/null 2>&1 || true
  # The node has its own copies of these now.
  docker rmi "${inside[@]}" ssa-kind/node-base >/dev/null 2>&1 || true
  rm -rf "$work"
}
inside=()
trap finish EXIT

# Debian's part is kept too, by the scripts that make it.
debian=$cache/debian-$(cat "$here"/build/{rootfs,in-rootfs}.sh | sha256sum | cut -c 1-12)
if [ ! -d "$debian" ]; then
  step "making the file systems of Debian packages"
  mkdir "$work/debian"
  cp -r "$cache/go-mod/sigs.k8s.io/kind@$KIND_VERSION/images/base/files" "$work/debian/kind-files"
  logged rootfs "$here/build/rootfs.sh" "$work/debian"
  rm -rf "$work/debian/kind-files"
  rm -rf "$cache"/debian-*
  mv -T "$work/debian" "$debian"
fi

# A tree with the small tools and these files in usr/local/bin.
tree_of() {
  rm -rf "$work/tree"
  mkdir -p "$work/tree/usr/local/bin"
  if [ "$1" = tools ]; then tar -C "$work/tree" -xf "$debian/tools.tar" --strip-components=1; fi
  shift
  if [ $# -gt 0 ]; then cp "$@" "$work/tree/usr/local/bin/"; fi
}

# What kubeadm pulls: kubernetes_image NAME:TAG BASE PROGRAM [docker import's flags]
kubernetes_image() {
  local name=registry.k8s.io/$1
  tree_of "$2" "$3"
  make_image "$name" "$work/tree" "${@:4}"
  inside+=("$name")
}

make_node() {
  step "making the node's image"
  kubernetes=$cache/bin/kubernetes-$KUBERNETES_VERSION
  for program in kube-apiserver kube-controller-manager kube-scheduler; do
    kubernetes_image "$program:$KUBERNETES_VERSION" scratch "$kubernetes/$program"
  done
  kubernetes_image "kube-proxy:$KUBERNETES_VERSION" tools "$kubernetes/kube-proxy"
  kubernetes_image "etcd:${ETCD_VERSION#v}-0" scratch "$cache/bin/etcd-$ETCD_VERSION/etcd"
  kubernetes_image "coredns/coredns:$COREDNS_VERSION" scratch "$cache/bin/coredns-$COREDNS_VERSION/coredns" \
    --change 'ENTRYPOINT ["/usr/local/bin/coredns"]'
  kubernetes_image "pause:$PAUSE_VERSION" scratch "$kubernetes/pause" --change 'ENTRYPOINT ["/usr/local/bin/pause"]'

  # As kind build node-image does: containerd inside the node takes the images in, unpacked when they are first used.
  docker import --change 'ENV container=docker' --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    "$debian/rootfs.tar" ssa-kind/node-base >/dev/null
  docker run -d --name "$builder" --privileged --network none --stop-signal SIGRTMIN+3 --entrypoint sleep ssa-kind/node-base infinity >/dev/null
  for program in kubeadm kubelet kubectl; do docker cp -q "$kubernetes/$program" "$builder:/usr/bin/$program"; done
  docker exec "$builder" bash -c "echo $KUBERNETES_VERSION >/kind/version; sed -i 's#registry.k8s.io/pause:[^\"]*#registry.k8s.io/pause:$PAUSE_VERSION#' /etc/containerd/config.toml"
  docker exec -d "$builder" containerd
  wait_for 60 "containerd in the node's image" docker exec "$builder" ctr version
  docker save "${inside[@]}" | docker exec -i "$builder" ctr -n k8s.io images import --all-platforms --no-unpack --digests - >/dev/null
  docker exec "$builder" pkill -x containerd
  wait_for 20 "the end of containerd" docker exec "$builder" bash -c '! pgrep -x containerd'
  docker exec "$builder" bash -c 'rm -rf /var/lib/containerd/io.containerd.snapshotter.v1.* /var/lib/containerd/tmpmounts'
  docker commit --change 'CMD []' --change 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]' "$builder" "$node" >/dev/null
}

make_istio() {
  step "making Istio's images"
  tree_of tools
  make_image "localhost/ssa-kind/tools:$tag" "$work/tree" --change 'CMD ["sleep", "infinity"]'
  istio=$cache/bin/istio-$ISTIO_COMMIT_VERSION
  tree_of tools "$istio/pilot-discovery"
  make_image "localhost/ssa-kind/pilot:$tag" "$work/tree" --change 'USER 1337:1337' --change 'ENTRYPOINT ["/usr/local/bin/pilot-discovery"]'
  envoy=$("$root/hack/envoy.sh")
  [[ $("$envoy" --version) == */"$ENVOY_VERSION"/* ]] || die "$envoy is not Envoy $ENVOY_VERSION"
  tree_of tools "$istio/pilot-agent" "$envoy"
  install -D -m 644 "$istio/envoy_bootstrap.json" "$work/tree/var/lib/istio/envoy/envoy_bootstrap_tmpl.json"
  make_image "localhost/ssa-kind/proxyv2:$tag" "$work/tree" --change 'ENTRYPOINT ["/usr/local/bin/pilot-agent"]'
}

docker rm -f "$builder" >/dev/null 2>&1 || true
if ! there "$node"; then make_node; fi
if ! there "${of_istio[@]}"; then make_istio; fi

# Those of other versions.
for name in ssa-kind/node localhost/ssa-kind/{tools,pilot,proxyv2}; do
  docker images --format '{{.Repository}}:{{.Tag}}' "$name" | grep -vxF "$name:$tag" | xargs -r docker rmi >/dev/null 2>&1 || true
done
