#!/usr/bin/env bash
# Runs an example: real servers and clients behind SSA at layer 7, in network namespaces. Every printed claim is checked; it
# exits 1 if one fails, and 77 if this machine lacks what the example needs. It leaves nothing running, however it ends.
#
#   examples/run.sh                       lists the examples
#   examples/run.sh NAME [OPTION=N…]      as root, or in a user namespace if the machine allows it; a wrong option lists those
#                                         that there are
#
#   SSA_ENVOY, SSA_FILTER, SSA_CLI, SSA_RESOLVER, SSA_NGINX   use these instead of finding or building them
set -euo pipefail
. "$(dirname "$0")/../hack/lib.sh"

# Everything in the namespaces is killed after this many seconds.
limit=1800

if [ "$#" -eq 0 ]; then
  for readme in "$root"/examples/*/README.md; do
    printf '%-20s %s\n' "$(basename "$(dirname "$readme")")" "$(sed -n '1s/^# //p' "$readme")"
  done
  exit 0
fi
name=$1
[ -f "$root/examples/$name/story.py" ] || die "there is no example $name; examples/run.sh lists them"
"$root/hack/setup.sh" --quiet "example:$name" || die "the example needs the missing tools listed above"
export PATH=$PATH:/usr/sbin:/sbin
"$root/hack/namespaces.sh" true 2>/dev/null \
  || die "this machine does not allow unprivileged namespaces (hack/namespaces.sh): run as root, for example sudo make example NAME=$name"

SSA_TOOL_ENVOY=$("$root/hack/envoy.sh")
SSA_TOOL_MODULE=$("$root/hack/module.sh")
if [ -z "${SSA_CLI:-}" ] || [ -z "${SSA_RESOLVER:-}" ]; then
  say "building the programs if needed (minutes)"
  build_programs
fi
SSA_TOOL_SSA=${SSA_CLI:-$target_dir/release/ssa}
SSA_TOOL_RESOLVER=${SSA_RESOLVER:-$target_dir/release/ssa-resolver}
for program in "$SSA_TOOL_SSA" "$SSA_TOOL_RESOLVER"; do
  [ -x "$program" ] || die "$program not found"
done
export SSA_TOOL_ENVOY SSA_TOOL_MODULE SSA_TOOL_SSA SSA_TOOL_RESOLVER

run_inside env PYTHONPATH="$root/e2e:$root/examples:$root/hack/demo" timeout --foreground "$limit" \
  python3 -B "$root/examples/common/play.py" "$@"
await_inside "$limit"
