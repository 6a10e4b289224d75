"""A host with two prefixes: each item of a service has its own source, and nothing is a violation.

Topology: a client with a sidecar, a global and a unique local address, a router, one server with a sidecar that has an
item of either kind.

Configuration: envoy/client.yaml, its cluster bound to no address, so that the kernel chooses by destination; services
by a snapshot, which says which source goes with which item. envoy/server.yaml.

Expected: both items are used, connections to each come from the address of its kind, and all conform, also where the
item is a hash of the source.
"""

from lib import snapshots
from lib.files import Files
from lib.stage import Stage, address

GLOBAL, LOCAL = "2001:db8:0:1::10", "fd00:db8:0:1::10"
REQUESTS = 100
LIGHT = True
FILES = Files(__file__)
RANDOM, HASHED = FILES.service("random"), FILES.service("hashed")


def run(stage: Stage) -> None:
    client = stage.net.client(address=GLOBAL)
    stage.net.router.ip("address add fd00:db8:0:1::ffff/64 dev to-client nodad")
    client.ip(f"address add {LOCAL}/64 dev eth0 nodad")
    server = stage.server(1, RANDOM, HASHED)
    far = stage.sidecar(server, "server.yaml", FILES.server())
    near, resolver = snapshots.sidecar(stage, client, FILES.client(), patch=FILES.text("client.patch"))
    resolver.publish(RANDOM, HASHED)
    stage.begin(near)
    resolver.wait_taken()
    for one in (RANDOM, HASHED):
        kinds = {stage.dial(client, one.plain).kind for _ in range(REQUESTS)}
        stage.claim(f"{one.name}: connections are", {"served"}, kinds)
        lines = far.logged(REQUESTS)
        stage.claim(f"{one.name}: verdicts", {"conforming"}, {line["verdict"] for line in lines})
        pairs = {(str(address(line["source"]))[:4], str(address(line["destination"]))[:4]) for line in lines}
        both = {("2001", "2001"), ("fd00", "fd00")}
        stage.claim(f"{one.name}: pairs of source and item", both if one is RANDOM else pairs & both, pairs)
    stage.claim("connections composed", 2 * REQUESTS, near.outbound(outcome="composed"))
    stage.claim("source mismatches", 0, near.count("ssa_outbound_source_mismatches_total"))
    stage.claim("violations", 0, far.inbound(verdict="violation"))
