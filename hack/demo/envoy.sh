#!/usr/bin/env bash
# Local stopgap, not tracked: the script moved to hack/envoy.sh.
exec "$(dirname "$0")/../envoy.sh"
