#!/usr/bin/env bash
# What stands in the way on each node: runs `ssa lint --host` in the network of every node, and shows the node's rules that
# translate IPv6 sources. kube-proxy has some of its own, for what goes through Services. Exits 1 where a node has an error,
# or could not be looked at, and 2 where no node was looked at.
#
#   k8s/preflight.sh IMAGE [NAMESPACE]     IMAGE: ssa-resolver; the namespace has to allow privileged pods (default: default)
set -euo pipefail
case ${1:--} in
  -*)
    echo "usage: k8s/preflight.sh IMAGE [NAMESPACE]" >&2
    exit 2
    ;;
esac
image=$1 namespace=${2:-default}

# Nothing was looked at: that is no success.
die() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}
command -v kubectl >/dev/null || die "kubectl is missing"
# Not in a loop's head, where a failure would be none.
names=$(kubectl get nodes -o jsonpath='{.items[*].metadata.name}') || die "the nodes of the cluster cannot be listed"
read -ra nodes <<<"$names"
[ "${#nodes[@]}" -gt 0 ] || die "the cluster has no nodes"

pods=()
# shellcheck disable=SC2317 # the trap calls it
finish() { for pod in "${pods[@]}"; do kubectl -n "$namespace" delete pod "$pod" --ignore-not-found --wait=false >/dev/null; done; }
trap finish EXIT

status=0
for node in "${nodes[@]}"; do
  pod=ssa-preflight-${node//./-}
  pods+=("$pod")
  kubectl -n "$namespace" apply -f - >/dev/null <<P
apiVersion: v1
kind: Pod
metadata: {name: $pod, labels: {sidecar.istio.io/inject: "false"}}
spec:
  nodeName: $node
  hostNetwork: true
  restartPolicy: Never
  tolerations: [{operator: Exists}]
  containers:
    - name: lint
      image: $image
      imagePullPolicy: IfNotPresent
      command: [sh, -c, "ssa lint --host; code=\$?; ip6tables-save 2>/dev/null | grep -iE 'masquerade|snat'; nft list table ip6 nat 2>/dev/null | grep -iE 'masquerade|snat'; exit \$code"]
      securityContext: {runAsUser: 0, privileged: true}
P
done
for node in "${nodes[@]}"; do
  pod=ssa-preflight-${node//./-}
  echo "== $node"
  # Warnings end it by 1 as errors do: what it says is what counts.
  kubectl -n "$namespace" wait "pod/$pod" --timeout=60s --for=jsonpath='{.status.containerStatuses[0].state.terminated}' >/dev/null 2>&1 || true
  if ! text=$(kubectl -n "$namespace" logs "$pod") || [ -z "$text" ]; then
    echo "  it could not be looked at"
    status=1
  else
    echo "$text"
    if grep -q '^error' <<<"$text"; then status=1; fi
  fi
done
exit "$status"
