"""BIRD: on endpoints it announces what agents write, on the router it fills the kernel's table."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterable
from ipaddress import IPv6Address

from . import timeouts
from .claims import Broken, Skip
from .net import Host
from .stage import ROOT, Program, Stage

# What an operator adds to the configuration of BIRD.
SNIPPET = ROOT / "cluster/bare-metal/bird.conf"
# Endpoints have one AS, so that the router compares their MEDs.
ENDPOINT = """
log "{folder}/bird.log" all;
router id 10.0.0.{number};
protocol device {{ }}
include "{snippet}";
{watch_eth0}
protocol bgp upstream {{
  local {address} as 65001;
  neighbor {peer} as 65000;
  bfd {bfd_is};
  hold time 9;
  connect delay time 1;
  error wait time 1, 2;
  graceful restart off;
  ipv6 {{
    import none;
    export filter ssa_announce;
    next hop self;
  }};
}}
"""
ROUTER = """
log "{folder}/bird.log" all;
router id 10.0.0.254;
protocol device {{ }}
{watch_all}
protocol kernel {{
  scan time 60;
  netlink rx buffer 67108864;
  ipv6 {{ import none; export all; }};
}}
"""
NEIGHBOUR = """
protocol bgp {name} {{
  local {peer} as 65000;
  neighbor {address} as 65001;
  bfd {bfd_is};
  hold time 9;
  connect delay time 1;
  error wait time 1, 2;
  graceful restart off;
  ipv6 {{ import all; export none; }};
}}
"""


class Birds:
    """BIRD on the router and on each endpoint."""

    def __init__(self, stage: Stage, hosts: Iterable[Host], bfd: int = 300, later: Iterable[Host] = ()) -> None:
        """Starts them; `bfd` is the interval between packets of BFD in ms, of which three may be lost; 0 is without.

        The router expects those of `later` too, which start() starts.
        """
        self.stage = stage
        done = subprocess.run([ROOT / "hack/bird.sh"], capture_output=True, text=True, timeout=timeouts.INSTALLED)
        if done.returncode == 77:
            raise Skip(done.stdout.strip())
        if done.returncode != 0:
            raise Broken(done.stderr.strip())
        self.program = done.stdout.strip().splitlines()[-1]
        self.processes: dict[str, Program] = {}
        self.hosts: dict[str, Host] = {}
        self.watches = {
            name: f'protocol bfd {{ interface "{which}" {{ interval {bfd} ms; multiplier 3; }}; }}' if bfd else ""
            for name, which in (("watch_eth0", "eth0"), ("watch_all", "to-*"))
        }
        self.watches["bfd_is"] = "on" if bfd else "off"
        hosts = list(hosts)
        neighbours = "".join(NEIGHBOUR.format(**self._words(host)) for host in [*hosts, *later])
        for host in hosts:
            self.start(host)
        self._start(stage.net.router, "router", ROUTER, {**self.watches}, neighbours)
        self.wait(len(hosts))

    def wait(self, count: int) -> None:
        """Waits until so many sessions are up."""
        self.stage.wait(timeouts.INTERVAL, f"{count} BGP sessions are up", lambda: self.up() == count)

    def start(self, host: Host) -> None:
        """Starts the BIRD of an endpoint."""
        self._start(host, host.name, ENDPOINT, self._words(host))

    def _words(self, host: Host) -> dict[str, object]:
        peer = host.address.replace("::1", "::ffff")
        number = IPv6Address(host.address).exploded.split(":")[3]
        words: dict[str, object] = {**self.watches, "number": int(number, 16) & 0xFF, "snippet": SNIPPET}
        return {**words, "name": host.name, "address": host.address, "peer": peer}

    def _start(self, host: Host, name: str, text: str, words: dict[str, object], more: str = "") -> None:
        folder = self.stage.work / f"bird-{name}"
        folder.mkdir(exist_ok=True)
        (folder / "bird.conf").write_text(text.format(folder=folder, **words) + more)
        self.hosts[name] = host
        self.again(name)

    def again(self, name: str) -> None:
        """Starts a BIRD, or another one in place of one that has ended."""
        folder = self.stage.work / f"bird-{name}"
        command = [self.program, "-f", "-c", folder / "bird.conf", "-s", folder / "socket", "-P", folder / "pid"]
        self.processes[name] = self.stage.start(self.hosts[name], f"bird-{name}/output", command)

    def ask(self, name: str, words: str) -> str:
        """Asks a BIRD by its control socket."""
        socket = self.stage.work / f"bird-{name}" / "socket"
        done = subprocess.run([f"{self.program}c", "-s", socket, *words.split()], capture_output=True, text=True)
        return done.stdout

    def up(self) -> int:
        """Counts the sessions that are up."""
        return len(re.findall(r"BGP .* Established", self.ask("router", "show protocols")))


class Watch:
    """What changes in a kernel's routes, with the time."""

    def __init__(self, stage: Stage, host: Host) -> None:
        self.stage = stage
        self.host = host
        number = sum(1 for _ in stage.work.glob("monitor-*.log"))
        self.path = stage.work / f"monitor-{number}.log"
        command = ["ip", "-rcvbuf", 1 << 26, "-ts", "-6", "monitor", "route"]
        self.process = stage.start(host, f"monitor-{number}", command)

        def listens() -> bool:
            host.ip("route replace 2001:db8:ffff::/64 dev lo")
            return "2001:db8:ffff::" in self.path.read_text()

        stage.wait(timeouts.SOON, "the monitor listens", listens)

    def lines(self) -> list[tuple[float, str]]:
        """Returns what changed: (seconds since the epoch, line)."""
        found = []
        for line in self.path.read_text().rpartition("\n")[0].splitlines():
            if not line.startswith("["):
                raise Broken(f"the monitor missed something: {line}")
            stamp, _, rest = line.partition("] ")
            whole, _, part = stamp.lstrip("[").partition(".")
            moment = time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{part}")
            if "2001:db8:ffff::" not in rest:
                found.append((moment, rest))
        return found

    def end(self) -> list[tuple[float, str]]:
        """Ends it, and returns what changed."""
        lines = self.lines()
        self.stage.stop(self.process)
        return lines
