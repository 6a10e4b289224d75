#!/usr/bin/env bash
# Checks the types of the Python code with mypy and mypy.ini. Exits 77 if mypy is missing and cannot be installed.
#
#   hack/mypy.sh          reports type errors
#   hack/mypy.sh --path   only prints the directory of mypy; installs it into the cache if it is missing
set -euo pipefail
. "$(dirname "$0")/lib.sh"

case ${1:-} in
  '' | --path) ;;
  *) die "unknown option $1; see --help" ;;
esac
kept=$(python_tool mypy)
if [ "${1:-}" = --path ]; then
  echo "$kept"
  exit 0
fi
cd "$root"
PYTHONPATH=$kept exec python3 -B hack/python/check_types.py
