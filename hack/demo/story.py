"""The story of hack/demo.sh, told inside namespaces that end with it: story.py MODULE ENVOY SSA."""

import calendar
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import stage
from keys import client_key
from services import DOMAIN, Service
from sidecar import address_of, places
from stage import Broken, Demo, net
from traffic import Answers, Asking, Lasting

NAIVE = "v=ssa1; addr=rand:64"
RAW = "v=ssa1; addr=src[0:64]"
HASHED = "v=ssa1; addr=hash(src/128):20 rand:44"
REPLICAS = "v=ssa1; addr=hash(src/128):20 rand:44; replicas=4"
OBJECTS = "v=ssa1; addr=hash(obj):20 const(0):44"
COMBINED = "v=ssa1; addr=hash(obj):14 hash(src/64):50"
TOKEN = "v=ssa1; addr=hash(src/64):20 mac(src/64,time/3600):44; key=k1; kdf=src/64"
WORK = "v=ssa1; addr=hash(src/64):20 rand:44; pow=18"
HOPPING = "v=ssa1; addr=mac(src/64,time/30):64; key=k1; skew=5"

TOKEN_SECRET = "5eed0000000000000000000000000001"
VAULT_SECRET = "5eed0000000000000000000000000002"
WRONG_SECRET = "5eed0000000000000000000000000bad"

# Asks some four times a second, each time over a connection of its own.
ASKER = 'while :; do curl -sS --max-time 10 "$1" || echo refused; sleep 0.25; done'


def tell(demo):
    web = Service("web", 5, HASHED)
    vault = Service("vault", 7, HOPPING, VAULT_SECRET)
    # The vault has no capacity for legacy clients.
    vault.policy = {"legacy": "deny"}
    build(demo, web, vault)
    publication(demo, web, vault)
    as_they_stand(demo, web)
    hold_and_release(demo, web)
    command = ["bash", "-c", ASKER, "asker", vault.url]
    asker = demo.start(demo.client, "asker", command, stderr=subprocess.DEVNULL)
    seed_rules(demo, web)
    token(demo, web)
    work(demo, web)
    rogue(demo, web)
    hopping(demo, vault, asker)
    modes(demo, web)
    make_before_break(demo, web)
    applications(demo, web)
    scaling(demo, web)


def change(demo, service, rule, secret=None):
    """Publishes another rule of a service."""
    service.rules, service.secret = [rule], secret
    demo.publish()


def build(demo, web, vault):
    demo.title("A datacenter on one machine")
    demo.say(
        "2 servers own 2001:db8:5::/64 and 2001:db8:7::/64 together; a router leads slices of them to the servers."
    )
    demo.say("Nobody holds a table of connections or of clients.")
    demo.lay_network([web, vault], 2)
    demo.timed("network: client, rogue and legacy hosts, router, server1 and server2, each with an HTTP application")
    demo.start_dns()
    demo.timed(f"DNS: authoritative for {DOMAIN}")
    for service in (web, vault):
        demo.spread(service, demo.servers)
    demo.timed("router: 16 slices of each /64 over the servers, plain addresses to server1")


def publication(demo, web, vault):
    demo.title("What the DNS says")
    row = demo.table("name:16", "type:5", "data:0")
    told = [demo.ssa(demo.client, "resolve", service.name) for service in (web, vault)]
    for service, one in zip((web, vault), told):
        row(service.name, "APL", service.apl)
        row("", "AAAA", f"{one['aaaa'][0]['address']}, for devices that know nothing of SSA")
        row(f"_ssa.{service.name.partition('.')[0]}", "TXT", one["records"][0]["text"])
    verdicts = " and ".join(one["verdict"] for one in told)
    demo.claim("what a client makes of the two (ssa resolve)", "usable and usable", verdicts)


def as_they_stand(demo, web):
    demo.title("Sidecars by envoy/*.yaml as they stand, the rule inline")
    demo.say(f"{HASHED}: the address of a client decides on its server.")
    client, one, both = (demo.sidecars[name] for name in ("client", "server1", "server2"))
    # What a host needs that is both: see both.yaml.
    slices = [prefix for prefix, name in demo.plan[web.name] if name == both.host.name]
    both.host.ip(f"route del local {web.item} dev lo", *(f"route add local {prefix} dev lo" for prefix in slices))
    both.host.capture("OUTPUT -p tcp -o lo ! -d ::1 -m mark --mark 1337 -j REDIRECT --to-ports 15006")
    demo.network.capture_outbound(both.host)
    demo.start_sidecars({client: "client.yaml", one: "server.yaml", both: "both.yaml"})
    demo.timed("client.yaml on the client, server.yaml on server1, both.yaml on server2")
    row = demo.table(
        "asks:9", "by:13", "answered:10", "conforming:11", "server1:8", "server2:8", "addresses:10", "/84s:5"
    )
    for sidecar, by, log in ((client, "client.yaml", "access.log"), (both, "both.yaml", "outbound.log")):
        before = demo.conforming(web)
        answers = demo.ask(sidecar.host, web, 50)
        conforming = demo.conforming(web) - before
        lines = demo.wait(20, "the log is whole", lambda: sidecar.composed(50, log))
        used = {address_of(line) for line in lines}
        row(
            *(sidecar.host.name, by, f"{answers.all} of 50", conforming),
            *(answers.share("server1"), answers.share("server2"), len(used), len(places(used))),
            wanted=(50, 50, 1, 1),
            found=(answers.all, conforming, len(answers), len(places(used))),
        )
    demo.lap()
    client.stop()
    demo.start_sidecars({client: "client-http.yaml"})
    answers = demo.ask(demo.client, web, 20)
    lines = demo.wait(20, "the log is whole", lambda: client.composed(20))
    demo.timed("client-http.yaml on the client: curl keeps one connection to it, and asks 20 times")
    composed = client.count("connections_total", outcome="composed")
    used = len({address_of(line) for line in lines})
    upstream = len({line["source"] for line in lines})
    demo.claim(
        "answers, addresses composed and in use, connections to it (the application closes each)",
        "20, 1, 1, 20",
        f"{answers.all}, {composed}, {used}, {upstream}",
    )
    for sidecar in (client, one, both):
        sidecar.stop()
    both.host.run("ip6tables -w -t nat -F OUTPUT")
    both.host.ip(f"route add local {web.item} dev lo")


def gauges(demo, what):
    row = demo.table(f"{what}:26", "snapshots installed:20", "age, youngest:14", "age, oldest:14", "connections held:0")
    for sidecar in demo.sidecars.values():
        youngest, oldest = (sidecar.count(f"snapshot_age_{which}_seconds") for which in ("min", "max"))
        held = sidecar.count("held_connections")
        row(sidecar.host.name, sidecar.installed(), f"{youngest} s", f"{oldest} s", held)


def hold_and_release(demo, web):
    demo.title("Sidecars that a resolver tells of their services: connections wait for the first snapshot")
    demo.say(
        "client-snapshot.yaml and server-snapshot.yaml, and beside each on a Unix socket a stand-in for the resolver."
    )
    demo.say("From here on no Envoy is restarted, whatever changes.")
    for sidecar in demo.sidecars.values():
        demo.start_resolver(sidecar)
    demo.lap()
    client = demo.sidecars["client"]
    demo.start_sidecars({sidecar: f"{sidecar.kind}-snapshot.yaml" for sidecar in demo.sidecars.values()})
    demo.timed("Envoys are ready, and have no snapshot; 5 requests are sent")
    command = ["curl", "-sS", "--max-time", 20, web.url]
    curls = [demo.start(demo.client, f"held-{number}", command) for number in range(5)]
    demo.wait(10, "5 connections are held", lambda: client.count("held_connections") == 5)
    gauges(demo, "without a snapshot")
    web.rules = [NAIVE]
    demo.publish()
    answered = sum(process.wait(30) == 0 for process in curls)
    demo.timed("a snapshot is published")
    gauges(demo, "with it")
    demo.claim("requests answered, of 5 that were held", 5, answered)
    composed = client.count("connections_total", outcome="composed")
    demo.claim("addresses composed for them, and found conforming", "5, 5", f"{composed}, {demo.conforming(web)}")


def seed_rules(demo, web):
    demo.title("Rules of the seed, one after the other: each change is a snapshot")
    demo.say(f"curl {web.url}, 100 connections under each; /84s: in how many of 2^20 places the addresses are")
    demo.lap()
    row = demo.table("rule:38", "answered:11", "conforming:11", "server1:8", "server2:8", "addresses:10", "/84s:5")
    for name, rule, wanted in (
        ("1 naive", NAIVE, None),
        ("2 source derived, raw", RAW, 1),
        ("2 source derived, hashed", HASHED, 1),
        ("2 the same, 4 choices for each source", REPLICAS, 4),
        ("5 token, a key for each client", TOKEN, 1),
        ("5 proof of work", WORK, 1),
    ):
        change(demo, web, rule, TOKEN_SECRET if rule == TOKEN else None)
        before, since = demo.conforming(web), len(demo.composed(web))
        answers = demo.ask(demo.client, web, 100)
        used = {address_of(line) for line in demo.composed(web, since)}
        conforming, spots = demo.conforming(web) - before, len(places(used))
        row(
            *(name, f"{answers.all} of 100", conforming),
            *(answers.share("server1"), answers.share("server2"), len(used), spots),
            wanted=(100, 100, wanted or spots),
            found=(answers.all, conforming, spots),
        )
        demo.say(f"  {rule.removeprefix('v=ssa1; ')}")
    demo.timed("6 rules; hopping and objects have parts of their own")


def dials(demo, attempts):
    """Lets the rogue dial, shows what becomes of it, and returns what servers logged.

    Attempts are (what, address, wanted outcome).
    """
    lines = []
    row = demo.table("the rogue dials:52", "is:8", "verdict:11", "part:8", "on:7")
    for what, address, wanted in attempts:
        demo.mark(demo.rogue)
        outcome = demo.try_once(demo.rogue, f"http://{address if ']' in address else f'[{address}]'}/")
        line = demo.logged(demo.rogue)[-1]
        found = f"{outcome} {line['verdict']} {line['part']}"
        row(what, outcome, line["verdict"], line["part"], line["on"], wanted=wanted, found=found)
        lines.append(line)
    return lines


def secret(value, flag="--secret"):
    """Returns flags of `ssa compose`."""
    return [flag, f"k1={value}"]


def token(demo, web):
    demo.title("A token in the address: each client has a key of its own")
    demo.say(f"{TOKEN}: servers have the secret, the client's sidecar its key alone.")
    change(demo, web, TOKEN, TOKEN_SECRET)
    source = demo.rogue.address
    of_client, own = (client_key(TOKEN_SECRET, 64, host.address) for host in (demo.client, demo.rogue))
    demo.ask(demo.client, web, 1)
    used = address_of(demo.composed(web)[-1])
    stolen = demo.compose(web, source, keys=secret(of_client, "--client-key"))
    given = demo.compose(web, source, keys=secret(own, "--client-key"))
    dials(
        demo,
        [
            ("what the key of the client makes of its own source", stolen, "refused violation field_1"),
            ("the address that the client uses", used, "refused violation field_0"),
            ("what its own key makes of it, had it got one", given, "served conforming -"),
        ],
    )


def work(demo, web):
    demo.title("Proof of work: the sidecar solves it while the connection is held")
    change(demo, web, WORK)
    url = f"{web.url}?[1-20]"
    _, text = demo.run(demo.client, "curl", "-sS", "-o", "/dev/null", "-w", "%{time_total}\n", url)
    times = sorted(1000 * float(line) for line in text.split())
    demo.say("Some 2^18 hashes for each worker of the sidecar; its solution then serves for the minute.")
    demo.claim("requests answered, of 20", 20, len(times))
    demo.say(f"the slowest took {times[-1]:.0f} ms, the one in the middle {times[len(times) // 2]:.0f} ms")
    source = demo.rogue.address
    without = demo.compose(web, source, rule=WORK.rpartition(";")[0])
    dials(
        demo,
        [
            ("the right place, without the work", without, "refused violation pow"),
            ("with the work done", demo.compose(web, source), "served conforming -"),
        ],
    )


def rogue(demo, web):
    demo.title("A rogue client: no sidecar, dials what it likes")
    change(demo, web, HASHED)
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
    demo.say(f"  {line['text']}")
    demo.say("Its metrics:")
    for metric in demo.sidecars[line["on"]].metrics():
        if 'ssa_outcome="denied"' in metric or "violations_total" in metric:
            demo.say(f"  {metric}")
    counted = demo.inbound(web, verdict="violation", outcome="denied") - violations
    demo.claim("violations that were counted by this", 1, counted)
    reached = [line["upstream"] for line in lines if line["upstream"]]
    demo.claim("connections that reached an application", 0, len(reached))


def hopping(demo, vault, asker):
    demo.title(f"Hopping by time and secret: {vault.name}")
    demo.say(f"{HOPPING}. A client has been asking since the first snapshot:")

    def steps():
        """The client's connections by address, once there are some by two."""
        found = {}
        for line in demo.composed(vault):
            found.setdefault(address_of(line), []).append(line)
        found = [(address, lines) for address, lines in found.items() if len(lines) >= 3]
        return found if len(found) >= 2 else None

    found = demo.wait(70, "the address changed", steps)
    demo.stop(asker)
    row = demo.table("first:9", "last:9", "address:40", "server:8", "requests:0")
    for address, lines in found:
        first, last = (line["time"][:19] for line in (lines[0], lines[-1]))
        # The last of a step has surely begun in it.
        at = calendar.timegm(time.strptime(last, "%Y-%m-%dT%H:%M:%S"))
        expected = demo.compose(vault, demo.client.address, keys=secret(VAULT_SECRET), time=at)
        row(
            *(first[11:], last[11:], address, demo.server_of(vault, address), len(lines)),
            wanted=expected,
            found=address,
        )
    answers = (demo.work / "asker.log").read_text().split()
    demo.claim(f"requests refused, of {len(answers)}", 0, answers.count("refused"))
    demo.claim("violations that the servers saw", 0, demo.inbound(vault, verdict="violation"))
    source, keys, now = demo.rogue.address, secret(VAULT_SECRET), int(time.time())
    old = demo.compose(vault, source, keys=keys, time=now - 3600)
    wrong = demo.compose(vault, source, keys=secret(WRONG_SECRET))
    used = demo.compose(vault, demo.client.address, keys=keys)
    dials(
        demo,
        [
            ("its address of an hour ago", old, "refused violation field_0"),
            ("its address of now by a wrong secret", wrong, "refused violation field_0"),
            ("the client's address of now", used, "refused violation field_0"),
            ("its address of now", demo.compose(vault, source, keys=keys), "served conforming -"),
        ],
    )


def modes(demo, web):
    demo.title("Modes, policies and the kill switch, each by a snapshot, while 20 connections last")
    lasting = Lasting(demo, demo.client, web, 20)
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
        demo.publish(off)
        demo.mark(demo.rogue)
        outcome = demo.try_once(demo.rogue, "http://[2001:db8:5::1]/")
        line = demo.logged(demo.rogue)[-1]
        row(
            *(mode, policy, outcome, line["verdict"], line["outcome"], line["upstream"] or "-"),
            wanted=wanted,
            found=f"{outcome} {line['verdict']} {line['outcome']}",
        )
    client = demo.sidecars["client"]
    before = client.count("connections_total", outcome="off")
    answers = demo.ask(demo.client, web, 20)
    off = client.count("connections_total", outcome="off") - before
    demo.claim(
        "kill switch: the client's requests answered, and sent to the plain address", "20, 20", f"{answers.all}, {off}"
    )
    web.mode, web.policy = "enforce", {}
    demo.publish()
    demo.mark(demo.legacy)
    outcome = demo.try_once(demo.legacy, web.url)
    line = demo.logged(demo.legacy)[-1]
    demo.claim(
        "switched on again: a legacy client, which dials the AAAA address",
        "served: legacy demoted by application_demoted",
        f"{outcome}: {line['verdict']} {line['outcome']} by {line['upstream']}",
    )
    demo.claim("connections that lasted, of 20, through 6 snapshots", 20, lasting.alive())
    lasting.close()


def make_before_break(demo, web):
    demo.title("Make before break: the rule changes while a client keeps asking")
    change(demo, web, NAIVE)
    violations, since = demo.inbound(web, verdict="violation"), len(demo.composed(web))
    asking = Asking(demo, demo.client, web, "make-before-break")
    asking.next(50)
    # More than a TTL ahead, so that every client knows it in time.
    begins = int(time.time()) + stage.TTL + 2
    new = f"{HASHED}; from={begins}"
    web.rules = [NAIVE, new]
    demo.publish()
    demo.say(f"two records stand together: {NAIVE}")
    demo.say(f"                            {new}")
    demo.wait(20, "the new rule has been in force for a TTL", lambda: time.time() > begins + stage.TTL)
    web.rules = [new]
    demo.publish()
    demo.say("a TTL after the new one has come into force, the old one is gone")
    asking.next(50)
    asking.stop()
    lines = demo.composed(web, since)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(begins))
    row = demo.table("connections:18", "requests:9", "addresses:10", "/84s:0")
    before = {address_of(line) for line in lines if line["time"] < text}
    after = {address_of(line) for line in lines if line["time"] >= text}
    row("before the change", sum(line["time"] < text for line in lines), len(before), len(places(before)))
    row("after it", sum(line["time"] >= text for line in lines), len(after), len(places(after)))
    place = places([demo.compose(web, demo.client.address, time=begins)])
    demo.claim("places by the old rule after the change", 0, len(places(after) - place))
    demo.claim(f"requests refused, of {len(asking.answers())}", 0, asking.failed())
    demo.claim("violations that the servers saw", 0, demo.inbound(web, verdict="violation") - violations)


def applications(demo, web):
    demo.title("Applications that compose addresses themselves (ssa compose): 20 objects, each asked for twice")
    row = demo.table("rule:49", "answered:9", "server1:8", "server2:8", "objects with one server:0")
    for name, rule in (("3 object store", OBJECTS), ("4 object and source", COMBINED)):
        change(demo, web, rule)
        servers = []
        for number in range(20):
            to = demo.compose(web, demo.rogue.address, object=f"photos/{number}.jpg")
            url = f"http://[{to}]/?[1-2]"
            servers.append(demo.run(demo.rogue, "curl", "-sS", "--max-time", 10, "--no-progress-meter", url)[1].split())
        answers = Answers(sum(servers, []))
        steady = sum(len(set(pair)) == 1 for pair in servers)
        row(
            *(f"{name}: {rule.removeprefix('v=ssa1; addr=')}", f"{answers.all} of 40"),
            *(answers.share("server1"), answers.share("server2"), f"{steady} of 20"),
            wanted=(40, 20, 2),
            found=(answers.all, steady, len(answers)),
        )


def scaling(demo, web):
    demo.title("Scaling 2 → 4 → 3 servers while a client keeps asking")
    change(demo, web, NAIVE)
    lasting = Lasting(demo, demo.client, web, 40)
    peers = demo.peers(web)
    if len(peers) != 40:
        raise Broken(f"the client's sidecar has {len(peers)} connections, and not 40")
    asking = Asking(demo, demo.client, web, "scaling")
    asking.next(50)
    asked = demo.queries()
    names = [f"server{number + 1}" for number in range(4)]
    row = demo.table("servers:8", "slices:14", "moved:6", *(f"{name}:8" for name in names))

    def spread(servers):
        """Spreads the slices, and shows who answers then; returns how many lasting connections lost their server."""
        old = [demo.server_of(web, address) for address in peers]
        plan = demo.spread(web, servers)
        answers = asking.next(300)
        slices = [str(endpoint["slices"]) for endpoint in plan["endpoints"] if endpoint["slices"]]
        row(
            *(len(servers), " + ".join(slices), plan["report"]["moves"]),
            *(answers.share(name) for name in names),
            wanted=[server.name for server in servers],
            found=sorted(answers),
        )
        return sum(demo.server_of(web, address) != server for address, server in zip(peers, old))

    spread(demo.servers)
    demo.join_servers([3, 4])
    gone = spread(demo.servers)
    demo.wait(10, "connections on moved slices ended", lambda: lasting.alive() <= 40 - gone)
    ended = 40 - lasting.alive()
    spread(demo.servers[:3])
    asking.stop()
    demo.claim(
        "2 → 4, established connections that ended: those on moved slices, and no other",
        f"{gone} of 40",
        f"{ended} of 40",
    )
    demo.claim("DNS queries meanwhile", 0, demo.queries() - asked)
    failed = demo.sidecars["client"].stat("cluster.original_dst.upstream_cx_connect_(fail|timeout)")
    demo.claim("new connections that failed", 0, failed)
    early, answered = asking.failed(), len(asking.answers())
    demo.say(
        f"requests that were on their way on a slice when it moved, and ended early: {early} of {early + answered}"
    )
    restarted = sum(sidecar.process.poll() is not None for sidecar in demo.sidecars.values())
    demo.claim(f"Envoys that ended since the first of {demo.generation} snapshots", 0, restarted)
    lasting.close()


def main():
    # Names of network namespaces, and all that the story writes.
    net.run("mount -t tmpfs tmpfs /run")
    Path("/run/netns").mkdir()
    stage.WORK.mkdir()
    demo = Demo(*sys.argv[1:])
    try:
        tell(demo)
    except Exception as error:  # whatever it is, the story cannot go on
        traceback.print_exc()
        demo.show_logs()
        demo.title(f"BROKEN: {type(error).__name__}: {error}")
        return 1
    status = demo.verdict()
    if os.environ.get("KEEP"):
        (stage.WORK / "told").touch()
        signal.pause()
    return status


if __name__ == "__main__":
    sys.exit(main())
