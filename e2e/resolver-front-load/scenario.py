"""How many queries the shim's DNS front answers, beside the server asked directly.

Topology: a router, a BIND, a resolver host with the front, a client with a program that keeps 100 queries under way.

Expected: fewer than one in a hundred queries is lost, whether its answer is composed or passed on; the shim stays below
30 MB. Rates, their ratio to the server's own, and CPU time are printed; on a busy machine CPU time alone says something.
"""

import json
import os
import subprocess
import sys

from lib import resolver
from lib.service import Service

LIMIT = 120
LONG = True
WEB = Service(1, "web", "v=ssa1; addr=hash(src/128):20 rand:44")
SECONDS, WINDOW = 4, 100
# Asks without end for so many seconds: ASKER SERVER QUERY_IN_HEX SECONDS WINDOW. A query that is not answered in a second
# is lost, and another takes its place.
ASKER = """
import json, select, socket, sys, time
server, query, seconds, window = sys.argv[1], bytes.fromhex(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
asking = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
asking.connect((server, 53))
asking.setblocking(False)
rest, number, sent, answered, lost, failed = query[2:], 0, {}, 0, 0, 0
began = last = time.monotonic()
while True:
    now = time.monotonic()
    if now - last > 0.1:
        late = [one for one, at in sent.items() if now - at > 1]
        lost += len(late)
        for one in late:
            del sent[one]
        last = now
    ended = now - began > seconds
    if ended and not sent:
        break
    while not ended and len(sent) < window:
        number = (number + 1) % 65536
        if number in sent:
            continue
        asking.send(number.to_bytes(2, "big") + rest)
        sent[number] = now
    select.select([asking], [], [], 0.05)
    while True:
        try:
            answer = asking.recv(4096)
        except BlockingIOError:
            break
        if sent.pop(int.from_bytes(answer[:2], "big"), None) is not None:
            answered += 1
            failed += answer[3] & 15 != 0
print(json.dumps({"answered": answered, "lost": lost, "failed": failed, "seconds": seconds}))
"""


def question(name, kind):
    """Returns a query in hexadecimal."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    return (b"\0\0\1\0\0\1\0\0\0\0\0\0" + labels + kind.to_bytes(2, "big") + b"\0\1").hex()


def cpu(process):
    """Seconds of CPU time that a process has used."""
    with open(f"/proc/{process.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(stage):
    dns = stage.net.host("dns", "2001:db8:0:53::53")
    host = stage.net.host("front", "2001:db8:0:54::53")
    client = stage.net.host("one", "2001:db8:0:1::10")
    zone = resolver.NameServer(stage, dns)
    zone.publish(WEB, ttl=20, more=[("web", "A 192.0.2.7")])
    front = {"listen": [f"[{host.address}]:53"], "clients": ["2001:db8:0:1::/64"]}
    shim = resolver.Shim(stage, host, [dns.address], [resolver.entry(WEB, "outbound")], front=front)
    shim.wait_state("web", "outbound", "usable")

    def ask(what, server, kind):
        command = [sys.executable, "-c", ASKER, server, question("web.demo.test", kind), str(SECONDS), str(WINDOW)]
        before = cpu(shim.process)
        with client:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        told = json.loads(done.stdout)
        rate = told["answered"] / SECONDS
        used = cpu(shim.process) - before
        stage.note(f"        {what}: {rate:.0f} queries/s, {1e6 * used / (told['answered'] or 1):.0f} µs of the shim's CPU for each")
        stage.claim_between(f"lost, {what}", 0, told["answered"] // 100, told["lost"])
        stage.claim(f"answered with an error, {what}", 0, told["failed"])
        return rate

    direct = ask("the server asked directly", dns.address, 1)
    passed = ask("passed on", host.address, 1)
    composed = ask("composed", host.address, 28)
    stage.note(f"        passed on {passed / direct:.2f}, composed {composed / direct:.2f} times the server's own rate")
    stage.claim_between("memory in kB", 1, 30_000, shim.resident())
    stage.claim("the shim ends well", 0, shim.stop())
