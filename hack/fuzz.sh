#!/usr/bin/env bash
# Runs the fuzz targets with libFuzzer: hack/fuzz.sh [SECONDS] [TARGET…]; 60 seconds per target by default.
#
# Targets start from fuzz/corpus/TARGET and from what earlier runs here found. KEEP=1 then adds minimised inputs that reach
# new code to fuzz/corpus/: commit them, the ordinary tests replay them all. A failing input stays in
# fuzz/artifacts/TARGET/: copy it to fuzz/corpus/TARGET/ with the fix, under a name that says what it showed. Exits 1 if a
# target failed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

# A corpus must stay small enough to review and to replay with every test run.
max_files=150
max_bytes=300000

seconds=${1:-60}
[[ $seconds =~ ^[0-9]+$ ]] || die "usage: hack/fuzz.sh [SECONDS] [TARGET…]"
if [ "$#" -gt 0 ]; then shift; fi
targets=("$@")
if [ "${#targets[@]}" -eq 0 ]; then
  for file in fuzz/targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

if ! cargo +nightly --version >/dev/null 2>&1; then
  say "installing the nightly toolchain, which sanitizers need"
  rustup toolchain install nightly --profile minimal || die "no nightly toolchain: rustup toolchain install nightly"
fi
version=$(locked_version cargo-fuzz "$tools_lock")
if ! cargo_tool cargo-fuzz "$version" cargo-fuzz >/dev/null; then
  say "building cargo-fuzz $version (a minute, once)"
  install_cargo_tool cargo-fuzz "$version" || die "cargo-fuzz $version failed to build: see $tools/cargo-fuzz-$version.log"
fi
binary=$(cargo_tool cargo-fuzz "$version" cargo-fuzz)
export RUSTUP_TOOLCHAIN=nightly
build=$target_dir/fuzz

# run TARGET CORPUS… -- FLAGS…: libFuzzer writes findings to the first corpus.
run() { "$binary" run --target-dir "$build" "$@"; }

# Rebuilds the committed corpus from inputs that together reach all code that is reached. If there are too many, it takes an
# even share of all sizes. Named inputs, such as those of past failures, are kept.
keep() {
  local target=$1 found=$2 kept=fuzz/corpus/$1 merged=$build/merged/$1 file size files=0 bytes=0 room count=0
  rm -rf "$merged"
  mkdir -p "$merged"
  run "$target" "$merged" "$kept" "$found" -- -merge=1 -set_cover_merge=1 >>"$log" 2>&1
  find "$kept" -type f -regex '.*/[0-9a-f]*' -delete
  room=$((max_files - $(find "$kept" -type f | wc -l)))
  local total
  total=$(find "$merged" -type f | wc -l)
  while read -r size file; do
    count=$((count + 1))
    if [ $((count * room / total)) -eq $(((count - 1) * room / total)) ] && [ "$total" -gt "$room" ]; then continue; fi
    if [ $((bytes + size)) -gt "$max_bytes" ]; then break; fi
    cp "$merged/$file" "$kept/$file"
    files=$((files + 1)) bytes=$((bytes + size))
  done < <(find "$merged" -type f -printf '%s %f\n' | sort -n)
  say "  $kept: $files of $total files reach new code, $bytes bytes"
}

failed=()
for target in "${targets[@]}"; do
  log=$build/$target.log
  found=$build/found/$target
  mkdir -p "$found" "fuzz/corpus/$target"
  flags=("-max_total_time=$seconds" -max_len=4096 -timeout=20 -print_final_stats=1)
  if [ -f "fuzz/dict/$target.dict" ]; then flags+=("-dict=fuzz/dict/$target.dict"); fi
  say "→ $target for $seconds s"
  if run "$target" "$found" "fuzz/corpus/$target" -- "${flags[@]}" >"$log" 2>&1; then
    say "  $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs, no findings; $(grep -oE 'cov: [0-9]+' "$log" | tail -n 1)"
    if [ "${KEEP:-0}" = 1 ]; then keep "$target" "$found"; fi
  else
    failed+=("$target")
    tail -n 40 "$log" | sed 's/^/  | /'
    say "  FAILED: full output in $log"
  fi
done
if [ "${#failed[@]}" -gt 0 ]; then die "fuzzing found failures: ${failed[*]}"; fi
