"""Routing daemons that are frozen and restarted under load."""

from __future__ import annotations

import signal
import time

from . import follow, timeouts
from .bird import Birds
from .handover import Load
from .slices import Slices, interrupt
from .stage import Stage

PORT = 80
# How long the daemon is frozen, in seconds: longer than BFD waits.
FROZEN = 1


class Engine:
    """Two endpoints, the first of which owns everything, and a router."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.client = stage.net.stranger("client", "2001:db8:0:1::10")
        self.slices = Slices(stage, "ab", bits=3)
        for one in self.slices.endpoints.values():
            stage.application(one.host, "::", PORT)
            one.start()
        self.birds: Birds | None = None

    def begin(self, with_standby: bool) -> None:
        """Gives everything to the first, and waits until the router leads there."""
        all_to = dict.fromkeys
        self.slices.give(all_to(self.slices.all, "a"), all_to(self.slices.all, "b") if with_standby else None)
        if not with_standby:
            self.stage.wait(timeouts.SOON, "b announces nothing", lambda: not self.slices["b"].table(follow.ANNOUNCED))
        if not self.birds:
            self.birds = Birds(self.stage, self.slices.hosts())
        self.settled()

    def settled(self) -> None:
        """Waits until both sessions are up, and the router leads everything to the owner."""
        via = f"via {self.slices['a'].host.address} "
        router = self.stage.net.router

        def led() -> bool:
            lines = router.run("ip -6 route show root 2001:db8:5::/48").splitlines()
            count = len(self.slices.all)
            all_led = len(lines) == count and all(via in line for line in lines)
            return all_led and bool(self.birds and self.birds.up() == 2)

        self.stage.wait_steady(timeouts.RETRIED, "the router leads everything to a", led)

    def freeze(self, name: str) -> None:
        """Freezes a daemon for a while."""
        assert self.birds
        process = self.birds.processes[name]
        process.send_signal(signal.SIGSTOP)
        until = time.monotonic() + FROZEN
        self.stage.wait(timeouts.SOON, f"BIRD of {name} is frozen for {FROZEN} s", lambda: time.monotonic() >= until)
        process.send_signal(signal.SIGCONT)

    def restart(self, name: str) -> None:
        """Kills a daemon, and starts another one once the router has noticed."""
        assert self.birds
        birds = self.birds
        interrupt(self.stage, birds.processes[name], signal.SIGKILL)
        self.stage.wait(timeouts.INTERVAL, f"the router has lost {name}", lambda: birds.up() == 1)
        birds.again(name)


def run(stage: Stage, long: int, rate: int) -> None:
    """With a standby nothing fails; without one it does."""
    engine = Engine(stage)
    engine.begin(with_standby=True)
    load = Load(stage, engine.client, engine.slices, long, rate)
    for what, step, name in (
        ("frozen", engine.freeze, "a"),
        ("restarted", engine.restart, "a"),
    ):
        step(name)
        load.check(f"after BIRD of {name} was {what}")
        engine.settled()
        load.check("once the router leads to the owner again")
    load.end()
    stage.note("the same without standbys")
    engine.begin(with_standby=False)
    new = stage.load(engine.client, destinations=[one[1] for one in engine.slices.all], rate=rate, timeout=1)
    engine.restart("a")
    engine.settled()
    told = new.end()
    stage.claim_between("new connections that fail", 1, told["opened"], told["opened"] - told["answered"])
