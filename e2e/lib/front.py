"""Hosts that query a DNS front, with the stub resolvers of programs and with dig."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import timeouts

if TYPE_CHECKING:
    from .net import Host
    from .stage import Stage

# Prints the addresses that the system's resolver gives.
GETADDRINFO = """
import socket, sys
for found in socket.getaddrinfo(sys.argv[1], 80, type=socket.SOCK_STREAM):
    print(found[4][0])
"""


class Stub:
    """A host whose resolv.conf names one server."""

    def __init__(self, stage: Stage, host: Host, server: str) -> None:
        self.host, self.server = host, server
        self.conf = stage.work / f"{host.name}-{server.replace(':', '-')}.conf"
        self.conf.write_text(f"nameserver {server}\noptions timeout:2 attempts:1\n")

    def run(self, *command: str | Path) -> tuple[int, str]:
        """Runs a program with this resolv.conf, and returns its exit status and what it prints."""
        script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        with self.host:
            done = subprocess.run(
                ["unshare", "--mount", "sh", "-c", script, self.conf, *command],
                capture_output=True,
                text=True,
                timeout=timeouts.HELD_EXCHANGE,
            )
        return done.returncode, done.stdout.strip() or done.stderr.strip()

    def getaddrinfo(self, name: str) -> tuple[int, str]:
        """Queries addresses of either family with the system's resolver, whatever addresses the host itself has."""
        return self.run(sys.executable, "-c", GETADDRINFO, name)

    def dig(self, *words: str) -> str:
        """Runs dig, and returns what it prints."""
        with self.host:
            done = subprocess.run(
                ["dig", f"@{self.server}", "+tries=1", f"+timeout={timeouts.QUERY:.0f}", *words],
                capture_output=True,
                text=True,
                timeout=timeouts.HELD_EXCHANGE,
            )
        return done.stdout

    def address(self, name: str, *words: str) -> tuple[str | None, int | None]:
        """Returns the first address that dig gets, and its TTL."""
        found = re.search(r"\s(\d+)\s+IN\s+AAAA\s+(\S+)", self.dig(name, "AAAA", "+noall", "+answer", *words))
        return (found[2], int(found[1])) if found else (None, None)
