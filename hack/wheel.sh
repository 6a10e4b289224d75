#!/usr/bin/env bash
# Builds the Python wheel of the client library, installs it into a folder of its own and tries it there. Exits 77 if a tool
# is missing and cannot be installed.
#
#   hack/wheel.sh            builds without optimisation and runs client/c/tests/wheel.py in namespaces of its own
#   hack/wheel.sh --release  only builds, optimised; prints the path
set -euo pipefail
. "$(dirname "$0")/lib.sh"

case ${1:-} in
  '' | --release) ;;
  *) die "unknown option $1; see --help" ;;
esac
kept=$(python_tool maturin)
wheels=$target_dir/wheels/${1:-dev}
rm -rf "$wheels"
PYTHONPATH=$kept "$kept/bin/maturin" build --quiet --locked --manifest-path "$root/client/c/Cargo.toml" --out "$wheels" \
  --interpreter python3 ${1:+"$1"} >&2
wheel=$(echo "$wheels"/*.whl)
if [ "${1:-}" = --release ]; then
  echo "$wheel"
  exit 0
fi
if ! "$root/hack/namespaces.sh" true 2>/dev/null; then
  say "no namespaces can be made here"
  exit 77
fi
installed=$(mktemp -d)
trap 'rm -rf "$installed"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --no-index \
  --target "$installed" "$wheel" >&2
PYTHONPATH=$installed:$kept "$root/hack/namespaces.sh" python3 -B "$root/client/c/tests/wheel.py"
