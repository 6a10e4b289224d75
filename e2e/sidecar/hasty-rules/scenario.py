"""A rule whose addresses change every second leaves few upstream hosts in its clients' Envoys.

Topology: a client with a sidecar of two workers, a router, one server with a sidecar.

Configuration: envoy/client.yaml and envoy/server.yaml; a service whose rule has steps of one second, and one of a
minute. Then the operator's `min_time_step_s` exceeds both.

Expected: at hundreds of connections a second each is answered and conforms, and the number of addresses for which the
client's Envoy keeps hosts stays below 8 draws of each worker for every second of two cleanup intervals. An address may
have several hosts, one for each connection that arrived before the first was known everywhere, but far fewer than
connections. If the step is shorter than the operator allows, connections go to the dialled address, which is counted
and logged.
"""

from lib import timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.stage import Stage

FILES = Files(__file__)
HASTY, SLOW = FILES.service("hasty"), FILES.service("slow")
# Longer than the two cleanup intervals of 5 s that the bounds below are about, and the second between them.
RATE, SECONDS, WORKERS = 250, 16, 2
# 8 draws of each worker for every second of two intervals of 5 s, and one second more for the time between.
MOST = 8 * WORKERS * (2 * 5 + 1)
HOSTS = r"cluster\.original_dst\.membership_total"


def addresses(near: Sidecar) -> set[str]:
    """Returns the upstream addresses that the admin interface lists."""
    lines = [line for line in near.admin("clusters").splitlines() if line.startswith("original_dst::[")]
    return {line.split("::cx_active")[0] for line in lines if "::cx_active" in line}


def run(stage: Stage) -> None:
    client = stage.net.client()
    server = stage.server(1, HASTY, SLOW)
    near, far = stage.sidecars((client, "client.yaml", FILES.client()), (server, "server.yaml", FILES.server()))
    load = stage.load(client, destinations=[HASTY.plain], rate=RATE)
    known, hosts = [], []
    so_far = 0
    for _ in range(SECONDS):
        so_far += RATE
        stage.wait(timeouts.STARTED, f"{so_far} connections came", lambda: near.outbound(service="hasty") >= so_far)
        known.append(len(addresses(near)))
        hosts.append(near.stat(HOSTS))
    told = load.end()
    stage.note(f"        addresses second by second: {known}")
    stage.note(f"        hosts second by second: {hosts}")
    stage.claim("connections that are answered", told["opened"], told["answered"])
    stage.claim("connections that conform", told["opened"], far.inbound(service="hasty", verdict="conforming"))
    stage.claim_between("addresses at once", 8, MOST, max(known))
    stage.claim_between("hosts at once", 8, RATE * 10 // 2, max(hosts))
    stage.wait(timeouts.INTERVAL, "idle hosts are gone", lambda: near.stat(HOSTS) == 0)
    near.stop()

    stage.note("an operator who allows no step below two minutes")
    patient = FILES.json("client-patient.json")
    near = stage.sidecar(client, "client.yaml", patient, folder="client-patient")
    for service, step in ((HASTY, 1), (SLOW, 60)):
        stage.claim(f"{service.name} as dialled is", "served", stage.dial(client, service.plain).kind)
        stage.claim(f"{service.name} is counted", 1, near.outbound(service=service.name, outcome="failed"))
        reason = f"service {service.name}: the record asks for time steps of {step} s: min_time_step_s is 120"
        stage.claim_in("the log", reason, near.output())
