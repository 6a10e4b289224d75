#!/usr/bin/env bash
# Demonstrates slices that move by themselves, on this machine: from 4 to 16 endpoints and back, with a host that crashes, a
# slice that is hot, and controllers that are away, while clients keep connecting. Endpoints are network namespaces with an
# agent, BIRD and a server each; two controllers stand for election; a directory is the store. Every printed claim is
# checked; it exits 1 if one fails. It takes two to three minutes, and leaves nothing running, however it ends.
#
#   hack/demo-cluster.sh             as root, or in a user namespace if the machine allows it
#   hack/demo-cluster.sh FILE.svg    draws shares and moves into this file (target/demo-cluster.svg)
#
#   SSA_CLUSTER=PROGRAM     use this ssa-cluster instead of building cluster/
#   SSA_CLI=PROGRAM         use this ssa instead of building cli/
#   SSA_BIRD=PROGRAM        use this BIRD instead of the one in PATH or Debian's
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# Everything in the namespaces is killed after this many seconds.
limit=300

[ "$#" -le 1 ] || die "hack/demo-cluster.sh takes one argument at most; see hack/demo-cluster.sh --help"
picture=$(realpath -m "${1:-$target_dir/demo-cluster.svg}")
mkdir -p "$(dirname "$picture")"
"$root/hack/setup.sh" --quiet --strict demo || die "the demo needs the missing tools listed above"
export PATH=$PATH:/usr/sbin:/sbin
"$root/hack/namespaces.sh" true 2>/dev/null \
  || die "this machine does not allow unprivileged namespaces (hack/namespaces.sh): run as root, for example sudo make demo-cluster"
if ! bird=$("$root/hack/bird.sh"); then die "$bird"; fi
if [ -z "${SSA_CLI:-}" ] || [ -z "${SSA_CLUSTER:-}" ]; then
  say "building the programs if needed (minutes)"
  build_programs
fi
ssa=${SSA_CLI:-$target_dir/release/ssa}
cluster=${SSA_CLUSTER:-$target_dir/release/ssa-cluster}
for program in "$ssa" "$cluster"; do
  [ -x "$program" ] || die "$program not found"
done

run_inside env SSA_BIRD="$bird" PYTHONPATH="$root/e2e" timeout --foreground "$limit" \
  python3 -B "$root/hack/demo/cluster_story.py" "$ssa" "$cluster" "$picture"
await_inside "$limit"
