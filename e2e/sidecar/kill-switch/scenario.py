"""The kill switch: a snapshot disables and re-enables all services under load, and drains nothing.

Topology: a client with a sidecar, a stranger without one, a router, one server with a sidecar.

Configuration: envoy/client.yaml and envoy/server.yaml; services from snapshots.

Expected: while it is off everything passes: the client's connections go to the dialled addresses, and the stranger's
wherever they are sent. Before and after that the rule is in force. Established connections survive, and none is refused
in between.
"""

from typing import Any

from lib import snapshots, timeouts
from lib.files import Files
from lib.stage import Stage

FILES = Files(__file__)
WEB = FILES.service("web")
HELD, RATE = 50, 200


def run(stage: Stage) -> None:
    client, stranger = stage.net.client(), stage.net.stranger()
    server = stage.server(1, WEB)
    near, of_near = snapshots.sidecar(stage, client, FILES.client())
    far, of_far = snapshots.sidecar(stage, server, FILES.server())
    of_near.publish(WEB)
    of_far.publish(WEB)
    stage.begin(near, far)
    other = stage.ssa.compose(WEB.published, client.address)[0]
    wrong = {
        "another's address": (other, 80, "violation"),
        "another port": (stage.ssa.compose(WEB.published, stranger.address)[0], 81, "other_port"),
        "the plain address of the server": (server.address, 80, "outside"),
    }

    def both(off: bool) -> None:
        for resolver in (of_near, of_far):
            resolver.publish(WEB, off=off)
            resolver.wait_taken()

    def judged(outcome: str) -> None:
        for what, (destination, port, verdict) in wrong.items():
            far.mark()
            kind = {"denied": "refused", "allowed": "served"}[outcome]
            stage.claim(f"{what} is", kind, stage.dial(stranger, destination, port).kind)

            def logged() -> list[dict[str, Any]]:
                lines = far.access_log()[far.read_to :]
                return [line for line in lines if line["source"].startswith(f"[{stranger.address}]")]

            line = stage.wait(timeouts.SOON, f"{what} is logged", logged)[0]
            verdict = verdict if outcome == "denied" else "unverified"
            stage.claim(f"{what} is found", (verdict, outcome), (line["verdict"], line["outcome"]))

    def composed(yes: bool) -> None:
        before = {outcome: near.outbound(outcome=outcome) for outcome in ("composed", "off")}
        line = "composed" if yes else "off"
        stage.wait(timeouts.SOON, f"connections are {line}", lambda: near.outbound(outcome=line) >= before[line] + RATE)
        other = "off" if yes else "composed"
        stage.claim(f"connections that are {other} then", before[other], near.outbound(outcome=other))

    held = stage.load(client, destinations=[WEB.plain], count=HELD, hold=True)
    stage.claim("established connections", HELD, held.settled()["answered"])
    load = stage.load(client, destinations=[WEB.plain], rate=RATE)
    for step, off in (("on", False), ("off", True), ("on again", False)):
        stage.note(step)
        both(off)
        composed(not off)
        judged("allowed" if off else "denied")
        stage.claim("established connections that survived", HELD, held.check())
    held.end()
    stage.claim("connections composed or off", load.end_steady() + HELD, near.outbound())
    for sidecar in (near, far):
        drained = r"listener_manager\.(total_listeners_draining|total_filter_chains_draining|listener_modified)"
        stage.claim(f"what {sidecar.host.name} drained", 0, sidecar.stat(drained))
