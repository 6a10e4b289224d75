#!/usr/bin/env bash
# Checks the types of the project's Python with mypy, by the rules of mypy.ini. Exits 77 where mypy is missing and cannot be
# installed.
#
#   hack/mypy.sh          says what is wrong
#   hack/mypy.sh --path   prints the folder of mypy alone, which is installed into the cache where it is missing
set -euo pipefail
. "$(dirname "$0")/lib.sh"

case ${1:-} in
  '' | --path) ;;
  *) die "$1 is not --path" ;;
esac
kept=$(python_tool mypy)
if [ "${1:-}" = --path ]; then
  echo "$kept"
  exit 0
fi
cd "$root"
PYTHONPATH=$kept exec python3 -B hack/python/check_types.py
