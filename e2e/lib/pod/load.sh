#!/usr/bin/env bash
# load.sh URL RATE LANES TIMEOUT: each lane is curl after curl, every one of a second's requests. A lane ends well, and asks the
# DNS every second.
lane() {
  while [ ! -e "$stop" ]; do
    date +%s
    curl -s -o /dev/null --http1.0 -m "$timeout" --rate "$rate/s" \
      -w '%{http_code} %{exitcode} %{time_total} %{errormsg}\n' "$url?[1-$rate]"
  done
}
url=$1 rate=$2 lanes=$3 timeout=$4 stop=$(mktemp -u)
while [ "$lanes" -gt 0 ]; do lane & lanes=$((lanes - 1)); done
cat >/dev/null
: >"$stop"
wait
