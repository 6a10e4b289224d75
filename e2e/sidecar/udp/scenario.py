"""UDP to a service's port is not verified: the application receives it until the rules of docs/security.md drop it.

Topology: a stranger without a sidecar, one server with a sidecar, whose application also receives UDP on port 80.

Configuration: envoy/server.yaml, everything captured and enforced; then the rules of docs/security.md, of nft and of
ip6tables in turn.

Expected: a TCP connection to an address that violates the rule is refused, and a datagram to it is received. With
either rule no datagram to the service's addresses is received, those to the host's own address are, and TCP is verified
as before.
"""

import ipaddress
import shutil
import socket
import subprocess
from typing import Any

from lib import timeouts
from lib.files import Files
from lib.stage import Skip, Stage

LIGHT = True
FILES = Files(__file__)
WEB = FILES.service("web")


def run(stage: Stage) -> None:
    if not shutil.which("nft"):
        raise Skip("there is no nft")
    stranger = stage.net.stranger()
    server = stage.server(1, WEB)
    stage.sidecar(server, "server.yaml", FILES.server())
    with server:
        application = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    application.bind(("::", 80))
    application.settimeout(timeouts.EXCHANGE)
    with stranger:
        sender = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    good = stage.ssa.compose(WEB.published, stranger.address)[0]
    bad = str(ipaddress.IPv6Address(int(good) ^ 1 << 44))

    def heard() -> list[str]:
        """Sends a datagram to two of the service's addresses and one to the host's own; the last comes last."""
        for address in (bad, WEB.plain, server.address):
            sender.sendto(address.encode(), (address, 80))
        found = []
        while server.address not in found:
            found.append(application.recv(100).decode())
        return found

    def judged(what: str) -> None:
        stage.claim(f"{what}: by TCP the address is", "refused", stage.dial(stranger, bad).kind)

    judged("as it stands")
    stage.claim("unchanged: datagrams are received by", [bad, WEB.plain, server.address], heard())
    prefixes = ", ".join(WEB.prefixes)
    with server:
        nft(
            f"add table ip6 ssa; add chain ip6 ssa input {{ type filter hook input priority filter; }}; "
            f"add rule ip6 ssa input ip6 daddr {{ {prefixes} }} meta l4proto udp drop"
        )
    stage.claim("with nft: datagrams are received by", [server.address], heard())
    judged("with nft")
    with server:
        nft("delete table ip6 ssa")
    stage.claim("without it: datagrams are received by", [bad, WEB.plain, server.address], heard())
    for prefix in WEB.prefixes:
        server.run(f"ip6tables -w -A INPUT -d {prefix} -p udp -j DROP")
    stage.claim("with ip6tables: datagrams are received by", [server.address], heard())
    judged("with ip6tables")


def nft(lines: Any) -> None:
    """Runs lines of nft on the host that is entered."""
    done = subprocess.run(["nft", lines], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"nft: {done.stderr.strip()}")
