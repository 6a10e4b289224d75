"""Stands in for the resolver of a host: serves snapshots on a Unix socket: snapshots.py FOLDER.

FOLDER/resolver.sock answers GET /v1/inbound and /v1/outbound by FOLDER/inbound.json and FOLDER/outbound.json, which
others replace whole (write a file, rename it). Answers have an ETag. Who has that one already, and says so by
`if-none-match`, gets 304; with `prefer: wait=N` not before N seconds, in which a change is answered at once.
"""

import hashlib
import http.server
import os
import re
import socketserver
import sys
import time
from pathlib import Path

FOLDER = Path(sys.argv[1])
# How often it looks for a change, in seconds.
PAUSE = 0.05
LONGEST_WAIT = 300


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path not in ("/v1/inbound", "/v1/outbound"):
            return self.answer(404)
        wanted = re.search(r"wait=(\d+)", self.headers.get("prefer", ""))
        until = time.monotonic() + min(int(wanted.group(1)) if wanted else 0, LONGEST_WAIT)
        file = FOLDER / f"{self.path.removeprefix('/v1/')}.json"
        while True:
            try:
                body = file.read_bytes()
            except FileNotFoundError:
                return self.answer(404)
            etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            if etag != self.headers.get("if-none-match"):
                return self.answer(200, etag, body)
            if time.monotonic() >= until:
                return self.answer(304, etag)
            time.sleep(PAUSE)

    def answer(self, status, etag=None, body=b""):
        self.send_response(status)
        if etag:
            self.send_header("etag", etag)
        if status != 304:
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


# Snapshots hold secrets.
os.umask(0o077)
Server(str(FOLDER / "resolver.sock"), Handler).serve_forever()
