#!/bin/sh
# The application: HTTP, and gRPC on a port for each protocol.
# shellcheck disable=SC2016,SC3028 # what is written is for another shell; the kubelet sets HOSTNAME
mkdir -p /tmp/www/cgi-bin && echo "$HOSTNAME" >/tmp/www/index.html
printf '#!/bin/sh\necho; echo "$HTTP_HOST $HTTP_X_FORWARDED_CLIENT_CERT"\n' >/tmp/www/cgi-bin/peer
printf '#!/bin/sh\nsleep 3; echo; echo slow\n' >/tmp/www/cgi-bin/slow
chmod +x /tmp/www/cgi-bin/*
for port in 50050 50051 50052 50054; do /opt/grpc/server --port $port & done
/opt/grpc/server --port 50053 --use_tls --tls_cert_file /opt/tls/cert --tls_key_file /opt/tls/key &
exec busybox httpd -f -p "[::]:8080" -h /tmp/www
