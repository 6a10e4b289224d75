"""A host with many addresses: servers see the pinned source, and nothing is a violation.

Topology: a client with a sidecar that has a global address, a unique local one, a temporary one that the kernel made,
and a deprecated one; a router; one server with a sidecar.

Configuration: envoy/client.yaml with each of them pinned in turn, by the plugin's `source` and the cluster's bind
configuration; envoy/server.yaml.

Expected: every connection conforms and comes from the pinned source, though the kernel itself would choose the
temporary one. Before there is a sidecar, an application that composes for the global address and lets the
kernel choose is refused.
"""

from lib import timeouts
from lib.files import Files
from lib.stage import Stage, address

LIGHT = True
FILES = Files(__file__)
WEB = FILES.having(source="").service("web")
GLOBAL, LOCAL, DEPRECATED = "2001:db8:0:1::10", "fd00:db8:0:1::10", "2001:db8:0:1::dead"
REQUESTS = 100


def run(stage: Stage) -> None:
    client = stage.net.host("client", GLOBAL)
    server = stage.server(1, WEB)
    stage.net.router.ip("address add fd00:db8:0:1::ffff/64 dev to-client nodad")
    client.sysctl(ipv6__conf__eth0__use_tempaddr=2)
    client.ip(
        f"address add {LOCAL}/64 dev eth0 nodad",
        f"address add {DEPRECATED}/64 dev eth0 nodad preferred_lft 0",
        "address add 2001:db8:0:1::77/64 dev eth0 nodad mngtmpaddr",
    )

    def temporary() -> list[str]:
        lines = client.run("ip -6 -oneline address show dev eth0 temporary").splitlines()
        return [line.split()[3].partition("/")[0] for line in lines if "tentative" not in line]

    made = stage.wait(timeouts.SOON, "the kernel has made a temporary address", temporary)[0]
    far = stage.sidecar(server, "server.yaml", FILES.server())

    chosen = client.run(f"ip -6 -oneline route get {WEB.plain}").split()
    stage.claim("the source that the kernel would choose is the temporary one", made, chosen[chosen.index("src") + 1])
    own = stage.ssa.compose(WEB.published, GLOBAL)[0]
    stage.claim("an application that composes for another source is", "refused", stage.dial(client, own, port=80).kind)
    line = far.logged(1)[0]
    stage.claim("its verdict", ("violation", "field_0"), (line["verdict"], line["part"]))
    stage.claim("its source", made, str(address(line["source"])))
    refused = far.inbound(outcome="denied")
    stage.net.capture_outbound(client)
    for kind, source in {"global": GLOBAL, "unique local": LOCAL, "temporary": made, "deprecated": DEPRECATED}.items():
        client.address = source
        near = stage.sidecar(
            client, "client.yaml", FILES.having(source=source).client(), folder=f"client-{kind.split()[-1]}"
        )
        served = sum(stage.dial(client, WEB.plain).kind == "served" for _ in range(REQUESTS))
        stage.claim(f"pinned to the {kind} address, connections served", REQUESTS, served)
        lines = far.logged(REQUESTS)
        stage.claim("sources", {source}, {str(address(line["source"])) for line in lines})
        stage.claim("verdicts", {"conforming"}, {line["verdict"] for line in lines})
        near.stop()
    stage.claim("connections denied since", 0, far.inbound(outcome="denied") - refused)
