"""Applications that compose addresses themselves, and servers that come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lib import timeouts
from lib.claims import Broken
from traffic import CURL, Answers, Asking, close_lasting, open_lasting

if TYPE_CHECKING:
    from lib.net import Host
    from services import Service
    from stage import Demo


def applications(demo: Demo, rows: Any) -> None:
    demo.title("Applications that compose addresses themselves (ssa compose): 20 objects, each requested twice")
    row = demo.table("rule:49", "answered:9", "server1:8", "server2:8", "objects on one server:0")
    for name, service in rows:
        servers = []
        for number in range(20):
            to = demo.compose(service, demo.rogue.address, object=f"photos/{number}.jpg")
            url = f"http://[{to}]/?[1-2]"
            servers.append(demo.run(demo.rogue, *CURL, "--max-time", timeouts.EXCHANGE, url)[1].split())
        answers = Answers(sum(servers, []))
        steady = sum(len(set(pair)) == 1 for pair in servers)
        row(
            *(f"{name}: {service.rules[0].removeprefix('v=ssa1; addr=')}", f"{answers.all} of 40"),
            *(answers.share("server1"), answers.share("server2"), f"{steady} of 20"),
            wanted=(40, 20, 2),
            found=(answers.all, steady, len(answers)),
        )


def scaling(demo: Demo, naive: Service) -> None:
    demo.title("Scaling 2 → 4 → 3 servers while a client keeps sending requests")
    lasting = open_lasting(demo, naive, 40)
    peers = demo.peers(naive)
    if len(peers) != 40:
        raise Broken(f"the client's sidecar has {len(peers)} connections instead of 40")
    asking = Asking(demo, demo.client, naive, "scaling")
    asking.next(50)
    told = demo.standing["client"].installed()
    # The sidecar has tried a DNS server that was away, too.
    connect = "cluster.original_dst.upstream_cx_connect"
    failures = (f"{connect}_attempts_exceeded", f"{connect}_(fail|timeout)")
    before = [demo.standing["client"].stat(name) for name in failures]
    names = [f"server{number + 1}" for number in range(4)]
    row = demo.table("servers:8", "slices:14", "moved:6", *(f"{name}:8" for name in names))

    def spread(servers: list[Host]) -> int:
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
        return sum(demo.server_of(naive, peer) != server for peer, server in zip(peers, old, strict=True))

    spread(demo.servers)
    demo.join_servers(3, 4)
    gone = spread(demo.servers)
    demo.wait(timeouts.SOON, "connections on moved slices ended", lambda: lasting.check() <= 40 - gone)
    ended = 40 - lasting.check()
    spread(demo.servers[:3])
    asking.stop()
    demo.claim(
        "2 → 4, established connections closed: those on moved slices, and no others",
        f"{gone} of 40",
        f"{ended} of 40",
    )
    demo.claim("snapshots that the client's sidecar received meanwhile", 0, demo.standing["client"].installed() - told)
    failed, again = (demo.standing["client"].stat(name) - old for name, old in zip(failures, before, strict=True))
    demo.claim("new connections that failed", 0, failed)
    demo.say(f"new connections that were retried because a slice moved during the handshake: {again}")
    early, answered = asking.failed(), len(asking.answers())
    demo.say(f"requests in flight on a slice when it moved, and cut off: {early} of {early + answered}")
    running: list[Any] = [*demo.standing.values(), *demo.shims.values()]
    ended = sum(one.process.poll() is not None for one in running)
    demo.claim(f"Envoys and shims that exited since connections were held, of {len(running)}", 0, ended)
    close_lasting(demo, lasting)
