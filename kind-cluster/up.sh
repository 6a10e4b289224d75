#!/usr/bin/env bash
# Makes a kind cluster of three nodes with Istio, a network that keeps the pods' addresses, and a DNS zone.
#
#   FAMILY=ipv6|dual                  addresses of pods and services (default: ipv6)
#   SSA_KIND_SOURCE=pull|build|auto   images from their registries, or built from package registries; auto, the default,
#                                     pulls where Docker's registry answers
#   SSA_KIND_CACHE=FOLDER             where everything is kept (default: ~/.cache/ssa/kind)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

family=${FAMILY:-ipv6}
case $family in ipv6 | dual) ;; *) die "FAMILY=$family is neither ipv6 nor dual" ;; esac
source=${SSA_KIND_SOURCE:-auto}
case $source in pull | build | auto) ;; *) die "SSA_KIND_SOURCE=$source is neither pull nor build nor auto" ;; esac

for program in jq curl ip; do
  have "$program" || apt_install "${program/#ip/iproute2}" || die "$program is missing"
done
if ! have docker; then apt_install docker.io || die "Docker is missing: https://docs.docker.com/engine/install"; fi
if ! use_docker; then
  step "starting a Docker daemon"
  "$here/build/docker.sh"
  use_docker || die "the Docker daemon does not answer: $logs/dockerd.log"
fi
# Written last: without it the cluster was not finished.
if cluster_exists && [ -f "$cache/family" ]; then
  [ "$(cat "$cache/family")" = "$family" ] || die "the cluster is $(cat "$cache/family"): make kind-down first"
  kubectl get nodes >/dev/null 2>&1 || die "there is a cluster that does not answer: make kind-down first"
  say "the cluster is up already: KUBECONFIG=$KUBECONFIG"
  exit 0
fi
if cluster_exists; then
  step "removing a cluster that was not finished"
  node_containers | xargs docker rm -f -v >/dev/null
fi

if [ "$source" = auto ]; then
  source=build
  if curl -s -m 10 -o /dev/null https://registry-1.docker.io/v2/; then source=pull; fi
fi
tag=$(image_tag)
if [ "$source" = pull ]; then
  "$here/build/pull.sh"
  node_image=kindest/node:$KINDEST_NODE_VERSION istio_hub=docker.io/istio istio_tag=$ISTIO_VERSION
  chosen=("kind-$KIND_VERSION/kind" "helm-$HELM_VERSION/helm" "kubectl-$KINDEST_NODE_VERSION/kubectl" "istioctl-$ISTIO_VERSION/istioctl")
else
  step "no image registry: everything is built, once"
  "$here/build/go.sh"
  "$here/build/images.sh"
  node_image=ssa-kind/node:$tag istio_hub=localhost/ssa-kind istio_tag=$tag
  chosen=("kind-$KIND_VERSION/kind" "helm-$HELM_VERSION/helm" "kubernetes-$KUBERNETES_VERSION/kubectl" "istio-$ISTIO_COMMIT_VERSION/istioctl")
fi
rm -rf "$programs"
mkdir -p "$programs"
for program in "${chosen[@]}"; do ln -s "../$program" "$programs/"; done

finished=
# shellcheck disable=SC2317 # the trap calls it
finish() {
  if [ -n "$finished" ]; then return; fi
  say "failed; logs are in $logs/cluster" >&2
  rm -rf "$logs/cluster"
  kind export logs --name "$cluster" "$logs/cluster" >/dev/null 2>&1 || true
  kubectl get pods -A -o wide >&2 2>/dev/null || true
  kubectl get events -A --field-selector type=Warning --sort-by=.lastTimestamp 2>/dev/null | tail -n 15 >&2 || true
}
trap finish EXIT

step "creating a cluster of three nodes, $family"
if ! docker network inspect "$KIND_EXPERIMENTAL_DOCKER_NETWORK" >/dev/null 2>&1; then
  docker network create -d bridge --ipv6 --subnet fd55:5a00:db8::/64 -o "com.docker.network.bridge.name=$bridge" \
    "$KIND_EXPERIMENTAL_DOCKER_NETWORK" >/dev/null
fi
kind_config() {
  cat <<K
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking: {ipFamily: $family, disableDefaultCNI: true}
nodes: [{role: control-plane}, {role: worker}, {role: worker}]
K
  # Where CAP_SYS_RESOURCE cannot be had, no process may be made less likely to be killed.
  if [ -x "$daemon/runc" ] && daemon_pid >/dev/null; then
    cat <<'K'
containerdConfigPatches:
  - |
    [plugins."io.containerd.grpc.v1.cri"]
      restrict_oom_score_adj = true
K
  fi
}
kind_config >"$cache/kind.yaml"
logged kind kind create cluster --name "$cluster" --image "$node_image" --config "$cache/kind.yaml" --retain
"$here/network.sh"
logged nodes kubectl wait --for=condition=Ready nodes --all --timeout=180s
logged nodes kubectl wait -n kube-system --for=condition=Ready pods --all --timeout=180s

step "loading images into the nodes"
for image in "$istio_hub/pilot:$istio_tag" "$istio_hub/proxyv2:$istio_tag" "localhost/ssa-kind/tools:$tag"; do
  logged load "$here/load.sh" "$image"
done

step "serving the zone example"
echo 'unused TXT ""' | "$here/zone.sh"
coredns=$(kubectl get -n kube-system deploy/coredns -o jsonpath='{.spec.template.spec.containers[0].image}')
sed -e "s#COREDNS_IMAGE#$coredns#" -e "s#TOOLS_IMAGE#localhost/ssa-kind/tools:$tag#" "$here/dns.yaml" | kubectl apply -f - >/dev/null
authority=$(kubectl get -n ssa-dns service/dns -o jsonpath='{.spec.clusterIP}')
corefile=$(kubectl get -n kube-system configmap/coredns -o jsonpath='{.data.Corefile}')
printf '%s\nexample:53 {\n    errors\n    forward . %s\n}\n' "$corefile" "$authority" \
  | kubectl create configmap -n kube-system coredns --from-file=Corefile=/dev/stdin --dry-run=client -o yaml \
  | kubectl apply -f - >/dev/null 2>&1
logged dns kubectl rollout restart -n kube-system deploy/coredns
logged dns kubectl rollout status -n kube-system deploy/coredns --timeout=120s
logged dns kubectl rollout status -n ssa-dns deploy/dns --timeout=120s
logged dns kubectl rollout status -n ssa-dns deploy/tools --timeout=120s

step "installing Istio"
# Kept, so that it can be installed again with more: istioctl install -y -f istio.yaml -f MORE.
dual=false
if [ "$family" = dual ]; then dual=true; fi
sed -e "s#ISTIO_HUB#$istio_hub#" -e "s#ISTIO_TAG#$istio_tag#" -e "s#\"DUAL_STACK\"#\"$dual\"#" "$here/istio.yaml" >"$cache/istio.yaml"
# A busy machine's API server can be slower than istioctl's patience of 15 seconds; what was installed stays.
install_istio() {
  local attempt
  for attempt in 1 2 3; do
    if istioctl install -y -f "$cache/istio.yaml"; then return 0; fi
    echo "attempt $attempt failed"
  done
  return 1
}
logged istio install_istio

echo "$family" >"$cache/family"
finished=yes
step "the cluster is up: KUBECONFIG=$KUBECONFIG"
say "kubectl, istioctl, helm and kind for it:  eval \"\$($here/env.sh)\""
