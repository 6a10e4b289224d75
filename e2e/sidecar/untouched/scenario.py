"""IPv4, UDP and connections that concern no service pass as if there were no filter.

Topology: a client with a sidecar, a server of the service, and a bystander: a host that knows nothing of SSA, with
IPv6 and IPv4 addresses and no sidecar.

Configuration: envoy/client.yaml and envoy/server.yaml; the client's also captures IPv4, as a dual-stack mesh does: its
listener also has 127.0.0.1, and its cluster an IPv4 source.

Expected: each arrives where the application sent it, from the client's own address; the sidecar counts the connections
that it captured as untouched, and composes for the service only.
"""

import socket
import threading

from lib import timeouts
from lib.files import Files
from lib.stage import Stage

LIGHT = True
FILES = Files(__file__)
WEB = FILES.service("web")


def run(stage: Stage) -> None:
    client, bystander = stage.net.client(), stage.net.stranger("bystander")
    server = stage.server(1, WEB)
    client.ip("address add 192.0.2.10/24 dev eth0", "route add default via 192.0.2.254")
    stage.net.router.ip("address add 192.0.2.254/24 dev to-client", "address add 198.51.100.254/24 dev to-bystander")
    bystander.ip("address add 198.51.100.66/24 dev eth0", "route add default via 198.51.100.254")
    client.run("iptables -w -t nat -A OUTPUT -p tcp -m mark --mark 1337 -j RETURN")
    client.run("iptables -w -t nat -A OUTPUT -p tcp ! -d 127.0.0.1 -j REDIRECT --to-ports 15001")
    stage.application(bystander, "::", 80)
    stage.application(bystander, "0.0.0.0", 81)
    near, far = stage.sidecars(
        (client, "client.yaml", FILES.client(), 2, FILES.text("client.patch")), (server, "server.yaml", FILES.server())
    )

    stage.note("what the sidecar captures and leaves as it is")
    for what, destination, port, family in [
        ("IPv6 to a port of the service, elsewhere", bystander.address, 80, socket.AF_INET6),
        ("IPv4 to a port of the service", "198.51.100.66", 81, socket.AF_INET),
    ]:
        answer = stage.dial(client, destination, port, family=family)
        stage.claim(f"{what} is answered", ("served", "bystander"), (answer.kind, answer.text))
        line = near.logged(1)[0]
        bracketed = f"[{destination}]:{port}" if family == socket.AF_INET6 else f"{destination}:{port}"
        stage.claim(f"{what} goes where it was sent", (bracketed, bracketed), (line["wanted"], line["destination"]))
        stage.claim(f"{what} has no service in the log", None, line["service"])
    stage.claim("connections counted as untouched", 2, near.outbound(outcome="untouched"))
    stage.claim("connections counted at all", 2, near.outbound())

    stage.note("a protocol where the server speaks first")
    greeting = b"220 bystander\r\n"
    with bystander:
        greeter = socket.create_server((bystander.address, 25), family=socket.AF_INET6)

    def greet() -> None:
        connection, peer = greeter.accept()
        peers.append(peer[0])
        connection.sendall(greeting)
        connection.close()

    peers: list = []
    thread = threading.Thread(target=greet, daemon=True)
    thread.start()
    with client:
        caller = socket.create_connection((bystander.address, 25), timeout=timeouts.EXCHANGE)
    stage.claim("the greeting", greeting, caller.recv(100))
    thread.join(timeouts.EXCHANGE)
    stage.claim("the client's address that the bystander sees", [client.address], peers)
    caller.close()
    stage.claim("its service in the sidecar's log", None, near.logged(1)[0]["service"])

    stage.note("UDP")
    with bystander:
        listener = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        listener.bind((bystander.address, 53))
    listener.settimeout(timeouts.EXCHANGE)
    with client:
        sender = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sender.sendto(b"question", (bystander.address, 53))
    data, peer = listener.recvfrom(100)
    stage.claim("a datagram arrives from the client", (b"question", client.address), (data, peer[0]))

    stage.note(
        "another port of the plain address is not the service's: the connection goes there, and the server refuses it"
    )
    stage.claim("the connection is", "refused", stage.dial(client, WEB.plain, 81).kind)
    line = near.logged(1)[0]
    stage.claim("the sidecar's destination", f"[{WEB.plain}]:81", line["destination"])
    line = far.logged(1)[0]
    stage.claim("the server finds", ("other_port", "denied"), (line["verdict"], line["outcome"]))

    stage.note("an application that composes for itself")
    own = stage.ssa.compose(WEB.published, client.address)[0]
    stage.claim("it is", "served", stage.dial(client, own).kind)
    line = near.logged(1)[0]
    stage.claim("the sidecar's destination", (f"[{own}]:80", "own"), (line["destination"], line["outcome"]))

    stage.note("the service itself still works")
    stage.claim("a request is", "served", stage.dial(client, WEB.plain).kind)
    stage.claim("connections composed", 1, near.outbound(service="web", outcome="composed"))
    found = {
        (labels["ssa_verdict"], value)
        for name, labels, value in far.metrics()
        if name == "ssa_inbound_connections_total"
    }
    stage.claim("what the server counts", {("conforming", 2), ("other_port", 1)}, found)
