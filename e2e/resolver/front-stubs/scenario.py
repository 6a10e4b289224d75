"""Stub resolvers work with the DNS front: Envoy's STRICT_DNS (c-ares, with cookies) and glibc's getaddrinfo.

Topology: a router, a DNS server (BIND, which returns cookies), another that refuses everything, a resolver host with
the shim's front, a client with an Envoy.

Expected: Envoy's cluster for a service gets composed addresses, although the same front forwards the server's answers
about another name; no update fails. If the first server refuses, the second answers. When the DNS disappears,
getaddrinfo returns the composed address and the known IPv4 address at once, with TTLs above 0; when it comes back, they
are the server's again.
"""

import ipaddress
import re
import subprocess
import sys
import time
from typing import Any

from lib import resolver, timeouts
from lib.claims import find
from lib.files import Files
from lib.front import Stub
from lib.stage import Stage

FILES = Files(__file__)
LIMIT = 180
LIGHT = True
# The second has IPv6 addresses only.
SERVICES = ("web", "six")


def run(stage: Stage) -> None:
    dns = stage.net.host("dns", "2001:db8:0:53::53")
    refusing = stage.net.host("refusing", "2001:db8:0:55::53")
    host = stage.net.host("front", "2001:db8:0:54::53")
    one = stage.net.host("one", "2001:db8:0:1::10")
    zone = resolver.NameServer(stage, dns, "bind")
    zone.publish(FILES.text("zone"))
    stage.start(refusing, "refusing", [sys.executable, FILES.folder / "refusing.py", refusing.address])
    stage.wait(
        timeouts.SOON,
        "the other server refuses",
        lambda: resolver.ask(refusing, refusing.address, "demo.test", "SOA", 0.5),
    )
    shim = resolver.Shim(stage, host, FILES.later("resolver.json"))
    for name in SERVICES:
        shim.wait_state(name, "outbound", "usable")
    stub = Stub(stage, one, host.address)

    stage.note("Envoy's STRICT_DNS")
    folder = stage.work / "strict"
    folder.mkdir()
    wanted = ("other", "web6", "web4")
    (folder / "envoy.yaml").write_text(FILES.text("envoy.yaml"))
    command = [
        stage.tools["envoy"],
        "-c",
        "envoy.yaml",
        "--concurrency",
        1,
        "--log-level",
        "warning",
        "--disable-hot-restart",
    ]
    envoy = stage.start(one, "strict/output", command, cwd=folder)

    def admin(path: str) -> str:
        done = subprocess.run(
            ["curl", "-s", "--unix-socket", folder / "admin.sock", f"http://admin/{path}"],
            capture_output=True,
            text=True,
        )
        return done.stdout

    def updates(cluster: str, result: Any) -> int:
        found = re.search(
            rf"cluster\.{cluster}\.update_{result}: (\d+)", admin(f"stats?filter=cluster.{cluster}.update_")
        )
        return int(found[1]) if found else 0

    stage.wait(
        timeouts.STARTED,
        "each cluster is updated 5 times",
        lambda: all(updates(name, "success") >= 5 for name in wanted),
    )
    for name in wanted:
        stage.claim(f"updates of {name} that fail", 0, updates(name, "failure"))
    address = find(r"web6::\[(\S+?)\]:80::", admin("clusters"))[1]
    stage.claim(
        "its address is composed",
        True,
        ipaddress.ip_address(address) in ipaddress.ip_network(FILES.published()["web"].items[0]),
    )
    stage.claim_in("the IPv4 address is the server's", "192.0.2.7:80::", admin("clusters"))
    stage.stop(envoy)

    def found(name: str) -> tuple[int, list[str], float]:
        """Returns what getaddrinfo gives, and how long it takes."""
        began = time.monotonic()
        status, told = stub.getaddrinfo(name)
        took = time.monotonic() - began
        addresses = set(told.splitlines()) if status == 0 else set()
        composed = {one for one in addresses if one.startswith(("2001:db8:5:1:", "2001:db8:5:2:"))}
        return len(composed), sorted(addresses - composed), took

    stage.note("getaddrinfo")
    stage.claim("with the DNS", (1, ["192.0.2.7"]), found("web.demo.test")[:2])
    stage.claim("a name with IPv6 addresses only", (1, []), found("six.demo.test")[:2])
    zone.stop()
    for name in SERVICES:
        shim.wait_state(name, "outbound", "stale", timeouts.INTERVAL)
    for name, others in (("web.demo.test", ["192.0.2.7"]), ("six.demo.test", [])):
        composed, rest, took = found(name)
        stage.claim(f"without the DNS, of {name}", (1, others), (composed, rest))
        stage.claim_between("within ms", 0, 2500, round(1000 * took))
    told = stub.dig("web.demo.test", "A")
    stage.claim("TTL of a stale answer", "30", find(r"\s(\d+)\s+IN\s+A\s+192", told)[1])
    stage.wait(
        timeouts.SOON,
        "what is composed from expired records is told for 30 s",
        lambda: stub.address("web.demo.test")[1] == 30,
    )
    zone.start()
    shim.wait_state("web", "outbound", "usable", timeouts.INTERVAL)
    stage.claim("with the DNS again", "3", find(r"\s(\d+)\s+IN\s+A\s+192", stub.dig("web.demo.test", "A"))[1])
    stage.claim("exit status of the shim", 0, shim.stop())
