"""Each user of a host gets the snapshots that `socket.peers` allows, and no others.

Topology: one host with a shim, whose services are static.

Configuration: the socket is open to all; one user may fetch what servers are told, a user and group what clients are,
and root both.

Expected: 200 to those, 403 to everybody else, counted and logged; a reload changes it; with a socket that is not open
to them, others do not even connect.
"""

import subprocess
from pathlib import Path

from lib import resolver, timeouts
from lib.files import Files
from lib.stage import Skip, Stage

LIMIT = 60
LIGHT = True
FILES = Files(__file__)
ROLES = ("inbound", "outbound")
SERVER, CLIENT, OTHER = 1001, 1002, 1003
# Beside the stage's own folder, which is for its user alone.
FOLDER = Path("/run/ssa-peers")


def mapped(user: int) -> bool:
    """Whether this namespace has such a user."""
    ranges = (line.split() for line in Path("/proc/self/uid_map").read_text().splitlines())
    return any(int(first) <= user < int(first) + int(count) for first, _, count in ranges)


def run(stage: Stage) -> None:
    if not mapped(OTHER):
        raise Skip("without root there is one user alone in a namespace of users")
    host = stage.net.host("shim", "2001:db8:0:1::10")
    FOLDER.mkdir()
    FOLDER.chmod(0o755)
    path = FOLDER / "resolver.sock"
    shim = resolver.Shim(stage, host, FILES.later("resolver.json"), path)
    open_to_all = shim.configuration["socket"]
    stage.wait(timeouts.SOON, "it has a snapshot", lambda: shim.fetch("inbound")[0] == 200)

    def codes(user: int, group: int) -> tuple[int, ...]:
        """Returns what a user of a group is answered for both roles."""
        command: list[str | Path] = ["curl", "-s", "-m", str(timeouts.ADMIN), "--unix-socket", path]
        command += ["-w", "%{http_code} ", "-o", "/dev/null", "-o", "/dev/null"]
        command += [f"http://resolver/v1/{role}" for role in ROLES]
        done = subprocess.run(command, capture_output=True, text=True, user=user, group=group, extra_groups=[], cwd="/")
        return tuple(int(code) for code in done.stdout.split())

    stage.claim("root", (200, 200), codes(0, 0))
    stage.claim("the servers' user", (200, 403), codes(SERVER, OTHER))
    stage.claim("the clients' user in its group", (403, 200), codes(CLIENT, CLIENT))
    stage.claim("the same user in another group", (403, 403), codes(CLIENT, OTHER))
    stage.claim("another user in that group", (403, 403), codes(OTHER, CLIENT))
    refused = sum(shim.count("ssa_resolver_requests_total", role=role, code="403") for role in ROLES)
    stage.claim("refusals counted", 6, refused)
    stage.claim_in("and logged", f"uid={OTHER}", shim.output())
    stage.note("a reload")
    shim.reload(socket={**open_to_all, "peers": [{"uid": OTHER, "roles": ["outbound"]}]})
    stage.claim("the user who is named now", (403, 200), codes(OTHER, OTHER))
    stage.claim("the user who was named before", (403, 403), codes(SERVER, SERVER))
    path.chmod(0o600)
    stage.claim("a user who cannot open the socket", (0, 0), codes(OTHER, OTHER))
    stage.claim("exit status of the shim", 0, shim.stop())
