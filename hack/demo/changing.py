"""Changes while a client keeps sending requests: rules, keys, time steps, and the DNS."""

from __future__ import annotations

import calendar
import ipaddress
import time
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any

import stage
from judging import dials
from lib import timeouts
from lib.keys import client_key
from lib.stage import address
from records import HOPPING, NEXT_SECRET, SALTED, TOKEN, WRONG_SECRET
from sidecar import places
from traffic import Asking

if TYPE_CHECKING:
    from services import Service
    from stage import Demo


def outage(demo: Demo, web: Service) -> None:
    demo.title("The DNS fails while a client keeps sending requests, and recovers")
    others = demo.others(web)
    asking = Asking(demo, demo.client, web, "outage")
    asking.next(50)
    before = {name: shim.services("usable") for name, shim in demo.shims.items()}
    demo.dns.stop()
    gone = time.time()
    demo.lap()
    everything = len(demo.services)
    for name, shim in demo.shims.items():
        demo.wait(timeouts.SOON, f"the shim of {name} keeps what it had", lambda: shim.services("stale") == everything)
    demo.wait(timeouts.SOON, "all answers have expired", lambda: time.time() > gone + stage.TTL)
    away = {name: shim.services("stale") for name, shim in demo.shims.items()}
    state, reason = demo.shims["client"].status(web.domain, "outbound")
    asking.next(50)
    demo.timed("named is stopped, and all answers of the shims have expired; the client is still answered")
    demo.say(f"/status of the client's shim, {web.domain}: {state}: {reason}")
    demo.dns.start()
    for name, shim in demo.shims.items():
        demo.wait(timeouts.SOON, f"the shim of {name} has new answers", lambda: shim.services("usable") == everything)
    demo.timed("named is started, and every shim has new answers")
    row = demo.table(
        "/metrics of the shim of:25", "before:10", "DNS down:10", "DNS up:10", "queries answered:16", "failed:0"
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


def unhurt(demo: Demo, service: Service, asking: Any, others: Any) -> None:
    """Stops a client that keeps sending requests, and claims that all were answered, and none as a legacy client's.

    `others` is what `demo.others` said before it began.
    """
    asking.stop()
    demo.claim(f"requests refused, of {len(asking.answers())}", 0, asking.failed())
    demo.claim("connections with another verdict than conforming", 0, demo.others(service) - others)


def succeed(demo: Demo, service: Service, rule: str) -> int:
    """Replaces the service's rule, make before break; returns when the new one takes effect."""
    old = service.rules
    # More than a TTL ahead, so that every client knows it in time.
    begins = int(time.time()) + stage.TTL + 5
    service.rules = [*old, f"{rule}; from={begins}"]
    demo.publish(service)
    demo.say(f"both records are published:  {service.rules[0]}")
    demo.say(f"                            {service.rules[1]}")
    left = begins - time.time()
    demo.claim(f"every shim knew both before the second takes effect, in {left:.1f} s", True, left > 0)
    demo.wait(timeouts.INTERVAL, "the new rule has been in force for a TTL", lambda: time.time() > begins + stage.TTL)
    service.rules = service.rules[1:]
    demo.publish(service)
    demo.say("a TTL after the second took effect, the first is removed")
    return begins


def before_and_after(demo: Demo, lines: Any, begins: Any) -> list[set[IPv6Address]]:
    """Shows connections before and after a moment, and returns the addresses that were used before and after it.

    Those of the second before it are left out: what is logged as begun before it may be composed after it.
    """
    until, since = (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) for at in (begins - 1, begins))
    row = demo.table("connections:26", "requests:9", "addresses:10", "/84s:0")
    parts = [line for line in lines if line["time"] < until], [line for line in lines if line["time"] >= since]
    used = [{address(line["destination"]) for line in part} for part in parts]
    for name, part, addresses in zip(("until a second before it", "after the change"), parts, used, strict=True):
        row(name, len(part), len(addresses), len(places(addresses)))
    return used


def make_before_break(demo: Demo, web: Service) -> None:
    demo.title("Make before break: the rule changes in the DNS while a client keeps sending requests")
    others, since = demo.others(web), len(demo.composed(web))
    asking = Asking(demo, demo.client, web, "make-before-break")
    asking.next(50)
    begins = succeed(demo, web, SALTED)
    asking.next(50)
    unhurt(demo, web, asking, others)
    before, after = before_and_after(demo, demo.composed(web, since), begins)
    place = places([demo.compose(web, demo.client.address, time=begins)])
    early, late = len(places(before) & place), len(places(after) - place)
    demo.claim("of these, prefixes of the new rule before it, and of the old one after it", "0, 0", f"{early}, {late}")


def rotation(demo: Demo, tokens: Service) -> None:
    demo.title(f"A secret is rotated while a client keeps sending requests: {tokens.domain}")
    others, since = demo.others(tokens), len(demo.composed(tokens))
    asking = Asking(demo, demo.client, tokens, "rotation")
    asking.next(50)
    tokens.keys["k2"] = NEXT_SECRET
    demo.mount_keys()
    demo.say("k2 is mounted next to k1: the secret on servers, the key derived from it on the client")
    begins = succeed(demo, tokens, TOKEN.format("k2"))
    old_key = tokens.key_of("k1", demo.rogue.address)
    del tokens.keys["k1"]
    demo.mount_keys()
    for name, shim in demo.shims.items():
        demo.wait(timeouts.SOON, f"the shim of {name} has k2 alone", lambda: list(shim.told(tokens)) == ["k2"])
    demo.say("k1 is removed")
    asking.next(50)
    unhurt(demo, tokens, asking, others)
    before, after = before_and_after(demo, demo.composed(tokens, since), begins)
    demo.claim("addresses used both before and after it", 0, len(before & after))
    source = demo.rogue.address
    own = tokens.key_of("k2", source)
    dials(
        demo,
        [
            (
                "an address with a key derived from k1",
                demo.compose(tokens, source, rule=TOKEN.format("k1"), client_key=f"k1={old_key}"),
                "refused violation field_1",
            ),
            ("one with a key from k2", demo.compose(tokens, source, client_key=f"k2={own}"), "served conforming -"),
        ],
    )


def hopping(demo: Demo, vault: Service, querier: Any) -> None:
    demo.title(f"Hopping by time and secret: {vault.domain}")
    demo.say(f"{HOPPING}. A client has been sending requests all the time:")

    def steps() -> Any:
        """Returns the client's connections by address, once there are two addresses."""
        by_address: dict[ipaddress.IPv6Address, list] = {}
        for line in demo.composed(vault):
            by_address.setdefault(address(line["destination"]), []).append(line)
        found = [(used, lines) for used, lines in by_address.items() if len(lines) >= 3]
        return found if len(found) >= 2 else None

    found = demo.wait(timeouts.STEP, "the address changed", steps)
    querier.stop()
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
    demo.claim(f"requests refused, of {len(querier.answers())}", 0, querier.failed())
    demo.claim("connections with another verdict than conforming", 0, demo.others(vault))
    source, now = demo.rogue.address, int(time.time())
    own, bad = f"k1={vault.key_of('k1', source)}", f"k1={client_key(WRONG_SECRET, 64, source)}"

    def attempts() -> Any:
        """Composes each address just before it is dialled: it is valid for seconds only."""
        old = demo.compose(vault, source, client_key=own, time=now - 3600)
        yield "its address of an hour ago", old, "refused violation field_0"
        wrong = demo.compose(vault, source, client_key=bad)
        yield "its current address with a wrong key", wrong, "refused violation field_0"
        used = demo.compose(vault, demo.client.address, client_key=of_client)
        yield "the client's current address", used, "refused violation field_0"
        yield "its current address", demo.compose(vault, source, client_key=own), "served conforming -"

    dials(demo, attempts())
