"""BIRD: on endpoints it announces what agents write, on the router it fills the kernel's table."""

from __future__ import annotations

import re
import subprocess
import time

from . import timeouts
from .claims import Broken, Skip
from .net import Host
from .slices import ANNOUNCED, Slices
from .stage import ROOT, Program, Stage

# Endpoints have one AS, so that the router compares their MEDs.
ENDPOINT = """
log "{folder}/bird.log" all;
router id 10.0.0.{number};
protocol device {{ }}
# What the agent announces: nothing else is in this table. Bursts of routes need room.
protocol kernel slices {{
  kernel table {table};
  learn;
  scan time 2;
  netlink rx buffer 67108864;
  ipv6 {{ import filter {{ if krt_source = 199 then accept; reject; }}; export none; }};
}}
protocol bfd {{ interface "eth0" {{ interval {bfd} ms; multiplier 3; }}; }}
protocol bgp upstream {{
  local {address} as 65001;
  neighbor {peer} as 65000;
  bfd on;
  hold time 9;
  connect delay time 1;
  error wait time 1, 2;
  graceful restart off;
  ipv6 {{
    import none;
    export filter {{ if proto = "slices" then {{ bgp_med = krt_metric; accept; }} reject; }};
    next hop self;
  }};
}}
"""
ROUTER = """
log "{folder}/bird.log" all;
router id 10.0.0.254;
protocol device {{ }}
protocol bfd {{ interface "to-*" {{ interval {bfd} ms; multiplier 3; }}; }}
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
  bfd on;
  hold time 9;
  connect delay time 1;
  error wait time 1, 2;
  graceful restart off;
  ipv6 {{ import all; export none; }};
}}
"""


class Birds:
    """BIRD on the router and on each endpoint."""

    def __init__(self, stage: Stage, slices: Slices, bfd: int = 300) -> None:
        """Starts them; `bfd` is the interval between packets of BFD in ms, of which three may be lost."""
        self.stage = stage
        done = subprocess.run([ROOT / "hack/bird.sh"], capture_output=True, text=True, timeout=timeouts.INSTALLED)
        if done.returncode == 77:
            raise Skip(done.stdout.strip())
        if done.returncode != 0:
            raise Broken(done.stderr.strip())
        self.program = done.stdout.strip().splitlines()[-1]
        self.processes: dict[str, Program] = {}
        neighbours = ""
        for number, (name, one) in enumerate(slices.endpoints.items(), 1):
            words: dict[str, object] = {
                "bfd": bfd,
                "number": number,
                "name": name,
                "table": ANNOUNCED,
                "address": one.host.address,
                "peer": one.host.address.replace("::1", "::ffff"),
            }
            neighbours += NEIGHBOUR.format(**words)
            self._start(one.host, name, ENDPOINT, words)
        self._start(stage.net.router, "router", ROUTER, {"bfd": bfd}, neighbours)
        stage.wait(timeouts.INTERVAL, "all BGP sessions are up", lambda: self.up() == len(slices.endpoints))

    def _start(self, host: Host, name: str, text: str, words: dict[str, object], more: str = "") -> None:
        folder = self.stage.work / f"bird-{name}"
        folder.mkdir()
        (folder / "bird.conf").write_text(text.format(folder=folder, **words) + more)
        command = [self.program, "-f", "-c", folder / "bird.conf", "-s", folder / "socket", "-P", folder / "pid"]
        self.processes[name] = self.stage.start(host, f"bird-{name}/output", command)

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
