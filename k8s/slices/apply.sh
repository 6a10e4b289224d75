#!/usr/bin/env bash
# Gives a service's slices to its pods: plans them with the fewest moves, and sets the routes in the pods and on the nodes.
# To be run again whenever pods come, go or get a new address; a controller will do all of this.
#
#   k8s/slices/apply.sh NAMESPACE SERVICE [--apl APL] --bits N --selector LABELS [more flags of ssa slices plan]
#   k8s/slices/apply.sh shop store.example --apl 2:2001:db8:5::/64 --bits 6 --selector app=store
#
# It needs kubectl, jq and ssa here, pods with the injection template `ssa`, and the chart's DaemonSet (slices.nodes: true).
# Without --apl the list is that of `static` in a release of the namespace, or what the DNS of this machine has.
# The plan is kept in the ConfigMap ssa-slices of the namespace, where pods that start find theirs.
#
#   SSA=PROGRAM             this ssa instead of the one on PATH
#   SSA_NODES=NAMESPACE     where the DaemonSet is, if not in the namespace
set -euo pipefail

configmap="ssa-slices"
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
usage() { die "usage: k8s/slices/apply.sh NAMESPACE SERVICE [--apl APL] --bits N --selector LABELS [flags of ssa slices plan]"; }

[ "$#" -ge 2 ] || usage
namespace=$1 service=$2
shift 2
selector='' plan_flags=()
while [ "$#" -gt 0 ]; do
  case $1 in
    --selector)
      selector=${2-}
      shift 2 || usage
      ;;
    *)
      plan_flags+=("$1")
      shift
      ;;
  esac
done
[ -n "$selector" ] || usage
ssa=${SSA:-ssa}
for program in kubectl jq "$ssa"; do command -v "$program" >/dev/null || die "$program is missing"; done

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
k() { kubectl -n "$namespace" "$@"; }

if [[ " ${plan_flags[*]} " != *" --apl"* ]]; then
  apl=$(k get configmaps -l app.kubernetes.io/name=ssa -o json | jq -r --arg name "$service" '[.items[].data["resolver.json"] // empty
    | fromjson | .services[] | select(.name == $name) | .static.apl // empty] | first // empty')
  if [ -z "$apl" ]; then
    apl=$("$ssa" resolve "$service" --json 2>"$folder/resolve" | jq -r '.space // empty | [.positive[] | "2:\(.)"] | join(" ")') || true
  fi
  [ -n "$apl" ] || die "$service: no list of its addresses, neither in a release of $namespace nor in this machine's DNS: say --apl"
  plan_flags+=(--apl "$apl")
fi

# Controller: it would hear of these.
k get pods -l "$selector" -o json >"$folder/pods.json"
kubectl get nodes -o json >"$folder/nodes.json"
kubectl -n "${SSA_NODES:-$namespace}" get pods -l ssa-routes=node -o json >"$folder/daemons.json"
k get configmap "$configmap" -o json --ignore-not-found >"$folder/kept.json"

# A node that does not answer can be told nothing: its pods have no slices until it is back.
jq '[.items[] | select(([.status.conditions[]? | select(.type == "Ready") | .status] | first // "True") == "True")
  | {key: .metadata.name, value: ([.status.addresses[] | select(.type == "InternalIP" and (.address | contains(":"))) | .address][0])}]
  | from_entries' "$folder/nodes.json" >"$folder/ready.json"
away=$(jq -r --slurpfile ready "$folder/ready.json" '[.items[].metadata.name | select(in($ready[0]) | not)] | join(" ")' "$folder/nodes.json")
if [ -n "$away" ]; then printf 'left out, for they are not ready: %s\n' "$away" >&2; fi

# Pods that run and stay, with their IPv6 address and that of their node.
jq --slurpfile ready "$folder/ready.json" '
  [.items[] | select(.metadata.deletionTimestamp == null and .status.phase == "Running" and (.spec.nodeName | in($ready[0])))
    | {name: .metadata.name, node: .spec.nodeName, behind: $ready[0][.spec.nodeName],
       address: ([(.status.podIPs // [])[].ip | select(contains(":"))][0])}]' "$folder/pods.json" >"$folder/endpoints.json"
[ "$(jq length "$folder/endpoints.json")" -gt 0 ] || die "no pod of $namespace with $selector runs"
[ "$(jq '[.[] | select(.address == null or .behind == null)] | length' "$folder/endpoints.json")" = 0 ] \
  || die "pods or nodes without an IPv6 address: $(jq -c '[.[] | select(.address == null or .behind == null) | .name]' "$folder/endpoints.json")"
[ "$(jq '.items | length' "$folder/daemons.json")" -gt 0 ] || die "no pod with ssa-routes=node: the chart's slices.nodes is not on"

flags=("${plan_flags[@]}")
while read -r name address; do flags+=(--endpoint "$name,via=$address"); done \
  < <(jq -r '.[] | "\(.name) \(.address)"' "$folder/endpoints.json")
if [ -s "$folder/kept.json" ] && jq -e --arg key "$service.plan.json" '.data[$key]' "$folder/kept.json" >/dev/null; then
  jq -r --arg key "$service.plan.json" '.data[$key]' "$folder/kept.json" >"$folder/current.json"
  flags+=(--current "$folder/current.json")
fi
"$ssa" slices plan "${flags[@]}" --json >"$folder/whole.json" || {
  cat "$folder/whole.json" >&2
  die "no plan"
}
# Those that leave have nothing any more.
jq -c '.endpoints |= map(select(.slices > 0)) | .moves = []' "$folder/whole.json" >"$folder/plan.json"
jq -r --slurpfile endpoints "$folder/endpoints.json" '
  ($endpoints[0] | map({key: .name, value: .}) | from_entries) as $pods
  | (.items[] | "item \(.)"),
    (.endpoints[] | .name as $name | $pods[$name] as $pod | .prefixes[]
      | "slice \(.) \($name) \($pod.address) \($pod.node) \($pod.behind)")' "$folder/plan.json" >"$folder/routes"

# First what is kept: a pod that starts from here on has the new slices.
jq -n --arg name "$configmap" --arg plan "$service.plan.json" --arg routes "$service.routes" \
  --rawfile a "$folder/plan.json" --rawfile b "$folder/routes" \
  '{apiVersion: "v1", kind: "ConfigMap", metadata: {name: $name}, data: {($plan): $a, ($routes): $b}}' >"$folder/configmap.json"
if [ -s "$folder/kept.json" ]; then
  k patch configmap "$configmap" --type merge --patch-file "$folder/configmap.json" >/dev/null
else
  k create -f "$folder/configmap.json" >/dev/null
fi

# Then, so that no address is without an endpoint in between: every pod takes what comes to it, the nodes lead there, and
# the pods give up what left them.
in_pods() {
  local name
  for name in $(jq -r '.[].name' "$folder/endpoints.json"); do
    k exec -i "$name" -c ssa-slices -- ssa-routes pod - "$@" <"$folder/routes" || die "pod $name has not taken its routes"
  done
}
in_pods --keep
for name in $(jq -r --slurpfile ready "$folder/ready.json" '.items[] | select(.spec.nodeName | in($ready[0])) | .metadata.name' "$folder/daemons.json"); do
  kubectl -n "${SSA_NODES:-$namespace}" exec -i "$name" -c routes -- ssa-routes node - <"$folder/routes" || die "node of $name has not taken its routes"
done
in_pods

jq -r '"\(.report.moves) of \(.report.slices) slices moved, \([.endpoints[] | select(.slices > 0)] | length) endpoints"' "$folder/whole.json"
