#!/usr/bin/env bash
# Lints the Python code with ruff and ruff.toml. Exits 77 if ruff is missing and cannot be installed.
#
#   hack/ruff.sh          reports faults, including those of formatting
#   hack/ruff.sh --fix    fixes what ruff can, and formats everything
#   hack/ruff.sh --path   only prints the path of ruff; installs it into the cache if it is missing
#
#   SSA_RUFF=/usr/bin/ruff   use this one instead
set -euo pipefail
. "$(dirname "$0")/lib.sh"

case ${1:-} in
  '' | --fix | --path) ;;
  *) die "unknown option $1; see --help" ;;
esac

if [ -n "${SSA_RUFF:-}" ]; then
  [ -x "$SSA_RUFF" ] || die "SSA_RUFF=$SSA_RUFF is not executable"
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
