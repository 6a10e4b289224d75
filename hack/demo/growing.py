"""Applications that compose addresses themselves, and servers that come and go."""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import TYPE_CHECKING, Any

from lib import follow, timeouts
from lib.claims import Broken
from lib.fleet import Fleet, owner_of
from traffic import CURL, Answers, Asking, close_lasting, open_lasting

if TYPE_CHECKING:
    from services import Service
    from stage import Demo

# What an agent asks whether its server is ready: the sidecar's port and, behind it, the application's.
PROBE = ["--probe", "tcp:[::1]:8080"]


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


def lead(demo: Demo, naive: Service) -> Fleet:
    """Hands a service's slices to controllers, agents and a router that follows them."""
    demo.say("From here on ssa-cluster moves the slices of naive.demo.test: an agent on each server, two controllers,")
    demo.say("and a directory as their store. The router has a route to whoever announces a slice.")
    demo.lap()
    fleet = Fleet(demo, "naive", naive.items[0], handover={"drainSeconds": 600, "parallel": 64})
    demo.follow(*demo.servers)
    fleet.join(*demo.servers, flags={server.name: PROBE for server in demo.servers})
    for number in (1, 2):
        fleet.lead(f"controller-{number}", demo.net.router)
    names = [server.name for server in demo.servers]
    fleet.settled(names)
    demo.wait(timeouts.INTERVAL, "the router follows the agents", lambda: fleet.led(follow.PROTOCOL))
    routes = demo.net.router.run(f"ip -6 route show root {naive.items[0]}")
    # What the demo led by hand so far.
    left = [line.split()[0] for line in routes.splitlines() if f"proto {follow.PROTOCOL} " not in line]
    demo.net.router.ip(*(f"route del {prefix}" for prefix in left))
    for server in demo.servers:
        server.ip(f"route del local {naive.items[0]} dev lo")
    demo.timed("all slices have an owner, which delivers them by itself")
    return fleet


def scaling(demo: Demo, naive: Service) -> None:
    demo.title("Scaling 2 → 4 → 3 servers while a client keeps sending requests")
    fleet = lead(demo, naive)
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
    row = demo.table("servers:8", "slices:14", "on the move:12", *(f"{name}:8" for name in names))

    def spread(servers: list[str]) -> dict[IPv6Network, str]:
        """Waits until the slices are spread, and shows who answers then; returns who answers for each prefix."""
        fleet.spread(servers)
        takers, moves = fleet.takers(), fleet.moves()
        answers = asking.next(300)
        counts = fleet.counts(takers)
        row(
            *(len(servers), " + ".join(str(counts[name]) for name in servers)),
            fleet.counts({IPv6Network(prefix): "" for move in moves for prefix in move["spec"]["prefixes"]})[""],
            *(answers.share(name) for name in names),
            wanted=servers,
            found=sorted(answers),
        )
        return takers

    owners = spread(names[:2])
    demo.join_servers(3, 4)
    for server in demo.servers[2:]:
        server.ip(f"route del local {naive.items[0]} dev lo")
        demo.follow(server)
    fleet.join(*demo.servers[2:], flags={server.name: PROBE for server in demo.servers[2:]})
    takers = spread(names)
    gone = sum(owner_of(owners, peer) != owner_of(takers, peer) for peer in peers)
    demo.claim(
        f"2 → 4, established connections that answer, {gone} of them on slices that are another server's now",
        "40 of 40",
        f"{lasting.check()} of 40",
    )
    fleet.leave("server4")
    spread(names[:3])
    demo.wait(timeouts.RETRIED, "the agent of server4 has ended", lambda: fleet.gone("server4"))
    demo.claim("4 → 3, established connections that answer", "40 of 40", f"{lasting.check()} of 40")
    demo.claim("exit status of the agent of server4, which has given all away", 0, fleet.agents["server4"].poll())
    asking.stop()
    demo.claim("snapshots that the client's sidecar received meanwhile", 0, demo.standing["client"].installed() - told)
    failed, again = (demo.standing["client"].stat(name) - old for name, old in zip(failures, before, strict=True))
    demo.claim("new connections that failed, and that were retried", "0, 0", f"{failed}, {again}")
    early, answered = asking.failed(), len(asking.answers())
    demo.claim(f"requests that were cut off, of {early + answered}", 0, early)
    running: list[Any] = [*demo.standing.values(), *demo.shims.values()]
    ended = sum(one.process.poll() is not None for one in running)
    demo.claim(f"Envoys and shims that exited since connections were held, of {len(running)}", 0, ended)
    close_lasting(demo, lasting)
