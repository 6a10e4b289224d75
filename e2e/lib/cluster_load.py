"""Load in the cluster: curl in a pod, each request over a connection of its own.

On a port of protocol TCP the sidecars open one connection upstream for each, so every request is judged anew; on an
HTTP port they would use one again and again.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections import namedtuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import timeouts
from .claims import Broken

if TYPE_CHECKING:
    from .cluster import Cluster
    from .pod import Pod

HERE = Path(__file__).resolve().parent
# What curl says of one request: HTTP status, its own exit status, seconds, and why.
RESULT = re.compile(r"(\d{3}) (\d+) (\d+\.\d+) ?(.*)$")
SCRIPT = (HERE / "pod/load.sh").read_text()


# When it was opened, at the earliest; whether it was answered; how many seconds it took; why not.
Connection = namedtuple("Connection", "moment answered seconds why")


class Load:
    """curl processes that run in a pod until they are stopped."""

    def __init__(self, stage: Cluster, pod: Pod, url: str, rate: int = 80, lanes: int = 4) -> None:
        """`rate` is the target of connections per second; it is lower while answers are slow."""
        self.stage = stage
        number = sum(1 for _ in stage.own.glob("load-*.log"))
        self.file = stage.own / f"load-{number}.log"
        command = ["kubectl", "-n", stage.name, "exec", "-i", pod.name, "-c", "app", "--", "bash", "-c", SCRIPT, "load"]
        command += [url, str(rate // lanes), str(lanes), str(timeouts.EXCHANGE)]
        with open(self.file, "wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT)
        self.began = time.monotonic()
        stage.wait(timeouts.PUSHED, "the load begins", self.connections)

    def connections(self) -> Any:
        """Returns the outcome of each connection so far."""
        return self._read()[0]

    def _read(self) -> Any:
        """Returns the connections so far, and all other lines."""
        moment, found, other = 0, [], []
        for line in self.file.read_text(errors="replace").splitlines():
            result = RESULT.match(line)
            if result:
                status, code, seconds, why = result.groups()
                answered = (status, code) == ("200", "0")
                found.append(Connection(moment, answered, float(seconds), f"{status} {code} {why}".strip()))
            elif line.isdigit():
                moment = int(line)
            else:
                other.append(line)
        return found, other

    def answered(self) -> int:
        """Returns how many connections were answered so far."""
        return sum(one.answered for one in self.connections())

    def failed(self) -> Any:
        """Returns the connections that were not answered so far."""
        return [one for one in self.connections() if not one.answered]

    def moves_on(self, what: str, count: int = 100, seconds: float = timeouts.PUSHED) -> None:
        """Waits until so many more connections were answered."""
        before = self.answered()
        more = f"{count} more connections are answered: {what}"
        self.stage.wait(seconds, more, lambda: self.answered() >= before + count)

    def recovers(self, what: str, count: int = 100, seconds: float = timeouts.PUSHED) -> float:
        """Waits until so many connections in a row were answered that were opened from now on; returns the seconds."""
        began, now = time.monotonic(), time.time()

        def calm() -> bool:
            new = [one.answered for one in self.connections() if one.moment > now]
            return len(new) >= count and all(new[-count:])

        self.stage.wait(seconds, f"{count} connections in a row are answered: {what}", calm)
        return round(time.monotonic() - began, 1)

    def end(self) -> Any:
        """Ends it, and returns what became of its connections: how many were answered, and the others."""
        # It ends when its input does.
        self.process.communicate(timeout=timeouts.COMMAND)
        code = self.process.returncode
        seconds = time.monotonic() - self.began
        told, other = self._read()
        if code != 0 or not told:
            raise Broken(f"the load exited with {code} after {len(told)} connections: {' '.join(other)[-1000:]}")
        failed = self.failed()
        with open("/proc/loadavg") as file:
            busy = file.read().split()[0]
        slowest = max(one.seconds for one in told)
        self.stage.note(
            f"        {len(told)} connections in {seconds:.0f} s, {len(told) / seconds:.0f} a second, {len(failed)} "
            f"without an answer; the slowest took {slowest} s; load average {busy}"
        )
        return len(told) - len(failed), failed

    def end_without_refusal(self) -> int:
        """Ends it, claims that every connection was answered, and returns how many were."""
        answered, failed = self.end()
        self.stage.claim("connections without an answer", [], failed[:20])
        return answered


def snapshot(pod: Pod, role: str) -> Any:
    """Returns the snapshot that a pod's shim serves, requested as the filter does."""
    asked = [
        "curl",
        "-s",
        "-m",
        str(timeouts.ADMIN),
        "--unix-socket",
        "/run/ssa/snapshot.sock",
        f"http://resolver/v1/{role}",
    ]
    return json.loads(pod.run(*asked, container="istio-proxy"))


def rules(pod: Pod, role: str, name: str) -> list[str]:
    """Returns the rules of a service in a pod's snapshot."""
    return next((one["rules"] for one in snapshot(pod, role)["services"] if one["name"] == name), [])
