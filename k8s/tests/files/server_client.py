"""Opens heads that are never finished, and asks for modules that it does not read; then asks as an agent does:

server_client.py PID-OF-ENVOY
"""

import contextlib
import json
import os
import socket
import sys
import time
import urllib.request

envoy = int(sys.argv[1])


def memory():
    return next(int(line.split()[1]) for line in open(f"/proc/{envoy}/status") if line.startswith("VmHWM")) // 1024


def module():
    try:
        with urllib.request.urlopen("http://[::1]:8080/ssa_filter.wasm", timeout=10) as answer:
            return len(answer.read())
    except OSError:
        return 0


def until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        os.kill(envoy, 0)
        assert time.monotonic() < end, what
        time.sleep(0.2)


until(module, 60, "it never serves")


def open_with(text):
    connection = socket.create_connection(("::1", 8080), timeout=20)
    with contextlib.suppress(OSError):
        connection.sendall(text)
    return connection


half = open_with(b"GET /ssa_filter.wasm HTTP/1.1\r\nHost: a\r\nX: ")
began = time.monotonic()
# 408 Request Timeout, and the end.
answer = b"".join(iter(lambda: half.recv(4096), b""))
waited = time.monotonic() - began
heads = [open_with(b"GET /ssa_filter.wasm HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 4000) for _ in range(3000)]
until(module, 60, "it serves nothing any more, after heads")
unread = [open_with(b"GET /ssa_filter.wasm HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(1000)]
until(module, 90, "it serves nothing any more, after answers that nobody reads")
first = answer.split(b"\r\n")[0].decode()
print(json.dumps({"answer": first, "waited": waited, "memory": memory(), "module": module()}))
