"""How long it takes from the store to the router's kernel, by the agents' kernels and two BIRDs."""

from __future__ import annotations

import statistics
import time

from . import timeouts
from .bird import Birds, Watch
from .slices import Slices
from .stage import Stage


def run(stage: Stage, bits: int, trials: int) -> None:
    """Moves all slices between two endpoints, each the other's standby: prints the times; no route is deleted."""
    slices = Slices(stage, "ab", bits=bits)
    count = len(slices.all)
    for one in slices.endpoints.values():
        one.start()
    birds = Birds(stage, slices.hosts())
    router = stage.net.router

    def led(name: str) -> int:
        via = f"via {slices[name].host.address} "
        return sum(via in line for line in router.run("ip -6 route show root 2001:db8:5::/48").splitlines())

    slices.give(dict.fromkeys(slices.all, "a"), dict.fromkeys(slices.all, "b"))
    began = time.monotonic()
    stage.wait(timeouts.RETRIED, f"the router has {count} routes to a", lambda: led("a") == count)
    stage.note(f"{count} slices are routed for the first time after {time.monotonic() - began:.2f} s")
    times: list[float] = []
    deleted, owner = 0, "a"
    for _ in range(trials):
        standby, owner = owner, "ab"["ba".index(owner)]
        watch = Watch(stage, router)
        began = time.time()
        slices.give(dict.fromkeys(slices.all, owner), dict.fromkeys(slices.all, standby))
        stage.wait(timeouts.RETRIED, f"the router has {count} routes to {owner}", lambda: led(owner) == count)
        via = f"via {slices[owner].host.address} "
        stage.wait(
            timeouts.SOON,
            "the monitor has seen all of them",
            lambda: sum(via in line for _, line in watch.lines()) >= count,
        )
        lines = watch.end()
        deleted += sum(line.startswith("Deleted") for _, line in lines)
        times.append(1000 * (max(moment for moment, line in lines if via in line) - began))
    stage.note(
        f"{count} slices from the store into the router's kernel: "
        f"median {statistics.median(times):.0f} ms, from {min(times):.0f} to {max(times):.0f} in {trials} moves"
    )
    stage.claim("routes that were deleted meanwhile", 0, deleted)
    stage.claim("sessions that are up", 2, birds.up())
