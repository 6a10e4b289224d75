#!/usr/bin/env bash
# What ssa-routes sets, keeps and takes away, in namespaces of its own.
ip link set lo up; ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up
ip -6 addr add fd00::1/64 dev v0 nodad; ip -6 route add default via fd00::1234
ip -6 route add 2001:db8:5:9::/64 via fd00::1234
good='slice 2001:db8:5:3fff::/64 a fd00::a n1 fd00::11'
while read -r line; do
  for role in node pod; do
    printf '%s\n%s\n' "$good" "$line" | ssa-routes $role - --keep 2>/dev/null && echo "$role takes: $line"
  done
done <"$LINES"
echo 'slice 2001:db8:5:9::/64 a fd00::a n1 fd00::11' | ssa-routes node - 2>/dev/null && echo "somebody else's"
(SSA_ALLOWED='' ssa-routes node - <"$LINES") 2>/dev/null && echo 'taken with nothing allowed'
ip -6 route show proto 199; ip -6 route show table local proto 199
echo kept
mkdir kept; (echo "$good"; cat "$LINES"; echo 'slice fd77:0:ff::/128 a fd00::a n1 fd00::11') >kept/a.routes
ssa-routes node kept 2>/dev/null
echo '2001:db8:5::/50' >allowed; (SSA_ALLOWED=$PWD/allowed ssa-routes pod kept) 2>/dev/null
ip -6 route show table all proto 199 | awk '{print $1, $2, $3}' | sort
ip -6 route show default | awk '{print $1, $3}'; ip -6 route show 2001:db8:5:9::/64 | awk '{print $1, $3}'
