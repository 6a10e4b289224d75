# shellcheck shell=bash
# Shared by the scripts of this folder; source it.

# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../hack/lib.sh"
here=$root/kind-cluster
# shellcheck source=kind-cluster/versions.env
. "$here/versions.env"

# shellcheck disable=SC2034 # those that source this use it
cluster=ssa
# shellcheck disable=SC2034
nodes=(ssa-control-plane ssa-worker ssa-worker2)
# The space of all services: what no route of a slice takes out of it is unreachable.
# shellcheck disable=SC2034
ssa_space=2001:db8:5::/48

# Everything that is kept, in one folder; it may be removed when no cluster is up.
cache=${SSA_KIND_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ssa/kind}
logs=$cache/logs
mkdir -p "$cache/bin" "$logs"
export KUBECONFIG=$cache/kubeconfig

# A network of its own, so that nobody else's kind clusters share it, on a bridge that is known by its name.
export KIND_EXPERIMENTAL_DOCKER_NETWORK=ssa-kind
# shellcheck disable=SC2034
bridge=br-ssa-kind
daemon=$cache/docker
programs=$cache/bin/current
export PATH=$programs:$PATH:/usr/sbin:/sbin

started=$SECONDS
# Says what begins, with the minutes and seconds since the script's start.
step() {
  local passed=$((SECONDS - started))
  printf '[%2d:%02d] %s\n' $((passed / 60)) $((passed % 60)) "$*"
}

# Waits until a command succeeds: wait_for SECONDS WHAT COMMAND…
wait_for() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || die "$what: not within its time"
    sleep 0.3
  done
}

# Runs a command with its output in a log, and shows the end of that when it fails: logged NAME COMMAND…
logged() {
  local log=$logs/$1.log
  shift
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    die "failed: $* ($log)"
  fi
}

# Fetches a file that build/sha256sums knows by this name: fetch URL NAME FOLDER. Fails where it cannot be had; another file
# than that one, or one that is not listed, ends everything.
fetch() {
  local url=$1 name=$2 into=$3
  grep -qE "^[0-9a-f]{64}  $name\$" "$here/build/sha256sums" || die "$name has no digest in kind-cluster/build/sha256sums"
  curl -fsSL -m 300 -o "$into/$name" "$url" || return 1
  (cd "$into" && grep -E "^[0-9a-f]{64}  $name\$" "$here/build/sha256sums" | sha256sum --check --quiet >/dev/null 2>&1) \
    || die "$url is another file than kind-cluster/build/sha256sums has: $(sha256sum "$into/$name" | cut -d' ' -f1)"
}

# Pulls an image by the digest that build/image-digests has of it, whatever its tag is by now: pull NAME:TAG. One that is not
# listed comes by its tag, and what came is told.
pull() {
  local image=$1 digest kept
  digest=$(awk -v image="$image" '$1 == image { print $2 }' "$here/build/image-digests")
  kept=$(docker image inspect -f '{{range .RepoDigests}}{{.}} {{end}}' "$image" 2>/dev/null) || kept=none
  if [ -n "$digest" ]; then
    case $kept in *"@$digest "*) return ;; esac
    step "pulling $image"
    logged pull docker pull -q "${image%:*}@$digest"
    docker tag "${image%:*}@$digest" "$image"
  elif [ "$kept" = none ]; then
    step "pulling $image"
    logged pull docker pull -q "$image"
    kept=$(docker image inspect -f '{{range .RepoDigests}}{{.}} {{end}}' "$image")
    say "not pinned: $image came as ${kept% }; kind-cluster/build/image-digests has no digest of it" >&2
  fi
}

daemon_pid() {
  local pid
  pid=$(cat "$daemon/pid" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] && echo "$pid"
}

# Chooses the Docker daemon: the one that up.sh started, or the machine's. Fails where none answers.
use_docker() {
  have docker || return 1
  if daemon_pid >/dev/null; then export DOCKER_HOST=unix://$daemon/docker.sock; fi
  docker info >/dev/null 2>&1
}

need_docker() { use_docker || die "no Docker daemon answers; make kind-up starts one where that is allowed"; }

# The containers of the cluster's nodes; nobody else's, for they are in our network.
node_containers() {
  docker ps -aq --filter "label=io.x-k8s.kind.cluster=$cluster" --filter "network=$KIND_EXPERIMENTAL_DOCKER_NETWORK"
}
cluster_exists() { [ -n "$(node_containers)" ]; }

need_cluster() {
  need_docker
  cluster_exists || die "there is no cluster: make kind-up"
}

# One of versions and of how images are made: a change of either makes them anew.
image_tag() {
  cat "$here/versions.env" "$here"/build/{images,rootfs,in-rootfs}.sh | sha256sum | cut -c 1-12
}

# The image of tools that the cluster was made with.
tools_image() { kubectl get -n ssa-dns deploy/tools -o jsonpath='{.spec.template.spec.containers[0].image}'; }

# Makes an image of one layer: make_image NAME TREE [docker import's flags]
make_image() {
  local name=$1 tree=$2
  shift 2
  tar -C "$tree" --owner=0 --group=0 --numeric-owner --sort=name -c . \
    | docker import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' "$@" - "$name" >/dev/null
}
