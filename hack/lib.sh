# shellcheck shell=bash
# Shared by the scripts beside it; source it, it does nothing by itself.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # used by those that source this
target_dir=${CARGO_TARGET_DIR:-$root/target}
# What hack/setup.sh chose on this machine; shell assignments.
toolchain_env=$root/.cache/toolchain.env
# Tools built from crates.io, one folder for each name and version, shared by all checkouts of one user.
tools=${XDG_CACHE_HOME:-$HOME/.cache}/ssa/tools

# shellcheck source=hack/tools.env
. "$root/hack/tools.env"

say() { printf '%s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# Loads setup's choices; runs setup where it has never run.
load_toolchain() {
  if [ ! -f "$toolchain_env" ]; then "$root/hack/setup.sh"; fi
  # shellcheck disable=SC1090
  . "$toolchain_env"
}

# True when version $1 is at least $2; both dotted numbers.
version_at_least() {
  [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# The version of package $1 in Cargo.lock; nothing when it isn't there.
locked_version() {
  awk -v want="name = \"$1\"" '$0 == want { getline; gsub(/version = |"/, ""); print; exit }' "$root/Cargo.lock"
}

# The prefix that makes apt-get work: nothing for root, sudo without a password; fails when neither is to be had.
root_prefix() {
  if [ "$(id -u)" = 0 ]; then return 0; fi
  if have sudo && sudo -n true 2>/dev/null; then
    echo sudo
    return 0
  fi
  return 1
}

# Installs Debian packages. Fails, without a word, where there is no apt-get or no right to use it.
apt_install() {
  local prefix log
  have apt-get || return 1
  prefix=$(root_prefix) || return 1
  log=$root/.cache/apt.log
  mkdir -p "$root/.cache"
  # shellcheck disable=SC2086
  {
    $prefix apt-get update -q && $prefix env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
  } </dev/null >"$log" 2>&1
}

# Prints the path of a cargo tool: cargo_tool CRATE VERSION BINARY. Fails when that version isn't there.
cargo_tool() {
  local kept=$tools/$1-$2/bin/$3
  if [ -x "$kept" ]; then
    echo "$kept"
  elif have "$3" && "$3" --version 2>/dev/null | grep -qwF "$2"; then
    command -v "$3"
  else
    return 1
  fi
}

# Builds a cargo tool into the cache: install_cargo_tool CRATE VERSION [cargo install's flags].
# The lock file a tool ships can name a version that the registry at hand lacks; then it is resolved anew, and that is said.
install_cargo_tool() {
  local crate=$1 version=$2 into log
  shift 2
  into=$tools/$crate-$version
  log=$tools/$crate-$version.log
  mkdir -p "$tools"
  local args=(install --root "$into" "$@" "$crate@$version")
  # From the cache, so that this workspace's own configuration has no say in it.
  if (cd "$tools" && env -u CARGO_TARGET_DIR -u RUSTFLAGS cargo "${args[@]}" --locked) </dev/null >"$log" 2>&1; then return 0; fi
  say "  $crate $version does not build with its own lock file here ($log); trying without it" >&2
  (cd "$tools" && env -u CARGO_TARGET_DIR -u RUSTFLAGS cargo "${args[@]}") </dev/null >>"$log" 2>&1
}
