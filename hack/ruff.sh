#!/usr/bin/env bash
# Reads the project's Python with ruff, by the rules of ruff.toml. Exits 77 where ruff is missing and cannot be installed.
#
#   hack/ruff.sh          says what is wrong, also with the layout
#   hack/ruff.sh --fix    mends what ruff can, and lays all out anew
#   hack/ruff.sh --path   prints the path of ruff alone, which is installed into the cache where it is missing
#
#   SSA_RUFF=/usr/bin/ruff   uses that one instead
set -euo pipefail
. "$(dirname "$0")/lib.sh"

case ${1:-} in
  '' | --fix | --path) ;;
  *) die "$1 is neither --fix nor --path" ;;
esac

if [ -n "${SSA_RUFF:-}" ]; then
  [ -x "$SSA_RUFF" ] || die "SSA_RUFF=$SSA_RUFF is no program"
  ruff=$SSA_RUFF
else
  kept=$(python_tool ruff)
  ruff=$kept/bin/ruff
fi

cd "$root"
case ${1:-} in
  --path) echo "$ruff" ;;
  --fix)
    "$ruff" check --no-cache --fix .
    "$ruff" format --no-cache .
    ;;
  *)
    "$ruff" check --no-cache .
    "$ruff" format --no-cache --check --quiet .
    ;;
esac
