"""The kind cluster, and what all scenarios in it share: images, the injection template in istiod, and the module.

The module is on a web server in a namespace of its own. One run at a time plays in a cluster.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import timeouts
from .claims import Broken
from .helm import Helm

if TYPE_CHECKING:
    pass

ROOT = Path(__file__).resolve().parent.parent.parent
KIND = ROOT / "kind-cluster"
SHARED = "ssa-e2e"
# The injection templates of pods with an agent, beside `ssa` of those whose slices are set by a script: without
# heartbeats, for on a busy machine who is not lost must not be taken for it, and with them, for those that get lost.
AGENTS = "ssa-agents"
HEARTBEATS = "ssa-heartbeats"
# What of kind-cluster/env.sh scenarios need.
NEEDED = ("PATH", "KUBECONFIG", "DOCKER_HOST", "KIND_EXPERIMENTAL_DOCKER_NETWORK", "SSA_KIND_NODES")


def missing() -> str | None:
    """Returns why no scenario can run in a cluster, or None; then the environment of this process points to it."""
    script = f'eval "$("{KIND}/env.sh" 2>/dev/null)" && kubectl get nodes --request-timeout=20s >/dev/null && env -0'
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=timeouts.COMMAND)
    if done.returncode != 0 or not done.stdout:
        return "no cluster is up: make kind-up"
    for pair in done.stdout.decode().split("\0"):
        name, _, value = pair.partition("=")
        if name in NEEDED:
            os.environ[name] = value
    # Of two addresses the mesh would use the pods' first one, of IPv4.
    family = (cache() / "family").read_text().strip()
    return None if family == "ipv6" else f"the cluster is {family}, and has to be ipv6: make kind-down kind-up"


def cache() -> Path:
    """Returns the directory with everything that is kept of the cluster."""
    return Path(os.environ["KUBECONFIG"]).parent


@contextlib.contextmanager
def alone(say: Callable[[str], None]) -> Iterator[None]:
    """Waits until no other run uses the cluster, and makes others wait."""
    with open(cache() / "e2e.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another run in this cluster")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def prepare(tools: dict[str, str | Path], say: Callable[[str], None]) -> dict[str, str]:
    """Creates what all scenarios in the cluster share, unless it exists; returns what they need to know of it."""
    containers = "{.spec.template.spec.containers[0].image}"
    base, istiod = (
        run("kubectl", "get", "-n", namespace, f"deploy/{name}", "-o", f"jsonpath={containers}")
        for namespace, name in (("ssa-dns", "tools"), ("istio-system", "istiod"))
    )
    programs = {tools["ssa"]: "ssa", tools["resolver"]: "ssa-resolver"}
    programs[ROOT / "k8s/images/resolver/ssa-routes"] = "ssa-routes"
    resolver = make_image(
        "ssa-resolver", base, {file: f"/usr/local/bin/{name}" for file, name in programs.items()}, say
    )
    cluster = make_image("ssa-cluster", base, {tools["cluster"]: "/usr/local/bin/ssa-cluster"}, say)
    bird = make_image("ssa-bird", base, _bird(), say)
    sha256 = hashlib.sha256(Path(tools["module"]).read_bytes()).hexdigest()
    server = f"module-{sha256[:8]}"
    _serve_module(server, make_image("module", base, {tools["module"]: "/www/ssa_filter.wasm"}, say), say)
    _give_template(resolver, cluster, say)
    run("kubectl", "apply", "--server-side", "-f", ROOT / "k8s/chart/files/definitions.yaml")
    return {
        "image": resolver,
        "cluster": cluster,
        "bird": bird,
        "tools": base,
        "proxy": istiod.replace("/pilot:", "/proxyv2:"),
        "sha256": sha256,
        "url": f"http://{server}.{SHARED}.svc.cluster.local/ssa_filter.wasm",
    }


def make_image(name: str, base: str, files: Any, say: Callable[[str], None]) -> str:
    """Builds and loads an image of the tools' image and these files, tagged by its content; returns its name."""
    digest = hashlib.sha256(base.encode())
    for file, path in sorted(files.items(), key=lambda pair: pair[1]):
        digest.update(path.encode() + Path(file).read_bytes())
    image = f"localhost/{SHARED}/{name}:{digest.hexdigest()[:12]}"
    known = subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode == 0
    listed = ("ctr", "-n", "k8s.io", "images", "ls", "-q", f"name=={image}")
    if not known:
        say(f"making and loading the image {image}")
        run(KIND / "image.sh", image, *(f"{file}={path}" for file, path in files.items()))
    elif not all(run("docker", "exec", node, *listed).strip() for node in os.environ["SSA_KIND_NODES"].split()):
        say(f"loading the image {image}")
        run(KIND / "load.sh", image)
    return image


def _serve_module(server: str, image: Any, say: Callable[[str], None]) -> None:
    """Has a web server in the cluster serve the module."""
    metadata = {"name": server, "namespace": SHARED}
    labels = {"app": server}
    container = {
        "name": "module",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["busybox", "httpd", "-f", "-p", "8080", "-h", "/www"],
        "readinessProbe": {"httpGet": {"path": "/ssa_filter.wasm", "port": 8080}, "periodSeconds": 1},
    }
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHARED}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
                },
            },
        },
    ]
    said = run("kubectl", "apply", "-f", "-", reads=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    if "created" in said:
        say("serving the module in the cluster")
    run("kubectl", "rollout", "status", "-n", SHARED, f"deploy/{server}", f"--timeout={timeouts.ROLLED_OUT:.0f}s")


def _bird() -> dict[str | Path, str]:
    """Returns the files of the image of BIRD, with where they are in it."""
    found = Path(run(ROOT / "hack/bird.sh").strip().splitlines()[-1]).parent
    # Where it was extracted from its package, what is in `bin` only calls the programs.
    package = found.parent / "package"
    programs = package / "usr/sbin" if package.is_dir() else found
    files: dict[str | Path, str] = {programs / name: f"/usr/sbin/{name}" for name in ("bird", "birdc")}
    for library in package.glob("usr/lib/*-linux-gnu/*.so*"):
        files[library] = f"/usr/lib/{library.parent.name}/{library.name}"
    getent = shutil.which("getent")
    if not getent:
        raise Broken("getent is missing: it belongs to the C library")
    return {**files, getent: "/usr/bin/getent", ROOT / "k8s/images/bird/ssa-bird": "/usr/local/bin/ssa-bird"}


def _give_template(image: Any, cluster: Any, say: Callable[[str], None]) -> None:
    """Configures istiod with the chart's injection template, unless it already has it."""
    with tempfile.TemporaryDirectory() as folder:
        helm = Helm("helm", Path(folder))
        wanted = {}
        operators: list[str | Path] = []
        with_agent = f"resolver.image={image},cluster.enabled=true,cluster.image={cluster}"
        for name, values in {
            "ssa": f"resolver.image={image}",
            AGENTS: f"{with_agent},cluster.agent.heartbeats=false",
            HEARTBEATS: with_agent,
        }.items():
            objects = helm.objects("--set", values, "-s", "templates/injection.yaml")
            data = objects["ConfigMap", "ssa-injection"]["data"]
            (told,) = helm.read([data["istiod-values.yaml"]])
            wanted[name] = told["sidecarInjectorWebhook"]["templates"]["ssa"]
            operator = Path(folder) / f"{name}.yaml"
            operator.write_text(data["istio-operator.yaml"].replace("\n        ssa: |\n", f"\n        {name}: |\n"))
            operators += ["-f", operator]
        if all(_injected(name) == template for name, template in wanted.items()):
            return
        say("giving istiod the injection templates")
        run("istioctl", "install", "-y", "-f", cache() / "istio.yaml", *operators, timeout=timeouts.INSTALLED)
        if any(_injected(name) != template for name, template in wanted.items()):
            raise Broken("istiod did not accept the injection templates")


def _injected(name: str) -> Any:
    """Returns a template that istiod has."""
    text = run("kubectl", "get", "-n", "istio-system", "configmap", "istio-sidecar-injector", "-o", "json")
    return json.loads(json.loads(text)["data"]["values"])["sidecarInjectorWebhook"]["templates"].get(name)


def run(*command: str | Path, reads: str | None = None, timeout: float = timeouts.INSTALLED) -> str:
    """Runs a program, which must succeed, and returns its output."""
    words = [str(one) for one in command]
    try:
        done = subprocess.run(
            words,
            input=reads,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL if reads is None else None,
        )
    except subprocess.TimeoutExpired:
        raise Broken(f"{' '.join(words)}: timeout after {timeout} s") from None
    if done.returncode != 0:
        raise Broken(f"{' '.join(words)} exited with {done.returncode}: {(done.stdout + done.stderr).strip()[-2000:]}")
    return done.stdout
