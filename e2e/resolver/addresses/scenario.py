"""The shim follows its host: the source addresses that the kernel selects, and the servers of resolv.conf.

Topology: a client with a sidecar and a shim, a router, a server with a sidecar and a shim, a host with only a shim, a
DNS server, and another that becomes the system's.

Configuration: envoy/client.yaml, its cluster bound to no address; the rule hashes the source. The lone shim has no
`dns.servers`, and a resolv.conf whose first server does not exist.

Expected: while connections are open the client gains an address that is nearer to the service, and loses it again. Both
times the snapshot names the right source within seconds, long before the next regular check; connections are refused
only between the change and the snapshot. The lone shim asks the second server; while resolv.conf is empty nothing
changes, and when it names another server, that one is asked, without a signal.
"""

import time
from typing import Any

from lib import resolver, timeouts
from lib.files import Files
from lib.net import Host
from lib.stage import Stage, address

LIMIT = 120
LIGHT = True
FILES = Files(__file__)
WEB = FILES.published()["web"]
# More leading bits in common with the service than the client's own.
NEARER = "2001:db8:4::10"
RATE = 20
OWN_RESOLV_CONF = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"']


class Alone(resolver.Shim):
    """A shim with a resolv.conf of its own."""

    def __init__(self, stage: Stage, host: Host, conf: Any) -> None:
        self.wrapper = [*OWN_RESOLV_CONF, conf]
        super().__init__(stage, host, FILES.later("alone-resolver.json"))


def run(stage: Stage) -> None:
    dns = stage.net.host("dns", "2001:db8:0:53::53")
    client = stage.net.client()
    server = stage.net.server(1, WEB.prefixes)
    for prefix in WEB.prefixes:
        stage.net.route(prefix, server)
    stage.application(server)
    zone = resolver.NameServer(stage, dns)
    zone.publish(FILES.text("zone"))
    far, _ = resolver.sidecar(stage, server, FILES.server(), FILES.later("server-resolver.json"))
    near, shim = resolver.sidecar(
        stage, client, FILES.client(), FILES.later("client-resolver.json"), patch=FILES.text("client.patch")
    )
    stage.begin(far, near)

    def sources() -> set[str]:
        return {one["source"] for one in shim.fetch("outbound")[2]["services"][0]["sources"]}

    def conforming_from(source: str | None) -> bool:
        far.mark()
        if stage.dial(client, WEB.plain, timeout=timeouts.LOSSY_EXCHANGE).kind != "served":
            return False
        lines = [line for line in far.logged(1) if line["verdict"] == "conforming"]
        return any(str(address(line["source"])) == source for line in lines)

    stage.claim("source in the snapshot", {client.address}, sources())
    load = stage.load(client, destinations=[WEB.plain], rate=RATE, timeout=timeouts.LOSSY_EXCHANGE)
    stage.wait(timeouts.SOON, "connections conform", lambda: far.inbound(verdict="conforming") > RATE)
    stage.net.router.ip(f"route replace {NEARER}/128 via {client.address}")
    changes = []
    for what, command, source in (
        ("a nearer address", f"address add {NEARER}/128 dev eth0 nodad", NEARER),
        ("without it", f"address del {NEARER}/128 dev eth0", client.address),
    ):
        stage.note(what)
        before, began = time.time(), time.monotonic()
        client.ip(command)
        stage.wait(timeouts.SOON, f"the snapshot has {source}", lambda: sources() == {source})
        # Without the kernel's word it would be asked every 30 s.
        stage.claim_between("seconds until the snapshot has it", 0, 5, round(time.monotonic() - began, 2))
        stage.wait(timeouts.SOON, f"connections conform from {source}", lambda: conforming_from(source))
        changes.append((before, time.time()))
        so_far = far.inbound(verdict="conforming")
        stage.wait(timeouts.SOON, "connections continue", lambda: far.inbound(verdict="conforming") > so_far + 2 * RATE)
    told = load.end()
    stage.note(f"        {told['opened']} connections, {told['opened'] - told['answered']} without an answer")
    # A connection is told of when it has ended, which may take its whole time.
    outside = [
        one
        for one in told["samples"]
        if not any(began <= one[0] <= ended + timeouts.LOSSY_EXCHANGE + 1 for began, ended in changes)
    ]
    stage.claim("connections without an answer, except at the changes", [], outside)
    most = sum(RATE * (ended - began + 1) for began, ended in changes)
    stage.claim_between("connections without an answer", 0, round(most), told["opened"] - told["answered"])

    stage.note("the servers of resolv.conf")
    host = stage.net.host("alone", "2001:db8:0:3::10")
    conf = stage.work / "resolv.conf"
    conf.write_text(f"nameserver 2001:db8:0:53::54\nnameserver {dns.address}\n")
    alone = Alone(stage, host, conf)
    alone.wait_state("web", "outbound", "usable")
    stage.claim("rules that it has", WEB.rules, alone.rules("outbound", "web"))
    stage.note("resolv.conf changes")
    other = stage.net.host("other", "2001:db8:0:54::53")
    moved = FILES.published("zone-moved")["web"]
    resolver.NameServer(stage, other).publish(FILES.text("zone-moved"))
    conf.write_text("")
    asked = alone.count("ssa_resolver_resolutions_total")
    stage.wait(timeouts.INTERVAL, "it asks again", lambda: alone.count("ssa_resolver_resolutions_total") > asked)
    stage.claim("rules that it has", WEB.rules, alone.rules("outbound", "web"))
    conf.write_text(f"nameserver {other.address}\n")
    stage.wait(
        timeouts.SOON, "it has the rules of the other server", lambda: alone.rules("outbound", "web") == moved.rules
    )
    stage.claim("changes of servers", 1, alone.count("ssa_resolver_server_changes_total", outcome="taken"))
    for one in (shim, alone):
        stage.claim(f"exit status of the shim of {one.host.name}", 0, one.stop())
