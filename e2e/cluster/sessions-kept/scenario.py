"""A stateful application with three replicas: one endpoint is killed, and no session is lost.

Topology: three endpoints with agents and BIRD, an application that learns of its siblings by the agent's socket; a
router with BIRD, without BFD; a controller.

Configuration: a key of heartbeats; --socket; --incoming is a program that notes what it is told.

Expected: 200 sessions are kept at three endpoints; after one is killed every session is answered, at its own address;
the hook was told of each move before the prefixes came.
"""

import json
import signal
import socket
import sys
from ipaddress import IPv6Address

from lib import timeouts
from lib.bird import Birds
from lib.fleet import Fleet, owner_of, phase
from lib.stage import HERE, Stage
from lib.takeover import key

LIMIT = 300
PORT = 7000
SESSIONS = 200


def run(stage: Stage) -> None:
    client = stage.net.stranger("client", "2001:db8:0:1::10")
    fleet = Fleet(stage, "web", "2001:db8:5:1::/64", handover={"drainSeconds": 600, "parallel": 64})
    names = [f"server{number}" for number in range(1, 4)]
    hosts = [stage.net.host(name, f"2001:db8:0:{100 + number}::1") for number, name in enumerate(names, 1)]
    noted = stage.work / "noted"
    hook = stage.work / "incoming"
    hook.write_text(f"#!/bin/sh\ncat >>{noted}\n")
    hook.chmod(0o700)
    applications, flags = {}, {}
    for host in hosts:
        path = stage.work / f"{host.name}.sock"
        command = [sys.executable, HERE / "sessions_app.py", PORT, path]
        applications[host.name] = stage.start(host, f"sessions-{host.name}", command)
        flags[host.name] = ["--probe", f"tcp:[::1]:{PORT}", "--heartbeat-key", key(stage), "--socket", path]
        flags[host.name] += ["--incoming", hook]
    fleet.join(*hosts, flags=flags)
    Birds(stage, hosts, bfd=0)
    fleet.lead("controller", stage.net.router, "--lost-after-seconds", 6)
    fleet.settled(names)
    keys = {f"key{number}": fleet.item[(number * 2**58) % 2**64 + number] for number in range(SESSIONS)}

    def ask(address: IPv6Address, line: str) -> str:
        try:
            with client:
                opened = socket.create_connection((str(address), PORT), timeout=timeouts.LOSSY_EXCHANGE)
            with opened:
                opened.sendall(f"{line}\n".encode())
                return opened.makefile().readline().strip()
        except OSError as error:
            return str(error)

    def all_three() -> bool:
        return all(ask(one, f"set probe{number} x") == "ok 3" for number, one in enumerate(list(keys.values())[:16]))

    stage.wait_steady(timeouts.RETRIED, "every endpoint knows its siblings", all_three)
    stage.claim(
        "sessions that are kept three times",
        SESSIONS,
        sum(ask(address, f"set {name} value-of-{name}") == "ok 3" for name, address in keys.items()),
    )
    owners = fleet.owners()
    lost = [name for name, address in keys.items() if owner_of(owners, address) == "server2"]
    stage.note(f"{len(lost)} sessions are at server2, which is killed")
    for process in (applications["server2"], fleet.agents["server2"]):
        stage.forget(process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    hosts[1].ip("link set eth0 down")
    first = keys[lost[0]]
    stage.wait(timeouts.RETRIED, "another one answers", lambda: ask(first, f"get {lost[0]}").startswith("is "))
    found = {name: ask(address, f"get {name}") for name, address in keys.items()}
    stage.claim("sessions that are lost", [], [name for name, told in found.items() if told != f"is value-of-{name}"])
    fleet.settled([name for name in names if name != "server2"], timeouts.ROLLED_OUT)
    told = [json.loads(line) for line in noted.read_text().splitlines()] if noted.exists() else []
    # What was to go to server2 was given up.
    moved = {one["metadata"]["name"] for one in fleet.moves(all_of_them=True) if phase(one) == "Done"}
    stage.claim("moves that the hook was not told of", [], sorted(moved - {one["move"] for one in told}))
    found = {name: ask(address, f"get {name}") for name, address in keys.items()}
    stage.claim("sessions that are lost at the end", [], [n for n, told in found.items() if told != f"is value-of-{n}"])
