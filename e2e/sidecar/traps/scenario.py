"""A trap costs one worker's VM, which restarts, and admits nothing that must be refused.

Topology: a client without a sidecar, a router, one server with a sidecar of two workers.

Configuration: envoy/server.yaml unchanged; then without the capability `proxy_log`, so that the module traps on each
connection that it refuses: it fails to log the refusal, at which the SDK panics.

Expected: unchanged, the module has exactly the capabilities that it uses, and nothing traps. Without `proxy_log`
violations are still refused, each at the cost of one VM; the other worker continues to serve conforming connections,
and so does the one that trapped once its VM has been reloaded.
"""

import json
import subprocess
from typing import Any

from lib import timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.stage import Stage

LIGHT = True
FILES = Files(__file__)
WEB = FILES.service("web")
CONFORMING, VIOLATING = "2001:db8:5:1::66", "2001:db8:5:1::99"
TRAPS, IN_A_ROW = 4, 20
RELOADS = r"wasm\..*vm_reload_success"
UPSTREAM = r"cluster\.application\.upstream_cx_total"


def run(stage: Stage) -> None:
    client, server = stage.net.stranger(), stage.server(1, WEB)
    far = stage.sidecar(server, "server.yaml", FILES.server(), concurrency=2)
    stage.claim("the module has the capabilities that it uses, and no more", asked(stage), allowed(far))
    kinds = [stage.dial(client, address).kind for address in (CONFORMING, VIOLATING) * IN_A_ROW]
    stage.claim("with all capabilities, conforming connections are", {"served"}, set(kinds[::2]))
    stage.claim("violating connections are", {"refused"}, set(kinds[1::2]))
    stage.claim("VMs that trapped", 0, traps(far))
    far.stop()

    far = stage.sidecar(server, "server.yaml", FILES.server(), concurrency=2, without="proxy_log", folder="trapping")
    answers = []

    def conforming() -> bool:
        answers.append(stage.dial(client, CONFORMING).kind)
        return answers[-1] == "served"

    for number in range(1, TRAPS + 1):
        stage.claim("a violation is", "refused", stage.dial(client, VIOLATING).kind)
        stage.wait(timeouts.SOON, "it trapped", lambda: traps(far) == number)
        served = [conforming() for _ in range(IN_A_ROW)]
        stage.claim("the other worker serves", True, any(served))
        # So many in a row that there is no doubt that both had some.
        stage.wait_steady(timeouts.SOON, "both serve again", conforming, times=IN_A_ROW)
    stage.claim("VMs that were reloaded", TRAPS, far.stat(RELOADS))
    stage.claim("connections to the application: those that conform", answers.count("served"), far.stat(UPSTREAM))
    stage.claim("other outcomes: refused", {"served", "refused"}, {"served", *answers})


def asked(stage: Stage) -> set[str]:
    """Returns what the module imports and exports."""
    program = stage.tools["root"] / "hack/capabilities.py"
    return set(subprocess.check_output([program, "--list", stage.tools["module"]], text=True).split())


def allowed(sidecar: Sidecar) -> set[str]:
    """Returns the capabilities in the configuration that Envoy runs."""
    found = []

    def look(value: Any) -> None:
        if isinstance(value, dict):
            found.extend([set(value["allowed_capabilities"])] if "allowed_capabilities" in value else [])
            value = list(value.values())
        for member in value if isinstance(value, list) else ():
            look(member)

    look(json.loads(sidecar.admin("config_dump")))
    return found[0]


def traps(sidecar: Sidecar) -> int:
    return sidecar.output().count("Function: proxy_on_new_connection failed")
