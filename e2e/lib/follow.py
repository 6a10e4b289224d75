"""A router that follows at once what hosts announce: follow.py ROUTER HOST=ADDRESS….

It stands for the routing daemons where a story is about something else: of the routes that agents write into a host's
table 510, the router gets the one of the lowest metric, by way of that host. Routes are replaced before others are
removed. ROUTER and HOST are network namespaces; a host that comes later is added by a line HOST=ADDRESS on standard
input, and what has been read is answered by a line.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import subprocess
import sys
from ipaddress import IPv6Network
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib.net import enter, ip

# The table that routing daemons read, and the routing protocol of what agents write.
ANNOUNCED = 510
PROTOCOL = 199
# RTMGRP_IPV6_ROUTE
GROUP = 0x400
Routes = dict[IPv6Network, tuple[int, str]]


def announced(text: str) -> list[tuple[IPv6Network, int]]:
    """Returns the routes of table 510 in what `ip -6 route show table all` prints: (prefix, metric)."""
    lines = (line for line in text.splitlines() if f" table {ANNOUNCED} " in line)
    return [
        (IPv6Network(found[1]), int(found[2]))
        for line in lines
        if (found := re.search(r"(\S+:\S*) dev \S+ .*\bmetric (\d+)", line))
    ]


def best(hosts: dict[str, list[tuple[IPv6Network, int]]]) -> Routes:
    """Returns the route with the lowest metric for each prefix: (metric, address), by what each address announces."""
    found: Routes = {}
    for address, routes in hosts.items():
        for prefix, metric in routes:
            found[prefix] = min(found.get(prefix, (metric, address)), (metric, address))
    return found


class Router:
    """The router, and a listener in each host."""

    def __init__(self, name: str) -> None:
        self.inside = os.open(f"/run/netns/{name}", os.O_RDONLY)
        self.hosts: dict[str, tuple[int, socket.socket, str]] = {}
        self.routes: Routes = {}

    def add(self, text: str) -> None:
        """Adds HOST=ADDRESS."""
        name, _, address = text.partition("=")
        inside = os.open(f"/run/netns/{name}", os.O_RDONLY)
        enter(inside)
        listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        listener.bind((0, GROUP))
        self.hosts[name] = (inside, listener, address)

    def follow(self) -> None:
        """Reads what hosts announce, and changes the router's routes."""
        told = {}
        for inside, listener, address in self.hosts.values():
            # What is missed is in what is read next.
            with contextlib.suppress(BlockingIOError, OSError):
                while listener.recv(1 << 16):
                    pass
            enter(inside)
            shown = subprocess.run(["ip", "-6", "route", "show", "table", "all"], capture_output=True, text=True)
            told[address] = announced(shown.stdout)
        wanted = best(told)
        changed = [
            f"route replace {prefix} via {route[1]} proto {PROTOCOL}"
            for prefix, route in wanted.items()
            if self.routes.get(prefix, (0, ""))[1] != route[1]
        ]
        gone = [f"route del {prefix}" for prefix in self.routes if prefix not in wanted]
        if changed or gone:
            enter(self.inside)
            ip(*changed, *gone)
        self.routes = wanted

    def run(self) -> None:
        """Follows until standard input ends."""
        while True:
            self.follow()
            listeners = [listener for _, listener, _ in self.hosts.values()]
            ready, _, _ = select.select([sys.stdin.fileno(), *listeners], [], [])
            if sys.stdin.fileno() in ready:
                lines = os.read(sys.stdin.fileno(), 1 << 16).decode().split()
                if not lines:
                    return
                for line in lines:
                    self.add(line)
                self.follow()
                for line in lines:
                    print(line, flush=True)


if __name__ == "__main__":
    router = Router(sys.argv[1])
    for one in sys.argv[2:]:
        router.add(one)
    router.run()
