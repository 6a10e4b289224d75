"""Whatever a DNS server says or does, the shim reports what is wrong, and keeps what it must.

Topology: a router, and a host with a shim that serves both roles. Its DNS server is a program of this scenario that
answers over UDP and TCP as it is told to.

Expected: after a good answer, each bad one leaves verifiers with what they had; the state and its reason are those of
the list below; clients continue after failures and become legacy after absences. Good answers repair everything, and
those that are acceptable despite their form are accepted. With a second, honest server, a lying or silent first one
does not matter; if only the second denies a name, the first is asked again.
"""

import socket
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lib import resolver, timeouts
from lib.files import Files
from lib.net import Host
from lib.stage import Stage

LIMIT = 300
LIGHT = True
FILES = Files(__file__)
RULE, PLAIN = "v=ssa1; addr=rand:64", "2001:db8:6:1::1"
NAME = "web.demo.test"
TTL = 1
A, NS, CNAME, SOA, TXT, AAAA, OPT, APL = 1, 2, 5, 6, 16, 28, 41, 42


def name(text: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".") if label) + b"\0"


def record(owner: str, kind: int, data: bytes, ttl: int = TTL, cls: int = 1) -> bytes:
    return name(owner) + struct.pack("!HHIH", kind, cls, ttl, len(data)) + data


def txt(text: str) -> bytes:
    data = text.encode()
    return b"".join(bytes([len(part)]) + part for part in (data[at : at + 255] for at in range(0, len(data), 255)))


def item(prefix: str, length: int, negated: bool = False) -> bytes:
    packed = socket.inet_pton(socket.AF_INET6, prefix).rstrip(b"\0")
    return struct.pack("!HBB", 2, length, len(packed) | (128 if negated else 0)) + packed


LIST = item("2001:db8:5:1::", 64) + item("2001:db8:6:1::", 120, True)
GOOD = {
    APL: [record(NAME, APL, LIST)],
    TXT: [record(f"_ssa.{NAME}", TXT, txt(RULE))],
    AAAA: [record(NAME, AAAA, socket.inet_pton(socket.AF_INET6, PLAIN))],
}


class Way(NamedTuple):
    """How a question came."""

    by_tcp: bool
    edns: bool


# How a server replies to a question: to (number, question, type, way).
Reply = Callable[[bytes, bytes, int, Way], bytes | list[bytes] | None]


class Liar:
    """A DNS server that answers by a function of (number, question, type, way): a message, several, or nothing."""

    def __init__(self, host: Host, address: str) -> None:
        self.answer: Reply = good
        with host:
            self.udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self.tcp = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        self.udp.bind((address, 53))
        self.tcp.bind((address, 53))
        self.tcp.listen(16)
        threading.Thread(target=self._datagrams, daemon=True).start()
        threading.Thread(target=self._streams, daemon=True).start()

    def _datagrams(self) -> None:
        while True:
            question, peer = self.udp.recvfrom(4096)
            for told in self._tell(question, False):
                self.udp.sendto(told, peer)

    def _streams(self) -> None:
        while True:
            stream, _ = self.tcp.accept()
            with stream:
                try:
                    length = struct.unpack("!H", stream.recv(2))[0]
                    for told in self._tell(stream.recv(length), True):
                        stream.sendall(struct.pack("!H", len(told)) + told)
                except (OSError, struct.error):
                    pass

    def _tell(self, question: bytes, by_tcp: bool) -> list[bytes]:
        end = question.index(b"\0", 12) + 5
        kind = struct.unpack("!H", question[end - 4 : end - 2])[0]
        told = self.answer(question[:2], question[12:end], kind, Way(by_tcp, question[11] > 0))
        return told if isinstance(told, list) else [told] if told is not None else []


def message(
    number: bytes,
    question: bytes,
    answers: Sequence[bytes],
    code: int = 0,
    truncated: bool = False,
    counted: int | None = None,
    authorities: Sequence[bytes] = (),
    more: Sequence[bytes] = (),
    flags: int = 0x8400,
) -> bytes:
    flags |= code | (0x0200 if truncated else 0)
    counts = (1, len(answers) if counted is None else counted, len(authorities), len(more))
    return number + struct.pack("!5H", flags, *counts) + question + b"".join([*answers, *authorities, *more])


def good(number: bytes, question: bytes, kind: int, way: Way) -> bytes:
    return message(number, question, GOOD.get(kind, []))


def instead(kind: int, *answers: bytes, **more: Any) -> Reply:
    """Answers one type otherwise."""

    def tell(number: bytes, question: bytes, asked: int, way: Way) -> bytes | None:
        return message(number, question, answers, **more) if asked == kind else good(number, question, asked, way)

    return tell


def silent(*_: object) -> None:
    return None


def large(number: bytes, question: bytes, kind: int, way: Way) -> bytes:
    """A rule record of 60 kB, by TCP."""
    if kind != TXT:
        return good(number, question, kind, way)
    if not way.by_tcp:
        return message(number, question, [], truncated=True)
    return message(number, question, [record(f"_ssa.{NAME}", TXT, txt("v=ssa1; addr=rand:64; x-a=" + "a" * 60000))])


def many(number: bytes, question: bytes, kind: int, way: Way) -> bytes:
    """4000 items, by TCP."""
    if kind != APL:
        return good(number, question, kind, way)
    if not way.by_tcp:
        return message(number, question, [], truncated=True)
    items = b"".join(item(f"2001:db8:5:{number:x}::", 64) for number in range(1, 4000))
    return message(number, question, [record(NAME, APL, items)])


def loop(number: bytes, question: bytes, kind: int, way: Way) -> bytes:
    other = record(NAME, CNAME, name(f"x.{NAME}")) + record(f"x.{NAME}", CNAME, name(NAME))
    return message(number, question, [other], counted=2)


def moving(number: bytes, question: bytes, kind: int, way: Way) -> bytes:
    """Each name is an alias of another."""
    return message(
        number,
        question,
        [question[:-4] + struct.pack("!HHIH", CNAME, 1, TTL, 2 + len(question) - 4) + b"\1a" + question[:-4]],
    )


def of_class(cls: int) -> Reply:
    """The question comes back in another class, as if the name did not exist there."""

    def tell(number: bytes, question: bytes, kind: int, way: Way) -> bytes | None:
        return message(number, question[:-1] + bytes([cls]), [], code=3)

    return tell


def by_udp(change: Callable[[bytes], bytes | None]) -> Reply:
    """What comes by UDP is changed; TCP has the whole truth."""

    def tell(number: bytes, question: bytes, kind: int, way: Way) -> bytes | None:
        whole = good(number, question, kind, way)
        return whole if way.by_tcp else change(whole)

    return tell


def with_edns(answer: Callable[[bytes, bytes], bytes | None]) -> Reply:
    """Who asks with EDNS is told this; others the truth."""

    def tell(number: bytes, question: bytes, kind: int, way: Way) -> bytes | None:
        return answer(number, question) if way.edns else good(number, question, kind, way)

    return tell


def beside(*others: bytes) -> Reply:
    """The truth, with other records before and behind it."""

    def tell(number: bytes, question: bytes, kind: int, way: Way) -> bytes | None:
        return message(number, question, [*others, *GOOD.get(kind, [])], more=others)

    return tell


def amid_noise(number: bytes, question: bytes, kind: int, way: Way) -> list[bytes]:
    """The truth, behind messages that anybody could send."""
    right = good(number, question, kind, way)
    absent = message(number, question, [], code=3)
    other = bytes([number[0] ^ 1]) + absent[1:]
    return [b"", right[:7], other, absent[:2] + b"\x04" + absent[3:], absent[:2] + b"\xac" + absent[3:], right]


def truncated_by_udp(whole: bytes) -> bytes:
    """TC is set, and the last record is cut in its middle."""
    return whole[:2] + bytes([whole[2] | 0x02]) + whole[3:-5]


UP = [record("", NS, name("a.root-servers.net"))]
DOWN = [record(NAME, NS, name("ns.elsewhere.test"))]
RULES = f"_ssa.{NAME}"
# How the server lies; the states of verifiers and clients; what the reason has.
LIES = [
    (silent, "stale", "stale", "no answer"),
    (instead(APL, code=2), "stale", "stale", "SERVFAIL"),
    (instead(TXT, code=5), "stale", "stale", "REFUSED"),
    (instead(APL, record(NAME, A, b"\1\2\3\4")), "stale", "stale", "none of the name and type"),
    (instead(APL, record("other.test", APL, LIST)), "stale", "stale", "none of the name and type"),
    (instead(APL, record(NAME, APL, b"")), "kept", "unusable", "records[0]"),
    (instead(APL, record(NAME, APL, LIST)[:-3]), "stale", "stale", "malformed"),
    (instead(TXT, b"", counted=9), "stale", "stale", "malformed"),
    (instead(TXT, truncated=True), "stale", "stale", "truncated"),
    (instead(TXT, authorities=UP), "stale", "stale", "referral"),
    (instead(TXT, authorities=UP, flags=0x8100), "stale", "stale", "referral"),
    (instead(APL, authorities=DOWN, flags=0x8000), "stale", "stale", "referral"),
    (of_class(3), "stale", "stale", "mismatched"),
    (instead(TXT, code=3, flags=0xAC00), "stale", "stale", "opcode"),
    (instead(APL, record(NAME, APL, LIST, cls=3)), "stale", "stale", "off_topic"),
    (loop, "stale", "stale", "alias"),
    (moving, "stale", "stale", "alias"),
    (instead(APL, record(NAME, APL, LIST[:-1])), "kept", "unusable", "APL"),
    (instead(APL, record(NAME, APL, item("2001:db8:5:1::", 64, True))), "kept", "unusable", "no positive item"),
    (instead(APL), "kept", "unusable", "records[0]"),
    (instead(APL, record(NAME, APL, item("2001:db8:9::", 64))), "kept", "refused", "lies in no allowed prefix"),
    (instead(TXT), "kept", "absent", "no TXT record"),
    (instead(TXT, code=3), "kept", "absent", "no TXT record"),
    (instead(TXT, *GOOD[TXT], record(RULES, TXT, txt("v=ssa1; addr=hash(src/64):64"))), "kept", "unusable", "from=0"),
    (instead(TXT, record(RULES, TXT, txt("v=ssa1; addr=rand:63"))), "kept", "unusable", "records[0]"),
    (instead(TXT, record(RULES, TXT, txt("v=ssa1; addr=\u00e9"))), "kept", "unusable", "records[0]"),
    (large, "kept", "unusable", "1024"),
    (many, "kept", "unusable", "exceed 64"),
    (
        instead(AAAA, record(NAME, AAAA, socket.inet_pton(socket.AF_INET6, "2001:db8:f::1"))),
        "usable",
        "refused",
        "item",
    ),
    (instead(AAAA), "usable", "absent", "no AAAA"),
]

BARE = struct.pack("!5H", 0x8401, 0, 0, 0, 0)
BADVERS = [record("", OPT, b"", ttl=1 << 24, cls=1232)]
# What servers do that costs no answer.
FORGIVEN = [
    ("TC by UDP, cut in a record", by_udp(truncated_by_udp)),
    ("cut by UDP, without TC", by_udp(lambda whole: whole[:-5])),
    ("silence by UDP", by_udp(lambda whole: None)),
    ("FORMERR to EDNS", with_edns(lambda number, question: message(number, question, [], code=1))),
    ("NOTIMP to EDNS", with_edns(lambda number, question: message(number, question, [], code=4))),
    ("a bare header to EDNS", with_edns(lambda number, question: number + BARE)),
    ("BADVERS to EDNS", with_edns(lambda number, question: message(number, question, [], more=BADVERS))),
    ("silence to EDNS", with_edns(lambda number, question: None)),
    ("a list without items", beside(record(NAME, APL, b""))),
    (
        "other records at fault",
        beside(record(NAME, A, b"\1"), record(NAME, SOA, b"\xff"), record("x.test", CNAME, b"\x3f")),
    ),
    ("other classes", beside(record(NAME, TXT, b"\x02no", cls=3), record(RULES, AAAA, b"", cls=254))),
    ("noise", amid_noise),
    ("octets behind the message", lambda *asked: good(*asked) + b"\xff" * 40),
    ("another case", lambda number, question, kind, way: message(number, question.swapcase(), GOOD.get(kind, []))),
    ("without EDNS, longer than announced", beside(*[record(NAME, A, bytes(4)) for _ in range(120)])),
]


def run(stage: Stage) -> None:
    liar_host = stage.net.host("dns", "2001:db8:0:53::53")
    honest_host = stage.net.host("dns2", "2001:db8:0:54::53")
    host = stage.net.host("host", "2001:db8:0:1::10")
    liar = Liar(liar_host, liar_host.address)
    shim = resolver.Shim(stage, host, FILES.later("resolver.json"))

    def both(inbound: str, outbound: str) -> bool:
        found = [shim.status("web", "inbound")[0], shim.status("web", "outbound")[0]]
        return found == [inbound, outbound]

    stage.wait(timeouts.SOON, "the good answers are in use", lambda: both("usable", "usable"))
    for number, (lie, inbound, outbound, reason) in enumerate(LIES):
        liar.answer = lie
        stage.wait(timeouts.SOON, f"lie {number}: {inbound} and {outbound}", lambda: both(inbound, outbound))
        told = shim.status("web", "inbound")[1] + shim.status("web", "outbound")[1]
        stage.claim_in(f"lie {number} is reported", reason, told)
        stage.claim(f"lie {number}: the verifiers have", [RULE], shim.rules("inbound", "web"))
        served = shim.rules("outbound", "web")
        stage.claim(f"lie {number}: the clients have", [RULE] if outbound in ("usable", "stale") else None, served)
        liar.answer = good
        stage.wait(timeouts.SOON, "a good answer fixes it", lambda: both("usable", "usable"))
    answered = lambda: shim.count("ssa_resolver_resolutions_total", outcome="answered")  # noqa: E731
    total = lambda: shim.count("ssa_resolver_resolutions_total")  # noqa: E731
    for what, way in FORGIVEN:
        liar.answer = way
        # What was asked before may be answered still.
        before = total()
        stage.wait(timeouts.SOON, f"{what}: asked", lambda: total() > before)
        found = answered()
        stage.wait(timeouts.SOON, f"{what}: answered", lambda: answered() > found + 1)
        stage.claim(f"{what}: it is usable", True, both("usable", "usable"))
    liar.answer = good
    tag = shim.fetch("inbound")[1]
    stage.claim("an unchanged snapshot", 304, shim.fetch("inbound", tag, 1)[0])

    stage.note("a second server")
    honest = Liar(honest_host, honest_host.address)
    dns = {**shim.configuration["dns"], "servers": [liar_host.address, honest_host.address]}
    shim.reload(dns=dns)
    lies = [silent, instead(APL, code=2), instead(TXT, authorities=UP), instead(TXT, truncated=True), of_class(3)]
    for lie in [*lies, instead(APL, record(NAME, A, bytes(4))), loop]:
        liar.answer = lie
        before = answered()
        stage.wait(timeouts.INTERVAL, "answers continue", lambda: answered() > before + 2)
        stage.claim("with a second server the first does not matter", True, both("usable", "usable"))

    stage.note("a first server that was silent briefly")
    honest.answer = instead(TXT, code=3)
    liar.answer = silent
    stage.wait(timeouts.SOON, "the second says that the name does not exist", lambda: both("kept", "absent"))
    liar.answer = good
    stage.wait(timeouts.SOON, "the first is asked again", lambda: both("usable", "usable"))
    stage.claim_between("memory in kB", 1, 30000, shim.resident())
    stage.claim("exit status of the shim", 0, shim.stop())
