#!/usr/bin/env bash
# Checks the Helm chart and its neighbours in k8s/ without a cluster: lint, rendering, rejection of bad values by the schema,
# acceptance of the configurations by Envoy with the module and by ssa-resolver, metrics named by dashboard and alerts, and
# the slice scripts. Ends with `N passed, N failed[, N skipped]`.
#
#   hack/chart.sh [WORD…]                        only checks whose name contains one of these words
#   SSA_HELM=PROGRAM                             use this Helm 3
#   SSA_PROMTOOL=PROGRAM                         use this promtool to test the alerts; without one, and if none can be
#                                                installed (hack/promtool.sh), that check is skipped
#   SSA_ENVOY, SSA_FILTER, SSA_RESOLVER, SSA_CLI use these programs and this module instead of finding or building them
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

# shellcheck source=kind-cluster/versions.env
. "$root/kind-cluster/versions.env"
version=$HELM_VERSION
kept=$tools/helm-$version/bin
if [ -n "${SSA_HELM:-}" ]; then
  [ -x "$SSA_HELM" ] || die "SSA_HELM=$SSA_HELM is not executable"
  helm=$SSA_HELM
elif have helm && [[ $(helm version --template '{{.Version}}' 2>/dev/null) == v3.* ]]; then
  helm=$(command -v helm)
  say "found helm: $helm"
elif [ -x "$kept/helm" ]; then
  helm=$kept/helm
  say "found helm: $helm"
else
  if ! have go; then
    say "helm is missing, and go to build it: https://helm.sh/docs/intro/install"
    exit 77
  fi
  say "building helm $version into $kept (minutes, once)"
  mkdir -p "$kept"
  # From elsewhere, so that no go.mod and no work file has a say in it.
  (cd "$kept" && GOBIN=$kept GOFLAGS='' CGO_ENABLED=0 go install -trimpath -ldflags='-s -w' "helm.sh/helm/v3/cmd/helm@$version") \
    >"$kept/build.log" 2>&1 || die "helm $version failed to build: $kept/build.log"
  helm=$kept/helm
  say "installed helm: $helm"
fi

envoy=$("$root/hack/envoy.sh")
# Run from another directory, because operations.md does not say which. A relative SSA_FILTER refers to this one.
module=$(if [ -z "${SSA_FILTER:-}" ]; then cd /; fi && "$root/hack/module.sh")
status=0
promtool=$("$root/hack/promtool.sh") || status=$?
# 77: promtool is not available, and that check is skipped.
case $status in
  0) ;;
  77) promtool= ;;
  *) exit "$status" ;;
esac
if [ -z "${SSA_CLI:-}" ] || [ -z "${SSA_RESOLVER:-}" ]; then build_programs; fi
exec python3 -B "$root/k8s/tests/check.py" "$@" --helm "$helm" --envoy "$envoy" --module "$module" \
  --promtool "$promtool" --ssa "${SSA_CLI:-$target_dir/release/ssa}" --resolver "${SSA_RESOLVER:-$target_dir/release/ssa-resolver}"
