"""Secrets come by snapshots alone: clients hold their own keys, keys rotate under load, and nothing reveals them.

Topology: a client with a sidecar, whose address is that of the specification's example of a client key; a stranger
without one, a router, one server with a sidecar.

Configuration: envoy/client.yaml and envoy/server.yaml; services by snapshots. One service's rule has a mac and `kdf`:
the server has the secret, the client its own key. The other's has a mac over time; its key is changed while 500
connections a second come: two records stand together, then the new one alone.

Expected: what conforms is let in, and what was composed by a wrong key is refused with the field of the mac. No
connection is refused while the key changes. Neither key nor secret is in what Envoys tell, log and dump, also where a
snapshot is at fault and where Envoy logs all it can.
"""

import base64
import time

from lib import snapshots, timeouts
from lib.service import Service, inbound, outbound

RATE = 500
# docs/spec-examples.md, 9.11: the client's key, and the secret that it comes from.
SOURCE, SECRET, CLIENT_KEY = "2001:db8:77:1::7", "000102030405060708090a0b0c0d0e0f", "b1d7b7ef9470d8fe502685b8a2e25ac0"
OLD, NEW = "6f6c6420736563726574206f662077eb", "6e65772073656372657420206f66eb77"
WRONG = "77726f6e6720736563726574eb776562"
EVERY = {"secret": SECRET, "client key": CLIENT_KEY, "old": OLD, "new": NEW, "wrong": WRONG}
OWN = "v=ssa1; addr=hash(src/64):20 mac(src/64,time/3600):44; key=k1; kdf=src/48"
FIRST = "v=ssa1; addr=hash(src/64):20 mac(src/128,time/30):44; key=a"
PAGES = ["config_dump?include_eds", "stats", "stats/prometheus", "clusters", "listeners", "server_info", "init_dump"]


def own(key=CLIENT_KEY):
    return Service(1, "own", OWN, secrets={"k1": {"secret": SECRET}}, client={"secrets": {"k1": {"client_key": key}}})


def shared(rules, **secrets):
    secrets = {name: {"secret": secret} for name, secret in secrets.items()}
    return Service(2, "shared", *rules, secrets=secrets, client={"secrets": secrets})


def run(stage):
    client, stranger = stage.net.client(address=SOURCE), stage.net.stranger()
    server = stage.server(1, own(), shared([FIRST]))
    near, of_near = snapshots.sidecar(stage, client, outbound(client))
    far, of_far = snapshots.sidecar(stage, server, inbound())
    stage.begin(near, far)
    before = shared([FIRST], a=OLD)

    def publish(*services):
        """A verifier knows of what is new before clients use it."""
        for resolver in (of_far, of_near):
            resolver.publish(*services)
            resolver.wait_taken()

    publish(own(), before)
    stage.note("each has its key")
    for service in (own(), before):
        stage.claim(f"{service.name}: the client is", "served", stage.dial(client, service.plain).kind)
        line = far.logged(1)[0]
        stage.claim(f"{service.name}: and found", "conforming", line["verdict"])
    by_hand = stage.ssa.compose(before.published, stranger.address, secret=f"a={OLD}")[0]
    stage.claim("a stranger with the secret is", "served", stage.dial(stranger, by_hand).kind)
    guessed = stage.ssa.compose(before.published, stranger.address, secret=f"a={WRONG}")[0]
    stage.claim("a stranger with another is", "refused", stage.dial(stranger, guessed).kind)
    found = [(line["verdict"], line["part"]) for line in far.logged(2)]
    stage.claim("they are found", [("conforming", None), ("violation", "field_1")], found)
    of_near.publish(own(WRONG), before)
    of_near.wait_taken()
    stage.claim("a client with a wrong key of its own is", "refused", stage.dial(client, own().plain).kind)
    line = far.logged(1)[0]
    stage.claim("and found", ("violation", "field_1"), (line["verdict"], line["part"]))

    rotate(stage, client, far, near, publish, before)

    stage.note("what is told")
    for sidecar, resolver in ((far, of_far), (near, of_near)):
        sidecar.admin("logging?level=trace", "POST")
        refused = sidecar.count(f"ssa_{resolver.role}_snapshots_total", outcome="refused")
        fault = {"secrets": {"k1": {"secret": SECRET + "0"}}}
        resolver.publish(Service(1, "own", OWN, client=fault, **fault))

        def told():
            return sidecar.count(f"ssa_{resolver.role}_snapshots_total", outcome="refused") > refused

        stage.wait(timeouts.SOON, f"{sidecar.host.name} refuses a secret of 33 digits", told)
        resolver.publish(own(), before)
        resolver.wait_taken()
        stage.claim_in(f"{sidecar.host.name} says where the fault is", "secrets", sidecar.output())
    stage.dial(client, own().plain)
    stage.claim("the client is still", "served", stage.dial(client, before.plain).kind)
    for sidecar in (near, far):
        stage.claim(f"what {sidecar.host.name} tells", [], list(leaks(sidecar)))


def rotate(stage, client, far, near, publish, before):
    stage.note("the key is changed")
    load = stage.load(client, destinations=[before.plain], rate=RATE)
    so_far = far.inbound()
    stage.wait(timeouts.SOON, "connections are made", lambda: far.inbound() > so_far + RATE)
    moment = int(time.time()) + 6
    second = f"{FIRST.replace('key=a', 'key=b')}; from={moment}"
    publish(own(), shared([FIRST, second], a=OLD, b=NEW))
    stage.claim_between("both stand before the new one counts, by s", 0.1, 6, round(moment - time.time(), 2))
    stage.wait(timeouts.SOON, "the new one takes effect", lambda: time.time() > moment + 1)
    publish(own(), shared([second], b=NEW))
    so_far = far.inbound()
    stage.wait(timeouts.SOON, "connections continue", lambda: far.inbound() > so_far + RATE)
    far.mark()
    load.end_steady()
    stage.claim("violations of the service", 1, far.inbound(service="shared", verdict="violation"))
    for number, key in enumerate((OLD, NEW)):
        address = stage.ssa.compose(shared([FIRST]).published, "2001:db8:0:2::66", secret=f"a={key}")[0]
        kind = stage.dial(stage.net.hosts["stranger"], address).kind
        stage.claim(f"in the end the {('old', 'new')[number]} key is", ("refused", "served")[number], kind)
    publish(own(), before)


def leaks(sidecar):
    """Finds secrets in what a sidecar tells: in its pages, and in what it has written."""
    texts = {page: sidecar.admin(page).encode() for page in PAGES}
    texts |= {path.name: path.read_bytes() for path in sidecar.folder.iterdir() if path.suffix in (".log", ".yaml")}
    for place, text in texts.items():
        for name, secret in EVERY.items():
            raw = bytes.fromhex(secret)
            for form in (secret.encode(), secret.upper().encode(), raw, base64.b64encode(raw).rstrip(b"=")):
                if form in text:
                    yield f"{name} in {place}"
