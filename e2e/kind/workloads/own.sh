#!/bin/sh
# Beside the page of the web server something that is its own, on the port of the other service.
# shellcheck disable=SC2016,SC3028 # what is written is for another shell; the kubelet sets HOSTNAME
mkdir /tmp/www && echo "$HOSTNAME" >/tmp/www/index.html
printf '#!/bin/sh\necho "own of %s"\n' "$HOSTNAME" >/tmp/own && chmod +x /tmp/own
busybox nc -ll -p 6379 -e /tmp/own &
exec busybox httpd -f -p "[::]:8080" -h /tmp/www
