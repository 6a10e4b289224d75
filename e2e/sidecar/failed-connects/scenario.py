"""Failed destinations are avoided for a while under tcp_proxy; the HTTP connection manager does not show failures.

Topology: a client with a sidecar, a router whose routes to some of the space lead nowhere, one server with a sidecar.

Configuration: envoy/client.yaml and then envoy/client-http.yaml with one worker, and a short connect timeout, because a
blackhole route tells nobody that it drops packets; envoy/server.yaml. Services whose rules leave a choice of replicas,
of items, and of addresses, and one whose rule leaves none.

Expected: each failure is counted. After one, connections use another replica, item or address; if there is no other,
they use the same. After 30 seconds it is tried again. Under the HTTP connection manager nothing is counted, and
connections keep being sent there.
"""

import ipaddress
import time

from lib import timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.net import Host
from lib.service import Service
from lib.stage import Stage, address

LIGHT = True
FILES = Files(__file__)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
REPLICAS, CHOICE, ADDRESSES, NONE = SERVICES = list(FILES.services().values())
REQUESTS, POOL = 40, FILES.client()["pool"]


def run(stage: Stage) -> None:
    client = stage.net.client()
    server = stage.server(1, *SERVICES)
    # So few draws that each comes again soon, and so many that not all lead to one replica or item.
    near, far = stage.sidecars(
        (client, "client.yaml", FILES.client(), 1, FILES.text("client.patch")), (server, "server.yaml", FILES.server())
    )
    blocked = block(stage, client, near)
    began = {service.name: avoided(stage, client, near, service, blocked[service.name]) for service in SERVICES[:3]}
    stage.note("no other choice")
    kinds = {stage.dial(client, NONE.plain).kind for _ in range(5)}
    stage.claim("none: connections are", {"refused"}, kinds)
    claim_failures(stage, near, NONE, 5)
    tried_again(stage, client, near, began)
    near.stop()
    under_http(stage, client)
    stage.claim("connections that do not conform", 0, far.inbound() - far.inbound(verdict="conforming"))


def failures(near: Sidecar, service: Service) -> int:
    return near.count("ssa_outbound_connect_failures_total", service=service.name)


def claim_failures(stage: Stage, near: Sidecar, service: Service, count: int) -> None:
    """Claims how many failures are counted: Envoy shows filters the end of a connection after the client heard of
    it."""
    stage.wait(timeouts.SOON, f"{service.name}: failures counted", lambda: failures(near, service) >= count)
    stage.claim(f"{service.name}: failures counted", count, failures(near, service))


def block(stage: Stage, client: Host, near: Sidecar) -> dict[str, Network]:
    """Takes routes away, and returns what cannot be reached any more of each service."""
    for _ in range(REQUESTS):
        stage.dial(client, ADDRESSES.plain)
    drawn = sorted({address(line["destination"]) for line in near.logged(REQUESTS)})
    stage.claim_between("addresses in use", 2, POOL, len(drawn))
    replica = stage.ssa.compose(REPLICAS.published, client.address, replica=0)[0]
    only = stage.ssa.compose(NONE.published, client.address)[0]
    blocked = {
        "replicas": ipaddress.ip_network((replica, 84), strict=False),
        "items": ipaddress.ip_network(CHOICE.items[1]),
        "addresses": ipaddress.ip_network(drawn[0]),
        "none": ipaddress.ip_network(only),
    }
    # Who goes there hears nothing, or that there is no route.
    stage.net.router.ip(
        f"route add blackhole {blocked['replicas']}",
        f"route del {blocked['items']}",
        f"route add unreachable {blocked['addresses']}",
        f"route add unreachable {blocked['none']}",
    )
    return blocked


def avoided(stage: Stage, client: Host, near: Sidecar, service: Service, blocked: Network) -> float:
    stage.note(f"{service.name}: {blocked} cannot be reached")
    near.mark()
    kinds = []

    def fails() -> bool:
        kinds.append(stage.dial(client, service.plain).kind)
        return kinds[-1] == "refused"

    stage.wait(timeouts.SOON, f"{service.name}: a connection fails", fails, pause=0)
    failed = time.monotonic()
    claim_failures(stage, near, service, 1)
    near.logged(len(kinds))
    kinds = [stage.dial(client, service.plain).kind for _ in range(REQUESTS)]
    stage.claim(f"{service.name}: connections after that are", ["served"] * REQUESTS, kinds)
    used = [address(line["destination"]) for line in near.logged(REQUESTS)]
    stage.claim(f"{service.name}: of them sent there", 0, sum(one in blocked for one in used))
    if service is ADDRESSES:
        stage.claim_between("addresses: others in use", 1, POOL - 1, len(set(used)))
    return failed


def tried_again(stage: Stage, client: Host, near: Sidecar, began: dict[str, float]) -> None:
    stage.note("after a while")
    # The address may be out of use by then: draws change.
    for service in (REPLICAS, CHOICE):

        def tried() -> bool:
            stage.dial(client, service.plain)
            return failures(near, service) > 1

        stage.wait(timeouts.RETRIED, f"{service.name}: tried again", tried, pause=0.1)
        seconds = round(time.monotonic() - began[service.name])
        stage.claim_between(f"{service.name}: tried again after s", 28, 40, seconds)


def under_http(stage: Stage, client: Host) -> None:
    stage.note("under the HTTP connection manager")
    patch = FILES.text("client-http.patch")
    near = stage.sidecar(client, "client-http.yaml", FILES.client(), concurrency=1, patch=patch, folder="client-http")
    texts = [stage.dial(client, REPLICAS.plain).text for _ in range(REQUESTS)]
    stage.claim("connections composed", REQUESTS, near.outbound(service="replicas", outcome="composed"))
    good = texts.count("server1")
    stage.claim_between("requests that go to what cannot be reached", REQUESTS // 8, REQUESTS, REQUESTS - good)
    stage.claim_between("requests that are answered", 1, REQUESTS, good)
    stage.claim("failures counted", 0, failures(near, REPLICAS))
