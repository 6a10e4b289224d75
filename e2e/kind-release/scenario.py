"""The module is missing or another, the release is upgraded under load and goes: nothing gets in meanwhile, nothing stays.

A server with slices, a client, and a pod with an ordinary sidecar, which dials by hand: an address made for its own source
and one made for another.

Expected: where the module cannot be fetched, or its digest is another, Istio's agent puts a filter in its place that denies
everything, on both sides; put right, connections are answered without a restart. The module and values of the filters are
upgraded with 0 connections refused. Without its label a pod has a plain sidecar. After `helm uninstall` no object of the
release is there, no sidecar has anything of it, and traffic by the mesh goes on.
"""

import hashlib
import json
import subprocess

from lib.cluster import NODES, Service
from lib.cluster_load import Load

CLUSTER = True
LIMIT = 420
STORE = Service(0x22, "release", "v=ssa1; addr=hash(src/128):20 rand:44")
# What counts at once; the extension of a listener that drains stays for its 45 s.
PAGES = ("dynamic_listeners", "dynamic_active_clusters")
KINDS = "all,configmaps,secrets,serviceentries,destinationrules,envoyfilters,peerauthentications,authorizationpolicies"


def filter_of(pod, role):
    """Returns what ECDS brought for a pod's filter: the type, `Wasm` or `RBAC`, and its configuration."""
    name = f"ssa-{role}.{pod.stage.name}.ssa"
    told = json.loads(pod.admin("config_dump?resource=ecds_filters") or "{}").get("configs", [])
    found = next((one["ecds_filter"]["typed_config"] for one in told if one["ecds_filter"]["name"] == name), None)
    if not found:
        return None, {}
    kind = found["@type"].rpartition(".")[2]
    text = found.get("config", {}).get("configuration", {}).get("value", "{}")
    return kind, json.loads(text)


def traces(pod, *pages):
    """Returns what there is of the release on pages of a pod's Envoy, such as clusters; without pages everywhere."""
    words = ["ssa_resolver_", "ssa_demoted", *(f"ssa-{role}.{pod.stage.name}.ssa" for role in ("inbound", "outbound"))]
    dump = "".join(pod.admin(f"config_dump?resource={page}") for page in pages) or pod.admin("config_dump")
    return [word for word in words if word in dump]


def put_module(stage, module):
    """Puts a module where the release serves it from, and waits until that is what it serves."""
    create = ["create", "configmap", "ssa-module", f"--from-file=ssa_filter.wasm={module}", "--dry-run=client", "-o", "json"]
    stage.kubectl("apply", "--server-side", "-f", "-", reads=stage.kubectl(*create))
    stage.kubectl("rollout", "restart", "deploy/ssa-module")
    stage.kubectl("rollout", "status", "deploy/ssa-module", "--timeout=120s", timeout=130)


def restarts(pod):
    """Returns how often containers of a pod were started again."""
    status = pod.now()["status"]
    return sum(one["restartCount"] for one in status["initContainerStatuses"] + status["containerStatuses"])


def run(stage):
    module = stage.tools["module"]
    # The same, with a section of its own that says nothing: it has another digest.
    other_module = stage.own / "other.wasm"
    other_module.write_bytes(module.read_bytes() + b"\0\x05\x04next")
    first, second = (hashlib.sha256(one.read_bytes()).hexdigest() for one in (module, other_module))
    proxy = stage.kubectl("get", "configmap", "-n", "istio-system", "istio-sidecar-injector", "-o", "jsonpath={.data.values}")
    proxy = json.loads(proxy)["global"]
    proxy = f"{proxy['hub']}/proxyv2:{proxy['tag']}"

    def release(sha256, **values):
        serve = {"enabled": True, "image": proxy}
        stage.release(STORE.values(), module={"url": "", "sha256": sha256, "serve": serve}, **values)

    stage.publish(STORE)
    release(first)
    server, client, other = stage.start(
        stage.workload("server", "server"), stage.workload("client", "client"), stage.workload("other")
    )
    stage.slices(STORE, "app=server")
    pods = [(server, "inbound"), (client, "outbound")]
    own, wrong = (stage.ssa.compose(STORE.published, source)[0] for source in (other.address, "2001:db8:77::1"))

    def dial(address):
        return other.http(STORE.name, 9000, at=address).kind

    def denied(why):
        for pod, role in pods:
            stage.wait(60, f"{pod} has a filter that denies", lambda: filter_of(pod, role)[0] == "RBAC")
        stage.claim(f"{why}: the client", "refused", client.http(STORE.name, 9000).kind)
        stage.claim(f"{why}: an address made by hand", "refused", dial(own))

    def right(why):
        stage.wait_filter(*pods)
        stage.wait(30, "the client is served", lambda: client.http(STORE.name, 9000).kind == "served")
        stage.claim(f"{why}: an address made by hand", "served", dial(own))
        stage.claim(f"{why}: an address of another source", "refused", dial(wrong))

    stage.note("the module is missing")
    denied("missing")
    put_module(stage, module)
    # Agents do not ask again by themselves: a change of any label has istiod tell a sidecar everything anew.
    stage.kubectl("label", "pod", *(pod.name for pod, _ in pods), "ssa-looked=1")
    right("there")

    stage.note("module and values are upgraded")
    load = Load(stage, client, f"http://{STORE.name}:9000/")
    put_module(stage, other_module)
    release(second, inbound={"hold": {"connections": 512}}, outbound={"hold": {"connections": 512}})
    for pod, role in pods:
        stage.wait(60, f"{pod} has the new module", lambda: second in pod.admin("config_dump?resource=ecds_filters"))
        stage.claim(f"{pod} has the new value", 512, filter_of(pod, role)[1]["hold"]["connections"])
    load.moves_on("with the new module and values")
    load.end_without_refusal()

    stage.note("the digest is another")
    release("0" * 64)
    denied("another digest")
    release(second)
    right("the right digest")
    stage.claim("containers that were started again", [0, 0], [restarts(pod) for pod, _ in pods])

    stage.note("labels are taken away")
    stage.kubectl("label", "pod", server.name, "ssa-inbound-")
    stage.wait(30, "the server has a plain sidecar", lambda: not traces(server, *PAGES))
    stage.claim("an address of another source", "served", dial(wrong))
    stage.kubectl("label", "pod", server.name, "ssa-inbound=enabled")
    stage.wait_filter((server, "inbound"))
    stage.claim("an address of another source, with the label again", "refused", dial(wrong))
    stage.kubectl("label", "pod", client.name, "ssa-outbound-")
    stage.wait(30, "the client has a plain sidecar", lambda: not traces(client, *PAGES))
    before = server.inbound(verdict="legacy")
    stage.claim("the client at the plain address", "served", client.http(STORE.name, 9000).kind)
    stage.claim("connections that the server finds legacy", before + 1, server.inbound(verdict="legacy"))

    stage.note("the release goes")
    manifest = stage.kubectl("get", "manifest", "ssa", program="helm")
    for name in stage.kubectl("get", "pods", "-l", "ssa-routes=node", "-o", "name").split():
        stage.kubectl("exec", "-i", name, "-c", "routes", "--", "ssa-routes", "node", "-", reads=f"item {STORE.space}\n")
    stage.kubectl("uninstall", "ssa", "--wait", program="helm")
    left = lambda: stage.kubectl("get", "-f", "-", "--ignore-not-found", "-o", "name", reads=manifest).split()  # noqa: E731
    stage.wait(30, "objects of the release are gone", lambda: not left())
    stage.claim("objects with its label", [], stage.kubectl("get", KINDS, "-l", "app.kubernetes.io/instance=ssa", "-o", "name").split())
    kept = stage.kubectl("get", "configmaps", "-o", "name").split()
    stage.claim("its ConfigMaps that stay", ["ssa-module", "ssa-slices"], sorted(one.partition("/")[2] for one in kept if "/ssa-" in one))
    for pod, _ in pods:
        stage.wait(30, f"{pod} has a plain sidecar", lambda: not traces(pod, *PAGES))
    routes = [subprocess.run(["docker", "exec", node, "ip", "-6", "route", "show", "proto", "199", "root", STORE.space],
                             check=True, capture_output=True, text=True).stdout for node in NODES]
    stage.claim("routes of slices on nodes", ["", "", ""], routes)
    plain = {"spec": {"template": {"metadata": {"annotations": {"inject.istio.io/templates": None}}}}}
    stage.kubectl("patch", "statefulset", "server", "--type=merge", "-p", json.dumps(plain))
    stage.kubectl("rollout", "status", "statefulset/server", "--timeout=120s", timeout=130)
    (server,) = stage.pods("server")
    spec = server.now()["spec"]
    names = [one["name"] for one in spec["initContainers"] + spec["containers"]]
    stage.claim("containers of ours in a pod that was restarted", [], [name for name in names if name.startswith("ssa-")])
    stage.claim("routes of slices in it", "", server.run("ip", "-6", "route", "show", "table", "local", "proto", "199"))
    answer = other.http("server", path="/cgi-bin/peer")
    stage.claim_in("traffic by the mesh, with mutual TLS", f"ns/{stage.name}/sa/other", answer.text)
    stage.wait(90, f"{client} has nothing of it", lambda: not traces(client))
    stage.claim("configurations that proxies refused", [], stage.nacks())
