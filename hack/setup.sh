#!/usr/bin/env bash
# Finds or installs the tools for building and testing, prints each with its reason, and writes its choices to
# .cache/toolchain.env for the other scripts. Safe to run again: the second run finds everything and is quick.
#
#   hack/setup.sh               everything that make test needs
#   hack/setup.sh PROFILE…      only these: build (the crates), module (also the Envoy module), demo (also what the demo
#                               runs), or a group of hack/test.sh: lint, native, wasm, vectors, cross, envoy, chart, e2e, kind
#   hack/setup.sh example:NAME  what examples/NAME runs: its file `tools`
#   --quiet                     only prints what is installed and what is missing
#   --strict                    exits 1 if something is missing; otherwise the checks that need it report it
#
#   SSA_WASM=rustup|debian      use this toolchain for wasm32 (default: the first that works)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

everything=(lint native wasm vectors cross envoy chart demo e2e kind)
quiet=0 strict=0 profiles=() examples=()
for argument in "$@"; do
  case $argument in
    --quiet) quiet=1 ;;
    --strict) strict=1 ;;
    example:*) [ -f "$root/examples/${argument#*:}/tools" ] && profiles+=(demo) && examples+=("${argument#*:}") ;;
    build | module | lint | native | wasm | vectors | cross | envoy | chart | demo | e2e | kind) profiles+=("$argument") ;;
    *) die "unknown profile $argument; see hack/setup.sh --help" ;;
  esac
done
if [ "${#profiles[@]}" -eq 0 ]; then profiles=("${everything[@]}"); fi
# True if one of these profiles is requested.
wanted() {
  local one
  for one in "$@"; do
    case " ${profiles[*]} " in *" $one "*) return 0 ;; esac
  done
  return 1
}

min_rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
wasm_target=wasm32-unknown-unknown
debian_rust_packages=(rustc-web cargo-web rust-web-src lld)
missing=0

found() { if [ "$quiet" = 0 ]; then say "  found      $*"; fi; }
installed() { say "  installed  $*"; }
lacking() {
  say "  MISSING    $*"
  missing=$((missing + 1))
}

choices=()
choose() { choices+=("$1=$(printf %q "$2")"); }

# Debian's Rust in /usr/bin, with the source of the standard library, which -Zbuild-std compiles for any target.
debian_rust_ready() {
  [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ] && [ -d /usr/lib/rustlib/src/rust/library/std ] \
    && version_at_least "$(/usr/bin/rustc --version | cut -d' ' -f2)" "$min_rust"
}

debian_rust() {
  if debian_rust_ready; then return 0; fi
  # A rustup from Debian would be removed by rustc-web, which conflicts with it.
  if have dpkg-query && dpkg-query -W -f '${Status}' rustup 2>/dev/null | grep -q '^install ok'; then return 1; fi
  say "  …          the standard library of a target is missing: installing ${debian_rust_packages[*]} with apt" >&2
  apt_install "${debian_rust_packages[@]}" && debian_rust_ready
}

# True if the active rustc has the standard library (or, for bare targets, core) of target $1.
has_std() {
  compgen -G "$(rustc --print target-libdir --target "$1" 2>/dev/null)/libcore-*.rlib" >/dev/null
}

rustup_target() {
  has_std "$1" && return 0
  have rustup && rustup target add "$1" >"$root/.cache/rustup-$1.log" 2>&1 && has_std "$1"
}

setup_rust() {
  if ! have cargo; then
    debian_rust || die "no cargo: install Rust $min_rust or newer with rustup (https://rustup.rs), then run this again"
    installed "cargo, rustc: Debian's rustc-web, because Rust was missing"
  fi
  local version
  version=$(cd "$root" && rustc --version | cut -d' ' -f2)
  if ! version_at_least "$version" "$min_rust"; then
    have rustup || die "rustc $version is older than $min_rust, and rustup is not installed to update it"
    rustup toolchain install "$pinned_rust" --profile minimal --component clippy,rustfmt
    version=$(cd "$root" && rustc --version | cut -d' ' -f2)
    version_at_least "$version" "$min_rust" || die "rustc $version is older than $min_rust: choose a newer toolchain"
    installed "rustc $version: this workspace needs $min_rust"
  else
    found "rustc $version ($(command -v rustc)), at least $min_rust is needed"
  fi
  setup_apt_tool cc "gcc libc6-dev" "cargo needs a linker"
}

setup_components() {
  local tool package
  for tool in rustfmt clippy; do
    package=rust-web-clippy
    if [ "$tool" = rustfmt ]; then package=rustfmt-web; fi
    if cargo "${tool/rustfmt/fmt}" --version >/dev/null 2>&1; then
      found "$tool: $(cargo "${tool/rustfmt/fmt}" --version)"
    elif { have rustup && rustup component add "$tool" >/dev/null 2>&1; } \
      || { [ "$(command -v cargo)" = /usr/bin/cargo ] && apt_install "$package"; }; then
      installed "$tool: make lint runs it"
    else
      lacking "$tool: rustup component add $tool"
    fi
  done
}

setup_wasm() {
  local wanted=${SSA_WASM:-}
  mkdir -p "$root/.cache"
  if [ "$wanted" != debian ] && has_std "$wasm_target"; then
    found "std for $wasm_target: $(rustc --version | cut -d' ' -f1,2)'s own"
    choose SSA_WASM_TOOLCHAIN rustup
  elif [ "$wanted" != debian ] && rustup_target "$wasm_target"; then
    installed "std for $wasm_target: with rustup, for the Wasm filter and its tests"
    choose SSA_WASM_TOOLCHAIN rustup
  elif [ "$wanted" != rustup ] && debian_rust_ready; then
    found "Debian's $(/usr/bin/rustc --version | cut -d' ' -f1,2) with the source of std, which each build compiles for $wasm_target"
    choose SSA_WASM_TOOLCHAIN debian
  elif [ "$wanted" != rustup ] && debian_rust; then
    installed "${debian_rust_packages[*]}: rustup cannot install std for $wasm_target here"
    choose SSA_WASM_TOOLCHAIN debian
  else
    lacking "std for $wasm_target: rustup target add $wasm_target, or apt-get install ${debian_rust_packages[*]}"
    choose SSA_WASM_TOOLCHAIN none
  fi
}

# Linking std for Windows needs import libraries, which dlltool creates.
debian_target() {
  case $1 in
    *-windows-gnu) have x86_64-w64-mingw32-dlltool || apt_install binutils-mingw-w64-x86-64 ;;
  esac
}

# The targets of make cross-check: two foreign systems, and one without std, which proves that `rules` needs none.
setup_cross() {
  local target
  for target in x86_64-pc-windows-gnu aarch64-apple-darwin x86_64-unknown-none; do
    if has_std "$target"; then
      found "std for $target"
      choose "SSA_CROSS_${target//-/_}" rustup
    elif rustup_target "$target"; then
      installed "std for $target: make cross-check compiles for it"
      choose "SSA_CROSS_${target//-/_}" rustup
    elif debian_rust && debian_target "$target"; then
      found "Debian's rustc with the source of std, for $target"
      choose "SSA_CROSS_${target//-/_}" debian
    else
      lacking "std for $target: rustup target add $target"
      choose "SSA_CROSS_${target//-/_}" none
    fi
  done
}

setup_node() {
  if have node; then
    found "node $(node --version): runs the Wasm tests"
  elif apt_install nodejs; then
    installed "node $(node --version): runs the Wasm tests"
  else
    lacking "node: apt-get install nodejs, or any Node.js from 18 on"
  fi
}

# Finds or builds a cargo tool: setup_tool VARIABLE CRATE VERSION BINARY WHY.
setup_tool() {
  local variable=$1 crate=$2 version=$3 binary=$4 why=$5 path=
  if path=$(cargo_tool "$crate" "$version" "$binary"); then
    found "$binary $version ($path)"
  elif say "  …          building $crate $version: $why (a few minutes, once)" && install_cargo_tool "$crate" "$version" \
    && path=$(cargo_tool "$crate" "$version" "$binary"); then
    installed "$binary $version: $why"
  else
    path=
    lacking "$binary $version: $why; see $tools/$crate-$version.log"
  fi
  choose "$variable" "$path"
}

setup_wasm_bindgen() {
  local version
  version=$(locked_version wasm-bindgen)
  if [ -z "$version" ]; then
    say "  not needed wasm-bindgen-test-runner: no crate in Cargo.lock uses wasm-bindgen"
    choose SSA_WASM_BINDGEN_RUNNER ""
    return
  fi
  setup_tool SSA_WASM_BINDGEN_RUNNER wasm-bindgen-cli "$version" wasm-bindgen-test-runner \
    "runs the Wasm tests, of Cargo.lock's version exactly"
}

# Finds a program or installs its packages: setup_apt_tool BINARY "PACKAGE…" WHY.
setup_apt_tool() {
  local binary=$1 why=$3 packages
  read -ra packages <<<"$2"
  if have "$binary"; then
    found "$binary ($(command -v "$binary"))"
  elif apt_install "${packages[@]}" && have "$binary"; then
    installed "$2: $why"
  else
    lacking "$binary: $why; apt-get install $2"
  fi
}

# Tools to create and inspect namespaces.
setup_hosts() {
  setup_apt_tool unshare util-linux "simulated hosts are namespaces"
  setup_apt_tool ps procps "inspects processes in them"
  setup_apt_tool ip iproute2 "creates links and routes between them"
  setup_apt_tool ip6tables iptables "redirects connections to sidecars"
  setup_apt_tool curl curl "the client of the demo"
  setup_apt_tool python3 python3 "runs the demo and the scenarios"
}

setup_envoy() {
  local path
  # hack/envoy.sh prints what it installs.
  if path=$("$root/hack/envoy.sh"); then
    found "Envoy ($path)"
  else
    lacking "Envoy: runs the sidecars; see above"
  fi
}

# The Python linters; their scripts print what they install.
setup_python_tools() {
  local tool path
  for tool in ruff mypy; do
    if path=$("$root/hack/$tool.sh" --path); then
      found "$tool ($path)"
    else
      lacking "$tool: make lint checks the Python code with it; see above"
    fi
  done
}

setup_promtool() {
  local path
  if path=$("$root/hack/promtool.sh"); then
    found "promtool ($path): tests the chart's alerts"
  else
    lacking "$path"
  fi
}

# What examples/NAME runs: setup_example NAME; or what its scenario runs, for which nothing is built: setup_example NAME
# short. A line of its file `tools` is `apt BINARY PACKAGE`, `module MODULE PACKAGE` for Python, `plugin NAME PACKAGE`
# for nbdkit, `script NAME` for hack/NAME.sh, which prints a path, or `cargo CRATE BINARY`; and why, after a colon.
setup_example() {
  local kind name package why path
  while IFS=: read -r line why; do
    read -r kind name package <<<"$line"
    case $kind in
      '' | '#'*) ;;
      plugin)
        if nbdkit --dump-plugin "$name" >/dev/null 2>&1; then
          found "nbdkit's plugin $name: examples/$1:$why"
        elif apt_install "$package" && nbdkit --dump-plugin "$name" >/dev/null 2>&1; then
          installed "$package: examples/$1:$why"
        else
          lacking "nbdkit's plugin $name: apt-get install $package"
        fi
        ;;
      module)
        if /usr/bin/python3 -c "import $name" >/dev/null 2>&1; then
          found "$name of /usr/bin/python3: examples/$1:$why"
        elif apt_install "$package" && /usr/bin/python3 -c "import $name" >/dev/null 2>&1; then
          installed "$package: examples/$1:$why"
        else
          lacking "$name of /usr/bin/python3: apt-get install $package"
        fi
        ;;
      apt) setup_apt_tool "$name" "$package" "examples/$1:$why" ;;
      cargo)
        if [ -z "${2:-}" ]; then
          path=${package^^}
          setup_tool "SSA_${path//-/_}" "$name" "$(tool_version "$name")" "$package" "examples/$1:$why"
        fi
        ;;
      script)
        if path=$("$root/hack/$name.sh"); then
          found "$name ($path): examples/$1:$why"
        else
          lacking "$path"
        fi
        ;;
    esac
  done <"$root/examples/$1/tools"
}

# Servers that the tests of cluster/ start as processes; without one, the cases of its store are ignored, and say so.
setup_stores() {
  local server path
  for server in etcd kube-apiserver; do
    if path=$("$root/hack/$server.sh"); then
      found "$server ($path): the tests of ssa-cluster keep objects in it"
    else
      say "  not here   $path"
    fi
  done
  setup_apt_tool openssl openssl "makes the key with which a test's API server signs tokens"
}

if [ "$quiet" = 0 ]; then say "setup for ${profiles[*]}: found and installed tools, and why"; fi
mkdir -p "$root/.cache"
# Servers are in directories that only root has in PATH.
export PATH=$PATH:/usr/sbin:/sbin
setup_rust
if wanted lint; then setup_components; fi
if wanted module lint wasm envoy chart demo e2e kind; then setup_wasm; fi
if wanted cross; then setup_cross; fi
if wanted wasm; then
  setup_node
  setup_wasm_bindgen
fi
if wanted lint; then
  setup_tool SSA_CARGO_DENY cargo-deny "$(locked_version cargo-deny "$tools_lock")" cargo-deny "make lint checks licences and sources with it"
  setup_apt_tool shellcheck shellcheck "make lint checks the scripts with it"
  setup_apt_tool python3 python3 "installs ruff and mypy, which check the Python code"
  setup_python_tools
fi
if wanted native demo e2e; then setup_apt_tool named bind9 "the DNS server of the demo, the scenarios and the tests of ssa resolve"; fi
if wanted native; then
  setup_apt_tool unshare util-linux "tests of ssa-cluster run in namespaces"
  setup_apt_tool ip iproute2 "tests of ssa-cluster compare what it shows"
  setup_apt_tool nft nftables "ssa-cluster sets its ruleset with it"
  setup_apt_tool knotd knot "tests of ssa resolve query it too"
  setup_apt_tool redis-server redis-server "the key-value store of the tests of ssa-client"
  setup_apt_tool python3 python3 "the servers of the tests of ssa-client"
  setup_stores
  setup_apt_tool valgrind valgrind "tests and make bench-rules count instructions with it"
fi
if wanted chart; then
  setup_apt_tool jq jq "the slice script, which the chart's checks run, reads plans with it"
  setup_promtool
fi
if wanted kind; then setup_apt_tool redis-check-rdb redis-tools "a scenario in the cluster runs a replicated Redis"; fi
if wanted e2e; then setup_apt_tool musl-gcc musl-tools "a scenario queries the DNS front with musl's getaddrinfo"; fi
if wanted e2e; then setup_apt_tool nft nftables "a scenario blocks UDP with it"; fi
if wanted demo chart; then setup_hosts; fi
if wanted demo; then setup_envoy; fi
if wanted e2e; then for folder in "$root"/e2e/example/*/; do setup_example "$(basename "$folder")" short; done; fi
for example in ${examples[@]+"${examples[@]}"}; do setup_example "$example"; done

# Keep the choices of other profiles.
kept=()
if [ -f "$toolchain_env" ]; then
  while IFS= read -r line; do
    case $line in '' | '#'*) continue ;; esac
    for choice in "${choices[@]}"; do
      if [ "${line%%=*}" = "${choice%%=*}" ]; then continue 2; fi
    done
    kept+=("$line")
  done <"$toolchain_env"
fi
{
  say "# Written by hack/setup.sh for this machine; delete it to choose again."
  printf '%s\n' ${kept[@]+"${kept[@]}"} ${choices[@]+"${choices[@]}"}
} >"$toolchain_env.new"
mv "$toolchain_env.new" "$toolchain_env"
if [ "$missing" -gt 0 ]; then
  say "setup: $missing missing (above); checks that need them fail or are skipped, and say so"
  exit "$strict"
fi
if [ "$quiet" = 0 ]; then say "setup: complete"; fi
