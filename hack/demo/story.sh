#!/usr/bin/env bash
# The story of hack/demo.sh, told inside namespaces that end with it: story.sh ROOT MODULE ENVOY.
set -euo pipefail
root=$1 module=$2 envoy=$3
. "$root/hack/demo/stage.sh"

service=web.demo.test
url=http://$service/
requests=200

naive="v=ssa1; addr=rand:64"
hashed="v=ssa1; addr=hash(src/128):20 rand:44"

# Prints how many of a client's requests each server answered, and keeps the counts: ask NAMESPACE COUNT.
declare -A answers
ask() {
  local name count total=0
  answers=()
  while read -r count name; do answers[$name]=$count; done < <(
    inside "$1" curl -sS --max-time 60 --no-progress-meter "${url}?[1-$2]" 2>"$work/curl.err" | sort | uniq -c
  )
  for name in "${!answers[@]}"; do total=$((total + answers[$name])); done
  answers[all]=$total
}
load_table() {
  local server
  row server requests share
  for server in "${servers[@]}"; do
    row "$server" "${answers[$server]:-0}" "$((100 * ${answers[$server]:-0} / (answers[all] > 0 ? answers[all] : 1))) %"
  done
}
busy() {
  local server count=0
  for server in "${servers[@]}"; do if [ "${answers[$server]:-0}" -gt 0 ]; then count=$((count + 1)); fi; done
  echo "$count"
}
# Prints curl's exit status: 0 is an answer, 52 none, 56 a reset.
try() {
  local status=0
  inside "$1" curl -sS --max-time 10 -o /dev/null "$2" 2>/dev/null || status=$?
  echo "$status"
}
refused() { case $1 in 52 | 56) echo refused ;; 0) echo served ;; *) echo "curl's error $1" ;; esac; }

title "A datacenter on one machine"
note "2 servers own 2001:db8:5::/64 together; a router leads slices of it to them; nobody holds a table of connections."
lay_network
timed "network: client, rogue and legacy hosts, router, ${servers[*]}"
start_dns "$naive"
timed "DNS: authoritative for demo.test"
start_apps
timed "application on [::1]:8080 of each server: it knows nothing of SSA"
spread_slices
timed "router: 16 slices of the /64 over ${#servers[@]} servers, the plain address to server1"
start_envoys "$naive" enforce
timed "Envoy with the filter beside each application and in the client"

title "What DNS says of $service"
row record data
row APL "$(look client APL "$service")"
row TXT "$(look client TXT "_ssa.$service")"
row AAAA "$(look client AAAA "$service")"
claim "the client resolves the rule that its sidecar has" "$naive" "$(look client TXT "_ssa.$service" | tr -d '"')"

title "Rule 1, naive: $naive"
note "curl $url, $requests connections: the sidecar composes a random address for each."
ask client "$requests"
load_table
claim "requests answered" "$requests" "${answers[all]}"
claim "servers that shared them" 2 "$(busy)"
between "requests of the least loaded server" 60 100 "$(least)"
claim "connections composed by the client's sidecar" "$requests" "$(outbound_count composed)"
claim "connections found conforming by the servers" "$requests" "$(inbound_count conforming allowed)"
between "addresses in use, though 2^64 are free (Envoy pays for each)" 1 512 "$(destinations | wc -l)"

title "Rule 2, source derived: $hashed"
change_rule "$hashed" enforce
timed "new rule in DNS and sidecars"
ask client "$requests"
load_table
claim "requests answered" "$requests" "${answers[all]}"
claim "servers that one client reaches" 1 "$(busy)"
claim "connections found conforming by the servers" "$requests" "$(inbound_count conforming allowed)"
claim "leading 84 bits in use: the item and what the source makes of it" 1 "$(destinations | leading 84 | sort -u | wc -l)"

title "A rogue client: no sidecar, dials an address of its own choice"
before=$(application_connections)
row dials "is" "by the access log" "verdict" "part"
dial() {
  local status
  status=$(try rogue "http://$1/")
  row "$1" "$(refused "$status")" "$(logged outcome)" "$(logged verdict)" "$(logged part)"
  claim_quietly "rogue to $1" refused "$(refused "$status")"
}
mark_logs
dial "[2001:db8:5::1]"
claim_quietly "verdict of a chosen address" "violation field_0 denied" "$(logged verdict) $(logged part) $(logged outcome)"
mark_logs
dial "[2001:db8:0:101::1]"
claim_quietly "verdict of a plain address" "outside denied" "$(logged verdict) $(logged outcome)"
mark_logs
dial "[2001:db8:0:101::1]:15006"
claim_quietly "verdict of the sidecar's own port" "unclaimed denied" "$(logged verdict) $(logged outcome)"
note "Envoy's metrics say the same:"
metrics denied
claim "rogue connections counted as violations" 1 "$(inbound_count violation denied)"
claim "connections that reached the application" 0 "$(($(application_connections) - before))"

title "A legacy client: no sidecar, dials the AAAA address"
mark_logs
claim "request" served "$(refused "$(try legacy "$url")")"
claim "verdict, outcome and cluster by the access log" "legacy demoted application_demoted" "$(logged verdict) $(logged outcome) $(logged upstream)"

title "Shadow mode: the same verdicts, and all passes"
change_rule "$hashed" shadow
timed "mode of the service: shadow"
mark_logs
claim "the rogue's request" served "$(refused "$(try rogue "http://[2001:db8:5::1]/")")"
claim "verdict and outcome by the access log" "violation shadow_denied" "$(logged verdict) $(logged outcome)"
metrics shadow

verdict
