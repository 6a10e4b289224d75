"""Dials the sidecar, and prints what came of it: pod_client.py NUMBER EXPECTED LISTENS PID-OF-ENVOY.

The application listens on the pod's own address alone where nothing else is said, and speaks first; clients say
nothing.
"""

import contextlib
import json
import os
import socket
import sys
import threading
import time
import urllib.request

application = socket.create_server((sys.argv[3], 9000), family=socket.AF_INET6, backlog=512)


def serve():
    while True:
        connection, _ = application.accept()
        with contextlib.suppress(OSError), connection:
            connection.sendall(b"banner")


threading.Thread(target=serve, daemon=True).start()


def admin(path):
    with urllib.request.urlopen("http://[::1]:15000/" + path, timeout=10) as answer:
        return answer.read().decode()


def stats(words):
    return {one["name"]: one.get("value") for one in json.loads(admin("stats?format=json&filter=" + words))["stats"]}


def dial(address):
    try:
        with socket.create_connection((address, 9000), timeout=20, source_address=("fd00::c", 0)) as connection:
            return connection.recv(6).decode()
    except ConnectionError:
        return ""


def ready():
    with contextlib.suppress(OSError):
        return admin("ready") == "LIVE\n"


end = time.monotonic() + 60
# Where it waits for a first answer: in some cases there is none.
while not ready() or (sys.argv[2] == "served" and dial("2001:db8:5::1") != "banner"):
    os.kill(int(sys.argv[4]), 0)
    assert time.monotonic() < end, "the sidecar serves nothing"
    time.sleep(0.1)
numbers = range(1, 1 + int(sys.argv[1]))
answers = [dial(f"2001:db8:5:0:{'ffff:' if number % 2 else ''}:{number:x}") for number in numbers]
wanted = "membership_total|extension_config_missing|ssa_inbound_connections"
print(json.dumps({"answers": sorted(set(answers)), "stats": stats(wanted)}))
