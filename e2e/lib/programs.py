"""Programs of this machine and of package registries, for images of the cluster."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from . import timeouts
from .claims import Answer, Broken, Skip
from .cluster_shared import ROOT, cache, run

if TYPE_CHECKING:
    from .pod import Pod


def redis() -> tuple[dict[str | Path, str], str]:
    """Returns Redis' server and its libraries, {file here: path in an image}, and the command that runs it there."""
    # Debian's redis-tools has the server too, by this name; the package redis-server would start one here.
    program = shutil.which("redis-check-rdb")
    if not program:
        raise Skip("redis-check-rdb is missing: apt-get install redis-tools")
    folder = "/opt/redis"
    told = run("ldd", program)
    libraries = re.findall(r"(/\S+\.so\S*) \(0x", told)
    loader = next(one for one in libraries if "/ld-linux" in one)
    files = {library: f"{folder}/{library.rpartition('/')[2]}" for library in libraries}
    command = f"{files[loader]} --library-path {folder} {folder}/redis-server"
    return {**files, program: f"{folder}/redis-server"}, command


def redis_talk(pod: Pod, host: str, *words: str, at: str | None = None) -> Answer:
    """Says something to Redis over a connection of its own, and returns what came of it."""
    text = " ".join(words)
    talk = f"exec 3<>/dev/tcp/$0/6379 && printf '{text}\\r\\nQUIT\\r\\n' >&3 && cat <&3"
    done = pod.attempt("timeout", f"{timeouts.EXCHANGE:.0f}", "bash", "-c", talk, at or host)
    return Answer("served", done.stdout.strip()) if done.stdout.strip() else Answer("refused", done.stderr.strip())


def grpc() -> dict[str | Path, str]:
    """Returns grpc-go's interoperability programs as /opt/grpc/server and /opt/grpc/client, {file here: path in an
    image}."""
    done = subprocess.run([ROOT / "hack/grpc.sh"], capture_output=True, text=True, timeout=timeouts.BUILT)
    if done.returncode == 77:
        raise Skip(done.stdout.strip())
    if done.returncode != 0:
        raise Broken(done.stderr.strip())
    folder = done.stdout.strip().splitlines()[-1]
    return {f"{folder}/{name}": f"/opt/grpc/{name}" for name in ("server", "client")}


def workload() -> dict[str | Path, str]:
    """Returns the program of pod/workload, built, as /opt/workload, {file here: path in an image}."""
    source = ROOT / "e2e/lib/pod/workload"
    if not shutil.which("go"):
        raise Skip("building a workload of HTTP, WebSocket and gRPC needs go: https://go.dev/doc/install")
    program = cache() / "workload"
    command: list[str | Path] = ["go", "build", "-trimpath", "-mod=readonly", "-ldflags=-s -w", "-o", program, "."]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, timeout=timeouts.BUILT)
    if done.returncode != 0:
        raise Broken(done.stderr.strip()[-2000:])
    return {program: "/opt/workload"}


def certificate(name: str) -> dict[str | Path, str]:
    """Returns a certificate for a name, signed by itself, as /opt/tls/cert and /opt/tls/key; the same one in every
    run."""
    folder = cache() / "tls" / name
    cert, key = folder / "cert.pem", folder / "key.pem"
    if not cert.exists():
        folder.mkdir(parents=True, exist_ok=True)
        run(
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "3650",
            "-subj",
            f"/CN={name}",
            "-addext",
            f"subjectAltName=DNS:{name}",
            "-keyout",
            key,
            "-out",
            cert,
        )
    return {cert: "/opt/tls/cert", key: "/opt/tls/key"}
