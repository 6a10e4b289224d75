#!/usr/bin/env bash
# Checks the systemd units of cluster/bare-metal: systemd understands every line, and they are hardened. Exits 77 if
# systemd-analyze is missing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# The highest exposure that `systemd-analyze security` may find, in tenths: 20 is 2.0, "OK".
most=20

if ! have systemd-analyze; then
  say "systemd-analyze is missing: apt-get install systemd"
  exit 77
fi
units=$(mktemp -d)
trap 'rm -rf "$units"' EXIT
for unit in "$root"/cluster/bare-metal/*.service; do
  name=$(basename "$unit")
  # The program is not installed here.
  sed "s#^ExecStart=[^ ]*#ExecStart=$(command -v true)#" "$unit" >"$units/$name"
  told=$(systemd-analyze verify "$units/$name" 2>&1) || die "$name: $told"
  # What systemd does not know it only tells.
  if grep -F "$units/$name" <<<"$told"; then die "$name: see above"; fi
  systemd-analyze security --offline=yes --threshold="$most" "$units/$name" >"$units/report" \
    || die "$name: $(tail -n 1 "$units/report"), more than $most tenths are not accepted"
  say "$name: $(tail -n 1 "$units/report")"
done
