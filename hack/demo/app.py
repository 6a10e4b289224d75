"""An unmodified application: an HTTP server on loopback that answers its host's name. It knows nothing of SSA.

/hold answers a line five times a second for as long as the client listens: a connection that lasts.
"""

import http.server
import socket
import sys
import time


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/hold"):
            return self.hold()
        body = f"{sys.argv[1]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def hold(self):
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(f"{sys.argv[1]}\n".encode())
                time.sleep(0.2)
        except OSError:
            pass

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 512


Server(("::1", 8080), Handler).serve_forever()
