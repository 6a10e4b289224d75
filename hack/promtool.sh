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
if ! found=$(debian_program promtool prometheus usr/bin/promtool); then
  say "promtool is missing: $found; https://prometheus.io/download, and SSA_PROMTOOL=PROGRAM"
  exit 77
fi
echo "$found"
