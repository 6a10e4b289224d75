#!/usr/bin/env bash
# Prints the path of promtool. If it is missing, it is extracted from Debian's package prometheus into the cache, because
# installing the package would start a server. Exits 77 with the reason if it is not available.
#
#   SSA_PROMTOOL=PROGRAM   use this one instead
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ -n "${SSA_PROMTOOL:-}" ]; then
  [ -x "$SSA_PROMTOOL" ] || die "SSA_PROMTOOL=$SSA_PROMTOOL is not executable"
  echo "$SSA_PROMTOOL"
  exit 0
fi
if have promtool; then
  command -v promtool
  exit 0
fi
kept=$tools/promtool/bin/promtool
if [ ! -x "$kept" ]; then
  cannot() {
    say "promtool is missing: $*; https://prometheus.io/download, and SSA_PROMTOOL=PROGRAM"
    exit 77
  }
  if ! have apt-get || ! have dpkg-deb; then cannot "there is no apt to take it from"; fi
  mkdir -p "$tools" "$root/.cache"
  new=$(mktemp -d "$tools/promtool.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  # apt compares the file with its archive's signed index.
  download() { (cd "$new" && apt-get download -q prometheus) </dev/null >>"$root/.cache/promtool.log" 2>&1; }
  if ! download; then
    { prefix=$(root_prefix) && $prefix apt-get update -q </dev/null >>"$root/.cache/promtool.log" 2>&1 && download; } \
      || cannot "apt has no package prometheus ($root/.cache/promtool.log)"
  fi
  dpkg-deb -x "$new"/prometheus_*.deb "$new/package"
  mkdir "$new/bin"
  mv "$new/package/usr/bin/promtool" "$new/bin/"
  "$new/bin/promtool" --version >/dev/null 2>&1 || cannot "that of Debian's package does not run"
  rm -rf "$new/package" "$new"/prometheus_*.deb
  chmod 755 "$new"
  mv -T "$new" "$tools/promtool" 2>/dev/null || [ -x "$kept" ]
fi
echo "$kept"
