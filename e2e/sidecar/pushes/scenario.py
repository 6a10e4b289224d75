"""20 configuration pushes to both sidecars at 500 connections/s: no conforming connection is refused.

Topology: a client with a sidecar, a prober without one, a router, one server with a sidecar.

Configuration: envoy/client.yaml and envoy/server.yaml; first with their listeners from a file (LDS), then with the
filter alone from a file (ECDS), as Istio delivers it. Each push changes the plugin's configuration on both sides.

Expected: every push is accepted, every connection is answered and counted as conforming, and connections established
before survive. The last push is in force: the prober that it exempts reaches the plain address.
"""

from lib import timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.net import Host
from lib.stage import Stage

FILES = Files(__file__)
WEB = FILES.service("web")
PUSHES, RATE, HELD = 20, 500, 50
# What Envoy counts when a push was taken, and when it was not.
COUNTS = {
    "lds": (r"listener_manager\.lds\.update_success", r"listener_manager\.lds\.update_rejected"),
    "ecds": (r"extension_config_discovery\..*\.config_reload", r"extension_config_discovery\..*\.config_fail"),
}


def run(stage: Stage) -> None:
    client = stage.net.client()
    prober = stage.net.stranger("prober", f"2001:db8:0:f::{PUSHES:x}")
    server = stage.server(1, WEB)
    for dynamic in COUNTS:
        stage.note(f"by {dynamic.upper()}")
        push_all(stage, client, prober, server, dynamic)


def push_both(stage: Stage, near: Sidecar, far: Sidecar, push: int) -> None:
    taken, _ = COUNTS[near.dynamic or ""]
    counted = r"cluster\.application\.upstream_cx_total"
    so_far = far.stat(counted)
    before = [sidecar.stat(taken) for sidecar in (near, far)]
    near.push(FILES.client(pool=100 + push, seed=f"push {push}"))
    far.push(FILES.server(exempt=[{"sources": [f"2001:db8:0:f::{push:x}/128"], "ports": [80]}]))

    def both_took_it() -> bool:
        return all(sidecar.stat(taken) > count for sidecar, count in zip((near, far), before, strict=True))

    stage.wait(timeouts.SOON, f"push {push} is taken", both_took_it)
    # Some hundred connections see each configuration.
    stage.wait(timeouts.SOON, "connections continue", lambda: far.stat(counted) >= so_far + 150)


def push_all(stage: Stage, client: Host, prober: Host, server: Host, dynamic: str) -> None:
    near = Sidecar(stage, client, "client.yaml", FILES.client(), dynamic=dynamic, folder=f"client-{dynamic}")
    far = Sidecar(stage, server, "server.yaml", FILES.server(), dynamic=dynamic, folder=f"server-{dynamic}")
    stage.begin(near, far)
    held = stage.load(client, destinations=[WEB.plain], count=HELD, hold=True)
    stage.claim("connections established before", HELD, held.settled()["answered"])
    load = stage.load(client, destinations=[WEB.plain], rate=RATE)
    for push in range(1, PUSHES + 1):
        push_both(stage, near, far, push)
    stage.claim("established connections that survived", HELD, held.check())
    held.end()
    total = load.end_steady() + HELD
    stage.claim("pushes that were refused", 0, sum(sidecar.stat(COUNTS[dynamic][1]) for sidecar in (near, far)))
    stage.claim("connections composed", total, near.outbound(outcome="composed"))
    stage.claim("connections that conform", total, far.inbound(verdict="conforming", outcome="allowed"))
    stage.claim("connections counted", total, far.inbound())
    stage.claim("the prober at the plain address of the server is", "served", stage.dial(prober, server.address).kind)
    for sidecar in (near, far):
        sidecar.stop()
