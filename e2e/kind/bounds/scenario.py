"""Countless dialled addresses, invalid slices, servers without a service: nothing grows and nothing opens.

Topology: a server, a client of the chart, and an outsider without a sidecar, which dials by hand.

Configuration: one service whose rule leaves all bits free, so every address conforms except those of the negated item,
which are legacy; alerts about filters need a metric that exists before the first connection.

Expected: after two thousand addresses of either kind Envoy knows only the pod's own, once for each worker, its memory
is unchanged, and its admin interface answers. Nodes and pods reject a plan with a default route. Without a service the
server receives no connections, not even from silent clients, and with it again it answers. No container restarted.
"""

import json

from lib import timeouts
from lib.cluster import Cluster, Service
from lib.files import Files
from lib.pod import Pod

FILES = Files(__file__)
LIMIT = 420
STORE = Service(FILES.published()["bounds"])
NUMBER = 2000
# Dials NUMBER addresses of a form, each once, and tells how many answered.
DIALS = (FILES.folder / "dials.sh").read_text()


def run(stage: Cluster) -> None:
    stage.publish(FILES.text("zone"))
    stage.release(FILES.text("values.yaml"))
    server, client, outsider = stage.start(
        stage.workload("server", "server"), stage.workload("client", "client"), stage.workload("outsider", inject=False)
    )
    stage.slices(STORE, "app=server")
    stage.wait_filter((server, "inbound"), (client, "outbound"))
    for pod, role in ((server, "inbound"), (client, "outbound")):
        names = " ".join(sorted({name for name, _, _ in pod.metrics()}))
        stage.claim_in(
            f"what {pod.name} tells before the first connection", f"ssa_{role}_snapshot_age_max_seconds", names
        )
    addresses(stage, server, outsider)
    routes(stage, server)
    without_services(stage, server, outsider)
    restarts = [pod.restarts() for pod in (server, client)]
    stage.claim("containers that were started again", [0, 0], restarts)
    stage.claim("configurations that proxies rejected", [], stage.nacks())


def addresses(stage: Cluster, server: Pod, outsider: Pod) -> None:
    """Dials addresses by the thousand."""
    prefix = STORE.space.removesuffix("::/64")
    workers = int(json.loads(server.admin("server_info"))["command_line_options"]["concurrency"])
    before = memory(server)
    for kind, form, cluster in (
        ("conforming", f"{prefix}:1:%x::1", "inbound|9000||"),
        ("legacy", f"{prefix}:ffff:ffff:ffff:%x", "ssa_demoted"),
    ):
        stage.note(f"{NUMBER} {kind} addresses")
        counted = server.inbound(service=STORE.name, verdict=kind)
        answered = int(outsider.run("bash", "-c", DIALS, "dials", form, NUMBER, timeout=timeouts.THOUSANDS))
        stage.claim_between(f"{kind}: answers", NUMBER * 99 // 100, NUMBER, answered)
        now = server.inbound(service=STORE.name, verdict=kind) - counted
        stage.claim_between(f"{kind}: connections by verdict", answered, NUMBER, now)
        # By what Envoy has, for Istio leaves these statistics out.
        told = json.loads(server.admin("clusters?format=json"))["cluster_statuses"]
        hosts = next(len(one.get("host_statuses", ())) for one in told if one["name"] == cluster)
        stage.claim_between(f"{kind}: hosts of {cluster}", 1, workers, hosts)
    stage.claim_between("MiB that Envoy has allocated since", -64, 16, memory(server) - before)


def memory(pod: Pod) -> int:
    """Returns how many MiB an Envoy has allocated."""
    return int(json.loads(pod.admin("memory"))["allocated"]) >> 20


def routes(stage: Cluster, server: Pod) -> None:
    """Tells nodes and pods of a slice that is none."""
    stage.note("a plan with a default route")
    (daemon, *_) = stage.kubectl("get", "pods", "-l", "ssa-routes=node", "-o", "name").split()
    plan = f"item {STORE.space}\nslice ::/0 {server.name} {server.address} {server.node} {server.address}\n"
    for name, container, role in ((daemon, "routes", "node"), (f"pod/{server.name}", "ssa-slices", "pod")):
        done = stage.attempt("exec", "-i", name, "-c", container, "--", "ssa-routes", role, "-", reads=plan)
        stage.claim_in(f"what {role} says of it", "not allowed, for it is no slice", done.stderr)
        stage.claim(f"whether {role} takes it", True, done.returncode != 0)
        command = [
            "exec",
            name,
            "-c",
            container,
            "--",
            "ip",
            "-6",
            "route",
            "show",
            "table",
            "all",
            "default",
            "proto",
            "199",
        ]
        stage.claim(f"default routes of ours, {role}", "", stage.kubectl(*command).strip())


def without_services(stage: Cluster, server: Pod, outsider: Pod) -> None:
    """Takes the last service with `inbound` out of the values, and puts it back."""
    stage.note("the last service of servers goes")
    address = f"{STORE.space.removesuffix('::/64')}:2::1"
    stage.claim(
        "before: the outsider at an address of the service", "served", outsider.http(STORE.name, 9000, at=address).kind
    )
    stage.release(FILES.text("values-clients.yaml"))
    stage.wait(
        timeouts.PUSHED,
        "the server is closed",
        lambda: "ssa-closed" in server.admin("config_dump?resource=dynamic_listeners"),
    )
    stage.wait_steady(
        timeouts.PUSHED,
        "no old listener answers",
        lambda: outsider.http(STORE.name, 9000, at=address).kind == "refused",
    )
    for port in (8080, 9000):
        for at in (address, server.address):
            stage.claim(f"the outsider at [{at}]:{port}", "refused", outsider.http(STORE.name, port, at=at).kind)
    hears = outsider.attempt("timeout", "5", "bash", "-c", 'exec cat <"/dev/tcp/$0/9001"', server.address)
    # Closed at once or not, for Istio's inspection of first octets may wait for them.
    stage.claim("what it hears that says nothing", "", hears.stdout)
    stage.claim("the server is ready all the same", True, server.is_ready())
    stage.release(FILES.text("values.yaml"))
    stage.wait_filter((server, "inbound"))
    stage.wait_steady(
        timeouts.PUSHED, "it answers again", lambda: outsider.http(STORE.name, 9000, at=address).kind == "served"
    )
