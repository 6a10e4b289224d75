"""What an agent is told wrongly is told back at once, waited for where it may come, and changes nothing.

Topology: two endpoints; agents are started on the first one alone.

Configuration: a store in a directory; each flag is wrong once.

Expected: endpoint, address, store, interface and probe are named; an agent makes no store; a second agent, and a
cleanup beside one, are refused; prefixes outside of --allowed are told in the status, and the others are routed; an
agent that has nothing ends at once.
"""

import signal
import subprocess
import time
from pathlib import Path

from lib import timeouts
from lib.slices import Slices, interrupt
from lib.stage import Program, Stage


class Agents:
    """Agents on one host, one after another."""

    def __init__(self, stage: Stage, slices: Slices) -> None:
        self.stage = stage
        self.slices = slices
        self.host = slices["a"].host
        self.count = 0

    def start(self, **changes: object) -> tuple[Program, Path]:
        """Starts one with other flags than those that are right; returns it and its log."""
        flags: dict[str, object] = {
            "store": self.slices.store.folder,
            "endpoint": "a",
            "allowed": self.slices.item,
            **changes,
        }
        self.count += 1
        title = f"agent-{self.count}"
        command = [self.stage.tools["cluster"], "agent", *(f"--{name}={value}" for name, value in flags.items())]
        return self.stage.start(self.host, title, command), self.stage.work / f"{title}.log"

    def refused(self, *arguments: object) -> tuple[int, str]:
        """Runs one that ends by itself: its exit status, and what it says."""
        command = [str(one) for one in (self.stage.tools["cluster"], "agent", *arguments)]
        with self.host:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeouts.SOON)
        return done.returncode, done.stderr.strip()

    def tells(self, log: Path, text: str) -> None:
        """Waits until it says something."""
        self.stage.wait(timeouts.SOON, f"it says: {text}", lambda: text in log.read_text())

    def ends(self, agent: Program, what: str) -> None:
        """Tells one to end that has nothing to wait for."""
        began = time.monotonic()
        self.stage.claim(f"exit status of an agent with {what}", 0, interrupt(self.stage, agent, signal.SIGTERM))
        elapsed = round(time.monotonic() - began, 1)
        self.stage.claim_between(f"seconds until it has ended, with {what}", 0, 10, elapsed)


def run(stage: Stage) -> None:
    slices = Slices(stage, "ab", bits=3)
    agents = Agents(stage, slices)
    host = slices["a"].host
    # With what the kernel itself adds.
    stage.wait(timeouts.SOON, "the link has its own address", lambda: "fe80:" in host.run("ip -6 addr show dev eth0"))
    before = slices["a"].everything()

    agent, log = agents.start(endpoint="c")
    agents.tells(log, "--endpoint c: the store has no such SliceEndpoint; it has a, b; waits for it")
    slices.store.put("SliceEndpoint", "c", {"sliceSets": ["web"], "address": host.address})
    agents.tells(log, "SliceEndpoint c is there now")
    agents.ends(agent, "an endpoint that came later")

    agent, log = agents.start(endpoint="b")
    address = slices["b"].host.address
    agents.tells(log, f"--endpoint b: its address is {address}, and no interface of this host has the address")
    agents.ends(agent, "another host's endpoint")
    stage.claim("what it has written", {}, slices["b"].status())

    missing = stage.work / "stroe"
    agent, log = agents.start(store=missing)
    agents.tells(log, f"--store {missing}: is no store")
    stage.claim("whether it has made one", False, missing.exists())
    agents.ends(agent, "a store that is not there")

    agent, log = agents.start(interface="eth9")
    agents.tells(log, "interface eth9: not found; waits for it")
    condition = {"type": "Ready", "status": "False", "reason": "KernelNotAsWanted"}

    def told() -> bool:
        found = slices["a"].status().get("conditions", [])
        return any(condition.items() <= one.items() and "eth9" in one["message"] for one in found)

    stage.wait(timeouts.SOON, "the status says so", told)
    host.ip("link add eth9 type veth peer name peer9", "link set eth9 up", "link set peer9 up")
    agents.tells(log, "the kernel can be used now")
    stage.wait(timeouts.SOON, "it is ready", lambda: slices["a"].status()["ready"])
    agents.ends(agent, "an interface that came later")
    host.ip("link del eth9")

    agent, log = agents.start(probe="tcp:[::1]:9")
    agents.tells(log, "--probe tcp:[::1]:9: connection refused: nobody listens there; the endpoint is not ready")
    code, text = agents.refused("--store", slices.store.folder, "--endpoint", "a", "--allowed", slices.item)
    stage.claim("exit status of a second agent", 1, code)
    stage.claim("whether it says why", True, "another agent runs in this network namespace" in text)
    code, text = agents.refused("--cleanup")
    stage.claim("exit status of a cleanup beside an agent", 1, code)
    stage.claim("whether it says why too", True, "another agent runs in this network namespace" in text)
    agents.ends(agent, "a probe that fails")

    half = next(slices.all[0].supernet(2).subnets(1))
    agent, log = agents.start(allowed=half)
    slices.give(dict.fromkeys(slices.all, "a"))
    outside = [str(one) for one in slices.all if not one.subnet_of(half)]
    stage.wait(timeouts.SOON, "the status names them", lambda: slices["a"].status().get("refused") == outside)
    agents.tells(log, f"{len(outside)} prefixes are outside of --allowed, and are not routed: {outside[0]}")
    inside = [one for one in slices.all if one.subnet_of(half)]
    stage.claim("what is announced", inside, [prefix for prefix, _ in slices["a"].table(510)])
    reasons = {one["type"]: one["reason"] for one in slices["a"].status()["conditions"]}
    stage.claim("what the status says", {"Ready": "Serving", "PrefixesAllowed": "Refused"}, reasons)
    slices.give({})
    stage.wait(timeouts.SOON, "nothing is announced", lambda: not slices["a"].table(510))
    # So that no leader gives them again.
    stage.claim("what the status goes on naming", outside, slices["a"].status()["refused"])
    agents.ends(agent, "nothing left")
    agent, _ = agents.start()
    stage.wait(timeouts.SOON, "a new one names none", lambda: slices["a"].status()["refused"] == [])
    agents.ends(agent, "nothing refused")
    stage.claim("what they leave behind", before, slices["a"].everything())
