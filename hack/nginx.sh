#!/usr/bin/env bash
# Prints the path of nginx, the server of several examples: the one in PATH, or else Debian's, extracted from its package into
# the cache, because installing the package would start a server. Exits 77 with the reason if there is none.
#
#   SSA_NGINX=PROGRAM   use this one instead
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ -n "${SSA_NGINX:-}" ]; then
  [ -x "$SSA_NGINX" ] || die "SSA_NGINX=$SSA_NGINX is not executable"
  echo "$SSA_NGINX"
  exit 0
fi
export PATH=$PATH:/usr/sbin:/sbin
if have nginx; then
  command -v nginx
  exit 0
fi
if ! found=$(debian_program nginx nginx usr/sbin/nginx -v); then
  say "nginx is missing: $found; https://nginx.org/en/docs/install.html, and SSA_NGINX=PROGRAM"
  exit 77
fi
echo "$found"
