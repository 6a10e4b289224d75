#!/usr/bin/env bash
# Runs shellcheck on every shell script of the tree. Exits 77 if shellcheck is missing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

if ! have shellcheck; then
  say "shellcheck is missing: see make setup"
  exit 77
fi
scripts=()
while IFS= read -r -d '' file; do
  if [ -f "$file" ] && { [[ $file == *.sh ]] || head -n 1 "$file" | grep -qE '^#!.*\b(ba)?sh\b'; }; then scripts+=("$file"); fi
done < <(git ls-files -z --cached --others --exclude-standard)
shellcheck -x -P SCRIPTDIR "${scripts[@]}"
say "${#scripts[@]} scripts are clean"
