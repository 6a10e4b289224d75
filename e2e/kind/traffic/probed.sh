#!/bin/sh
# A probe by command: it counts itself.
printf '#!/bin/sh\necho >>/tmp/probed; echo; echo well\n' >/tmp/www/cgi-bin/probe
chmod +x /tmp/www/cgi-bin/probe
