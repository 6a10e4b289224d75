#!/usr/bin/env bash
# The story of hack/demo.sh, told inside namespaces that end with it: story.sh ROOT MODULE ENVOY SSA.
set -euo pipefail
root=$1 module=$2 envoy=$3 ssa=$4
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

compose() {
  local rule=$1
  shift
  "$ssa" compose --apl "2:$item" --rule "$rule" --port 80 "$@"
}
# The addresses that the client's connections go to at this moment.
peers() { inside client ss -Htn state established | sed -nE 's/.*\[(2001:db8:5:[^]]*)\]:80 *$/\1/p'; }
# shellcheck disable=SC2317 # wait_for calls it
held() { [ "$(peers | wc -l)" -ge "$1" ]; }
# shellcheck disable=SC2317 # wait_for calls it
ended() { [ "$(wc -l <"$work/held")" -ge "$1" ]; }
# shellcheck disable=SC2317 # wait_for calls it
streamed() { [ "$(wc -l <"$work/stream")" -ge "$1" ]; }
# Counts who answers the stream of requests from now on, and shows it: phase TITLE.
phase() {
  local from server
  from=$(wc -l <"$work/stream")
  wait_for 30 "the client is being answered" streamed $((from + 300))
  answers=()
  while read -r count server; do answers[$server]=$count; done < <(tail -n +$((from + 1)) "$work/stream" | head -n 300 | sort | uniq -c)
  answers[all]=300
  note "$1: 300 requests"
  load_table
}

title "A datacenter on one machine"
note "2 servers own 2001:db8:5::/64 together; a router leads slices of it to them; nobody holds a table of connections."
lay_network
timed "network: client, rogue and legacy hosts, router, ${servers[*]}"
start_dns "$naive"
timed "DNS: authoritative for demo.test"
start_apps "${servers[@]}"
timed "application on [::1]:8080 of each server: it knows nothing of SSA"
spread_slices "${servers[@]}"
timed "router: $((1 << slice_bits)) slices of the /64 over ${#servers[@]} servers, the plain address to server1"
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

title "More rules"
row rule answered conforming servers "addresses in use"
for rule in \
  "v=ssa1; addr=src[0:64]" \
  "v=ssa1; addr=hash(src/128):20 rand:44; replicas=4" \
  "v=ssa1; addr=hash(src/128,time/30):20 rand:44" \
  "v=ssa1; addr=hash(src/128):20 rand:44; pow=12"; do
  change_rule "$rule" enforce
  ask client 50
  note "${rule#v=ssa1; }"
  row "" "${answers[all]} of 50" "$(inbound_count conforming allowed)" "$(busy)" "$(destinations | wc -l)"
  claim_quietly "answers under $rule" 50 "${answers[all]}"
  claim_quietly "conforming under $rule" 50 "$(inbound_count conforming allowed)"
done
timed "4 rules, one after the other; tokens and hopping with a secret need the snapshot, which is not there yet"

title "Applications that compose addresses themselves (ssa compose), with no sidecar"
hopping="v=ssa1; addr=hash(src/128,time/30):20 rand:44"
change_rule "$hopping" enforce
now=$(date +%s)
note "$hopping"
dial_as() {
  local to
  to=$(compose "$1" --time "$2" --source 2001:db8:0:2::66)
  claim "$3" "$4" "$(refused "$(try rogue "http://[$to]/")")"
}
dial_as "$hopping" "$now" "the address of now" served
dial_as "$hopping" "$((now - 3600))" "the address of an hour ago" refused
change_rule "v=ssa1; addr=hash(obj):20 const(0):44" enforce
note "v=ssa1; addr=hash(obj):20 const(0):44, an object store: 20 objects, each asked for twice"
for object in $(seq 20); do
  to=$(compose "v=ssa1; addr=hash(obj):20 const(0):44" --object "photos/$object.jpg" --source 2001:db8:0:2::66)
  for _ in 1 2; do echo "$object $(inside rogue curl -sS --max-time 10 "http://[$to]/" 2>/dev/null)"; done
done >"$work/objects"
claim "answers" 40 "$(grep -c server "$work/objects")"
claim "objects that had one server each time" 20 "$(sort -u "$work/objects" | wc -l)"
claim "servers that hold them" 2 "$(awk '{ print $2 }' "$work/objects" | sort -u | wc -l)"

title "Scaling 2 → 4 → 3 servers while a client keeps asking"
change_rule "$naive" enforce
row "" slices "came" "went"
slice_table
# One name look-up each for the whole of it: what follows asks no DNS.
inside client curl -s -N --max-time 120 --no-progress-meter -o /dev/null -Z --parallel-immediate --parallel-max 40 \
  -w '%{stderr}ended\n' "${url}hold?[1-40]" 2>"$work/held" &
pids[hold]=$!
wait_for 20 "40 connections are held" held 40
peers >"$work/peers"
inside client curl -sS -N --max-time 120 --no-progress-meter "${url}?[1-100000]" >"$work/stream" 2>"$work/stream.err" &
pids[stream]=$!
wait_for 30 "the client is being answered" streamed 300
asked=$(queries)
phase "2 servers"
join_server server3
join_server server4
servers=(server1 server2 server3 server4)
spread_slices "${servers[@]}"
timed "server3 and server4 came, and took slices over"
slice_table
gone=$(moved <"$work/peers")
wait_for 10 "connections on moved slices ended" ended "$gone"
claim "lasting connections that ended: those on moved slices, and no other" "$gone of 40" "$(wc -l <"$work/held") of 40"
phase "4 servers"
spread_slices server1 server2 server3
timed "server4 gave its slices back"
slice_table
phase "3 servers"
claim "DNS queries meanwhile" 0 "$(($(queries) - asked))"
claim "new connections that failed" 0 "$(admin client "stats?filter=^cluster.original_dst.upstream_cx_connect_(fail|timeout)$" | sum)"
note "requests in flight on a slice when it moved, of $(wc -l <"$work/stream"): $(wc -l <"$work/stream.err") ended early"

verdict
