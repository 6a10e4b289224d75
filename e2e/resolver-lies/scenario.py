"""Whatever a DNS server says or does, the shim says what is wrong, and keeps what it must.

Topology: a router, and a host with a shim that serves both roles. Its DNS server is a program of this scenario that says
what it is told to, over UDP and TCP.

Expected: after a good answer, each bad one leaves what verifiers had; the state and its reason are those of the list
below; clients live on after failures and are legacy after absences. Good answers mend everything. With a second server
that is right, a lying or silent first one does not matter.
"""

import socket
import struct
import threading

from lib import resolver
from lib.service import Service

LIMIT = 150
WEB = Service(1, "web", "v=ssa1; addr=rand:64")
NAME = "web.demo.test"
TTL = 1
A, CNAME, SOA, TXT, AAAA, APL = 1, 5, 6, 16, 28, 42


def name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"


def record(owner, kind, data, ttl=TTL):
    return name(owner) + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def txt(text):
    data = text.encode()
    return b"".join(bytes([len(part)]) + part for part in (data[at : at + 255] for at in range(0, len(data), 255)))


def item(prefix, length, negated=False):
    packed = socket.inet_pton(socket.AF_INET6, prefix).rstrip(b"\0")
    return struct.pack("!HBB", 2, length, len(packed) | (128 if negated else 0)) + packed


LIST = item("2001:db8:5:1::", 64) + item("2001:db8:6:1::", 120, True)
GOOD = {
    APL: [record(NAME, APL, LIST)],
    TXT: [record(f"_ssa.{NAME}", TXT, txt(WEB.rules[0]))],
    AAAA: [record(NAME, AAAA, socket.inet_pton(socket.AF_INET6, WEB.plain))],
}


class Liar:
    """A DNS server that answers by a function of (question name, type, over TCP): bytes after the header, or a dict."""

    def __init__(self, host, address):
        self.answer = good
        with host:
            self.udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self.tcp = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        self.udp.bind((address, 53))
        self.tcp.bind((address, 53))
        self.tcp.listen(16)
        threading.Thread(target=self._datagrams, daemon=True).start()
        threading.Thread(target=self._streams, daemon=True).start()

    def _datagrams(self):
        while True:
            question, peer = self.udp.recvfrom(4096)
            told = self._tell(question, False)
            if told is not None:
                self.udp.sendto(told, peer)

    def _streams(self):
        while True:
            stream, _ = self.tcp.accept()
            with stream:
                try:
                    length = struct.unpack("!H", stream.recv(2))[0]
                    told = self._tell(stream.recv(length), True)
                    if told is not None:
                        stream.sendall(struct.pack("!H", len(told)) + told)
                except (OSError, struct.error):
                    pass

    def _tell(self, question, by_tcp):
        end = question.index(b"\0", 12) + 5
        kind = struct.unpack("!H", question[end - 4 : end - 2])[0]
        return self.answer(question[:2], question[12:end], kind, by_tcp)


def message(number, question, answers, code=0, truncated=False, counted=None):
    flags = 0x8400 | code | (0x0200 if truncated else 0)
    counts = (1, len(answers) if counted is None else counted, 0, 0)
    return number + struct.pack("!5H", flags, *counts) + question + b"".join(answers)


def good(number, question, kind, by_tcp):
    return message(number, question, GOOD.get(kind, []))


def instead(kind, *answers, **more):
    """Answers one type otherwise."""

    def tell(number, question, asked, by_tcp):
        return message(number, question, answers, **more) if asked == kind else good(number, question, asked, by_tcp)

    return tell


def silent(*_):
    return None


def large(number, question, kind, by_tcp):
    """A rule record of 60 kB, by TCP."""
    if kind != TXT:
        return good(number, question, kind, by_tcp)
    if not by_tcp:
        return message(number, question, [], truncated=True)
    return message(number, question, [record(f"_ssa.{NAME}", TXT, txt("v=ssa1; addr=rand:64; x-a=" + "a" * 60000))])


def many(number, question, kind, by_tcp):
    """4000 items, by TCP."""
    if kind != APL:
        return good(number, question, kind, by_tcp)
    if not by_tcp:
        return message(number, question, [], truncated=True)
    items = b"".join(item(f"2001:db8:5:{number:x}::", 64) for number in range(1, 4000))
    return message(number, question, [record(NAME, APL, items)])


def loop(number, question, kind, by_tcp):
    other = record(NAME, CNAME, name(f"x.{NAME}")) + record(f"x.{NAME}", CNAME, name(NAME))
    return message(number, question, [other], counted=2)


def moving(number, question, kind, by_tcp):
    """Each name is an alias of another."""
    return message(number, question, [question[:-4] + struct.pack("!HHIH", CNAME, 1, TTL, 2 + len(question) - 4) + b"\1a" + question[:-4]])


RULES = f"_ssa.{NAME}"
# How the server lies; the states of verifiers and clients; what the reason has.
LIES = [
    (silent, "stale", "stale", "no answer"),
    (instead(APL, code=2), "stale", "stale", "SERVFAIL"),
    (instead(TXT, code=5), "stale", "stale", "REFUSED"),
    (instead(APL, record(NAME, A, b"\1\2\3\4")), "stale", "stale", "none of the name and type"),
    (instead(APL, record("other.test", APL, LIST)), "stale", "stale", "none of the name and type"),
    (instead(APL, record(NAME, APL, b"")), "stale", "stale", "RDLENGTH 0"),
    (instead(APL, record(NAME, APL, LIST)[:-3]), "stale", "stale", "malformed"),
    (instead(TXT, b"", counted=9), "stale", "stale", "malformed"),
    (instead(TXT, truncated=True), "kept", "absent", ""),
    (loop, "stale", "stale", "alias"),
    (moving, "stale", "stale", "alias"),
    (instead(APL, record(NAME, APL, LIST[:-1])), "kept", "unusable", "APL"),
    (instead(APL, record(NAME, APL, item("2001:db8:5:1::", 64, True))), "kept", "unusable", "no positive item"),
    (instead(APL), "kept", "unusable", "records[0]"),
    (instead(APL, record(NAME, APL, item("2001:db8:9::", 64))), "kept", "refused", "lies in no allowed prefix"),
    (instead(TXT), "kept", "absent", ""),
    (instead(TXT, code=3), "kept", "absent", ""),
    (instead(TXT, *GOOD[TXT], record(RULES, TXT, txt("v=ssa1; addr=hash(src/64):64"))), "kept", "unusable", "from=0"),
    (instead(TXT, record(RULES, TXT, txt("v=ssa1; addr=rand:63"))), "kept", "unusable", "records[0]"),
    (instead(TXT, record(RULES, TXT, txt("v=ssa1; addr=\u00e9"))), "kept", "unusable", "records[0]"),
    (large, "kept", "unusable", "1024"),
    (many, "kept", "unusable", "exceed 64"),
    (instead(AAAA, record(NAME, AAAA, socket.inet_pton(socket.AF_INET6, "2001:db8:f::1"))), "usable", "refused", "item"),
    (instead(AAAA), "usable", "absent", "no AAAA"),
]


def run(stage):
    liar_host = stage.net.host("dns", "2001:db8:0:53::53")
    honest_host = stage.net.host("dns2", "2001:db8:0:54::53")
    host = stage.net.host("host", "2001:db8:0:1::10")
    liar = Liar(liar_host, liar_host.address)
    entries = [resolver.entry(WEB, "inbound", "outbound")]
    shim = resolver.Shim(stage, host, [liar_host.address], entries)

    def both(inbound, outbound):
        found = [shim.status("web", "inbound")[0], shim.status("web", "outbound")[0]]
        return found == [inbound, outbound]

    stage.wait(20, "the good answers are in use", lambda: both("usable", "usable"))
    for number, (lie, inbound, outbound, reason) in enumerate(LIES):
        liar.answer = lie
        stage.wait(20, f"lie {number}: {inbound} and {outbound}", lambda: both(inbound, outbound))
        told = shim.status("web", "inbound")[1] + shim.status("web", "outbound")[1]
        stage.claim_in(f"lie {number} is told", reason, told)
        stage.claim(f"lie {number}: the verifiers have", WEB.rules, shim.rules("inbound", "web"))
        served = shim.rules("outbound", "web")
        stage.claim(f"lie {number}: the clients have", WEB.rules if outbound in ("usable", "stale") else None, served)
        liar.answer = good
        stage.wait(20, "a good answer mends it", lambda: both("usable", "usable"))
    tag = shim.fetch("inbound")[1]
    stage.claim("an unchanged snapshot", 304, shim.fetch("inbound", tag, 1)[0])

    stage.note("a second server")
    Liar(honest_host, honest_host.address)
    dns = {**shim.configuration["dns"], "servers": [liar_host.address, honest_host.address]}
    shim.reload(dns=dns)
    for lie in (silent, instead(APL, code=2), instead(APL, record(NAME, APL, b""))):
        liar.answer = lie
        before = shim.count("ssa_resolver_resolutions_total", outcome="answered")
        more = lambda: shim.count("ssa_resolver_resolutions_total", outcome="answered") > before + 2  # noqa: E731
        stage.wait(20, "answers go on", more)
        stage.claim("with a second server the first does not matter", True, both("usable", "usable"))
    stage.claim_between("memory in kB", 1, 30000, shim.resident())
    stage.claim("the shim ends well", 0, shim.stop())
