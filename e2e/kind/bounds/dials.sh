#!/usr/bin/env bash
# Dials NUMBER addresses of a form, each once, and tells how many answered: dials.sh FORM NUMBER.
answered=0
for ((number = 1; number <= $2; number++)); do
  # shellcheck disable=SC2059 # it is a form
  printf -v address "$1" "$number"
  if exec 3<>"/dev/tcp/$address/9000"; then
    printf 'GET / HTTP/1.0\r\n\r\n' >&3
    if read -r -t 10 _ <&3; then answered=$((answered + 1)); fi
    exec 3>&-
  fi
done 2>/dev/null
echo "$answered"
