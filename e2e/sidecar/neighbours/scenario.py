"""Thousands of addresses are dialled; there are no more neighbour entries than hosts.

Topology: a client with a sidecar, a stranger without one, a router with slices of the space for each of three servers.

Configuration: envoy/client.yaml with its largest pool, envoy/server.yaml.

Expected: no host has a neighbour entry for an address of the service, because slices are routed and never on-link: the
router has at most one for each host and link-local address, the others have only their default route's.
"""

from lib.files import Files
from lib.stage import Stage

FILES = Files(__file__)
WEB = FILES.service("web")
COUNT = 3000


def run(stage: Stage) -> None:
    client, stranger = stage.net.client(), stage.net.stranger()
    servers = [stage.net.server(number, WEB.prefixes) for number in (1, 2, 3)]
    for number, slice_ in enumerate(("::/66", ":4000::/66", ":8000::/66", ":c000::/66")):
        stage.net.route(f"2001:db8:5:1{slice_}", servers[number % 3])
    for server in servers:
        stage.application(server)
    near, *far = stage.sidecars(
        (client, "client.yaml", FILES.client()),
        *((server, "server.yaml", FILES.server()) for server in servers),
    )
    addresses = stage.ssa.compose(WEB.published, stranger.address, count=COUNT)
    for host, destinations in ((stranger, addresses), (client, [WEB.plain])):
        load = stage.load(host, destinations=destinations, count=COUNT)
        stage.claim(f"connections of {host.name} that are answered", COUNT, load.settled()["answered"])
        load.end()
    shares = [one.inbound(verdict="conforming") for one in far]
    stage.claim("connections that conform", 2 * COUNT, sum(shares))
    stage.claim("servers that got some", 3, sum(share > 0 for share in shares))
    reached = {line["destination"] for line in near.logged(COUNT)}
    stage.claim_between("addresses that the client's sidecar dialled", COUNT // 4, COUNT, len(reached))
    hosts = [stage.net.router, *stage.net.hosts.values()]
    found = {host.name: host.neighbours() for host in hosts}
    stage.note(f"neighbour entries: { {name: len(entries) for name, entries in found.items()} }")
    of_service = [entry for entries in found.values() for entry in entries if entry.startswith("2001:db8:5:")]
    stage.claim("neighbour entries for addresses of the service", [], of_service)
    stage.claim_between("entries of the router", 5, 2 * len(stage.net.hosts), len(found["router"]))
    for name in stage.net.hosts:
        stage.claim_between(f"entries of {name}", 1, 2, len(found[name]))
