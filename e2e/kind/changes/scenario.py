"""A secret is rotated and a rule changes under load: no conforming connection is refused.

Topology: two servers with slices and a client; secrets and the client's own keys are Kubernetes Secrets, the records
are in the cluster's DNS with a TTL of 1 s. The load is curl in the client's pod, each request over a connection of its
own.

Expected: the second key is added to the Secrets and mounted while everything runs, a record that names it is published
next to the old one with a `from` ahead, and the old one is removed after a TTL; then the same with another rule. Every
connection is answered and conforms. The client only ever receives its own keys. Addresses composed with the first key
are refused once that is removed.
"""

import time

from lib import timeouts
from lib.cluster import CLIENTS, Cluster, Service
from lib.cluster_load import Load, rules, snapshot
from lib.files import Files
from lib.keys import client_key
from lib.pod import Pod

LIMIT = 300
# Of records, and how long before they count they are published; in seconds.
TTL, AHEAD = 1, 12
MASTERS = {"k1": "00112233445566778899aabbccddeeff", "k2": "ffeeddccbbaa99887766554433221100"}
# Secrets by role.
SECRETS = {"inbound": "secrets", "outbound": "client-keys"}
FILES = Files(__file__)
STORE = Service(FILES.published("zone-1-first")["changes"])
NAME = STORE.name


def keys_of(pod: Pod, role: str) -> list[str]:
    """Returns the names of the keys that a pod's shim has mounted."""
    return pod.run("ls", f"/etc/ssa/secrets/{SECRETS[role]}", container="ssa-resolver").split()


def wait_keys(stage: Cluster, pods: list[tuple[Pod, str]], *names: str) -> None:
    """Waits until the shims of pods have these keys mounted, and no others."""
    stage.look(*(pod for pod, _ in pods))
    for pod, role in pods:
        stage.wait(timeouts.MOUNTED, f"{pod} has the keys {names}", lambda: keys_of(pod, role) == list(names))


def replace(stage: Cluster, pods: list[tuple[Pod, str]], files: Files, began: int, both: str, alone: str) -> None:
    """Publishes a record next to another, waits until it has taken effect, and removes the other: make before break.

    It counts from `began` on. `both` and `alone` are the zones with the other record and without it.
    """
    since = f"from={began}"
    stage.publish(files.text(both))
    for pod, role in pods:
        stage.wait(timeouts.SOON, f"{pod} has the new record too", lambda: since in str(rules(pod, role, NAME)))
    stage.claim_between("all have the new record before it counts, by s", 0.1, AHEAD, round(began - time.time(), 1))
    stage.wait(timeouts.PUSHED, "the new record counts for a TTL", lambda: time.time() > began + TTL)
    stage.publish(files.text(alone))
    for pod, role in pods:
        if role == "outbound":
            only = f"{pod} has only the new record"
            stage.wait(timeouts.SOON, only, lambda: [since in one for one in rules(pod, role, NAME)] == [True])


def run(stage: Cluster) -> None:
    network = stage.kubectl("get", "node", CLIENTS, "-o", "jsonpath={.spec.podCIDR}").partition("/")[0]
    own = {name: client_key(master, 48, network) for name, master in MASTERS.items()}

    def put(*names: str) -> None:
        stage.secret("secrets", **{name: MASTERS[name] for name in names})
        stage.secret("client-keys", **{name: own[name] for name in names})

    put("k1")
    stage.publish(FILES.text("zone-1-first"))
    stage.release(FILES.text("values.yaml"))
    _, client = stage.start(
        stage.workload("server", "server", replicas=2, secrets=["secrets"]),
        stage.workload("client", "client", secrets=["client-keys"]),
    )
    servers = stage.pods("server")
    stage.slices(STORE, "app=server")
    pods = [*((server, "inbound") for server in servers), (client, "outbound")]
    stage.wait_filter(*pods)
    made = stage.ssa.compose(STORE.published, client.address, secret=f"k1={MASTERS['k1']}")[0]
    by_hand = []

    def dial() -> str:
        by_hand.append(client.http(NAME, 9000, at=made).kind)
        return by_hand[-1]

    stage.claim("what is made with the first key by hand is served", "served", dial())
    load = Load(stage, client, f"http://{NAME}:9000/")

    stage.note("the secret is rotated")
    put("k1", "k2")
    wait_keys(stage, pods, "k1", "k2")
    began = int(time.time()) + AHEAD
    files = FILES.having(second_from=began)
    replace(stage, pods, files, began, "zone-2-first-and-second", "zone-3-second")
    told = snapshot(client, "outbound")["services"][0]["secrets"]
    kinds = {name: list(one) for name, one in told.items()}
    stage.claim("the client is told its own key alone", {"k2": ["client_key"]}, kinds)
    put("k2")
    wait_keys(stage, pods, "k2")
    stage.wait_steady(timeouts.PUSHED, "what is made with the first key is refused", lambda: dial() == "refused")
    load.moves_on("with the second key")

    stage.note("the rule changes")
    began = int(time.time()) + AHEAD
    files = files.having(last_from=began)
    replace(stage, pods, files, began, "zone-4-second-and-last", "zone-5-last")
    for server in servers:
        server.mark()
    load.moves_on("by the new rule")

    def verdicts(zone: str) -> set[str]:
        lines = [line for server in servers for line in server.access_log()[server.read_to["access_log"] :]]
        connections = [(line["source"], line["destination"], line["port"]) for line in lines if line["port"] == "9000"]
        published = files.published(zone)["changes"].published
        judged = stage.ssa.verify_all(published, connections, secret=f"k2={MASTERS['k2']}")
        return {verdict for verdict, _ in judged}

    stage.wait(timeouts.SOON, "connections are logged", lambda: verdicts("zone-5-last"))
    stage.claim("they conform to the new rule", {"conforming"}, verdicts("zone-5-last"))
    stage.claim("and not to the old one", {"violation"}, verdicts("zone-3-second"))
    answered = load.end_without_refusal()
    counted = [sum(server.inbound(outcome=outcome) for server in servers) for outcome in ("allowed", "denied")]
    expected = [answered + by_hand.count("served"), by_hand.count("refused")]
    stage.claim("connections allowed and denied, those by hand too", expected, counted)
    stage.claim("key files at fault", [0, 0, 0], [pod.shim("ssa_resolver_key_faults") for pod, _ in pods])
    stage.claim("configurations that proxies rejected", [], stage.nacks())
