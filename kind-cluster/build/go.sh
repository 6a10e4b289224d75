#!/usr/bin/env bash
# Builds programs of the cluster from the Go module proxy into the cache, a folder for each name and version; what is
# there already is left alone. Programs: kind helm istio coredns etcd kubernetes; all of them by default.
#
#   kind-cluster/build/go.sh [PROGRAM …]
set -euo pipefail
. "$(dirname "$0")/../lib.sh"

have go || die "Go is missing, and without an image registry everything is built: https://go.dev/dl"
export CGO_ENABLED=0 GOCACHE=$cache/go-build GOMODCACHE=$cache/go-mod GOFLAGS='-modcacherw -trimpath' GOWORK=off
# Who turned that off takes modules for what they are called.
if [ "$(go env GOSUMDB)" = off ]; then say "warning: GOSUMDB is off, so nothing checks what Go downloads" >&2; fi
strip='-s -w'

new=
trap 'rm -rf "$new"' EXIT

# The folder of a module's source, downloaded.
module_dir() { (cd / && go mod download -json "$1") | jq -r .Dir; }

# A module that requires $1; for programs whose own go.mod has replacements, which go install refuses.
module_for() {
  mkdir -p "$new/src"
  cd "$new/src"
  go mod init ssa.invalid/build
  go mod edit -require="$1"
}

# Completes go.mod and go.sum for building these packages.
require_programs() {
  {
    printf '//go:build tools\n\npackage tools\n\n'
    printf 'import _ "%s"\n' "$@"
  } >tools.go
  go mod tidy
}

build_kind() { GOBIN=$new go install -ldflags="$strip" "sigs.k8s.io/kind@$KIND_VERSION"; }

build_helm() { GOBIN=$new go install -ldflags="$strip" "helm.sh/helm/v3/cmd/helm@$HELM_VERSION"; }

build_istio() {
  local info=istio.io/istio/pkg/version
  GOBIN=$new go install -ldflags="$strip -X $info.buildVersion=$ISTIO_COMMIT_VERSION -X $info.buildStatus=Clean" \
    istio.io/istio/{pilot/cmd/pilot-discovery,pilot/cmd/pilot-agent,istioctl/cmd/istioctl}@"$ISTIO_COMMIT_VERSION"
  cp "$(module_dir "istio.io/istio@$ISTIO_COMMIT_VERSION")/tools/packaging/common/envoy_bootstrap.json" "$new/"
}

# The plugins that kubeadm's Corefile names, and file, which serves zones with APL records.
build_coredns() {
  module_for "github.com/coredns/coredns@$COREDNS_VERSION"
  {
    echo 'package main'
    echo 'import "github.com/coredns/coredns/coremain"'
    printf 'import _ "github.com/coredns/coredns/plugin/%s"\n' \
      cache errors file forward health kubernetes loadbalance log loop metrics ready reload
    echo 'func main() { coremain.Run() }'
  } >main.go
  go mod tidy
  go build -ldflags="$strip" -o "$new/coredns" .
}

build_etcd() {
  module_for "go.etcd.io/etcd/server/v3@$ETCD_VERSION"
  require_programs go.etcd.io/etcd/server/v3
  go build -ldflags="$strip" -o "$new/etcd" go.etcd.io/etcd/server/v3
}

build_kubernetes() {
  local programs=(kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubeadm kubectl kubelet)
  module_for "k8s.io/kubernetes@$KUBERNETES_VERSION"
  # Its go.mod takes its parts from ./staging, which is not in the module; they are published as v0.x as well.
  local part source
  source=$(module_dir "k8s.io/kubernetes@$KUBERNETES_VERSION")
  sed -n 's#^\s*\(k8s.io/[a-z0-9-]*\) => ./staging.*#\1#p' "$source/go.mod" | while read -r part; do
    go mod edit -replace="$part=$part@v0.${KUBERNETES_VERSION#v1.}"
  done
  require_programs "${programs[@]/#/k8s.io/kubernetes/cmd/}"
  local minor=${KUBERNETES_VERSION#v1.} variables=$strip package
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    variables+=" -X $package.gitVersion=$KUBERNETES_VERSION -X $package.gitMajor=1 -X $package.gitMinor=${minor%.*}"
    variables+=" -X $package.gitTreeState=clean"
  done
  go build -ldflags="$variables" -o "$new/" "${programs[@]/#/k8s.io/kubernetes/cmd/}"
  cc -Os -static -s -DVERSION="v$PAUSE_VERSION" -o "$new/pause" "$source/build/pause/linux/pause.c"
}

version_of() {
  case $1 in
    kind) echo "$KIND_VERSION" ;;
    helm) echo "$HELM_VERSION" ;;
    istio) echo "$ISTIO_COMMIT_VERSION" ;;
    coredns) echo "$COREDNS_VERSION" ;;
    etcd) echo "$ETCD_VERSION" ;;
    kubernetes) echo "$KUBERNETES_VERSION" ;;
    *) die "no program $1" ;;
  esac
}

[ $# -gt 0 ] || set -- kind helm coredns etcd kubernetes istio
for program in "$@"; do
  kept=$cache/bin/$program-$(version_of "$program")
  if [ -d "$kept" ]; then continue; fi
  step "building $program $(version_of "$program"), log: $logs/build-$program.log"
  mkdir -p "$cache/bin"
  new=$(mktemp -d "$kept.XXXXXX")
  log=$logs/build-$program.log
  # In the background, for as a condition set -e would be off inside.
  "build_$program" >"$log" 2>&1 &
  if ! wait $!; then
    tail -n 20 "$log" >&2
    die "$program cannot be built: $log"
  fi
  rm -rf "$new/src"
  mv -T "$new" "$kept" 2>/dev/null || [ -d "$kept" ]
  new=
done
