"""Envoys hot-restart at 500 connections/s, two at a time on one host: no conforming connection is refused.

Topology: a client with a sidecar, a router, one server with a sidecar.

Configuration: envoy/client.yaml and envoy/server.yaml, with --restart-epoch.

Expected: the new Envoy takes over while the old one drains and exits, first on the server, then on the client; every
connection is answered, and the new ones decide as the old ones did.
"""

from lib import timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.stage import Stage

FILES = Files(__file__)
WEB = FILES.service("web")
RATE = 500


def run(stage: Stage) -> None:
    client, stranger = stage.net.client(), stage.net.stranger()
    server = stage.server(1, WEB)
    near = Sidecar(stage, client, "client.yaml", FILES.client(), base_id=1)
    far = Sidecar(stage, server, "server.yaml", FILES.server(), base_id=2)
    stage.begin(near, far)
    load = stage.load(client, destinations=[WEB.plain], rate=RATE)
    restart(stage, far, r"\[__\]_15006")
    restart(stage, near, r"\[__1\]_15001")
    load.end_steady()
    stage.claim("connections denied", 0, far.inbound(outcome="denied"))
    own = stage.ssa.compose(WEB.published, stranger.address)[0]
    other = stage.ssa.compose(WEB.published, client.address)[0]
    stage.claim("a stranger that composes is", "served", stage.dial(stranger, own).kind)
    stage.claim("a stranger at another's address is", "refused", stage.dial(stranger, other).kind)


def restart(stage: Stage, sidecar: Sidecar, listener: str) -> None:
    name = sidecar.host.name
    accepted = rf"listener\.{listener}\.downstream_cx_total"
    stage.wait(timeouts.SOON, "connections are made", lambda: sidecar.stat(accepted) > RATE)
    old = sidecar.process
    stage.forget(old)
    new = sidecar.start(epoch=1)

    def took_over() -> bool:
        return '"restart_epoch": 1' in (sidecar.try_admin("server_info") or "")

    stage.wait(timeouts.SOON, f"the new Envoy of {name} answers", took_over)
    stage.claim(f"both Envoys of {name} run", True, old.poll() is None and new.poll() is None)
    stage.wait(timeouts.INTERVAL, f"the old Envoy of {name} has ended", lambda: old.poll() is not None)
    stage.claim(f"the old Envoy of {name} exits with", 0, old.returncode)
    since = sidecar.stat(accepted)
    stage.wait(timeouts.SOON, "connections continue", lambda: sidecar.stat(accepted) > since + RATE)
