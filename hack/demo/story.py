"""The story of hack/demo.sh, told inside namespaces that end with it: story.py MODULE ENVOY SSA RESOLVER."""

import calendar
import ipaddress
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import stage
from lib import net
from lib.claims import Broken
from lib.keys import client_key
from lib.resolver import ZONE
from lib.stage import ROOT, address
from services import Service
from sidecar import places
from stage import Demo
from traffic import CURL, Answers, Asking

NAIVE = "v=ssa1; addr=rand:64"
RAW = "v=ssa1; addr=src[0:64]"
HASHED = "v=ssa1; addr=hash(src/128):20 rand:44"
SALTED = "v=ssa1; addr=hash(src/128):20 rand:44; salt=2"
REPLICAS = "v=ssa1; addr=hash(src/128):20 rand:44; replicas=4"
OBJECTS = "v=ssa1; addr=hash(obj):20 const(0):44"
COMBINED = "v=ssa1; addr=hash(obj):14 hash(src/64):50"
TOKEN = "v=ssa1; addr=hash(src/64):20 mac(src/64,time/3600):44; key={}; kdf=src/64"
WORK = "v=ssa1; addr=hash(src/64):20 rand:44; pow=18"
HOPPING = "v=ssa1; addr=mac(src/64,time/30):64; key=k1; kdf=src/64; skew=5"

TOKEN_SECRET = "5eed0000000000000000000000000001"
NEXT_SECRET = "5eed0000000000000000000000000003"
VAULT_SECRET = "5eed0000000000000000000000000002"
WRONG_SECRET = "5eed0000000000000000000000000bad"


def tell(demo):
    web = Service(0, "web", HASHED)
    vault = Service(1, "vault", HOPPING, k1=VAULT_SECRET)
    # The vault has no capacity for legacy clients.
    vault.policy = {"legacy": "deny"}
    naive = Service(2, "naive", NAIVE)
    raw = Service(3, "raw", RAW)
    replicas = Service(4, "replicas", REPLICAS)
    tokens = Service(5, "tokens", TOKEN.format("k1"), k1=TOKEN_SECRET)
    work = Service(6, "work", WORK)
    objects = Service(7, "objects", OBJECTS)
    combined = Service(8, "combined", COMBINED)
    build(demo, [web, vault, naive, raw, replicas, tokens, work, objects, combined])
    publication(demo, web, vault)
    as_they_stand(demo, web)
    hold_and_release(demo, web)
    asker = Asking(demo, demo.client, vault, "hopping", "--rate", "4/s")
    kinds_of_rules(
        demo,
        [
            ("naive", naive, None),
            ("source derived, raw", raw, 1),
            ("source derived, hashed", web, 1),
            ("the same, 4 choices for each source", replicas, 4),
            ("token, a key for each client", tokens, 1),
            ("proof of work", work, 1),
        ],
    )
    token(demo, tokens)
    proof_of_work(demo, work)
    rogue(demo, web)
    outage(demo, web)
    make_before_break(demo, web)
    rotation(demo, tokens)
    hopping(demo, vault, asker)
    modes(demo, web)
    applications(demo, (("object store", objects), ("object and source", combined)))
    scaling(demo, naive)


def build(demo, services):
    demo.title("A datacenter on one machine")
    demo.say(f"2 servers own a /64 for each of {len(services)} services; a router leads slices of them to the servers.")
    demo.say("Nobody holds a table of connections or of clients.")
    demo.lay_network(services, 2)
    demo.timed("network: client, rogue and legacy hosts, router, server1 and server2, each with an HTTP application")
    demo.start_dns()
    demo.timed(f"DNS: authoritative for {ZONE}, TTL {stage.TTL} s")
    for service in services:
        demo.spread(service, demo.servers)
    demo.timed("router: 16 slices of each /64 over the servers, plain addresses to server1")


def publication(demo, web, vault):
    demo.title("What the DNS says")
    row = demo.table("name:16", "type:5", "data:0")
    told = {service: demo.resolve(service) for service in demo.services}
    for service in (web, vault):
        one = told[service]
        row(service.domain, "APL", service.published["apl"])
        row("", "AAAA", f"{one['aaaa'][0]['address']}, for devices that know nothing of SSA")
        row(f"_ssa.{service.name}", "TXT", one["records"][0]["text"])
    names = [service.name for service in demo.services if service not in (web, vault)]
    demo.say(f"and likewise {', '.join(names)}: a service for each rule that the story is about")
    usable = sum(one["verdict"] == "usable" for one in told.values())
    demo.claim(f"services that a client can use (ssa resolve), of {len(told)}", len(told), usable)


def as_they_stand(demo, web):
    demo.title("Sidecars and resolver shims by the files of envoy/ as they stand")
    demo.say(f"Beside each Envoy an ssa-resolver by resolver.json, which names {web.domain}; the rest is in the DNS.")
    demo.say(f"{HASHED}: the address of a client decides on its server.")
    server1, server2 = demo.servers
    # What a host needs that is both: see both.yaml.
    slices = [prefix for prefix, name in demo.plan[web] if name == server2.name]
    server2.ip(f"route del local {web.items[0]} dev lo", *(f"route add local {prefix} dev lo" for prefix in slices))
    server2.capture("OUTPUT -p tcp -o lo ! -d ::1 -m mark --mark 1337 -j REDIRECT --to-ports 15006")
    demo.net.capture_outbound(server2)
    demo.lap()
    client, one, both = demo.start_standing(
        (demo.client, "client.yaml"), (server1, "server.yaml"), (server2, "both.yaml")
    )
    demo.timed("client.yaml on the client, server.yaml on server1, both.yaml on server2, and all have a snapshot")
    row = demo.table(
        "asks:9", "by:13", "answered:10", "conforming:11", "server1:8", "server2:8", "addresses:10", "/84s:5"
    )
    for sidecar, by, log in ((client, "client.yaml", "access.log"), (both, "both.yaml", "outbound.log")):
        before = demo.conforming(web)
        answers = demo.ask(sidecar.host, web, 50)
        conforming = demo.conforming(web) - before
        lines = demo.wait(20, "the log is whole", lambda: sidecar.composed(50, log))
        used = {address(line["destination"]) for line in lines}
        row(
            *(sidecar.host.name, by, f"{answers.all} of 50", conforming),
            *(answers.share("server1"), answers.share("server2"), len(used), len(places(used))),
            wanted=(50, 50, 1, 1),
            found=(answers.all, conforming, len(answers), len(places(used))),
        )
    demo.lap()
    client.stop()
    (client,) = demo.start_standing((demo.client, "client-http.yaml"))
    answers = demo.run(demo.client, *CURL[:-2], f"{web.url}?[1-20]")[1].split()
    lines = demo.wait(20, "the log is whole", lambda: client.composed(20))
    demo.timed("client-http.yaml on the client: curl keeps one connection to it, and asks 20 times")
    composed = client.outbound(outcome="composed")
    upstream = {(line["source"], line["destination"]) for line in lines}
    demo.claim(
        "answers, addresses composed, connections to them",
        "20, 1, 1",
        f"{len(answers)}, {composed}, {len(upstream)}",
    )
    for sidecar in (client, one, both):
        sidecar.stop()
    server2.run("ip6tables -w -t nat -F OUTPUT")
    server2.ip(f"route add local {web.items[0]} dev lo")


def gauges(demo, what):
    row = demo.table(f"{what}:26", "snapshots installed:20", "age, youngest:14", "age, oldest:14", "connections held:0")
    for sidecar in demo.standing.values():
        youngest, oldest = (sidecar.total(f"snapshot_age_{which}_seconds") for which in ("min", "max"))
        held = sidecar.total("held_connections")
        row(sidecar.host.name, sidecar.installed(), f"{youngest} s", f"{oldest} s", held)


def hold_and_release(demo, web):
    demo.title("Sidecars that start before their shims: connections wait for the first snapshot")
    demo.say("client.yaml and server.yaml anew, and then shims that know all services: rules and lists from the")
    demo.say("DNS, keys from files, services and modes by configuration. From here on none of them is restarted.")
    demo.lap()
    demo.start_sidecars(demo.client, *demo.servers)
    client = demo.standing["client"]
    demo.timed("Envoys are ready, and have no snapshot; 5 requests are sent")
    command = ["curl", "-sS", "--max-time", 20, web.url]
    curls = [demo.start(demo.client, f"held-{number}", command) for number in range(5)]
    demo.wait(10, "5 connections are held", lambda: client.total("held_connections") == 5)
    gauges(demo, "without a snapshot")
    for curl in curls:
        demo.forget(curl)
    demo.start_shims(demo.client, *demo.servers)
    answered = sum(curl.wait(30) == 0 for curl in curls)
    demo.timed("a shim is started beside each")
    gauges(demo, "with it")
    demo.claim("requests answered, of 5 that were held", 5, answered)
    composed = client.outbound(outcome="composed")
    demo.claim("addresses composed for them, and found conforming", "5, 5", f"{composed}, {demo.conforming(web)}")


def kinds_of_rules(demo, rows):
    demo.title("Kinds of rules, each with a service of its own")
    demo.say("curl, 100 connections to each; /84s: in how many of 2^20 places the addresses are")
    demo.lap()
    row = demo.table("rule:38", "answered:11", "conforming:11", "server1:8", "server2:8", "addresses:10", "/84s:5")
    for name, service, wanted in rows:
        before, since = demo.conforming(service), len(demo.composed(service))
        answers = demo.ask(demo.client, service, 100)
        used = {address(line["destination"]) for line in demo.composed(service, since)}
        conforming, spots = demo.conforming(service) - before, len(places(used))
        row(
            *(name, f"{answers.all} of 100", conforming),
            *(answers.share("server1"), answers.share("server2"), len(used), spots),
            wanted=(100, 100, wanted or spots),
            found=(answers.all, conforming, spots),
        )
        demo.say(f"  {service.domain}: {service.rules[0].removeprefix('v=ssa1; ')}")
    demo.timed("6 rules; hopping and objects have parts of their own")


def dials(demo, attempts):
    """Lets the rogue dial, shows what becomes of it, and returns what servers logged.

    Attempts are (what, address or URL's host, wanted outcome).
    """
    lines = []
    row = demo.table("the rogue dials:52", "is:8", "verdict:11", "part:8", "on:7")
    for what, to, wanted in attempts:
        demo.mark(demo.rogue)
        outcome = demo.try_once(demo.rogue, f"http://{to if ']' in str(to) else f'[{to}]'}/")
        line = demo.logged(demo.rogue)[-1]
        part = line["part"] or "-"
        found = f"{outcome} {line['verdict']} {part}"
        row(what, outcome, line["verdict"], part, line["on"], wanted=wanted, found=found)
        lines.append(line)
    return lines


def token(demo, tokens):
    demo.title(f"A token in the address: {tokens.domain}, where each client has a key of its own")
    demo.say(tokens.rules[0])
    told = ", ".join(f"{name}: {shim.told(tokens)['k1']}" for name, shim in demo.shims.items())
    demo.claim("what shims tell of k1", "client: client_key, server1: secret, server2: secret", told)
    source = demo.rogue.address
    of_client, own = (tokens.key_of("k1", host.address) for host in (demo.client, demo.rogue))
    demo.ask(demo.client, tokens, 1)
    used = address(demo.composed(tokens)[-1]["destination"])
    dials(
        demo,
        [
            (
                "what the key of the client makes of its own source",
                demo.compose(tokens, source, client_key=f"k1={of_client}"),
                "refused violation field_1",
            ),
            ("the address that the client uses", used, "refused violation field_0"),
            (
                "what its own key makes of it, had it got one",
                demo.compose(tokens, source, client_key=f"k1={own}"),
                "served conforming -",
            ),
        ],
    )


def proof_of_work(demo, work):
    demo.title(f"Proof of work: {work.domain}, solved by the sidecar while the connection is held")
    url = f"{work.url}?[1-20]"
    _, text = demo.run(demo.client, *CURL, "-o", "/dev/null", "-w", "%{time_total}\n", url)
    times = sorted(1000 * float(line) for line in text.split())
    demo.say("Some 2^18 hashes for each worker of the sidecar; its solution then serves for the minute.")
    demo.claim("requests answered, of 20", 20, len(times))
    demo.say(f"the slowest took {times[-1]:.0f} ms, the one in the middle {times[len(times) // 2]:.0f} ms")
    source = demo.rogue.address
    without = demo.compose(work, source, rule=WORK.rpartition(";")[0])
    dials(
        demo,
        [
            ("the right place, without the work", without, "refused violation pow"),
            ("with the work done", demo.compose(work, source), "served conforming -"),
        ],
    )


def rogue(demo, web):
    demo.title("A rogue client: no sidecar, dials what it likes")
    violations = demo.inbound(web, verdict="violation", outcome="denied")
    server = demo.servers[0].address
    lines = dials(
        demo,
        [
            ("an address of the service, 2001:db8:5::1", "2001:db8:5::1", "refused violation field_0"),
            (f"a server's plain address, {server}", server, "refused outside -"),
            (f"the sidecar itself, [{server}]:15006", f"[{server}]:15006", "refused unclaimed -"),
        ],
    )
    line = lines[0]
    demo.say(f"The access log of {line['on']}:")
    refusing = demo.standing[line["on"]]
    logged = (refusing.folder / "access.log").read_text().splitlines()
    demo.say(f"  {next(text for text in logged if line['source'] in text)}")
    demo.say("Its metrics:")
    for metric in refusing.admin("stats/prometheus?filter=ssa_inbound").splitlines():
        if 'ssa_outcome="denied"' in metric or "violations_total{" in metric:
            demo.say(f"  {metric}")
    counted = demo.inbound(web, verdict="violation", outcome="denied") - violations
    demo.claim("violations that were counted by this", 1, counted)
    reached = [line["upstream"] for line in lines if line["upstream"]]
    demo.claim("connections that reached an application", 0, len(reached))


def hopping(demo, vault, asker):
    demo.title(f"Hopping by time and secret: {vault.domain}")
    demo.say(f"{HOPPING}. A client has been asking all the time:")

    def steps():
        """The client's connections by address, once there are some by two."""
        by_address: dict[ipaddress.IPv6Address, list] = {}
        for line in demo.composed(vault):
            by_address.setdefault(address(line["destination"]), []).append(line)
        found = [(used, lines) for used, lines in by_address.items() if len(lines) >= 3]
        return found if len(found) >= 2 else None

    found = demo.wait(70, "the address changed", steps)
    asker.stop()
    of_client = f"k1={vault.key_of('k1', demo.client.address)}"
    row = demo.table("first:9", "last:9", "address:40", "server:8", "requests:0")
    for used, lines in found:
        first, last = (line["time"][:19] for line in (lines[0], lines[-1]))
        # The last of a step has surely begun in it.
        at = calendar.timegm(time.strptime(last, "%Y-%m-%dT%H:%M:%S"))
        row(
            *(first[11:], last[11:], used, demo.server_of(vault, used), len(lines)),
            wanted=demo.compose(vault, demo.client.address, client_key=of_client, time=at),
            found=used,
        )
    demo.claim(f"requests refused, of {len(asker.answers())}", 0, asker.failed())
    demo.claim("connections that the servers found other than conforming", 0, demo.others(vault))
    source, now = demo.rogue.address, int(time.time())
    own, bad = f"k1={vault.key_of('k1', source)}", f"k1={client_key(WRONG_SECRET, 64, source)}"

    def attempts():
        """Composes each when its turn comes: what is one of now is so for seconds."""
        old = demo.compose(vault, source, client_key=own, time=now - 3600)
        yield "its address of an hour ago", old, "refused violation field_0"
        wrong = demo.compose(vault, source, client_key=bad)
        yield "its address of now by a wrong key", wrong, "refused violation field_0"
        used = demo.compose(vault, demo.client.address, client_key=of_client)
        yield "the client's address of now", used, "refused violation field_0"
        yield "its address of now", demo.compose(vault, source, client_key=own), "served conforming -"

    dials(demo, attempts())


def modes(demo, web):
    demo.title("Modes, policies and the kill switch: configuration and SIGHUP, while 20 connections last")
    lasting = open_lasting(demo, web, 20)
    row = demo.table("mode:12", "on violations:14", "the rogue is:13", "verdict:11", "outcome:14", "by the cluster:0")
    for mode, policy, off, wanted in (
        ("enforce", "deny", False, "refused violation denied"),
        ("shadow", "deny", False, "served violation shadow_denied"),
        ("enforce", "demote", False, "served violation demoted"),
        ("off", "deny", False, "served unverified allowed"),
        ("kill switch", "deny", True, "served unverified allowed"),
    ):
        web.mode = "enforce" if off else mode
        web.policy = {"violation": policy}
        demo.configure(off)
        demo.mark(demo.rogue)
        outcome = demo.try_once(demo.rogue, "http://[2001:db8:5::1]/")
        line = demo.logged(demo.rogue)[-1]
        row(
            *(mode, policy, outcome, line["verdict"], line["outcome"], line["upstream"] or "-"),
            wanted=wanted,
            found=f"{outcome} {line['verdict']} {line['outcome']}",
        )
    client = demo.standing["client"]
    before = client.outbound(outcome="off")
    answers = demo.ask(demo.client, web, 20)
    off = client.outbound(outcome="off") - before
    demo.claim(
        "kill switch: the client's requests answered, and sent to the plain address", "20, 20", f"{answers.all}, {off}"
    )
    web.mode, web.policy = "enforce", {}
    demo.configure()
    demo.mark(demo.legacy)
    outcome = demo.try_once(demo.legacy, web.url)
    line = demo.logged(demo.legacy)[-1]
    demo.claim(
        "switched on again: a legacy client, which dials the AAAA address",
        "served: legacy demoted by application_demoted",
        f"{outcome}: {line['verdict']} {line['outcome']} by {line['upstream']}",
    )
    demo.claim("connections that lasted, of 20, through all reloads", 20, lasting.check())
    close_lasting(demo, lasting)


def open_lasting(demo, service, count):
    """Opens connections of the client that last."""
    lasting = demo.load(demo.client, destinations=[service.plain], count=count, hold=True)
    lasting.settled()
    demo.lasting = count
    return lasting


def close_lasting(demo, lasting):
    """Ends connections that have lasted."""
    lasting.end()
    demo.lasting = 0


def outage(demo, web):
    demo.title("The DNS goes away while a client keeps asking, and comes back")
    others = demo.others(web)
    asking = Asking(demo, demo.client, web, "outage")
    asking.next(50)
    before = {name: shim.services("usable") for name, shim in demo.shims.items()}
    demo.dns.stop()
    gone = time.time()
    demo.lap()
    everything = len(demo.services)
    for name, shim in demo.shims.items():
        demo.wait(20, f"the shim of {name} lives on what it had", lambda: shim.services("stale") == everything)
    demo.wait(20, "all answers have expired", lambda: time.time() > gone + stage.TTL)
    away = {name: shim.services("stale") for name, shim in demo.shims.items()}
    state, reason = demo.shims["client"].status(web.domain, "outbound")
    asking.next(50)
    demo.timed("named is stopped, and every answer that the shims have has expired; the client is answered on")
    demo.say(f"/status of the client's shim, {web.domain}: {state}: {reason}")
    demo.dns.start()
    for name, shim in demo.shims.items():
        demo.wait(20, f"the shim of {name} has new answers", lambda: shim.services("usable") == everything)
    demo.timed("named is started, and every shim has new answers")
    row = demo.table(
        "/metrics of the shim of:25", "before:10", "DNS away:10", "DNS back:10", "asked, answered:16", "failed:0"
    )
    for name, shim in demo.shims.items():
        answered = shim.count("ssa_resolver_resolutions_total", outcome="answered")
        failed = shim.count("ssa_resolver_resolutions_total") - answered
        now = shim.services("usable")
        row(
            *(name, f"{before[name]} usable", f"{away[name]} stale", f"{now} usable", answered, failed),
            wanted=(everything, everything, everything, True),
            found=(before[name], away[name], now, failed >= everything),
        )
    asking.next(50)
    unhurt(demo, web, asking, others)


def unhurt(demo, service, asking, others):
    """Ends a client that keeps asking, and claims that all of its requests were answered, and none as a legacy one's.

    `others` is what `demo.others` said before it began.
    """
    asking.stop()
    demo.claim(f"requests refused, of {len(asking.answers())}", 0, asking.failed())
    demo.claim("connections that the servers found other than conforming", 0, demo.others(service) - others)


def succeed(demo, service, rule):
    """Lets a rule follow the service's one by make before break; returns from when on it is in force."""
    old = service.rules
    # More than a TTL ahead, so that every client knows it in time.
    begins = int(time.time()) + stage.TTL + 5
    service.rules = [*old, f"{rule}; from={begins}"]
    demo.publish(service)
    demo.say(f"two records stand together: {service.rules[0]}")
    demo.say(f"                            {service.rules[1]}")
    left = begins - time.time()
    demo.claim(f"every shim knew both before the second counts, which is in {left:.1f} s", True, left > 0)
    demo.wait(30, "the new rule has been in force for a TTL", lambda: time.time() > begins + stage.TTL)
    service.rules = service.rules[1:]
    demo.publish(service)
    demo.say("a TTL after the second has come into force, the first is gone")
    return begins


def before_and_after(demo, lines, begins):
    """Shows connections before and after a moment, and returns the addresses that were used before and after it.

    Those of the second before it are left out: what is logged as begun before it may be composed after it.
    """
    until, since = (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) for at in (begins - 1, begins))
    row = demo.table("connections:26", "requests:9", "addresses:10", "/84s:0")
    parts = [line for line in lines if line["time"] < until], [line for line in lines if line["time"] >= since]
    used = [{address(line["destination"]) for line in part} for part in parts]
    for name, part, addresses in zip(("until a second before it", "after the change"), parts, used):
        row(name, len(part), len(addresses), len(places(addresses)))
    return used


def make_before_break(demo, web):
    demo.title("Make before break: the rule changes in the DNS while a client keeps asking")
    others, since = demo.others(web), len(demo.composed(web))
    asking = Asking(demo, demo.client, web, "make-before-break")
    asking.next(50)
    begins = succeed(demo, web, SALTED)
    asking.next(50)
    unhurt(demo, web, asking, others)
    before, after = before_and_after(demo, demo.composed(web, since), begins)
    place = places([demo.compose(web, demo.client.address, time=begins)])
    early, late = len(places(before) & place), len(places(after) - place)
    demo.claim("of these, places by the new rule before it, and by the old one after it", "0, 0", f"{early}, {late}")


def rotation(demo, tokens):
    demo.title(f"A secret is rotated while a client keeps asking: {tokens.domain}")
    others, since = demo.others(tokens), len(demo.composed(tokens))
    asking = Asking(demo, demo.client, tokens, "rotation")
    asking.next(50)
    tokens.keys["k2"] = NEXT_SECRET
    demo.mount_keys()
    demo.say("k2 is mounted beside k1: a master on servers, on the client the key that is made of it for the client")
    begins = succeed(demo, tokens, TOKEN.format("k2"))
    old_key = tokens.key_of("k1", demo.rogue.address)
    del tokens.keys["k1"]
    demo.mount_keys()
    for name, shim in demo.shims.items():
        demo.wait(20, f"the shim of {name} has k2 alone", lambda: list(shim.told(tokens)) == ["k2"])
    demo.say("and k1 is removed")
    asking.next(50)
    unhurt(demo, tokens, asking, others)
    before, after = before_and_after(demo, demo.composed(tokens, since), begins)
    demo.claim("addresses in use before as well as after it", 0, len(before & after))
    source = demo.rogue.address
    own = tokens.key_of("k2", source)
    dials(
        demo,
        [
            (
                "an address by a key made of k1",
                demo.compose(tokens, source, rule=TOKEN.format("k1"), client_key=f"k1={old_key}"),
                "refused violation field_1",
            ),
            ("one by a key made of k2", demo.compose(tokens, source, client_key=f"k2={own}"), "served conforming -"),
        ],
    )


def applications(demo, rows):
    demo.title("Applications that compose addresses themselves (ssa compose): 20 objects, each asked for twice")
    row = demo.table("rule:49", "answered:9", "server1:8", "server2:8", "objects with one server:0")
    for name, service in rows:
        servers = []
        for number in range(20):
            to = demo.compose(service, demo.rogue.address, object=f"photos/{number}.jpg")
            url = f"http://[{to}]/?[1-2]"
            servers.append(demo.run(demo.rogue, *CURL, "--max-time", 10, url)[1].split())
        answers = Answers(sum(servers, []))
        steady = sum(len(set(pair)) == 1 for pair in servers)
        row(
            *(f"{name}: {service.rules[0].removeprefix('v=ssa1; addr=')}", f"{answers.all} of 40"),
            *(answers.share("server1"), answers.share("server2"), f"{steady} of 20"),
            wanted=(40, 20, 2),
            found=(answers.all, steady, len(answers)),
        )


def scaling(demo, naive):
    demo.title("Scaling 2 → 4 → 3 servers while a client keeps asking")
    lasting = open_lasting(demo, naive, 40)
    peers = demo.peers(naive)
    if len(peers) != 40:
        raise Broken(f"the client's sidecar has {len(peers)} connections, and not 40")
    asking = Asking(demo, demo.client, naive, "scaling")
    asking.next(50)
    told = demo.standing["client"].installed()
    # The sidecar has tried a DNS server that was away, too.
    connect = "cluster.original_dst.upstream_cx_connect"
    failures = (f"{connect}_attempts_exceeded", f"{connect}_(fail|timeout)")
    before = [demo.standing["client"].stat(name) for name in failures]
    names = [f"server{number + 1}" for number in range(4)]
    row = demo.table("servers:8", "slices:14", "moved:6", *(f"{name}:8" for name in names))

    def spread(servers):
        """Spreads the slices, and shows who answers then; returns how many lasting connections lost their server."""
        old = [demo.server_of(naive, peer) for peer in peers]
        plan = demo.spread(naive, servers)
        answers = asking.next(300)
        slices = [str(endpoint["slices"]) for endpoint in plan["endpoints"] if endpoint["slices"]]
        row(
            *(len(servers), " + ".join(slices), plan["report"]["moves"]),
            *(answers.share(name) for name in names),
            wanted=[server.name for server in servers],
            found=sorted(answers),
        )
        return sum(demo.server_of(naive, peer) != server for peer, server in zip(peers, old))

    spread(demo.servers)
    demo.join_servers(3, 4)
    gone = spread(demo.servers)
    demo.wait(10, "connections on moved slices ended", lambda: lasting.check() <= 40 - gone)
    ended = 40 - lasting.check()
    spread(demo.servers[:3])
    asking.stop()
    demo.claim(
        "2 → 4, established connections that ended: those on moved slices, and no other",
        f"{gone} of 40",
        f"{ended} of 40",
    )
    demo.claim("snapshots that the client's sidecar got meanwhile", 0, demo.standing["client"].installed() - told)
    failed, again = (demo.standing["client"].stat(name) - old for name, old in zip(failures, before))
    demo.claim("new connections that failed", 0, failed)
    demo.say(f"new connections that a move met in their handshake, and that were made again: {again}")
    early, answered = asking.failed(), len(asking.answers())
    demo.say(
        f"requests that were on their way on a slice when it moved, and ended early: {early} of {early + answered}"
    )
    running = [*demo.standing.values(), *demo.shims.values()]
    ended = sum(one.process.poll() is not None for one in running)
    demo.claim(f"Envoys and shims that have ended since connections were held, of {len(running)}", 0, ended)
    close_lasting(demo, lasting)


def main():
    # What is written has keys in it.
    os.umask(0o077)
    # Names of network namespaces, and all that the story writes.
    net.run("mount -t tmpfs tmpfs /run")
    Path("/run/netns").mkdir()
    stage.WORK.mkdir()
    demo = Demo(
        {"root": ROOT, **dict(zip(("module", "envoy", "ssa", "resolver"), map(Path, sys.argv[1:]), strict=True))}
    )
    try:
        tell(demo)
    except Exception as error:  # whatever it is, the story cannot go on
        traceback.print_exc()
        demo.show_logs()
        demo.title(f"BROKEN: {type(error).__name__}: {error}")
        return 1
    status = demo.verdict()
    if os.environ.get("KEEP"):
        (stage.WORK / "told").write_text(str(status))
        signal.pause()
    return status


if __name__ == "__main__":
    sys.exit(main())
