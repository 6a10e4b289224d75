#!/usr/bin/env bash
# Prints the directory of grpc-go's interoperability programs, `server` and `client`; builds them if they are missing.
# Exits 77 without Go.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version=v1.76.0
into=$tools/grpc-$version
if ! [ -x "$into/server" ] || ! [ -x "$into/client" ]; then
  if ! have go; then
    say "building grpc-go's programs needs go: https://go.dev/doc/install"
    exit 77
  fi
  mkdir -p "$into"
  # From elsewhere, so that no go.mod and no work file has a say in it.
  for program in server client; do
    (cd "$into" && GOBIN=$into GOFLAGS='' CGO_ENABLED=0 go install -trimpath -ldflags='-s -w' \
      "google.golang.org/grpc/interop/$program@$version") >"$into/$program.log" 2>&1 \
      || die "grpc-go $version failed to build: $into/$program.log"
  done
fi
echo "$into"
