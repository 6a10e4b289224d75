#!/usr/bin/env bash
# Runs the project's tests: every check of `make test` and CI.
#
#   hack/test.sh               all groups
#   hack/test.sh lint native   only these groups: lint, native, wasm, vectors, cross, envoy, chart, demo,
#                              e2e, kind
#   SSA_KIND=up hack/test.sh   creates a kind cluster for the group kind if none is running, and deletes it afterwards; the
#                              first time takes an hour
#
# Every step runs, even if earlier ones failed. Its full output is in target/test-logs/, and is printed if it fails. A step
# that reports tests (`test result:` of cargo, or a last line `N passed, N failed`) counts as those tests, any other as one.
# A step that fails without naming a failed test counts as one more failure. The last lines are the seconds per group and
# `N passed, N failed[, N skipped]`; exits 1 if anything failed or nothing ran. A step that exits 77 cannot run here: it
# counts as skipped, or as its last line says.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"
export CARGO_TERM_COLOR=never

groups=("$@")
[ "${#groups[@]}" -gt 0 ] || groups=(lint native wasm vectors cross envoy chart demo e2e kind)
# How many seconds a step may take; the longest takes about 350 on two idle cores.
limit=3000
logs=$target_dir/test-logs
passed=0 failed=0 skipped=0 failures=()
started=$SECONDS

skip() {
  say "SKIPPED: $1: $2"
  skipped=$((skipped + 1))
}

# Sums a log's `test result:` lines, or takes its last line `N passed, N failed[, N skipped]`: prints "passed failed skipped".
counts_of() {
  awk '
    /^test result: / {
      for (i = 2; i <= NF; i++) {
        if ($i ~ /^passed/) p += $(i - 1)
        if ($i ~ /^failed/) f += $(i - 1)
        if ($i ~ /^ignored/) s += $(i - 1)
      }
      cargo = 1
    }
    /^[0-9]+ passed, [0-9]+ failed/ { own = 1; op = $1; of = $3; os = ($6 ~ /^skipped/) ? $5 : 0 }
    END {
      if (cargo) print p + 0, f + 0, s + 0
      else if (own) print op, of, os
    }' "$1"
}

# Runs one step: step NAME WHAT COMMAND…
step() {
  local name=$1 what=$2 status=0 began=$SECONDS log counts p f s
  shift 2
  log=$logs/$name.log
  say "→ $what"
  timeout --foreground "$limit" "$@" </dev/null >"$log" 2>&1 || status=$?
  counts=$(counts_of "$log")
  if [ "$status" -eq 77 ] && [ -z "$counts" ]; then
    skip "$what" "$(tail -n 1 "$log")"
    return
  fi
  if [ -n "$counts" ]; then
    read -r p f s <<<"$counts"
    sed -nE -e 's/^test (.*) \.\.\. ignored(, )?(.*)/SKIPPED: \1: ignored: \3/p' -e 's/^ *(SKIPPED: )/\1/p' "$log"
    if [ "$status" -eq 77 ] && [ "$p $f" = "0 0" ]; then
      status=0
    elif [ "$status" -eq 0 ] && [ "$f" -eq 0 ] && [ "$p" -eq 0 ]; then
      say "  no test ran"
      status=1
    fi
    if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    if [ "$status" -eq 0 ] && [ "$f" -gt 0 ]; then status=1; fi
  elif [ "$status" -eq 0 ]; then
    p=1 f=0 s=0
  else
    p=0 f=1 s=0
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  if [ "$status" -eq 0 ]; then
    local also=
    if [ "$s" -gt 0 ]; then also=", $s skipped"; fi
    say "  ok: $p passed$also in $((SECONDS - began)) s"
  else
    failures+=("$name")
    tail -n 300 "$log" | sed 's/^/  | /'
    say "  FAILED: $p passed, $f failed in $((SECONDS - began)) s (exit $status; full output: $log)"
  fi
}

group_lint() {
  step fmt "cargo fmt: formatting" cargo fmt --all --check
  step clippy "cargo clippy: all targets, warnings are errors" cargo clippy --workspace --all-targets --locked -- -D warnings
  step doc "cargo doc: no broken links" env RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items
  step deny "cargo deny: bans, licences, sources" "$root/hack/deny.sh" bans licenses sources
  step advisories "cargo deny: advisories" "$root/hack/deny.sh" advisories
  step shellcheck "shellcheck: the scripts" "$root/hack/shellcheck.sh"
  step units "systemd: the units of hosts without Kubernetes" "$root/hack/units.sh"
  step ruff "ruff: Python lints and formatting" "$root/hack/ruff.sh"
  step mypy "mypy: Python types" "$root/hack/mypy.sh"
  step e2e-files "unittest: the scenarios' files are read as they should be, and their patches apply" \
    env PYTHONPATH="$root/e2e" python3 -B -m unittest discover -s "$root/e2e/tests"
  step cycles-self-test "the check for circles of modules finds those that are planted" "$root/hack/cycles.py" --self-test
  step cycles "no circles between the modules of a crate" "$root/hack/cycles.py"
}

# Prints the test binaries of a step that took longest: slowest NAME.
slowest() {
  awk '
    /^ *(Running|Doc-tests)/ { what = $0; sub(/^ */, "", what); sub(/ \(.*/, "", what); sub(/^Running (unittests )?/, "", what) }
    match($0, /\(target\/[^)]*\/deps\//) { binary = substr($0, RSTART + RLENGTH); sub(/-[0-9a-f]*\)$/, "", binary) }
    /^test result: / && match($0, /finished in [0-9.]+s/) { print substr($0, RSTART + 12, RLENGTH - 12), binary, what }
  ' "$logs/$1.log" | sort -rn | head -n 5 | sed 's/^/  slow: /'
}

group_native() {
  step native "cargo test: the workspace, with its doctests" cargo test --workspace --locked --no-fail-fast
  slowest native
  step wheel "maturin: the Python wheel of the client library is built, installed and tried" "$root/hack/wheel.sh"
  step constant-time "cargo test: MAC comparison is constant-time in optimised code too" "$root/hack/constant-time.sh"
}

group_wasm() {
  local file crate
  step filter "wasm32: the filter module" "$root/hack/module.sh"
  step filter-clippy "wasm32: clippy on module-only code, warnings are errors" \
    "$root/hack/wasm-cargo.sh" clippy --locked -p ssa-filter -- -D warnings
  for file in */tests/wasm*.rs; do
    crate=$(sed -n 's/^name = "\(.*\)"/\1/p' "${file%%/*}/Cargo.toml" | head -n 1)
    step "wasm-$crate-$(basename "$file" .rs)" "wasm32 under Node.js: $file" \
      "$root/hack/wasm-cargo.sh" test --locked -p "$crate" --test "$(basename "$file" .rs)"
  done
}

group_vectors() {
  step vectors "ssa vectors: rules/vectors/*.json" "$root/hack/vectors.sh"
}

group_cross() {
  local target
  for target in x86_64-pc-windows-gnu aarch64-apple-darwin; do
    step "cross-rules-$target" "cargo check: rules for $target" "$root/hack/cross-check.sh" "$target" ssa-rules
    step "cross-cli-$target" "cargo check: cli for $target" "$root/hack/cross-check.sh" "$target" ssa
  done
  step cross-no-std "cargo check: rules, slices and snapshot where there is no std (x86_64-unknown-none)" "$root/hack/cross-check.sh" x86_64-unknown-none ssa-rules ssa-slices ssa-snapshot
}

group_envoy() {
  step envoy "Envoy and ssa-resolver validate the configurations in envoy/" "$root/hack/validate.sh"
}

group_chart() {
  step chart "the Helm chart: what it renders and rejects" "$root/hack/chart.sh"
}

group_demo() {
  step demo "the demo and its claims" "$root/hack/demo.sh"
}

group_e2e() {
  step e2e "e2e: scenarios with real Envoys" "$root/e2e/run.py"
}

group_kind() {
  local made=0
  if ! "$root/kind-cluster/env.sh" >/dev/null 2>&1; then
    if [ "${SSA_KIND:-}" != up ]; then
      skip "kind: the filter in Istio's sidecars" "no cluster is running; make kind-up or SSA_KIND=up creates one"
      step kind-e2e "kind: scenarios with the chart" "$root/e2e/run.py" --kind
      return
    fi
    made=1
    step kind-up "kind: create a cluster with Istio" "$root/kind-cluster/up.sh"
  fi
  step kind "kind: the filter in Istio's sidecars" "$root/kind-cluster/smoke.sh"
  step kind-e2e "kind: scenarios with the chart" "$root/e2e/run.py" --kind
  if [ "$made" = 1 ]; then step kind-down "kind: delete the cluster" "$root/kind-cluster/down.sh"; fi
}

for group in "${groups[@]}"; do
  if ! declare -F "group_$group" >/dev/null; then die "unknown group $group; see hack/test.sh --help"; fi
done
rm -rf "$logs"
mkdir -p "$logs"
"$root/hack/setup.sh" "${groups[@]}" || {
  say "FAILED: setup"
  say "0 passed, 1 failed"
  exit 1
}
took=
for group in "${groups[@]}"; do
  say "== $group"
  began_group=$SECONDS
  "group_$group"
  took+="${took:+, }$group $((SECONDS - began_group)) s"
done

say "== $took"
say "== $((SECONDS - started)) s in total${failures[*]:+; failed: ${failures[*]}}"
summary="$passed passed, $failed failed"
if [ "$skipped" -gt 0 ]; then summary+=", $skipped skipped"; fi
say "$summary"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
