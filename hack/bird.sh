#!/usr/bin/env bash
# Prints the path of BIRD 2, whose birdc is beside it. If it is missing, it is extracted from Debian's packages into the
# cache, because installing the package would start a daemon that touches this machine's routes. Exits 77 with the reason
# if it is not available.
#
#   SSA_BIRD=PROGRAM   use this one instead
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ -n "${SSA_BIRD:-}" ]; then
  [ -x "$SSA_BIRD" ] || die "SSA_BIRD=$SSA_BIRD is not executable"
  echo "$SSA_BIRD"
  exit 0
fi
if have bird && have birdc; then
  command -v bird
  exit 0
fi
kept=$tools/bird2/bin/bird
if [ ! -x "$kept" ]; then
  log=$root/.cache/bird.log
  cannot() {
    say "BIRD is missing: $*; apt-get install bird2, or SSA_BIRD=PROGRAM"
    exit 77
  }
  if ! have apt-get || ! have dpkg-deb; then cannot "there is no apt to take it from"; fi
  mkdir -p "$tools" "$root/.cache"
  new=$(mktemp -d "$tools/bird2.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  # apt compares the files with its archive's signed index.
  download() { (cd "$new" && apt-get download -q bird2 libssh-gcrypt-4) </dev/null >>"$log" 2>&1; }
  if ! download; then
    { prefix=$(root_prefix) && $prefix apt-get update -q </dev/null >>"$log" 2>&1 && download; } \
      || cannot "apt has no packages bird2 and libssh-gcrypt-4 ($log)"
  fi
  for package in "$new"/*.deb; do dpkg-deb -x "$package" "$new/package"; done
  rm -f "$new"/*.deb
  mkdir "$new/bin"
  for program in bird birdc; do
    # Its library is none that the system knows.
    cat >"$new/bin/$program" <<EOS
#!/bin/sh
LD_LIBRARY_PATH=\$(echo "$tools"/bird2/package/usr/lib/*-linux-gnu) exec "$tools/bird2/package/usr/sbin/$program" "\$@"
EOS
    chmod 755 "$new/bin/$program"
  done
  chmod 755 "$new"
  mv -T "$new" "$tools/bird2" 2>/dev/null || [ -x "$kept" ]
  "$kept" --version >/dev/null 2>&1 || cannot "that of Debian's package does not run"
fi
echo "$kept"
