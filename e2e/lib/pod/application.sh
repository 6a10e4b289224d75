#!/bin/sh
# The application of pods: HTTP on 8080, with a page of the identity that it was told; the same on 9000, which the mesh
# takes for TCP; on 9001 it speaks first, and says again what it is told.
# shellcheck disable=SC2016,SC3028 # what is written is for another shell; the kubelet sets HOSTNAME
mkdir -p /tmp/www/cgi-bin
echo "$HOSTNAME" >/tmp/www/index.html
printf '#!/bin/sh\necho; echo "$HTTP_X_FORWARDED_CLIENT_CERT"\n' >/tmp/www/cgi-bin/peer
printf '#!/bin/sh\necho "%s"; read -r line; echo "got $line"\n' "$HOSTNAME" >/tmp/talk
chmod +x /tmp/www/cgi-bin/peer /tmp/talk
busybox httpd -p 8080 -h /tmp/www
busybox httpd -p 9000 -h /tmp/www
exec busybox nc -ll -p 9001 -e /tmp/talk
