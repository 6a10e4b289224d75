"""FRR: on endpoints it announces what agents write into the main table, on the router it fills the kernel's table."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path

from . import net, timeouts
from .claims import Broken, Skip
from .net import Host
from .stage import ROOT, Program, Stage

# What an operator adds to the configuration of FRR.
SNIPPET = ROOT / "cluster/bare-metal/frr.conf"
# The operator's own part. Endpoints have one AS, so that the router compares their MEDs.
COMMON = """
router bgp {number}
 bgp router-id {router}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 timers bgp 3 9
"""
NEIGHBOUR = """ neighbor {address} remote-as {number}
 neighbor {address} bfd
 neighbor {address} timers connect 1
 address-family ipv6 unicast
  neighbor {address} activate
 exit-address-family
"""
OPTIONS = {"zebra": ["--v6-rr-semantics", "-s", 1 << 26], "bfdd": ["--bfdctl"], "bgpd": ["-p", 179]}


class Frrs:
    """FRR on the router and on each endpoint."""

    def __init__(self, stage: Stage, hosts: Iterable[Host], bfd: int = 300) -> None:
        """Starts them; `bfd` is the interval between packets of BFD in ms, of which three may be lost."""
        self.stage = stage
        done = subprocess.run([ROOT / "hack/frr.sh"], capture_output=True, text=True, timeout=timeouts.INSTALLED)
        if done.returncode == 77:
            raise Skip(done.stdout.strip())
        if done.returncode != 0:
            raise Broken(done.stderr.strip())
        self.programs = Path(done.stdout.strip().splitlines()[-1])
        self._know_group()
        self.processes: dict[tuple[str, str], Program] = {}
        hosts = list(hosts)
        neighbours = "".join(NEIGHBOUR.format(address=host.address, number=65001) for host in hosts)
        self._start(stage.net.router, COMMON.format(number=65000, router="10.0.0.254") + neighbours, bfd, hosts)
        for number, host in enumerate(hosts, 1):
            peer = host.address.replace("::1", "::ffff")
            own = COMMON.format(number=65001, router=f"10.0.0.{number}") + NEIGHBOUR.format(address=peer, number=65000)
            self._start(host, f"{SNIPPET.read_text()}{own}", bfd, [peer])
        stage.wait(timeouts.RETRIED, "all BGP sessions are up", lambda: self.up() == len(hosts))

    def _know_group(self) -> None:
        """Gives these namespaces the group that FRR wants for its sockets."""
        group = self.stage.work / "group"
        text = Path("/etc/group").read_text()
        if "\nfrrvty:" not in text:
            group.write_text(f"{text}frrvty:x:0:\n")
            net.run(f"mount --bind {group} /etc/group")

    def _start(self, host: Host, text: str, bfd: int, peers: Iterable[Host | str]) -> None:
        folder = self.stage.work / f"frr-{host.name}"
        folder.mkdir()
        found = [one if isinstance(one, str) else one.address for one in peers]
        watched = [
            f" peer {one}\n  detect-multiplier 3\n  receive-interval {bfd}\n  transmit-interval {bfd}\n exit\n"
            for one in found
        ]
        files = {"zebra": "", "bgpd": text, "bfdd": "bfd\n" + "".join(watched)}
        for name, content in files.items():
            (folder / f"{name}.conf").write_text(content)
            options = [*OPTIONS[name], *([folder / "bfdd.sock"] if name == "bfdd" else [])]
            command = [self.programs / name, "-f", folder / f"{name}.conf", "-u", "root", "-g", "root", "-P", 0]
            command += ["--vty_socket", folder, "-z", folder / "zserv.api", "-i", folder / f"{name}.pid"]
            command += ["--log", f"file:{folder / name}.log", *options]
            self.processes[host.name, name] = self.stage.start(host, f"frr-{host.name}/{name}-output", command)
            if name == "zebra":
                self.stage.wait(
                    timeouts.STARTED, f"zebra of {host.name} listens", lambda: os.path.exists(folder / "zserv.api")
                )

    def ask(self, host: str, daemon: str, words: str) -> str:
        """Asks a daemon by the socket of its terminal, as vtysh does."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeouts.ADMIN)
            connection.connect(str(self.stage.work / f"frr-{host}" / f"{daemon}.vty"))
            answer = b""
            for line in ("enable", words):
                connection.sendall(line.encode() + b"\0")
                answer = b""
                # Three zeros and the status end an answer.
                while answer[-4:-1] != b"\0\0\0":
                    more = connection.recv(65536)
                    if not more:
                        raise Broken(f"{daemon} of {host} closed its terminal after {line!r}")
                    answer += more
        return answer[:-4].decode()

    def up(self) -> int:
        """Counts the sessions that are up."""
        try:
            told = self.ask("router", "bgpd", "show bgp ipv6 unicast summary json")
        except (OSError, Broken):
            return 0
        return told.count('"state":"Established"')
