#!/usr/bin/env bash
# Runs a command in its own network, mount and PID namespaces and, unless root, user namespace. Everything in there dies
# with its first process, which dies with the caller.
#
#   hack/namespaces.sh true        succeeds if this machine allows it
#   hack/namespaces.sh COMMAND…
set -euo pipefail

spaces=(--net --mount --pid --fork --kill-child=KILL --mount-proc)
if [ "$(id -u)" != 0 ]; then spaces+=(--user --map-root-user); fi
exec setpriv --pdeathsig KILL unshare "${spaces[@]}" "$@"
