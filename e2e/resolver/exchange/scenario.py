"""Two services swap their lists in the DNS and neither is refused; a third that publishes another's list gets nothing.

Topology: a DNS server, a host with a shim that verifies for all three services.

Expected: after the exchange both are usable with each other's former list, the lists kept from before give way, which
/status reports, and a restart of the shim changes nothing. The third is refused before and after, and while the records
of the list's owner are missing.
"""

import signal

from lib import resolver, timeouts
from lib.files import Files
from lib.stage import Stage

LIMIT = 90
LIGHT = True
FILES = Files(__file__)


def run(stage: Stage) -> None:
    dns = stage.net.host("dns", "2001:db8:0:53::53")
    host = stage.net.host("shim", "2001:db8:0:1::10")
    zone = resolver.NameServer(stage, dns)
    zone.publish(FILES.text("zone"))
    web, vault, evil = (FILES.published()[name] for name in ("web", "vault", "evil"))
    shim = resolver.Shim(stage, host, FILES.later("resolver.json"))

    def lists(name: str) -> set[str]:
        """Returns the positive items that verifiers of a service are told, of what is kept too."""
        found = next(one for one in shim.fetch("inbound")[2]["services"] if one["name"] == name)
        own = [found.get("apl") or ""] + [rule.partition("apl=")[2] for rule in found["rules"]]
        return {item[2:] for text in own for item in text.split() if item.startswith("2:")}

    for service in (web, vault, evil):
        shim.wait_state(service.name, "inbound", "usable")
        stage.claim(f"the list of {service.name}", set(service.items), lists(service.name))

    stage.note("one publishes another's list")
    zone.publish(FILES.text("zone-stolen"))
    reason = shim.wait_state("evil", "inbound", "kept")
    stage.claim_in("it is refused", "shares addresses with vault", reason)
    stage.claim("its owner keeps it", set(vault.items), lists("vault"))
    zone.publish(FILES.text("zone-stolen-alone"))
    shim.wait_state("vault", "inbound", "kept")
    stage.claim(
        "even when its own records are gone", (set(vault.items), set(evil.items)), (lists("vault"), lists("evil"))
    )
    zone.publish(FILES.text("zone-stolen"))
    shim.wait_state("vault", "inbound", "usable")

    stage.note("two exchange their lists")
    zone.publish(FILES.text("zone-exchanged"))
    wanted = [set(vault.items), set(web.items)]
    stage.wait(timeouts.SOON, "both have them", lambda: [lists("web"), lists("vault")] == wanted)
    for name, other in (("web", "vault"), ("vault", "web")):
        state, reason = shim.status(name, "inbound")
        stage.claim(f"{name} is", "usable", state)
        stage.claim_in("its kept list gives way", f"shares addresses with {other}", reason)
    stage.claim("the third has its own", set(evil.items), lists("evil"))
    stage.claim_in("and is still refused", "shares addresses with web", shim.status("evil", "inbound")[1])
    shim.stop(signal.SIGKILL)
    shim.start()
    for name in ("web", "vault"):
        shim.wait_state(name, "inbound", "usable")
    stage.claim("after a restart", wanted, [lists("web"), lists("vault")])
    zone.publish(FILES.text("zone"))
    wanted = [set(service.items) for service in (web, vault)]
    stage.wait(timeouts.SOON, "and back", lambda: [lists("web"), lists("vault")] == wanted)
    stage.claim("exit status of the shim", 0, shim.stop())
