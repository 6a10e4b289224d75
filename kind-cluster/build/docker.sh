#!/usr/bin/env bash
# Starts a Docker daemon of its own, with its data, socket and process id in the cache; down.sh ends it.
set -euo pipefail
. "$(dirname "$0")/../lib.sh"

[ "$(id -u)" = 0 ] || die "no Docker daemon answers, and only root can start one: start Docker, then run this again"
for program in dockerd iptables; do
  if have "$program"; then continue; fi
  step "installing docker.io by apt"
  apt_install docker.io iptables || die "$program is missing: install Docker"
done
# An earlier daemon that was killed leaves its bridge, which would keep the route of the next one's network.
if ip link show "$bridge" >/dev/null 2>&1; then ip link del "$bridge"; fi

mkdir -p "$daemon"
options=(--data-root "$daemon/data" --exec-root "/run/ssa-kind" --pidfile "$daemon/pid" --host "unix://$daemon/docker.sock" --bridge none)
# Where not even root may have CAP_SYS_RESOURCE (bit 24), runc fails to give it to privileged containers: do not ask for it.
bounding=$(sed -n 's/^CapBnd:\s*//p' /proc/self/status)
if (((0x$bounding >> 24 & 1) == 0)); then
  cat >"$daemon/runc" <<'W'
#!/usr/bin/env bash
previous=
for argument in "$@"; do
  case $previous in
    --bundle | -b) spec=$argument/config.json ;;
    --process | -p) spec=$argument ;;
  esac
  previous=$argument
done
if [ -n "${spec:-}" ] && [ -f "$spec" ]; then sed -i -e 's/"CAP_SYS_RESOURCE",//g' -e 's/,"CAP_SYS_RESOURCE"//g' "$spec"; fi
W
  echo "exec $(command -v runc) \"\$@\"" >>"$daemon/runc"
  chmod +x "$daemon/runc"
  options+=(--add-runtime "ssa=$daemon/runc" --default-runtime ssa)
fi
setsid dockerd "${options[@]}" >"$logs/dockerd.log" 2>&1 </dev/null &
wait_for 60 "the Docker daemon, see $logs/dockerd.log" docker --host "unix://$daemon/docker.sock" info
