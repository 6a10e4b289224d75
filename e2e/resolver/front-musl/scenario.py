"""musl's getaddrinfo, for which one failed query is failure, works with the DNS front when the DNS disappears.

Topology: a router, a DNS server, a resolver host with the shim's front, a client with a program built by musl-gcc.

Expected: with the DNS and without it, the program gets the composed address and the IPv4 address that was known; for a
service that nobody queried before, only the composed address.
"""

import shutil
import subprocess
import time

from lib import resolver, timeouts
from lib.claims import Broken, Skip
from lib.files import Files
from lib.front import Stub
from lib.stage import Stage

FILES = Files(__file__)
LIGHT = True


def run(stage: Stage) -> None:
    compiler = shutil.which("musl-gcc")
    if not compiler:
        raise Skip("there is no musl-gcc: apt-get install musl-tools")
    program = stage.work / "find"
    built = subprocess.run(
        [compiler, "-static", "-o", program, FILES.folder / "find.c"], capture_output=True, text=True
    )
    if built.returncode:
        raise Broken(f"musl-gcc: {built.stderr}")
    dns = stage.net.host("dns", "2001:db8:0:53::53")
    host = stage.net.host("front", "2001:db8:0:54::53")
    one = stage.net.host("one", "2001:db8:0:1::10")
    zone = resolver.NameServer(stage, dns)
    zone.publish(FILES.text("zone"))
    shim = resolver.Shim(stage, host, FILES.later("resolver.json"))
    for name in ("web", "new"):
        shim.wait_state(name, "outbound", "usable")
    stub = Stub(stage, one, host.address)

    def found(name: str) -> tuple[tuple[int, int, list[str]], float]:
        """Returns its exit status, how many addresses are composed, and the others; and how long it takes."""
        began = time.monotonic()
        status, told = stub.run(program, name)
        lines = told.splitlines()
        composed = [line for line in lines if line.startswith("2001:db8:5:")]
        return (status, len(composed), [line for line in lines if line not in composed]), time.monotonic() - began

    stage.claim("with the DNS", (0, 1, ["192.0.2.7"]), found("web.demo.test")[0])
    zone.stop()
    for name in ("web", "new"):
        shim.wait_state(name, "outbound", "stale", timeouts.INTERVAL)
    for name, others in (("web.demo.test", ["192.0.2.7"]), ("new.demo.test", [])):
        answer, took = found(name)
        stage.claim(f"without it, of {name}", (0, 1, others), answer)
        stage.claim_between("within ms", 0, 2500, round(1000 * took))
    stage.claim("exit status of the shim", 0, shim.stop())
