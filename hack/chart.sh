#!/usr/bin/env bash
# Checks the Helm chart and what is beside it in k8s/: lint, what it renders, that the schema refuses bad values, that Envoy
# with the module and ssa-resolver take the configurations in it, that dashboard and alerts name metrics that exist, and the
# scripts of slices. No cluster is needed. Ends by `N passed, N failed[, N skipped]`.
#
#   hack/chart.sh [WORD…]                        only checks whose name has one of these words
#   SSA_HELM=PROGRAM                             this Helm 3
#   SSA_PROMTOOL=PROGRAM                         this promtool, Prometheus' own tool, plays the alerts; skipped where there is
#                                                none and none can be had (hack/promtool.sh)
#   SSA_ENVOY, SSA_FILTER, SSA_RESOLVER, SSA_CLI these programs and this module instead of those found or built
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

# shellcheck source=kind-cluster/versions.env
. "$root/kind-cluster/versions.env"
version=$HELM_VERSION
kept=$tools/helm-$version/bin
if [ -n "${SSA_HELM:-}" ]; then
  [ -x "$SSA_HELM" ] || die "SSA_HELM=$SSA_HELM is no program"
  helm=$SSA_HELM
elif have helm && [[ $(helm version --template '{{.Version}}' 2>/dev/null) == v3.* ]]; then
  helm=$(command -v helm)
  say "found helm: $helm"
elif [ -x "$kept/helm" ]; then
  helm=$kept/helm
  say "found helm: $helm"
else
  if ! have go; then
    say "helm is missing, and so is go, which builds it: https://helm.sh/docs/intro/install"
    exit 77
  fi
  say "building helm $version into $kept (minutes, once)"
  mkdir -p "$kept"
  # From elsewhere, so that no go.mod and no work file has a say in it.
  (cd "$kept" && GOBIN=$kept GOFLAGS='' CGO_ENABLED=0 go install -trimpath -ldflags='-s -w' "helm.sh/helm/v3/cmd/helm@$version") \
    >"$kept/build.log" 2>&1 || die "helm $version does not build: $kept/build.log"
  helm=$kept/helm
  say "installed helm: $helm"
fi

envoy=$("$root/hack/envoy.sh")
# From elsewhere: operations.md tells to call it, and not from where. A path in SSA_FILTER is of this folder.
module=$(if [ -z "${SSA_FILTER:-}" ]; then cd /; fi && "$root/hack/module.sh")
status=0
promtool=$("$root/hack/promtool.sh") || status=$?
# 77: it cannot be had here, and that check is skipped.
case $status in
  0) ;;
  77) promtool= ;;
  *) exit "$status" ;;
esac
if [ -z "${SSA_CLI:-}" ] || [ -z "${SSA_RESOLVER:-}" ]; then build_programs; fi
exec python3 -B "$root/k8s/tests/check.py" "$@" --helm "$helm" --envoy "$envoy" --module "$module" \
  --promtool "$promtool" --ssa "${SSA_CLI:-$target_dir/release/ssa}" --resolver "${SSA_RESOLVER:-$target_dir/release/ssa-resolver}"
