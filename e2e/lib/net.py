"""Hosts as network namespaces around one router.

    client  2001:db8:0:1::10 ──┐
    …                          ├── router ──┬── server1 2001:db8:0:101::1
    anyone  2001:db8:0:N::A  ──┘            └── server2 2001:db8:0:102::1

Each host has a link of its own to the router, which is its default route (2001:db8:0:N::ffff). Prefixes of services are
routed to servers and are on no link.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import resource
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .stage import Stage

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def enter(descriptor: int) -> None:
    """Moves this thread into a network namespace."""
    if LIBC.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def keep_to_memory(*places: str) -> None:
    """Gives these namespaces a /run of their own, with the names of network namespaces, and whatever else is to go with
    them."""
    for place in ("/run", *places):
        run(f"mount -t tmpfs tmpfs {place}")
    Path("/run/netns").mkdir()


def own_etc(work: Path, dns: str) -> None:
    """Gives these namespaces an /etc of their own: names are resolved as on any host, by this name server."""
    old = work / "etc"
    old.mkdir()
    run(f"mount --rbind /etc {old}")
    run("mount -t tmpfs tmpfs /etc")
    for entry in old.iterdir():
        Path("/etc", entry.name).symlink_to(os.readlink(entry) if entry.is_symlink() else entry)
    for name, text in (
        ("resolv.conf", f"nameserver {dns}\noptions timeout:2 attempts:3\n"),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
        ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ):
        Path("/etc", name).unlink(missing_ok=True)
        Path("/etc", name).write_text(text)


def raise_file_limit() -> None:
    """Lets this process, and what it starts, have as many files open as it may."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Host:
    """A network namespace; inside `with host:` sockets and programs are created in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = ""
        ip(f"netns add {name}")
        self._inside = os.open(f"/run/netns/{name}", os.O_RDONLY)
        self._outside: list[int] = []

    def __enter__(self) -> Host:
        self._outside.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
        enter(self._inside)
        return self

    def __exit__(self, *_: object) -> None:
        outside = self._outside.pop()
        enter(outside)
        os.close(outside)

    def run(self, command: str) -> str:
        """Runs a command on this host, and returns its output."""
        with self:
            return run(command)

    def ip(self, *lines: str) -> None:
        """Runs `ip` commands on this host."""
        with self:
            ip(*lines)

    def sysctl(self, **settings: object) -> None:
        """Sets kernel settings of this host; `__` stands for `/`."""
        with self:
            for name, value in settings.items():
                with open(f"/proc/sys/net/{name.replace('__', '/')}", "w") as file:
                    file.write(str(value))

    def listens(self, address: str, port: int) -> bool:
        """Whether something listens on this address and port."""
        bracketed = f"[{address}]" if ":" in address else address
        return bool(self.run(f"ss -Htln src {bracketed}:{port}").strip())

    def neighbours(self) -> list[str]:
        """Returns the neighbour entries of this host."""
        return self.run("ip -6 neigh show").splitlines()

    def capture(self, *rules: str) -> None:
        """Adds rules to the NAT table of IPv6."""
        for rule in rules:
            self.run(f"ip6tables -w -t nat -A {rule}")


class Network:
    """The router and the hosts around it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.hosts: dict[str, Host] = {}
        self.router = Host("router")
        self._prepare(self.router)
        self.router.sysctl(ipv6__conf__all__forwarding=1, ipv4__ip_forward=1)

    def _prepare(self, host: Host) -> None:
        host.sysctl(ipv6__conf__all__accept_dad=0, ipv6__conf__default__accept_dad=0)
        host.ip("link set lo up")

    def host(self, name: str, address: str) -> Host:
        """Adds a host on its own link."""
        host = Host(name)
        gateway = ipaddress.IPv6Interface(f"{address}/64").network[0xFFFF]
        self._prepare(host)
        host.address = address
        self.router.ip(
            f"link add to-{name} type veth peer name eth0 netns {name}",
            f"address add {gateway}/64 dev to-{name} nodad",
            f"link set to-{name} up",
        )
        host.ip(
            f"address add {address}/64 dev eth0 nodad",
            "link set eth0 up",
            f"route add default via {gateway}",
        )
        # A load client opens many connections to few addresses.
        host.sysctl(ipv4__ip_local_port_range="1024 65000")
        self.hosts[name] = host
        return host

    def stranger(self, name: str = "stranger", address: str = "2001:db8:0:2::66") -> Host:
        """Adds a host without a sidecar."""
        return self.host(name, address)

    def client(self, name: str = "client", address: str = "2001:db8:0:1::10") -> Host:
        """Adds a host whose connections are captured by envoy/client.yaml."""
        host = self.host(name, address)
        self.capture_outbound(host)
        return host

    def capture_outbound(self, host: Host) -> None:
        """Redirects the connections of a host's applications to envoy/client.yaml."""
        host.capture(
            "OUTPUT -p tcp -m mark --mark 1337 -j RETURN",
            "OUTPUT -p tcp ! -d ::1 -j REDIRECT --to-ports 15001",
        )

    def server(self, number: int, prefixes: Iterable[str]) -> Host:
        """Adds `serverN`, which answers for all of the prefixes, captured by envoy/server.yaml."""
        host = self.host(f"server{number}", f"2001:db8:0:{100 + number}::1")
        host.ip(*(f"route add local {prefix} dev lo" for prefix in prefixes))
        host.capture("PREROUTING -p tcp -j REDIRECT --to-ports 15006")
        return host

    def route(self, prefix: str, server: Host) -> None:
        """Routes a prefix to a server."""
        self.router.ip(f"route replace {prefix} via {server.address}")


def run(command: str) -> str:
    """Runs a command, and returns what it prints."""
    done = subprocess.run(command.split(), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def ip(*lines: str) -> None:
    """Runs `ip` commands as a batch."""
    text = "\n".join(lines) + "\n"
    done = subprocess.run(["ip", "-batch", "-"], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"ip: {done.stderr.strip()}: {text}")
