"""Shows what each kind of rule does, and who is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lib.stage import address
from records import WORK
from sidecar import places
from traffic import CURL, close_lasting, open_lasting

if TYPE_CHECKING:
    from services import Service
    from stage import Demo


def kinds_of_rules(demo: Demo, rows: Any) -> None:
    demo.title("Kinds of rules, one service each")
    demo.say("curl, 100 connections each; /84s: the number of distinct /84 prefixes of the addresses, of 2^20")
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
    demo.timed("6 rules; hopping and objects follow below")


def dials(demo: Demo, attempts: Any) -> list[dict[str, Any]]:
    """Lets the rogue dial, shows the outcome, and returns what servers logged.

    Attempts are (what, address or URL's host, wanted outcome).
    """
    lines = []
    row = demo.table("the rogue dials:52", "outcome:8", "verdict:11", "part:8", "on:7")
    for what, to, wanted in attempts:
        demo.mark(demo.rogue)
        outcome = demo.try_once(demo.rogue, f"http://{to if ']' in str(to) else f'[{to}]'}/")
        line = demo.logged(demo.rogue)[-1]
        part = line["part"] or "-"
        found = f"{outcome} {line['verdict']} {part}"
        row(what, outcome, line["verdict"], part, line["on"], wanted=wanted, found=found)
        lines.append(line)
    return lines


def token(demo: Demo, tokens: Service) -> None:
    demo.title(f"A token in the address: {tokens.domain}, where each client has its own key")
    demo.say(tokens.rules[0])
    told = ", ".join(f"{name}: {shim.told(tokens)['k1']}" for name, shim in demo.shims.items())
    demo.claim("what shims hand out for k1", "client: client_key, server1: secret, server2: secret", told)
    source = demo.rogue.address
    of_client, own = (tokens.key_of("k1", host.address) for host in (demo.client, demo.rogue))
    demo.ask(demo.client, tokens, 1)
    used = address(demo.composed(tokens)[-1]["destination"])
    dials(
        demo,
        [
            (
                "composed from its own source with the client's key",
                demo.compose(tokens, source, client_key=f"k1={of_client}"),
                "refused violation field_1",
            ),
            ("the address that the client uses", used, "refused violation field_0"),
            (
                "composed with a key of its own, if it had one",
                demo.compose(tokens, source, client_key=f"k1={own}"),
                "served conforming -",
            ),
        ],
    )


def proof_of_work(demo: Demo, work: Service) -> None:
    demo.title(f"Proof of work: {work.domain}, solved by the sidecar while the connection is held")
    url = f"{work.url}?[1-20]"
    _, text = demo.run(demo.client, *CURL, "-o", "/dev/null", "-w", "%{time_total}\n", url)
    times = sorted(1000 * float(line) for line in text.split())
    demo.say("About 2^18 hashes per worker of the sidecar; the solution is reused for the minute.")
    demo.claim("requests answered, of 20", 20, len(times))
    demo.say(f"the slowest took {times[-1]:.0f} ms, the median {times[len(times) // 2]:.0f} ms")
    source = demo.rogue.address
    without = demo.compose(work, source, rule=WORK.rpartition(";")[0])
    dials(
        demo,
        [
            ("the right prefix, without the work", without, "refused violation pow"),
            ("with the work done", demo.compose(work, source), "served conforming -"),
        ],
    )


def rogue(demo: Demo, web: Service) -> None:
    demo.title("A rogue client without a sidecar, dialling arbitrary addresses")
    violations = demo.inbound(web, verdict="violation", outcome="denied")
    server = demo.servers[0].address
    lines = dials(
        demo,
        [
            ("an address of the service, 2001:db8:5::1", "2001:db8:5::1", "refused violation field_0"),
            (f"a server's plain address, {server}", server, "refused outside -"),
            (f"the sidecar itself, [{server}]:15006", f"[{server}]:15006", "refused no_match -"),
        ],
    )
    line = lines[0]
    demo.say(f"Access log of {line['on']}:")
    refusing = demo.standing[line["on"]]
    logged = (refusing.folder / "access.log").read_text().splitlines()
    demo.say(f"  {next(text for text in logged if line['source'] in text)}")
    demo.say("Metrics:")
    for metric in refusing.admin("stats/prometheus?filter=ssa_inbound").splitlines():
        if 'ssa_outcome="denied"' in metric or "violations_total{" in metric:
            demo.say(f"  {metric}")
    counted = demo.inbound(web, verdict="violation", outcome="denied") - violations
    demo.claim("violations counted", 1, counted)
    reached = [line["upstream"] for line in lines if line["upstream"]]
    demo.claim("connections that reached an application", 0, len(reached))


def modes(demo: Demo, web: Service) -> None:
    demo.title("Modes, policies and the kill switch: configuration and SIGHUP, with 20 open connections")
    lasting = open_lasting(demo, web, 20)
    row = demo.table("mode:12", "on violations:14", "the rogue is:13", "verdict:11", "outcome:14", "cluster:0")
    for mode, policy, off, wanted in (
        ("enforce", "deny", False, "refused violation denied"),
        ("shadow", "deny", False, "served violation shadow_denied"),
        ("enforce", "demote", False, "served violation demoted"),
        ("off", "deny", False, "served unverified allowed"),
        ("kill switch", "deny", True, "served unverified allowed"),
    ):
        web.mode = "enforce" if off else mode
        # Denying is the default: saying so would change no snapshot, and none would come.
        web.policy = {} if policy == "deny" else {"violation": policy}
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
    passed = client.outbound(outcome="off") - before
    demo.claim(
        "kill switch: client requests answered, and sent to the plain address", "20, 20", f"{answers.all}, {passed}"
    )
    web.mode, web.policy = "enforce", {}
    demo.configure()
    demo.mark(demo.legacy)
    outcome = demo.try_once(demo.legacy, web.url)
    line = demo.logged(demo.legacy)[-1]
    demo.claim(
        "enabled again: a legacy client, which dials the AAAA address",
        "served: legacy demoted by application_demoted",
        f"{outcome}: {line['verdict']} {line['outcome']} by {line['upstream']}",
    )
    demo.claim("open connections that survived all reloads, of 20", 20, lasting.check())
    close_lasting(demo, lasting)
