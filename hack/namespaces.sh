#!/usr/bin/env bash
# Runs a command in networks, mounts and processes of its own and, for others than root, users. All that runs in there ends
# with its first process, and that one with the process that called this.
#
#   hack/namespaces.sh true        succeeds where this machine allows it
#   hack/namespaces.sh COMMAND…
set -euo pipefail

spaces=(--net --mount --pid --fork --kill-child=KILL --mount-proc)
if [ "$(id -u)" != 0 ]; then spaces+=(--user --map-root-user); fi
exec setpriv --pdeathsig KILL unshare "${spaces[@]}" "$@"
