#!/usr/bin/env bash
# Shows in the cluster that the filter arrives in sidecars and decides: a client's connection to the service's AAAA
# arrives at an address that its rule gives, and one to another address is refused. Prints `N passed, N failed`.
#
#   SSA_FILTER=FILE   this module instead of the one built from filter/
#   SSA_CLI=PROGRAM   this ssa command instead of the one built from cli/
#   KEEP=1            leaves what it made in the cluster
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_cluster
# The zone is one for all: scenarios of e2e/ wait for this run, and it for them.
exec 9>"$cache/e2e.lock"
if ! flock -n 9; then
  say "waiting for another run in this cluster"
  flock 9
fi

module=$("$root/hack/module.sh")
if [ -z "${SSA_CLI:-}" ]; then build_programs; fi
ssa=${SSA_CLI:-$target_dir/release/ssa}

space='2:2001:db8:5::/64 !2:2001:db8:5:0:ffff:ffff:ffff:0/112'
rule='v=ssa1; addr=hash(src/128):20 rand:44'
plain=2001:db8:5:0:ffff:ffff:ffff:1
namespace='ssa-smoke'
since=$(date -u +%Y-%m-%dT%H:%M:%SZ)

passed=0 failed=0
check() {
  local what=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    say "  ok    $what"
  else
    failed=$((failed + 1))
    say "  FAIL  $what"
  fi
}
# The same, for what comes true within 30 seconds.
check_soon() {
  local what=$1 deadline=$((SECONDS + 30))
  shift
  until "$@" || [ "$SECONDS" -ge "$deadline" ]; do sleep 0.5; done
  check "$what" "$@"
}

kept=$logs/smoke
rm -rf "$kept"
mkdir -p "$kept"
# shellcheck disable=SC2317 # the trap calls it
finish() {
  local status=$?
  trap - EXIT
  if [ "$status" != 0 ]; then
    for pod in server client; do
      kubectl logs -n "$namespace" "deploy/$pod" -c istio-proxy >"$kept/$pod.log" 2>&1 || true
      kubectl exec -n "$namespace" "deploy/$pod" -c istio-proxy -- curl -s localhost:15000/config_dump >"$kept/$pod.json" 2>&1 || true
    done
    kubectl logs -n istio-system deploy/istiod >"$kept/istiod.log" 2>&1 || true
    kubectl get pods -A -o wide >"$kept/pods.txt" 2>&1 || true
    say "logs and configurations are in $kept" >&2
  fi
  if [ -z "${KEEP:-}" ]; then kubectl delete namespace ssa-smoke ssa-module --wait=false >/dev/null 2>&1 || true; fi
  exit "$status"
}
trap finish EXIT

step "publishing the service, starting server and client"
"$here/zone.sh" <<Z
store AAAA $plain
store APL $space
_ssa.store TXT "$rule"
Z
logged smoke kubectl delete namespace ssa-smoke ssa-module --ignore-not-found --timeout=120s
"$here/image.sh" localhost/ssa-kind/module:smoke "$module=/www/ssa_filter.wasm" >"$logs/smoke.log" 2>&1
sed -e "s#TOOLS_IMAGE#$(tools_image)#" -e "s#MODULE_IMAGE#localhost/ssa-kind/module:smoke#" "$here/smoke/workloads.yaml" \
  | kubectl apply -f - >>"$logs/smoke.log"
logged smoke kubectl rollout status -n ssa-module deploy/module --timeout=120s
for pod in server client; do logged smoke kubectl rollout status -n "$namespace" "deploy/$pod" --timeout=120s; done

pod_of() { kubectl get pod -n "$namespace" -l "app=$1" -o jsonpath='{.items[0].metadata.name}'; }
address_of() { kubectl get pod -n "$namespace" "$1" -o jsonpath='{range .status.podIPs[*]}{.ip}{"\n"}{end}' | grep : | head -n 1; }
server=$(pod_of server) client=$(pod_of client)
client_address=$(address_of "$client") server_address=$(address_of "$server")
"$here/route.sh" "$namespace" "$server" 2001:db8:5::/64

step "putting the filter into both sidecars"
sed -e "s#MODULE_SHA256#$(sha256sum "$module" | cut -d' ' -f1)#" -e "s#STORE_APL#$space#" -e "s#STORE_RULE#$rule#" \
  -e "s#STORE_ADDRESS#$plain#" -e "s#CLIENT_ADDRESS#$client_address#" "$here/smoke/filters.yaml" \
  | kubectl apply -f - >>"$logs/smoke.log" 2>&1

envoy_of() { kubectl exec -n "$namespace" "$1" -c istio-proxy -- curl -s "localhost:15000/$2"; }
# Listeners that name the filter, and the module that ECDS brought for it.
chains_with_filter() {
  envoy_of "$1" 'config_dump?resource=dynamic_listeners' \
    | jq "[.. | objects | select(has(\"filters\")) | .filters | select((.[0].name // \"\") == \"$2\")] | length"
}
has_chains() { [ "$(chains_with_filter "$1" "$2" 2>/dev/null || echo 0)" -ge "$3" ]; }
has_module() {
  envoy_of "$1" 'config_dump?resource=ecds_filters' \
    | jq -e ".configs[]?.ecds_filter | select(.name == \"$2\" and (.typed_config[\"@type\"] | endswith(\"wasm.v3.Wasm\")))" >/dev/null 2>&1
}
check_soon "the server's chains of both ports begin with the filter" has_chains "$server" ssa-inbound 2
check_soon "the client's chains of both ports begin with the filter" has_chains "$client" ssa-outbound 2
check_soon "the server's Envoy has the module by ECDS" has_module "$server" ssa-inbound
check_soon "the client's Envoy has the module by ECDS" has_module "$client" ssa-outbound

step "asking the cluster's DNS"
ask() { kubectl exec -n "$namespace" "$client" -c client -- drill "$@"; }
answers() { ask "$1" "$2" | grep -F "$3" >/dev/null; }
check "AAAA of store.example" answers AAAA store.example "$plain"
check "APL of store.example" answers APL store.example '!2:2001:0db8:0005:0000:ffff:ffff:ffff:0000/112'
check "TXT of _ssa.store.example" answers TXT _ssa.store.example "$rule"

step "connecting"
fetch() { kubectl exec -n "$namespace" "$client" -c client -- curl -s -m 10 "$@" 2>/dev/null || true; }
serves() { [ "$(fetch "$@")" = served ]; }
refuses() { ! serves "$@"; }
# Of the server's filter: connections with a verdict and an outcome. Counters that were never raised are absent.
count() {
  envoy_of "$server" stats | awk -v wanted="verdict.$1.outcome.$2: " \
    'index($0, "wasmcustom.ssa_inbound_connections_total") == 1 && index($0, wanted) { sum += $NF } END { print sum + 0 }'
}
counted() { [ "$(count "$1" "$2")" -ge "$3" ]; }
# Of Istio's access log: where the client's connections to a port came in.
arrivals() {
  kubectl logs -n "$namespace" "$server" -c istio-proxy | grep -o "\[[0-9a-f:]*\]:$1 \[$client_address\]:" | sed 's/\[\([^]]*\)\].*/\1/' | sort -u
}
conforms() { "$ssa" verify --apl "$space" --rule "$rule" --source "$client_address" --destination "$1" >/dev/null; }
arrived_conforming() {
  local destinations destination
  destinations=$(arrivals "$1")
  if [ -z "$destinations" ]; then return 1; fi
  for destination in $destinations; do
    [ "$destination" != "$plain" ] || return 1
    conforms "$destination" || return 1
  done
}
own=$("$ssa" compose --apl "$space" --rule "$rule" --source "$client_address")
wrong=$("$ssa" compose --apl "$space" --rule "$rule" --source "$server_address")

for port in 8080 9000; do
  check "port $port: the client is served at the AAAA's name" serves "http://store.example:$port/"
  check_soon "port $port: its connection came in at an address that ssa verify finds conforming" arrived_conforming "$port"
  before=$(count conforming allowed)
  check "port $port: an address that ssa compose gives is served, dialled as it is" serves --resolve "store.example:$port:[$own]" "http://store.example:$port/"
  check_soon "port $port: the server's filter counted it as conforming" counted conforming allowed $((before + 1))
  before=$(count violation denied)
  check "port $port: an address of another source is refused" refuses --resolve "store.example:$port:[$wrong]" "http://store.example:$port/"
  check_soon "port $port: the server's filter counted the violation" counted violation denied $((before + 1))
  before=$(count outside denied)
  # By the Service, for what is not mutual TLS does not get as far as the filter.
  check "port $port: the pod's own address is no way round" refuses "http://server.$namespace:$port/"
  check_soon "port $port: the server's filter counted that as outside" counted outside denied $((before + 1))
done

step "asking istiod"
# Of this run's proxies: scenarios of e2e/ have some refuse what they ought to.
no_rejection() {
  local log
  log=$(kubectl logs -n istio-system deploy/istiod --since-time="$since")
  [ -n "$log" ] && ! grep -q "ACK ERROR [^ ]*\.$namespace-" <<<"$log"
}
check "istiod saw no configuration rejected" no_rejection

say "$passed passed, $failed failed"
[ "$failed" = 0 ]
