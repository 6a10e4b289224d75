#!/usr/bin/env bash
# Reads the project's Python with ruff, by the rules of ruff.toml. Exits 77 where ruff is missing and cannot be installed.
#
#   hack/ruff.sh          says what is wrong
#   hack/ruff.sh --fix    mends what ruff can
#   hack/ruff.sh --path   prints the path of ruff alone, which is installed into the cache where it is missing
#
#   SSA_RUFF=/usr/bin/ruff   uses that one instead
set -euo pipefail
. "$(dirname "$0")/lib.sh"

case ${1:-} in
  '' | --fix | --path) ;;
  *) die "$1 is neither --fix nor --path" ;;
esac

version=0.17.6
# The wheels of that version, by machine: nothing else is installed, whatever an index serves.
wheels=(
  sha256:aa3b08254a732acba246891089a152c47c5733dc36b8ecb76ce8602f8326e5e4 # x86_64
  sha256:435241c61af5909a022f76219d3d1bf24730dc1bf0acabb5ddf4b569ab3cbb30 # aarch64
)

# Prints why there is no ruff, and ends.
cannot() {
  say "ruff $version is missing: $*; SSA_RUFF=PROGRAM uses another"
  exit 77
}

if [ -n "${SSA_RUFF:-}" ]; then
  [ -x "$SSA_RUFF" ] || die "SSA_RUFF=$SSA_RUFF is no program"
  ruff=$SSA_RUFF
else
  kept=$tools/ruff-$version
  ruff=$kept/bin/ruff
  if [ ! -x "$ruff" ]; then
    say "installing ruff $version from PyPI into $kept (once)" >&2
    mkdir -p "$tools"
    new=$(mktemp -d "$kept.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    python3 -m pip --version >/dev/null 2>&1 || apt_install python3-pip || cannot "there is no pip"
    printf '%s' "ruff==$version" "${wheels[@]/#/ --hash=}" >"$new/requirements.txt"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: \
      --require-hashes --requirement "$new/requirements.txt" --target "$new" >&2 || cannot "pip cannot install it"
    chmod 755 "$new"
    mv -T "$new" "$kept" 2>/dev/null || [ -x "$ruff" ]
  fi
fi

cd "$root"
case ${1:-} in
  --path) echo "$ruff" ;;
  --fix) "$ruff" check --no-cache --fix . ;;
  *) "$ruff" check --no-cache . ;;
esac
