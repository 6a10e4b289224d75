"""Requests avoid replicas that are busy, and do not wait for one that is stuck; large bodies are not sent twice.

Topology: a client with a sidecar, a router, two servers with one, each with one replica of every object.

Configuration: envoy/client-requests.yaml, with the order `least` and hedging after 1.5 s, and envoy/server-http.yaml.

Expected: of requests for one object at the same time, each replica gets half. Where one replica is stuck, every request
is answered by the other one soon after 1.5 s, and the stuck one does not count as failed. A request that changes
something and is misdirected is sent once more to the same address; one whose body is larger than Envoy's buffer is
answered at once, and the next request is served.
"""

import time
from collections import Counter

from lib import timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.net import Host
from lib.stage import Stage

LIGHT = True
FILES = Files(__file__)
STORE = FILES.service("store")
BUSY, STUCK = 40, 12
HEDGED, STUCK_FOR = 1.5, 8


def run(stage: Stage) -> None:
    client = stage.net.client()
    hosts = [server(stage, number) for number in range(2)]
    near, *_ = stage.sidecars(
        (client, "client-requests.yaml", FILES.client()),
        *((host, "server-http.yaml", FILES.server()) for host in hosts),
    )
    found = at_once(client, near, "/cas/busy", BUSY)
    stage.claim("requests for one object that are answered", BUSY, sum(code == "200" for code, _ in found))
    counts = Counter(name for _, name in found)
    # Each worker thread counts its own.
    stage.claim_between("the most of them at one replica", BUSY / 2, BUSY / 2 + near.concurrency, max(counts.values()))

    began = time.monotonic()
    found = at_once(client, near, "/cas/stuck", STUCK)
    elapsed = time.monotonic() - began
    answered = sum(code == "200" for code, _ in found)
    stage.claim("requests for what is stuck at one replica that are answered", STUCK, answered)
    stage.claim("by one replica", 1, len({name for _, name in found}))
    stage.claim_between("seconds until all are", HEDGED, STUCK_FOR - 1, round(elapsed, 1))
    stage.claim("what counts as failed", 0, near.count("ssa_outbound_request_failures_total"))

    for size in (100_000, 5_000_000):
        body = stage.work / f"body-{size}"
        body.write_bytes(b"x" * size)
        urls = " ".join(f"-o /dev/null http://[{STORE.plain}]/cas/{name}" for name in ("moved", "here"))
        flags = f"-m {timeouts.EXCHANGE * 3} -w %{{http_code}}\\n -X PUT -H expect: -T {body}"
        codes = client.run(f"curl -s -g {flags} {urls}").split()
        stage.claim(f"a body of {size} bytes to where nothing is, and the next one", ["421", "200"], codes)
    stage.claim("attempts that were followed by another", 1, near.count("ssa_outbound_request_failures_total"))


def server(stage: Stage, number: int) -> Host:
    """Adds a server with a half of the addresses, which has one replica of each object, and its application."""
    slices = [f"2001:db8:5:1:{number << 15:x}::/65"]
    host = stage.net.server(number + 1, slices)
    stage.net.route(slices[0], host)
    stage.start_envoy(host, f"application-{number}", FILES.text("application.yaml", server=number), 8080, "::1")
    return host


def at_once(client: Host, near: Sidecar, path: str, count: int) -> list[list[str]]:
    """Asks for an object so many times at once, each time over a new connection; returns status and server of each."""
    url = f"http://[{STORE.plain}]{path}?[1-{count}]"
    flags = f"-Z --parallel-immediate --parallel-max {count} -m {timeouts.EXCHANGE * 3}"
    lines = client.run(f"curl -s {flags} -o /dev/null -w %{{http_code}}/%header{{x-server}}\\n {url}").split()
    return [line.split("/") for line in lines]
