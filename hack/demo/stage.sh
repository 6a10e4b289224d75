# shellcheck shell=bash
# What the story of hack/demo.sh needs; source it. It expects root, module, envoy and ssa.
#
#   client 2001:db8:0:1::10 ──┐                    ┌── server1 2001:db8:0:101::1
#   rogue  2001:db8:0:2::66 ──┤ router, DNS ::53 ──┤
#   legacy 2001:db8:0:3::1  ──┘                    └── server2 2001:db8:0:102::1  … up to server4
#
# Servers answer for all of 2001:db8:5::/64 (AnyIP) and for the plain address 2001:db8:6::1; the router has a route for
# each slice, through a server's own address: no address of the service is on any link.

root=${root:?} module=${module:?} envoy=${envoy:?} ssa=${ssa:?}
# In memory, and seen in these namespaces alone.
work=/run/ssa-demo
servers=(server1 server2)
# 2^4 slices; a real service has more, so that shares stay even.
slice_bits=4
item=2001:db8:5::/64
dns=2001:db8:0:53::53
apl="2:2001:db8:5::/64 !2:2001:db8:6::/120"
serial=1
checked=0
wrong=0
declare -A pids
last=$SECONDS

# ---- telling

title() { printf '\n== %s\n' "$*"; }
note() { printf '   %s\n' "$*"; }
row() {
  local first=$1
  shift
  printf '   %-28s' "$first"
  printf ' %-18s' "$@"
  printf '\n'
}
timed() {
  printf '   %3d s  %s\n' $((SECONDS - last)) "$*"
  last=$SECONDS
}
claim_quietly() {
  checked=$((checked + 1))
  if [ "$2" = "$3" ]; then return; fi
  wrong=$((wrong + 1))
  printf '   NOT SO: %s: %s, and should be %s\n' "$1" "$3" "$2"
}
claim() {
  claim_quietly "$@"
  if [ "$2" = "$3" ]; then printf '   ok  %s: %s\n' "$1" "$3"; fi
}
between() {
  checked=$((checked + 1))
  if [ "$4" -ge "$2" ] && [ "$4" -le "$3" ]; then
    printf '   ok  %s: %s\n' "$1" "$4"
  else
    wrong=$((wrong + 1))
    printf '   NOT SO: %s: %s, and should be %s to %s\n' "$1" "$4" "$2" "$3"
  fi
}
# The end: a line that says whether every claim held, and the exit status.
verdict() {
  title "Verdict after $SECONDS s"
  if [ "$wrong" -eq 0 ]; then
    note "All $checked claims held."
  else
    note "$wrong of $checked claims did not hold."
  fi
  if [ -n "${KEEP:-}" ]; then
    touch "$work/told"
    sleep infinity
  fi
  exit $((wrong > 0))
}
# A fault of the stage, not of a claim.
broken() {
  printf '   BROKEN: %s\n' "$*"
  local log
  for log in "$work"/*.log "$work"/*/output.log; do
    if [ -s "$log" ]; then
      printf '   --- %s\n' "${log#"$work/"}"
      tail -n 15 "$log"
    fi
  done
  exit 1
}
trap 'broken "a step failed: line $LINENO: $BASH_COMMAND"' ERR
set -E

# ---- doing

inside() {
  local name=$1
  shift
  ip netns exec "$name" "$@"
}
# Starts a process and keeps its number: background PROCESS NAMESPACE LOG COMMAND….
background() {
  local process=$1 name=$2 log=$3
  shift 3
  (exec ip netns exec "$name" "$@" >"$log" 2>&1) &
  pids[$process]=$!
}
# Waits for a condition, looking ten times a second: wait_for SECONDS WHAT COMMAND….
wait_for() {
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$until" ] || broken "not so in time: $what"
    sleep 0.1
  done
}

add_host() {
  local name=$1 number=$2 address=$3
  ip netns add "$name"
  inside "$name" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
  ip link add "to-$name" netns router type veth peer name eth0 netns "$name"
  inside router ip address add "2001:db8:0:$number::ffff/64" dev "to-$name" nodad
  inside router ip link set "to-$name" up
  inside "$name" ip address add "$address/64" dev eth0 nodad
  inside "$name" ip link set lo up
  inside "$name" ip link set eth0 up
  inside "$name" ip -6 route add default via "2001:db8:0:$number::ffff"
}
address_of() { echo "2001:db8:0:10${1#server}::1"; }
add_server() {
  add_host "$1" "10${1#server}" "$(address_of "$1")"
  inside "$1" ip -6 route add local 2001:db8:5::/64 dev lo
  inside "$1" ip -6 route add local 2001:db8:6::/120 dev lo
  inside "$1" ip6tables -t nat -A PREROUTING -p tcp -j REDIRECT --to-ports 15006
}
lay_network() {
  mount -t tmpfs tmpfs /run
  mkdir -p /run/netns "$work"
  cp "$module" "$work/ssa_filter.wasm"
  # Name resolution as in any host, by the demo's own server.
  local file
  printf 'nameserver %s\noptions timeout:2 attempts:3\n' "$dns" >"$work/resolv.conf"
  printf 'hosts: files dns\n' >"$work/nsswitch.conf"
  for file in resolv.conf nsswitch.conf; do
    [ -e "/etc/$file" ] || { mkdir -p "$(dirname "$(realpath -m "/etc/$file")")" && : >"$(realpath -m "/etc/$file")"; }
    mount --bind "$work/$file" "$(realpath "/etc/$file")"
  done
  ip netns add router
  inside router sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
  inside router ip link set lo up
  inside router ip address add "$dns/128" dev lo
  add_host client 1 2001:db8:0:1::10
  add_host rogue 2 2001:db8:0:2::66
  add_host legacy 3 2001:db8:0:3::1
  inside client ip6tables -t nat -A OUTPUT -p tcp -m mark --mark 1337 -j RETURN
  inside client ip6tables -t nat -A OUTPUT -p tcp ! -d ::1 -j REDIRECT --to-ports 15001
  local server
  for server in "${servers[@]}"; do add_server "$server"; done
}
# Plans the slices over the servers given, moving as few as can be, and routes them so: spread_slices SERVER….
# The plan in force is plan.json, that before it plan-before.json.
spread_slices() {
  local server wanted=() current=()
  for server; do wanted+=(--endpoint "$server,via=$(address_of "$server")"); done
  if [ -e "$work/plan.json" ]; then
    mv "$work/plan.json" "$work/plan-before.json"
    current=(--current "$work/plan-before.json")
  fi
  "$ssa" slices plan --apl "2:$item" --bits "$slice_bits" "${wanted[@]}" "${current[@]}" --json >"$work/plan.json"
  # New routes come before old ones go: there is no moment without one.
  "$ssa" slices plan --apl "2:$item" --bits "$slice_bits" "${wanted[@]}" "${current[@]}" --format ip-route >"$work/routes"
  inside router sh -e "$work/routes"
  inside router ip -6 route replace 2001:db8:6::/120 via "$(address_of server1)"
}
# How many of the addresses on standard input changed their server with the last plan.
moved() {
  python3 -c 'import ipaddress, json, sys
def plan(path):
    endpoints = json.load(open(path))["endpoints"]
    return [(ipaddress.IPv6Network(p), e["name"]) for e in endpoints for p in e["prefixes"]]
def server(plan, address):
    return next(name for prefix, name in plan if address in prefix)
old, new = plan(sys.argv[1]), plan(sys.argv[2])
addresses = [ipaddress.IPv6Address(line.strip()) for line in sys.stdin]
print(sum(server(old, a) != server(new, a) for a in addresses))' "$work/plan-before.json" "$work/plan.json"
}
slice_table() {
  python3 -c 'import json, sys
for e in json.load(open(sys.argv[1]))["endpoints"]:
    print(e["name"], e["slices"], e["moves_in"], e["moves_out"])' "$work/plan.json" \
    | while read -r name count in out; do row "$name" "$count" "$in" "$out"; done
}

write_zone() {
  cat >"$work/demo.test.zone" <<ZONE
\$TTL 60
@        SOA  ns hostmaster ( $serial 3600 600 86400 60 )
@        NS   ns
ns       AAAA $dns
web      AAAA 2001:db8:6::1
web      APL  $apl
_ssa.web TXT  "$1"
ZONE
}
look() { inside "$1" dig +short +time=2 +tries=2 "$2" "$3"; }
published() { [ "$(look client TXT _ssa.web.demo.test)" = "\"$1\"" ]; }
start_dns() {
  write_zone "$1"
  cat >"$work/named.conf" <<CONF
options {
  directory "$work";
  listen-on { none; };
  listen-on-v6 port 53 { $dns; };
  pid-file none;
  session-keyfile "$work/session.key";
  recursion no;
  querylog yes;
  dnssec-validation no;
};
controls { };
zone "demo.test" { type primary; file "demo.test.zone"; };
CONF
  background dns router "$work/named.log" named -f -n 1 -c "$work/named.conf"
  wait_for 20 "DNS answers" published "$1"
}
listens() { inside "$1" curl -s -o /dev/null "http://[::1]:8080/"; }
start_apps() {
  local server
  for server; do
    background "$server-app" "$server" "$work/$server-app.log" python3 "$root/hack/demo/app.py" "$server"
  done
  for server; do wait_for 20 "the application of $server answers" listens "$server"; done
}

admin() { curl -sS --max-time 5 --unix-socket "$work/$1/admin.sock" "http://admin/$2"; }
ready() { [ "$(admin "$1" ready)" = LIVE ]; }
# Starts the configuration as it stands in envoy/, with another rule and mode: start_envoy NAME FILE RULE MODE.
start_envoy() {
  local name=$1 folder=$work/$1
  rm -rf "$folder"
  mkdir "$folder"
  ln -s ../ssa_filter.wasm "$folder/ssa_filter.wasm"
  sed -e "s|\"rules\": .*|\"rules\": [\"$3\"],|" -e "s|\"mode\": .*|\"mode\": \"$4\",|" "$root/envoy/$2" >"$folder/envoy.yaml"
  background "$name" "$name" "$folder/output.log" env -C "$folder" "$envoy" -c envoy.yaml --concurrency 2 \
    --disable-hot-restart --file-flush-interval-msec 50 --log-level warning
}
start_envoys() {
  local name
  running=("$@")
  start_envoy client client.yaml "$@"
  for name in "${servers[@]}"; do start_envoy "$name" server.yaml "$@"; done
  for name in client "${servers[@]}"; do wait_for 60 "the Envoy of $name is ready" ready "$name"; done
}
# Brings another server up, with the rule and mode that the others have; the slices are not its yet.
join_server() {
  add_server "$1"
  start_apps "$1"
  start_envoy "$1" server.yaml "${running[@]}"
  wait_for 60 "the Envoy of $1 is ready" ready "$1"
}
stop() {
  kill "${pids[$1]}"
  wait "${pids[$1]}" 2>/dev/null || true
  unset "pids[$1]"
}
# Publishes another rule and starts the sidecars with it.
change_rule() {
  local name
  serial=$((serial + 1))
  write_zone "$1"
  kill -HUP "${pids[dns]}"
  for name in client "${servers[@]}"; do stop "$name"; done
  start_envoys "$@"
  wait_for 20 "DNS has the new rule" published "$1"
}

# ---- looking

queries() { grep -c ' query: ' "$work/named.log" || true; }

stats() { admin "$1" "stats/prometheus?filter=ssa_" | grep '^ssa_' || true; }
sum() { awk '{ total += $NF } END { print total + 0 }'; }
# Adds up the counters of a name that have these labels.
counted() {
  awk -v name="$1{" -v one="$2" -v other="${3:-}" \
    'index($0, name) == 1 && index($0, one) && (other == "" || index($0, other)) { total += $NF } END { print total + 0 }'
}
# Connections that all servers counted: inbound_count VERDICT OUTCOME.
inbound_count() {
  local server
  for server in "${servers[@]}"; do stats "$server"; done \
    | counted ssa_inbound_connections_total "ssa_verdict=\"$1\"" "ssa_outcome=\"$2\""
}
outbound_count() { stats client | counted ssa_outbound_connections_total "ssa_outcome=\"$1\""; }
# Shows the servers' counters with this word.
metrics() {
  local server
  for server in "${servers[@]}"; do
    stats "$server" | { grep "$1" || true; } | sed "s/^/   $server  /"
  done
}
application_connections() {
  local server
  for server in "${servers[@]}"; do
    admin "$server" "stats?filter=^cluster.application.*upstream_cx_total$" | sed 's/.*: //'
  done | sum
}
# The addresses that the client's sidecar connected to.
destinations() {
  wait_for 10 "the client's access log is complete" logged_composed
  sed -nE 's/.*"destination":"\[([^]]*)\].*/\1/p' "$work/client/access.log" | sort -u
}
logged_composed() { [ "$(grep -c 'outcome=composed' "$work/client/access.log")" -ge "$(outbound_count composed)" ]; }
leading() { python3 -c 'import ipaddress, sys
for line in sys.stdin: print(int(ipaddress.IPv6Address(line.strip())) >> 128 - int(sys.argv[1]))' "$1"; }
least() { for server in "${servers[@]}"; do echo "${answers[$server]:-0}"; done | sort -n | head -n 1; }

lines() { cat "$work"/server*/access.log 2>/dev/null | wc -l; }
marked=0
mark_logs() { marked=$(lines); }
more_lines() { [ "$(lines)" -gt "$marked" ]; }
# A field of the newest line in the servers' access logs, which has to have come since mark_logs.
logged() {
  wait_for 10 "a new line in a server's access log" more_lines
  cat "$work"/server*/access.log | sort -t'"' -k1,1 | python3 -c 'import json, sys
lines = [json.loads(line) for line in sys.stdin]
line = max(lines, key=lambda line: line["time"])
line.update(field.split("=", 1) for field in (line["ssa"] or "").split())
print(line.get(sys.argv[1]) or "-")' "$1"
}
