"""A missing or different module, an upgrade under load, and removal: nothing wrong is admitted, nothing is left behind.

Topology: a server with slices, a client, and a pod with an ordinary sidecar, which dials by hand: an address composed
for its own source and one composed for another. The release serves the module itself.

Expected: if the module cannot be fetched, connections are closed on both sides, even those of a client that stays
silent to a server that speaks first; once it can, they are answered without a restart. With a wrong digest the previous
module stays in force. Module and filter values are upgraded with 0 connections refused. Without its labels a pod has a
plain sidecar. After `helm uninstall` no object of the release is left, no sidecar has anything of it, and mesh traffic
continues.
"""

import contextlib
import hashlib
import json
from typing import Any

from lib import timeouts
from lib.claims import Broken
from lib.cluster import Cluster, Service
from lib.cluster_load import Load
from lib.files import Files
from lib.pod import Pod

LIMIT = 420
FILES = Files(__file__)
STORE = Service(FILES.published()["release"])
# What counts at once; the extension of a listener that drains stays for its 45 s.
PAGES = ("dynamic_listeners", "dynamic_active_clusters")
KINDS = "all,configmaps,secrets,serviceentries,destinationrules,envoyfilters,peerauthentications,authorizationpolicies"
LOOK = "ssa-looked"


def configuration_of(pod: Pod, role: str) -> Any:
    """Returns the configuration of a pod's filter, as ECDS brought it."""
    name = f"ssa-{role}.{pod.stage.name}.ssa"
    told = json.loads(pod.admin("config_dump?resource=ecds_filters")).get("configs", [])
    found = next(one["ecds_filter"]["typed_config"] for one in told if one["ecds_filter"]["name"] == name)
    return json.loads(found["config"]["configuration"]["value"])


def traces(pod: Pod, *pages: str) -> list[str]:
    """Returns what there is of the release on pages of a pod's Envoy, such as clusters; without pages everywhere."""
    words = [
        "ssa_resolver_",
        "ssa_demoted",
        "ssa-closed",
        *(f"ssa-{role}.{pod.stage.name}.ssa" for role in ("inbound", "outbound")),
    ]
    dump = "".join(pod.admin(f"config_dump?resource={page}") for page in pages) or pod.admin("config_dump")
    return [word for word in words if word in dump]


def put_module(stage: Cluster, module: Any) -> None:
    """Puts a module where the release serves it from, and waits until that is what it serves."""
    stage.serve_module(module)
    stage.kubectl("rollout", "restart", "deploy/ssa-module")
    stage.rolled_out("deploy/ssa-module")


class Play:
    """What the steps share."""

    def __init__(self, stage: Cluster) -> None:
        self.stage = stage
        self.module = stage.tools["module"]
        # The same, with a section of its own that says nothing: it has another digest.
        self.other_module = stage.own / "other.wasm"
        self.other_module.write_bytes(self.module.read_bytes() + b"\0\x05\x04next")
        self.digests = [hashlib.sha256(one.read_bytes()).hexdigest() for one in (self.module, self.other_module)]
        stage.publish(FILES.text("zone"))
        self.release(self.digests[0])
        self.server, self.client, self.other = stage.start(
            stage.workload("server", "server"), stage.workload("client", "client"), stage.workload("other")
        )
        stage.slices(STORE, "app=server")
        self.pods = [(self.server, "inbound"), (self.client, "outbound")]
        sources = (self.other.address, "2001:db8:77::1")
        self.own, self.wrong = (stage.ssa.compose(STORE.published, source)[0] for source in sources)

    def release(self, sha256: str, **values: Any) -> None:
        served = self.stage.serving["module"]
        self.stage.release(FILES.text("values.yaml"), module={**served, "sha256": sha256}, **values)

    def dial(self, address: object) -> str:
        return self.other.http(STORE.name, 9000, at=address).kind

    def stood_in(self) -> list[str]:
        """Returns how often Envoys refused what Istio's agents send in the module's place."""
        return [line for line in self.stage.nacks() if "filters.network.rbac.v3.RBAC" in line]

    def wait_stood_in(self, before: Any) -> None:
        """Waits until both pods have refused that once more."""
        for pod, _ in self.pods:
            mine = lambda lines: sum(f"{pod.name}." in line for line in lines)  # noqa: E731
            self.stage.wait(timeouts.PUSHED, f"{pod} is without a module", lambda: mine(self.stood_in()) > mine(before))

    def closed(self) -> None:
        """Claims that nothing gets through where there never was a module."""
        self.wait_stood_in([])
        self.stage.claim("the client", "refused", self.client.http(STORE.name, 9000).kind)
        self.stage.claim("an address made by hand", "refused", self.dial(self.own))
        hears = self.other.attempt("timeout", "5", "bash", "-c", 'exec cat <"/dev/tcp/$0/9001"', self.own)
        self.stage.claim("what a client hears that says nothing", ("", 0), (hears.stdout, hears.returncode))

    def kept(self) -> None:
        """Claims that a digest of no module changes nothing."""
        before = self.stood_in()
        self.release("0" * 64)
        self.wait_stood_in(before)
        self.right("with another digest")

    def right(self, why: str) -> None:
        """Claims that what conforms gets through, and nothing else."""
        self.stage.wait_filter(*self.pods)
        self.stage.wait_steady(
            timeouts.PUSHED, "the client is served", lambda: self.client.http(STORE.name, 9000).kind == "served"
        )
        self.stage.claim(f"{why}: an address made by hand", "served", self.dial(self.own))
        self.stage.claim(f"{why}: an address of another source", "refused", self.dial(self.wrong))


def run(stage: Cluster) -> None:
    play = Play(stage)
    stage.note("the module is missing")
    play.closed()
    put_module(stage, play.module)
    # Agents do not ask again by themselves: a change of any label has istiod tell a sidecar everything anew.
    stage.kubectl("label", "pod", *(pod.name for pod, _ in play.pods), f"{LOOK}=1")
    play.right("there")
    upgrade(stage, play)
    stage.note("the digest is another")
    play.kept()
    play.release(play.digests[1])
    play.right("with the right digest")
    stage.claim("containers that were started again", [0, 0], [pod.restarts() for pod, _ in play.pods])
    unlabel(stage, play)
    uninstall(stage, play)


def upgrade(stage: Cluster, play: Any) -> None:
    """Upgrades module and values under load."""
    stage.note("module and values are upgraded")
    load = Load(stage, play.client, f"http://{STORE.name}:9000/")
    put_module(stage, play.other_module)
    hold = {"hold": {"connections": 512}}
    play.release(play.digests[1], inbound=hold, outbound=hold)
    for pod, role in play.pods:
        page = "config_dump?resource=ecds_filters"
        stage.wait(timeouts.PUSHED, f"{pod} has the new module", lambda: play.digests[1] in pod.admin(page))
        stage.claim(f"{pod} has the new value", 512, configuration_of(pod, role)["hold"]["connections"])
    load.moves_on("with the new module and values")
    load.end_without_refusal()


def unlabel(stage: Cluster, play: Any) -> None:
    """Takes labels away: first the server's, and gives it back; then the client's."""
    stage.note("labels are taken away")
    server, client = play.server, play.client
    stage.kubectl("label", "pod", server.name, "ssa-inbound-")
    stage.wait_steady(
        timeouts.PUSHED, "the server without the first of them is closed", lambda: play.dial(play.own) == "refused"
    )
    stage.kubectl("label", "pod", server.name, "ssa-server-of-")
    stage.wait(timeouts.PUSHED, "the server has a plain sidecar", lambda: not traces(server, *PAGES))
    stage.claim("an address of another source", "served", play.dial(play.wrong))
    stage.kubectl("label", "pod", server.name, "ssa-inbound=enabled", "ssa-server-of=ssa")
    stage.wait_filter((server, "inbound"))
    stage.claim("an address of another source, with the label again", "refused", play.dial(play.wrong))
    stage.kubectl("label", "pod", client.name, "ssa-outbound-")
    stage.wait(timeouts.PUSHED, "the client has a plain sidecar", lambda: not traces(client, *PAGES))
    before = server.inbound(verdict="legacy")
    stage.claim("the client at the plain address", "served", client.http(STORE.name, 9000).kind)
    stage.claim("connections that the server finds legacy", before + 1, server.inbound(verdict="legacy"))


def uninstall(stage: Cluster, play: Any) -> None:
    """Takes the release away as docs/operations.md says, and claims that nothing stays."""
    stage.note("the release goes")
    manifest = stage.kubectl("get", "manifest", "ssa", program="helm")
    for name in stage.kubectl("get", "pods", "-l", "ssa-routes=node", "-o", "name").split():
        command = ["exec", "-i", name, "-c", "routes", "--", "ssa-routes", "node", "-"]
        stage.kubectl(*command, reads=f"item {STORE.space}\n")
    stage.kubectl("uninstall", "ssa", "--wait", program="helm", timeout=timeouts.INSTALLED)

    def left() -> list[str]:
        of_manifest = stage.kubectl("get", "-f", "-", "--ignore-not-found", "-o", "name", reads=manifest)
        return (of_manifest + stage.kubectl("get", KINDS, "-l", "app.kubernetes.io/instance=ssa", "-o", "name")).split()

    with contextlib.suppress(Broken):
        stage.wait(timeouts.PUSHED, "objects of the release are gone", lambda: not left())
    stage.claim("objects of the release that stay", [], left())
    kept = sorted(name.partition("/")[2] for name in stage.kubectl("get", "configmaps", "-o", "name").split())
    ours = [name for name in kept if name.startswith("ssa-")]
    stage.claim("its ConfigMaps that stay", ["ssa-module", "ssa-slices"], ours)
    for pod, _ in play.pods:
        stage.wait(timeouts.PUSHED, f"{pod} has a plain sidecar", lambda: not traces(pod, *PAGES))
    stage.claim("routes of slices on nodes", "", "".join(stage.node_routes(STORE.space)))
    plain = {"spec": {"template": {"metadata": {"annotations": {"inject.istio.io/templates": None}}}}}
    stage.kubectl("patch", "statefulset", "server", "--type=merge", "-p", json.dumps(plain))
    stage.rolled_out("statefulset/server")
    (server,) = stage.pods("server")
    spec = server.now()["spec"]
    names = [one["name"] for one in spec["initContainers"] + spec["containers"] if one["name"].startswith("ssa-")]
    stage.claim("containers of ours in a pod that was restarted", [], names)
    stage.claim("routes of slices in it", "", server.run("ip", "-6", "route", "show", "table", "local", STORE.space))
    answer = play.other.http("server", path="/cgi-bin/peer")
    stage.claim_in("traffic by the mesh, with mutual TLS", f"ns/{stage.name}/sa/other", answer.text)
    stage.wait(timeouts.ROLLED_OUT, f"{play.client} has nothing of it", lambda: not traces(play.client))
    others = [line for line in stage.nacks() if line not in play.stood_in()]
    stage.claim("configurations that proxies refused but those in place of the module", [], others)
