#!/usr/bin/env bash
# Prints a directory with FRR's zebra, bgpd and bfdd. If they are missing, they are extracted from Debian's packages into
# the cache, because installing the package would start daemons that touch this machine's routes. Exits 77 with the reason
# if they are not available.
#
#   SSA_FRR=DIRECTORY   use the programs in this directory instead
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ -n "${SSA_FRR:-}" ]; then
  [ -x "$SSA_FRR/zebra" ] || die "SSA_FRR=$SSA_FRR has no executable zebra"
  echo "$SSA_FRR"
  exit 0
fi
if [ -x /usr/lib/frr/zebra ]; then
  echo /usr/lib/frr
  exit 0
fi
kept=$tools/frr
if [ ! -x "$kept/bin/zebra" ]; then
  log=$root/.cache/frr.log
  cannot() {
    say "FRR is missing: $*; apt-get install frr, or SSA_FRR=DIRECTORY"
    exit 77
  }
  if ! have apt-get || ! have dpkg-deb; then cannot "there is no apt to take it from"; fi
  mkdir -p "$tools" "$root/.cache"
  new=$(mktemp -d "$tools/frr.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  packages=(frr libyang2 libprotobuf-c1 libcares2 libjson-c5 libpcre2-8-0)
  # The name of a library's package differs between releases; what is missing, the system may have.
  download() {
    local package
    for package in "${packages[@]}"; do
      (cd "$new" && apt-get download -q "$package") </dev/null >>"$log" 2>&1 || [ "$package" != frr ] || return 1
    done
  }
  if ! download; then
    { prefix=$(root_prefix) && $prefix apt-get update -q </dev/null >>"$log" 2>&1 && download; } \
      || cannot "apt has no package frr ($log)"
  fi
  for package in "$new"/*.deb; do dpkg-deb -x "$package" "$new/package"; done
  rm -f "$new"/*.deb
  mkdir "$new/bin"
  for program in zebra bgpd bfdd; do
    # Its libraries are none that the system knows.
    cat >"$new/bin/$program" <<EOS
#!/bin/sh
libraries=\$(echo "$kept"/package/usr/lib/*-linux-gnu)
LD_LIBRARY_PATH=\$libraries/frr:\$libraries exec "$kept/package/usr/lib/frr/$program" "\$@"
EOS
    chmod 755 "$new/bin/$program"
  done
  chmod 755 "$new"
  mv -T "$new" "$kept" 2>/dev/null || [ -x "$kept/bin/zebra" ]
  "$kept/bin/zebra" --version >/dev/null 2>&1 || cannot "that of Debian's package does not run"
fi
echo "$kept/bin"
