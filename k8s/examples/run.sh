#!/usr/bin/env bash
# Runs an example on the cluster that kubectl reaches: installs it in the namespace ssa-NAME, gives its slices to its servers,
# makes requests, and prints what sidecars found. `--remove` takes it away again.
#
#   k8s/examples/run.sh naive|sticky|token|hopping [--remove]
#
# istiod has to know the injection template `ssa` (docs/operations.md), and nodes the images.
#
#   SSA_RESOLVER_IMAGE   ssa-resolver, as k8s/images/build.sh makes it
#   SSA_APP_IMAGE        any image with sh, busybox and curl (default: busybox:1.37 and curlimages/curl:8.16.0)
#   SSA_ENVOY_IMAGE      any image with Envoy, which serves the module (default: the chart's)
#   SSA, SSA_HELM, SSA_FILTER   these programs and this module
set -euo pipefail
# shellcheck source=hack/lib.sh
. "$(dirname "$0")/../../hack/lib.sh"

name=${1-}
here=$root/k8s/examples
if [ -z "$name" ] || [ ! -f "$here/$name/values.yaml" ]; then die "usage: k8s/examples/run.sh naive|sticky|token|hopping [--remove]"; fi
namespace=ssa-$name
helm=${SSA_HELM:-helm}
k() { kubectl -n "$namespace" "$@"; }

if [ "${2-}" = --remove ]; then
  # Pods first: their routes end with them, those of the nodes do not.
  if k get daemonset ssa-routes >/dev/null 2>&1; then
    for pod in $(k get pods -l ssa-routes=node -o name); do
      sed -n 's/^ *apl: "2:\([^ "]*\).*/item \1/p' "$here/$name/values.yaml" | k exec -i "$pod" -c routes -- ssa-routes node -
    done
  fi
  "$helm" uninstall ssa -n "$namespace" || true
  kubectl delete namespace "$namespace"
  exit
fi

module=$("$root/hack/module.sh")
image=${SSA_RESOLVER_IMAGE:?"the image of ssa-resolver"}
kubectl create namespace "$namespace" --dry-run=client -o yaml | kubectl apply -f - >/dev/null
kubectl label namespace "$namespace" istio-injection=enabled --overwrite >/dev/null
k create configmap ssa-module --from-file=ssa_filter.wasm="$module" --dry-run=client -o yaml | k apply --server-side -f - >/dev/null

flags=(--set "resolver.image=$image" --set "module.sha256=$(sha256sum "$module" | cut -d' ' -f1)")
if [ -n "${SSA_ENVOY_IMAGE:-}" ]; then flags+=(--set "module.serve.image=$SSA_ENVOY_IMAGE"); fi
"$helm" upgrade --install ssa "$root/k8s/chart" -n "$namespace" -f "$here/$name/values.yaml" "${flags[@]}" --wait --timeout 3m >/dev/null
kubectl kustomize "$here/$name" | sed -e "s#image: busybox\$#image: ${SSA_APP_IMAGE:-busybox:1.37}#" -e "s#image: curl\$#image: ${SSA_APP_IMAGE:-curlimages/curl:8.16.0}#" | kubectl apply -f - >/dev/null
k rollout status statefulset/store --timeout=180s
k rollout status deployment/client --timeout=180s
"$root/k8s/slices/apply.sh" "$namespace" store.example --bits 4 --selector app=store

say "== 20 requests of the client, by the server that answered"
for _ in $(seq 20); do k exec deploy/client -c app -- curl -sf -m 5 http://store.example:8080/ || echo refused; done | sort | uniq -c
say "== a request past the rule: to a server's own address"
address=$(k get pod store-0 -o jsonpath='{range .status.podIPs[*]}{.ip}{"\n"}{end}' | grep : | head -n 1)
k exec deploy/client -c app -- curl -sS -f -m 5 "http://[$address]:8080/" 2>&1 || echo refused
say "== what the sidecars counted"
for pod in $(k get pods -l 'app in (store, client)' -o name); do
  k exec "$pod" -c istio-proxy -- curl -s localhost:15000/stats/prometheus | grep -E '^ssa_(in|out)bound_connections_total' | sed "s#^#${pod#pod/}: #" || true
done
