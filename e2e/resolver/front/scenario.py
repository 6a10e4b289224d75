"""Clients without a filter use the shim's DNS front and connect where the rule says; other answers pass unchanged.

Topology: a server with a sidecar that denies legacy traffic, a router, a DNS server. A resolver host with the shim's
front, which two clients may query and a third may not. One client has a front of its own on ::1 too.

Expected: curl, getaddrinfo and dig get addresses that the server accepts from the client that queried and refuses from
another; TTLs end with time steps. The same holds for the front's own host, for an alias and for a service without an
AAAA record. No hint, no additional record and no answer flag in a query bypasses the rule. Answers of every other type,
with EDNS, DNSSEC OK, TCP, ANY, truncated and 60 kB long, are those of the server byte for byte, except for cookies.
Rules that name an object, and keys that the configuration withholds, leave the published address. Messages that are not
queries for records are forwarded to nobody. Garbage changes nothing; a dead server is reported soon; a host that is not
a client is refused.
"""

import ipaddress
import random
import re
import socket

from lib import resolver, timeouts
from lib.claims import Broken, find
from lib.files import Files
from lib.front import Stub
from lib.stage import Stage

LIMIT = 180
MASTER = "00112233445566778899aabbccddeeff"
STEP = 30
LIGHT = True
FILES = Files(__file__)
NAMES = ("web", "clock", "keyed", "object")


class Client(Stub):
    """A host that asks by bytes of its own too."""

    def raw(self, message: bytes, server: str, by_tcp: bool = False) -> bytes | None:
        """Sends these bytes to a server, and returns the answer's; nothing where none comes."""
        with self.host:
            asking = socket.socket(socket.AF_INET6, socket.SOCK_STREAM if by_tcp else socket.SOCK_DGRAM)
        with asking:
            asking.settimeout(timeouts.EXCHANGE)
            try:
                asking.connect((server, 53))
                if not by_tcp:
                    asking.send(message)
                    return asking.recv(65535)
                asking.sendall(len(message).to_bytes(2, "big") + message)
                stream = asking.makefile("rb")
                return stream.read(int.from_bytes(stream.read(2), "big"))
            except OSError:
                return None

    def reply(self, message: bytes, server: str, by_tcp: bool = False) -> bytes:
        """The same; aborts the scenario if no answer comes."""
        answer = self.raw(message, server, by_tcp)
        if answer is None:
            raise Broken(f"{server} does not answer {self.host.name}")
        return answer


def question(name: str, kind: int, size: int | None = None, dnssec: bool = False, flags: int = 0x0100) -> bytes:
    """Returns a query; `size` is that of EDNS."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    header = [0x1234, flags, 1, 0, 0, 0 if size is None else 1]
    message = b"".join(number.to_bytes(2, "big") for number in header) + labels + kind.to_bytes(2, "big") + b"\0\1"
    if size is not None:
        message += b"\0\0\x29" + size.to_bytes(2, "big") + (0x8000 if dnssec else 0).to_bytes(4, "big") + b"\0\0"
    return message


def run(stage: Stage) -> None:
    dns = stage.net.host("dns", "2001:db8:0:53::53")
    front_host = stage.net.host("front", "2001:db8:0:54::53")
    one = stage.net.host("one", "2001:db8:0:1::10")
    two = stage.net.host("two", "2001:db8:0:2::10")
    stranger = stage.net.host("stranger", "2001:db8:0:3::10")
    prefixes = ["2001:db8:5::/48", "2001:db8:6::/48"]
    server = stage.net.server(1, prefixes)
    for prefix in prefixes:
        stage.net.route(prefix, server)
    stage.application(server)
    stage.sidecar(server, "server.yaml", FILES.server())
    zone = resolver.NameServer(stage, dns)
    folder = stage.work / "secrets"
    folder.mkdir()
    (folder / "k1").write_text(MASTER)
    files = FILES.having(
        large=" ".join(f'"{"x" * 250}"' for _ in range(240)),
        many="\n".join(f"many A 192.0.2.{number}" for number in range(100)),
        secrets=folder,
    )
    zone.publish(files.text("zone"))
    published = files.published()
    web, keyed, rule_of_object = (published[name] for name in ("web", "keyed", "object"))
    shim = resolver.Shim(stage, front_host, files.later("resolver.json"))
    own = resolver.Shim(stage, one, files.later("own-resolver.json"))
    for each in (shim, own):
        for name in NAMES:
            each.wait_state(name, "outbound", "usable")
        # It publishes no AAAA record.
        each.wait_state("bare", "outbound", "absent")

    def outcome(name: str) -> int:
        return shim.count("ssa_resolver_front_queries_total", outcome=name)

    asking, other = Client(stage, one, front_host.address), Client(stage, two, front_host.address)
    stage.note("clients that know nothing of SSA")
    status, told = asking.run("curl", "-sS", "-m", str(timeouts.EXCHANGE), "http://web.demo.test/")
    stage.claim("curl", (0, server.name), (status, told))
    status, told = asking.getaddrinfo("web.demo.test")
    found = [line for line in told.splitlines() if ":" in line]
    stage.claim("addresses that getaddrinfo gives", 1, len(found))
    stage.claim("the IPv4 address is there too", True, "192.0.2.7" in told)
    stage.claim("it is composed", True, ipaddress.IPv6Address(found[0]) in ipaddress.IPv6Network(web.items[0]))
    stage.claim("from the querier", "served", stage.dial(one, found[0]).kind)
    stage.claim("from another", "refused", stage.dial(two, found[0]).kind)
    stage.claim("the published address", "refused", stage.dial(one, web.plain).kind)
    drawn = {other.address("web.demo.test")[0] for _ in range(8)}
    stage.claim_between("addresses in 8 answers", 5, 8, len(drawn))
    stage.claim("all are served", {"served"}, {stage.dial(two, address).kind for address in drawn})
    address, _ = asking.address("WEB.demo.TEST", "+tcp")
    stage.claim("one by TCP, whatever the letters' case", "served", stage.dial(one, address).kind)
    status, told = asking.getaddrinfo("alias.demo.test")
    alias = next(line for line in told.splitlines() if ":" in line)
    stage.claim("an alias", "served", stage.dial(one, alias).kind)
    stage.claim("a service without an AAAA record", "served", stage.dial(one, asking.address("bare.demo.test")[0]).kind)
    home = Client(stage, one, "::1")
    status, told = home.run("curl", "-sS", "-m", str(timeouts.EXCHANGE), "http://web.demo.test/")
    stage.claim("curl through a front on its own host", (0, server.name), (status, told))
    address, _ = home.address("clock.demo.test")
    stage.claim("an address composed for the source of the front's own host", "served", stage.dial(one, address).kind)
    itself = Client(stage, front_host, front_host.address)
    address, _ = itself.address("web.demo.test")
    stage.claim("the front's own host, which is not among the clients", True, address is not None)
    stage.claim("from there", "served", stage.dial(front_host, address).kind)

    stage.note("TTLs")
    address, ttl = asking.address("clock.demo.test")
    stage.claim_between("TTL by the time step and the records", 0, 20, ttl)
    stage.claim("it is served", "served", stage.dial(one, address).kind)
    _, ttl = asking.address("web.demo.test")
    stage.claim_between("TTL by the records", 0, 20, ttl)

    stage.note("answers that the front does not compose")
    stage.claim("a rule that names an object", rule_of_object.plain, asking.address("object.demo.test")[0])
    stage.claim("a rule with a secret that is not allowed", keyed.plain, asking.address("keyed.demo.test")[0])
    stage.claim("with DNSSEC OK", web.plain, asking.address("web.demo.test", "+dnssec")[0])
    stage.claim("with checks disabled", web.plain, asking.address("web.demo.test", "+cd")[0])
    for name, flags in (("AA", 0x0500), ("TC", 0x0300), ("RA and a code", 0x018F)):
        reply = asking.reply(question("web.demo.test", 28, flags=flags), front_host.address)
        address = str(ipaddress.IPv6Address(reply[-16:]))
        stage.claim(f"with {name}, which means nothing there", "served", stage.dial(one, address).kind)
    misplaced = bytearray(question("web.demo.test", 28))
    misplaced += b"\xc0\x0c" + bytes([0, 28, 0, 1, 0, 0, 0, 9, 0, 16]) + ipaddress.IPv6Address(web.plain).packed
    for name, count in (("an answer", 7), ("an authority", 9)):
        message = bytes(1 if at == count else byte for at, byte in enumerate(misplaced))
        stage.claim(f"with {name} in the query: FORMERR", 1, asking.reply(message, front_host.address)[3] & 0x0F)
    header = find(r"flags: ([a-z ]*);", asking.dig("web.demo.test", "A"))[1]
    stage.claim_in("the answer is still authoritative", "aa", header)
    direct = Client(stage, one, dns.address)
    zone_records, passed = (
        each.dig("demo.test", "AXFR", "+noall", "+answer").splitlines() for each in (direct, asking)
    )
    stage.claim_between("records of a zone transfer", 110, 1000, len(passed))
    stage.claim("they are the server's", True, zone_records == passed)
    compared = 0
    for name, kind in [
        *(("web.demo.test", kind) for kind in (1, 2, 6, 15, 16, 42, 64, 65, 255, 65280)),
        ("_ssa.web.demo.test", 16),
        ("alias.demo.test", 28),
        ("none.demo.test", 28),
        ("large.demo.test", 16),
        ("many.demo.test", 1),
        ("demo.test", 255),
        ("elsewhere.example", 28),
    ]:
        for size, dnssec, by_tcp in [(None, 0, 0), (512, 0, 0), (1232, 1, 0), (4096, 1, 0), (None, 0, 1), (1232, 1, 1)]:
            if name in ("web.demo.test", "alias.demo.test") and kind in (28, 65, 255) and not dnssec:
                # Here addresses are composed.
                continue
            message = question(name, kind, size, bool(dnssec))
            answers = [asking.raw(message, at, bool(by_tcp)) for at in (front_host.address, dns.address)]
            if answers[0] is None or answers[0] != answers[1]:
                stage.claim(f"{name} {kind} {size} {dnssec} {by_tcp}", answers[1], answers[0])
            compared += 1
    stage.claim("answers compared with the server's, byte for byte", 17 * 6 - 3 * 3, compared)
    whole = asking.reply(question("large.demo.test", 16), front_host.address, True)
    stage.claim_between("bytes of the largest", 60_000, 65_535, len(whole))
    cut = asking.reply(question("large.demo.test", 16), front_host.address)
    stage.claim("over UDP it is truncated", 0x02, cut[2] & 0x02)
    stage.claim_in("dig gets it whole", "x" * 250, asking.dig("large.demo.test", "TXT"))
    # dig sends a cookie, and BIND answers by one of its own.
    for letters in ("A", "AAAA", "TXT"):
        stage.claim(f"a cookie with {letters}", False, "COOKIE" in asking.dig("web.demo.test", letters))
    if zone.kind == "bind":
        stage.claim_in("the server's own, asked directly", "COOKIE", direct.dig("web.demo.test", "A"))
    told = asking.dig("web.demo.test", "HTTPS")
    stage.claim("an HTTPS record has its parameters", (True, False), ("h2" in told, web.plain in told))
    stage.claim_in("with DNSSEC OK its hints are there too", web.plain, asking.dig("web.demo.test", "HTTPS", "+dnssec"))
    told = asking.dig("_http._tcp.demo.test", "SRV")
    stage.claim("an address beside an SRV record is composed", False, web.plain in told)
    # A server may choose what it answers to ANY (RFC 8482); BIND answers everything by TCP.
    told = asking.dig("web.demo.test", "ANY", "+tcp")
    any_address = re.search(r"AAAA\s+(\S+)", told)
    stage.claim("in an answer to ANY it is composed too", False, f"AAAA\t{web.plain}" in told)
    if any_address or zone.kind == "bind":
        stage.claim("and served", "served", stage.dial(one, find(r"AAAA\s+(\S+)", told)[1]).kind)

    stage.note("what is forwarded to nobody")
    version = bytearray(question("web.demo.test", 28, 1232))
    version[-5] = 1
    answer = asking.reply(bytes(version), front_host.address)
    stage.claim("a later version of EDNS", (0, 1), (answer[3] & 15, answer[-6]))
    for opcode in (4, 5):
        message = question("demo.test", 6, 1232, flags=opcode << 11)
        for by_tcp in (False, True):
            answer = asking.reply(message, front_host.address, by_tcp)
            stage.claim(
                f"opcode {opcode}, {'TCP' if by_tcp else 'UDP'}: NOTIMP, with EDNS",
                (4, 1),
                (answer[3] & 15, answer[11]),
            )
    stage.claim_in("a query for the server's version", "REFUSED", asking.dig("version.bind", "TXT", "CH"))

    stage.note("failures")
    outsider = Client(stage, stranger, front_host.address)
    told = outsider.dig("web.demo.test", "A")
    stage.claim_in("a host that is not a client", "REFUSED", told)
    stage.claim_in("and the refusal has EDNS", "EDNS: version: 0", told)
    with stranger:
        held = [socket.create_connection((front_host.address, 53), timeouts.EXCHANGE) for _ in range(130)]
    stage.claim_in("130 connections of such a host delay nobody", "192.0.2.7", asking.dig("web.demo.test", "A", "+tcp"))
    for one_of_them in held:
        one_of_them.close()
    draw = random.Random(1)
    good = question("web.demo.test", 28, 1232)
    for _ in range(2000):
        junk = bytearray(good[: draw.randrange(len(good) + 1)])
        for _ in range(draw.randrange(4)):
            if junk:
                junk[draw.randrange(len(junk))] = draw.randrange(256)
        with one:
            sending = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        with sending:
            sending.sendto(junk, (front_host.address, 53))
    stage.wait(timeouts.SOON, "it continues", lambda: asking.address("web.demo.test")[0])
    shim.reload(front={**shim.configuration["front"], "keyed": True, "transfers": False})
    stage.claim_in(
        "a zone transfer that the configuration does not allow", "failed", asking.dig("demo.test", "AXFR").lower()
    )
    stage.wait(
        timeouts.SOON, "addresses by secrets are composed", lambda: asking.address("keyed.demo.test")[0] != keyed.plain
    )
    first, again = (asking.address("keyed.demo.test")[0] for _ in range(2))
    stage.claim("the same for the same client", first, again)
    stage.claim("a different one for another client", False, first == other.address("keyed.demo.test")[0])
    shim.reload(off=True)
    stage.claim("with the kill switch", web.plain, asking.address("web.demo.test")[0])
    shim.reload(off=False)
    zone.stop()
    stage.claim_in("with a dead server", "SERVFAIL", asking.dig("other.demo.test", "A"))
    stage.claim("services are still composed", "served", stage.dial(one, asking.address("web.demo.test")[0]).kind)
    for name in ("composed", "published", "passed", "refused", "faulty", "ignored", "failed"):
        stage.claim_between(f"queries {name}", 1, 5000, outcome(name))
    stage.claim_between("memory in kB", 1, 30_000, shim.resident())
    stage.claim("exit status of the shim", 0, shim.stop())
