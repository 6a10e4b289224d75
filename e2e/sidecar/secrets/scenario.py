"""Secrets come from snapshots only: clients hold their own keys, keys rotate under load, and nothing reveals them.

Topology: a client with a sidecar, whose address is that of the specification's example of a client key; a stranger
without one, a router, one server with a sidecar.

Configuration: envoy/client.yaml and envoy/server.yaml; services from snapshots. One service's rule has a mac and `kdf`:
the server has the secret, the client its own key. The other's has a mac over time; its key is rotated while 500
connections a second arrive: two records are published together, then only the new one.

Expected: conforming connections are admitted, and an address composed with a wrong key is refused, naming the field of
the mac. No connection is refused while the key is rotated. Neither key nor secret appears in Envoys' admin pages, logs
and configuration dumps, even if a snapshot is faulty and Envoy logs everything it can.
"""

import base64
import time
from collections.abc import Iterator
from typing import Any

from lib import snapshots, timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.net import Host
from lib.stage import Stage

RATE = 500
# docs/spec-examples.md, 9.11: the client's key, and the secret that it comes from.
SOURCE, SECRET, CLIENT_KEY = "2001:db8:77:1::7", "000102030405060708090a0b0c0d0e0f", "b1d7b7ef9470d8fe502685b8a2e25ac0"
OLD, NEW = "6f6c6420736563726574206f662077eb", "6e65772073656372657420206f66eb77"
WRONG = "77726f6e6720736563726574eb776562"
EVERY = {"secret": SECRET, "client key": CLIENT_KEY, "old": OLD, "new": NEW, "wrong": WRONG}
FILES = Files(__file__, secret=SECRET, client_key=CLIENT_KEY, old=OLD, new=NEW, wrong=WRONG)
OWN, SHARED = FILES.service("own"), FILES.service("shared")
PAGES = ["config_dump?include_eds", "stats", "stats/prometheus", "clusters", "listeners", "server_info", "init_dump"]


def run(stage: Stage) -> None:
    client, stranger = stage.net.client(address=SOURCE), stage.net.stranger()
    server = stage.server(1, OWN, SHARED)
    near, of_near = snapshots.sidecar(stage, client, FILES.client())
    far, of_far = snapshots.sidecar(stage, server, FILES.server())
    stage.begin(near, far)

    def publish(variant: str = "", **values: Any) -> None:
        """A verifier knows of what is new before clients use it."""
        for resolver in (of_far, of_near):
            resolver.publish(*FILES.having(**values).services(variant).values())
            resolver.wait_taken()

    publish()
    stage.note("each has its key")
    for service in (OWN, SHARED):
        stage.claim(f"{service.name}: the client is", "served", stage.dial(client, service.plain).kind)
        line = far.logged(1)[0]
        stage.claim(f"{service.name}: verdicts", "conforming", line["verdict"])
    by_hand = stage.ssa.compose(SHARED.published, stranger.address, secret=f"a={OLD}")[0]
    stage.claim("a stranger with the secret is", "served", stage.dial(stranger, by_hand).kind)
    guessed = stage.ssa.compose(SHARED.published, stranger.address, secret=f"a={WRONG}")[0]
    stage.claim("a stranger with another secret is", "refused", stage.dial(stranger, guessed).kind)
    found = [(line["verdict"], line["part"]) for line in far.logged(2)]
    stage.claim("their verdicts", [("conforming", None), ("violation", "field_1")], found)
    of_near.publish(*FILES.services("wrong").values())
    of_near.wait_taken()
    stage.claim("a client with a wrong client key is", "refused", stage.dial(client, OWN.plain).kind)
    line = far.logged(1)[0]
    stage.claim("and its verdict", ("violation", "field_1"), (line["verdict"], line["part"]))

    rotate(stage, client, far, publish)

    stage.note("what is revealed")
    for sidecar, resolver in ((far, of_far), (near, of_near)):
        sidecar.admin("logging?level=trace", "POST")
        refused = sidecar.count(f"ssa_{resolver.role}_snapshots_total", outcome="refused")
        resolver.publish(*FILES.services("faulty").values())

        def told() -> bool:
            return sidecar.count(f"ssa_{resolver.role}_snapshots_total", outcome="refused") > refused

        stage.wait(timeouts.SOON, f"{sidecar.host.name} refuses a secret of 33 digits", told)
        resolver.publish(OWN, SHARED)
        resolver.wait_taken()
        stage.claim_in(f"{sidecar.host.name} says where the fault is", "secrets", sidecar.output())
    stage.dial(client, OWN.plain)
    stage.claim_steady("the client is still served", lambda: stage.dial(client, SHARED.plain).kind == "served")
    for sidecar in (near, far):
        stage.claim(f"what {sidecar.host.name} reveals", [], list(leaks(sidecar)))


def rotate(stage: Stage, client: Host, far: Sidecar, publish: Any) -> None:
    stage.note("the key is changed")
    load = stage.load(client, destinations=[SHARED.plain], rate=RATE)
    so_far = far.inbound()
    stage.wait(timeouts.SOON, "connections are made", lambda: far.inbound() > so_far + RATE)
    ahead = int(6 * timeouts.FACTOR)
    moment = int(time.time()) + ahead
    publish("both", moment=moment)
    stage.claim_between(
        "seconds between publishing both records and the new one taking effect",
        0.1,
        ahead,
        round(moment - time.time(), 2),
    )
    stage.wait(ahead + timeouts.SOON, "the new one takes effect", lambda: time.time() > moment + 1)
    publish("new", moment=moment)
    so_far = far.inbound()
    stage.wait(timeouts.SOON, "connections continue", lambda: far.inbound() > so_far + RATE)
    far.mark()
    load.end_steady()
    stage.claim("violations of the service", 1, far.inbound(service="shared", verdict="violation"))
    for number, key in enumerate((OLD, NEW)):
        address = stage.ssa.compose(SHARED.published, "2001:db8:0:2::66", secret=f"a={key}")[0]
        kind = stage.dial(stage.net.hosts["stranger"], address).kind
        stage.claim(f"in the end the {('old', 'new')[number]} key is", ("refused", "served")[number], kind)
    publish()


def leaks(sidecar: Sidecar) -> Iterator[str]:
    """Finds secrets in what a sidecar tells: in its pages, and in what it has written."""
    texts = {page: sidecar.admin(page).encode() for page in PAGES}
    texts |= {path.name: path.read_bytes() for path in sidecar.folder.iterdir() if path.suffix in (".log", ".yaml")}
    for place, text in texts.items():
        for name, secret in EVERY.items():
            raw = bytes.fromhex(secret)
            for form in (secret.encode(), secret.upper().encode(), raw, base64.b64encode(raw).rstrip(b"=")):
                if form in text:
                    yield f"{name} in {place}"
