"""100,000 connections to as many addresses leave one upstream host in the server's Envoy.

Topology: a stranger that composes its own addresses, a router, one server with a sidecar.

Configuration: envoy/server.yaml; the rule leaves every bit free.

Expected: each is answered and conforms; the application's cluster has one host before and after; Envoy's memory does
not grow with them.
"""

from lib import timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.stage import Stage

FILES = Files(__file__)
WEB = FILES.service("web")
FIRST, ALL = 20_000, 100_000
LIMIT = 240


def hosts(far: Sidecar) -> list[str]:
    """Returns the application's upstream hosts that the admin interface lists."""
    lines = [line for line in far.admin("clusters").splitlines() if line.startswith("application")]
    return sorted({line.split("::cx_active")[0] for line in lines if "::cx_active" in line})


def run(stage: Stage) -> None:
    stranger = stage.net.stranger()
    server = stage.server(1, WEB)
    far = stage.sidecar(server, "server.yaml", FILES.server())
    # The kernel's table of captured connections is not what is shown here.
    server.sysctl(netfilter__nf_conntrack_tcp_timeout_time_wait=1, netfilter__nf_conntrack_tcp_timeout_close=1)
    before = hosts(far)
    stage.claim("upstream hosts before", ["application::[::1]:8080", "application_demoted::[::1]:8080"], before)
    addresses = stage.ssa.compose(WEB.published, stranger.address, count=ALL)
    stage.claim("distinct addresses", ALL, len(set(addresses)))
    memory = []
    for part in (addresses[:FIRST], addresses[FIRST:]):
        load = stage.load(stranger, destinations=part, count=len(part))
        told = load.settled()
        stage.claim("connections that are answered", len(part), told["answered"])
        rate = round(len(part) / told["seconds"])
        stage.note(f"        {rate} connections/s, the slowest took {told['slowest']} s; {told['samples'][:3]}")
        load.end()
        stage.wait(
            timeouts.INTERVAL, "they are gone", lambda: far.stat(r"cluster\.application\.upstream_cx_active") == 0
        )
        memory.append(far.resident())
    stage.claim("connections that conform", ALL, far.inbound(verdict="conforming", outcome="allowed"))
    stage.claim("connections counted", ALL, far.inbound())
    stage.claim("upstream hosts after", before, hosts(far))
    stage.claim_between(
        f"growth of Envoy's memory after the first {FIRST} of them, in MB", -1000, 8, memory[1] - memory[0]
    )
