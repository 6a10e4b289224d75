"""Each request goes to the endpoint of what it asks for, over whichever connection the application has.

Topology: a client with a sidecar, a router, four servers with one, each with a quarter of the service's addresses.

Configuration: envoy/client-requests.yaml and envoy/server-http.yaml. The service places by the object key in the
path, with two replicas, of which the first one is asked first.

Expected: over one connection of the application's, of HTTP/1.1 and of HTTP/2, each of hundreds of requests is
answered by the server that the rule says, and none is misdirected. An application may name the replica. Where the
first replica lacks an object, the second one answers. When a server dies, requests that read are all answered by the
other replicas. One that changes something fails, for it may have been carried out; those after it go elsewhere.
"""

from ipaddress import IPv6Address

from lib import timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.net import Host
from lib.stage import Stage

LIGHT = True
FILES = Files(__file__)
STORE = FILES.service("store")
SERVERS, OBJECTS, SOME = 4, 100, 20
SLICES = [f"2001:db8:5:1:{number << 14:x}::/66" for number in range(SERVERS)]


def run(stage: Stage) -> None:
    client = stage.net.client()
    hosts = [server(stage, number) for number in range(SERVERS)]
    near, *far = stage.sidecars(
        (client, "client-requests.yaml", FILES.client()),
        *((host, "server-http.yaml", FILES.server()) for host in hosts),
    )
    places = {f"o{number}": place(stage, client, f"o{number}") for number in range(OBJECTS)}
    one_connection(stage, client, near, far, places)
    named(stage, client, places)
    stage.claim("what one replica lacks the other one has", ["200", "404"], missing(client))
    lost(stage, client, near, far, places)


def server(stage: Stage, number: int) -> Host:
    """Adds a server with a quarter of the addresses, and its application."""
    host = stage.net.server(number + 1, [SLICES[number]])
    stage.net.route(SLICES[number], host)
    stage.start_envoy(host, f"application-{number}", FILES.text("application.yaml", server=number), 8080, "::1")
    return host


def place(stage: Stage, client: Host, name: str) -> list[int]:
    """Returns which servers have the replicas of an object, as the command composes them."""

    return [int(address) >> 62 & 3 for address in addresses(stage, client, name)]


def addresses(stage: Stage, client: Host, name: str) -> list[IPv6Address]:
    return stage.ssa.compose(STORE.published, client.address, object=name, replica="all")


def curl(client: Host, flags: str, paths: list[str], show: str = "%{http_code}/%header{x-server}") -> list[str]:
    """Asks for paths of the service by its plain address, over one connection as far as curl can."""
    urls = " ".join(f"-o /dev/null http://[{STORE.plain}]{path}" for path in paths)
    return client.run(f"curl -s -g -m {timeouts.EXCHANGE * 3} -w {show}\\n {flags} {urls}").split()


def one_connection(stage: Stage, client: Host, near: Sidecar, far: list[Sidecar], places: dict[str, list[int]]) -> None:
    expected = [f"200/{first}/0/2/" for first, _ in places.values()]
    paths = [f"/cas/{name}" for name in places]
    before = near.stat(r"http\.outbound\.downstream_cx_total")
    found = curl(client, "--http1.1", paths)
    stage.claim("HTTP/1.1: requests that the planned server answers", OBJECTS, alike(found, expected))
    after = near.stat(r"http\.outbound\.downstream_cx_total")
    stage.claim("over so many connections of the application's", 1, after - before)
    # curl 7.88 reuses no connection of HTTP/2 without TLS.
    found = [curl(client, "--http2-prior-knowledge", [path])[0] for path in paths[:SOME]]
    stage.claim("HTTP/2: requests that the planned server answers", SOME, alike(found, expected[:SOME]))
    misdirected = sum(one.count("ssa_inbound_requests_total", outcome="denied") for one in far)
    stage.claim("misdirected requests", 0, misdirected)
    composed = near.count("ssa_outbound_requests_total", outcome="composed")
    stage.claim("requests that were composed", OBJECTS + SOME, composed)
    stage.claim("of them for the first replica", composed, near.count("ssa_outbound_requests_total", replica="0"))
    stage.claim_between("addresses in use", 1, 2 * 1024, near.stat(r"cluster\.original_dst\.membership_total"))


def alike(found: list[str], expected: list[str]) -> int:
    return sum(one == other for one, other in zip(found, expected, strict=True))


def named(stage: Stage, client: Host, places: dict[str, list[int]]) -> None:
    names = list(places)[:SOME]
    found = curl(client, "--http1.1 -H ssa-replica:1", [f"/cas/{name}" for name in names])
    expected = [f"200/{places[name][1]}/1/2/" for name in names]
    stage.claim("requests to the replica that the application names", len(names), alike(found, expected))


def missing(client: Host) -> list[str]:
    """Asks for an object that the first replica lacks: any replica's, then the first one's alone."""
    any_, first = (curl(client, flags, ["/cas/rare"], "%{http_code}")[0] for flags in ("", "-H ssa-replica:0"))
    return [any_, first]


def lost(stage: Stage, client: Host, near: Sidecar, far: list[Sidecar], places: dict[str, list[int]]) -> None:
    dead = 1
    far[dead].stop()
    # One object for each address whose first replica is gone.
    by_address = {str(addresses(stage, client, name)[0]): name for name, (one, _) in places.items() if one == dead}
    paths = [f"/cas/{name}" for name in by_address.values()]
    writes = "--http1.1 -X PUT -d x"
    before = near.count("ssa_outbound_request_failures_total", service="store")
    # Over one connection, for each worker thread knows of its own requests alone.
    codes = curl(client, writes, paths * 2, "%{http_code}")
    first, next_ = set(codes[: len(paths)]), set(codes[len(paths) :])
    stage.claim("a request that changes something fails with its replica", {"503"}, first)
    stage.claim("so that the next one goes elsewhere", {"200"}, next_)
    after = near.count("ssa_outbound_request_failures_total", service="store")
    stage.claim("of which so many are known", len(paths), after - before)
    names = [name for name, replicas in places.items() if dead in replicas]
    found = curl(client, "--http1.1", [f"/cas/{name}" for name in names])
    stage.claim("requests that read, after a server died", {"200"}, {one.split("/")[0] for one in found})
    others = [str(next(server for server in places[name] if server != dead)) for name in names]
    stage.claim("are answered by the other replicas", len(names), alike([one.split("/")[1] for one in found], others))
    misdirected = sum(one.count("ssa_inbound_requests_total", outcome="denied") for one in far if one is not far[dead])
    stage.claim("and none is misdirected", 0, misdirected)
