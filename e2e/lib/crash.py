"""How soon new connections work again after an application or a whole host is gone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from . import timeouts
from .bird import Birds
from .net import Host
from .slices import Slices
from .stage import Program, Stage

PORT = 80
# How long one attempt may take; an attempt that began before is none of a new connection.
ATTEMPT = 0.05


def run(stage: Stage, trials: int) -> None:
    """Crashes an application, then cuts a host off, so many times each; prints the times."""
    client = stage.net.stranger("client", "2001:db8:0:1::10")
    slices = Slices(stage, "ab", bits=4)
    applications: dict[str, Program] = {}
    for name, one in slices.endpoints.items():
        applications[name] = stage.application(one.host, "::", PORT)
        one.start("--probe", f"tcp:[::1]:{PORT}")
    slices.give(dict.fromkeys(slices.all, "a"), dict.fromkeys(slices.all, "b"))
    birds = Birds(stage, slices.hosts(), bfd=50)
    router = stage.net.router
    address = slices.all[3][99]

    def led() -> bool:
        """Whether the router leads everything to a, and both sessions are up."""
        via = f"via {slices['a'].host.address} "
        lines = router.run("ip -6 route show root 2001:db8:5::/48").splitlines()
        return len(lines) == len(slices.all) and all(via in line for line in lines) and birds.up() == 2

    def kill() -> None:
        stage.forget(applications["a"])
        applications["a"].kill()
        applications["a"].wait()

    def restart() -> None:
        applications["a"] = stage.application(slices["a"].host, "::", PORT)

    def cut() -> None:
        router.run("nft add rule ip6 cut forward iifname to-a drop")
        router.run("nft add rule ip6 cut forward oifname to-a drop")
        router.run("nft add rule ip6 cut input iifname to-a drop")

    def mend() -> None:
        router.run("nft flush table ip6 cut")

    router.run("nft add table ip6 cut")
    for chain in ("forward", "input"):
        router.run(f"nft add chain ip6 cut {chain} {{ type filter hook {chain} priority 0; }}")
    for what, begin, end in (("application killed", kill, restart), ("host cut off", cut, mend)):
        times = [trial(stage, client, address, led, begin, end) for _ in range(trials)]
        stage.note(
            f"{what}: new connections again after a median of {statistics.median(times):.0f} ms, "
            f"from {min(times):.0f} to {max(times):.0f} in {trials} trials"
        )
        stage.claim(f"trials with connections again, {what}", trials, len(times))
    stage.wait_steady(timeouts.INTERVAL, "the router leads to a again", led)


def trial(
    stage: Stage,
    client: Host,
    address: object,
    led: Callable[[], bool],
    begin: Callable[[], None],
    end: Callable[[], None],
) -> float:
    """Returns the time in ms until a new connection works, that of the standby."""
    stage.wait_steady(timeouts.RETRIED, "the router leads to a", led)
    began = time.monotonic()
    begin()

    def served() -> bool:
        return stage.dial(client, address, PORT, timeout=ATTEMPT).text == "b"

    stage.wait(timeouts.SOON, "the standby answers", served, pause=0.005)
    elapsed = 1000 * (time.monotonic() - began)
    end()
    return elapsed
