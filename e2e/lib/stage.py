"""The stage of a scenario in namespaces: claims, waits, programs and connections."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import cached_property
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import envoy, net, ssa, timeouts
from .claims import Answer, Broken, Claims
from .claims import Skip as Skip  # scenarios raise it

if TYPE_CHECKING:
    from .envoy import Sidecar
    from .net import Host
    from .service import Service

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# In memory, and seen in the scenario's own mount namespace alone.
WORK = Path("/run/ssa-e2e")


class Program(subprocess.Popen):
    """A program on a host."""

    # Its name in messages, and that of its log.
    title: str

    def cpu_seconds(self) -> float:
        """Returns its CPU time so far, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(ticks) for ticks in fields[11:13]) / os.sysconf("SC_CLK_TCK")

    def resident_kb(self) -> int:
        """Returns its resident memory in kB."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


class Stage(Claims):
    """A scenario does everything through one of these."""

    def __init__(self, tools: dict[str, Path], work: Path = WORK) -> None:
        """`tools` has the paths `root`, `envoy`, `module` and `ssa`; `work` is the folder for what is written."""
        self.tools = tools
        self.work = work
        super().__init__()
        self.processes: list[Program] = []
        self.net = net.Network(self)
        # What the router follows announcements by.
        self.follower: Program | None = None

    @cached_property
    def ssa(self) -> ssa.Command:
        """The command."""
        return ssa.Command(self.tools["ssa"])

    def check(self) -> None:
        """Aborts the scenario if a program exited that should be running."""
        for process in self.processes:
            if process.poll() is not None:
                raise Broken(f"{process.title} exited with {process.returncode}")

    # ---- starting

    def start(
        self, host: Host, title: str, command: Sequence[object], cwd: Path | None = None, **options: Any
    ) -> Program:
        """Starts a program on a host; what it prints goes to TITLE.log."""
        options.setdefault("stdin", subprocess.DEVNULL)
        with host, open(self.work / f"{title}.log", "ab") as output:
            options.setdefault("stdout", output)
            options.setdefault("stderr", output)
            process = Program([str(part) for part in command], cwd=cwd, **options)
        process.title = title
        self.processes.append(process)
        return process

    def forget(self, process: Program) -> None:
        """Allows a program to exit from here on."""
        if process in self.processes:
            self.processes.remove(process)

    def stop(self, process: Program, number: int = signal.SIGTERM) -> int:
        """Stops a program and returns its exit status."""
        self.forget(process)
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(timeouts.ENDED)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def application(self, host: Host, address: str = "::1", port: int = 8080, name: str | None = None) -> Program:
        """Starts the application on a host: it answers HTTP by its name, and echoes all else."""
        name = name or host.name
        process = self.start(host, f"{name}-app-{port}", [sys.executable, HERE / "app.py", name, address, port])
        self.wait(timeouts.SOON, f"the application of {name} listens", lambda: host.listens(address, port))
        return process

    def start_envoy(self, host: Host, name: str, text: str, port: int, address: str = "*") -> Program:
        """Starts an Envoy of one worker with this configuration in a folder of its name, and waits for its port."""
        folder = self.work / name
        folder.mkdir(exist_ok=True)
        (folder / "envoy.yaml").write_text(text)
        flags = ["--concurrency", 1, "--disable-hot-restart", "--log-level", "warning"]
        process = self.start(host, f"{name}/output", [self.tools["envoy"], "-c", "envoy.yaml", *flags], cwd=folder)
        self.wait(timeouts.STARTED, f"the Envoy {name} listens", lambda: host.listens(address, port))
        return process

    def follow(self, *hosts: Host) -> None:
        """Has the router follow what agents on these hosts announce."""
        if not self.follower:
            command = [sys.executable, HERE / "follow.py", self.net.router.name]
            self.follower = self.start(
                self.net.router, "follow", command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        reads, writes = self.follower.stdin, self.follower.stdout
        assert reads and writes, "they are pipes"
        for host in hosts:
            reads.write(f"{host.name}={host.address}\n")
            reads.flush()
            writes.readline()

    def server(self, number: int, *services: Service) -> Host:
        """Adds `serverN` with the application, and leads all that these services publish to it."""
        prefixes = [prefix for service in services for prefix in service.prefixes]
        host = self.net.server(number, prefixes)
        for prefix in prefixes:
            self.net.route(prefix, host)
        self.application(host)
        return host

    def sidecar(self, host: Host, file: str, configuration: envoy.Configuration, **options: Any) -> Sidecar:
        """Starts an Envoy by a file of envoy/ with this plugin configuration, and waits until it is ready."""
        return self.begin(envoy.Sidecar(self, host, file, configuration, **options))[0]

    def sidecars(self, *wanted: tuple[Any, ...]) -> tuple[Sidecar, ...]:
        """Starts several at once: each of `wanted` is (host, file, configuration)."""
        return self.begin(*(envoy.Sidecar(self, *one) for one in wanted))

    def begin(self, *sidecars: Sidecar) -> tuple[Sidecar, ...]:
        """Starts sidecars at once, and returns them when all are ready."""
        for sidecar in sidecars:
            sidecar.start()
        for sidecar in sidecars:
            sidecar.wait_ready()
        return sidecars

    def load(self, host: Host, **options: Any) -> Load:
        """Starts the load program on a host; see load.py for the options."""
        return Load(self, host, options)

    def sessions(self, host: Host, **options: Any) -> Sessions:
        """Starts clients with connections that last for a while; see sessions.py for the options."""
        return Sessions(self, host, options)

    # ---- dialling

    def dial(
        self,
        host: Host,
        address: object,
        port: int = 80,
        source: object = None,
        timeout: float = timeouts.EXCHANGE,
        family: Any = socket.AF_INET6,
    ) -> Answer:
        """Asks for / by HTTP over a connection of its own."""
        with host:
            connection = socket.socket(family, socket.SOCK_STREAM)
        with connection:
            connection.settimeout(timeout)
            try:
                if source:
                    connection.bind((str(source), 0))
                connection.connect((str(address), port))
            except OSError as error:
                return Answer("unreachable", str(error))
            try:
                connection.sendall(b"GET / HTTP/1.1\r\nhost: e2e\r\nconnection: close\r\n\r\n")
                data = b""
                while True:
                    more = connection.recv(65536)
                    if not more:
                        break
                    data += more
            except TimeoutError:
                return Answer("silent")
            except OSError as error:
                return Answer("refused", str(error))
        if not data:
            return Answer("refused", "closed")
        return Answer("served", data.decode(errors="replace").rpartition("\r\n\r\n")[2].strip())

    def keep_logs(self, folder: Path) -> None:
        """Copies what was written on the stage to a folder that outlives it."""
        for path in sorted(self.work.rglob("*")):
            if path.is_file() and not path.is_symlink():
                copy = folder / path.relative_to(self.work)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)


class Load:
    """A running load program."""

    def __init__(self, stage: Stage, host: Host, options: dict[str, Any]) -> None:
        self.stage = stage
        self.rate: float = options.get("rate", 0)
        destinations = options.pop("destinations")
        number = sum(1 for _ in stage.work.glob("load-*.json"))
        file = stage.work / f"load-{number}.json"
        options.setdefault("timeout", timeouts.SOON)
        file.write_text(json.dumps({**options, "destinations": [str(one) for one in destinations]}))
        self.process = stage.start(
            host,
            f"load-{number}-{host.name}",
            [sys.executable, HERE / "load.py", file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def event(self, name: str) -> dict[str, Any]:
        """Returns the program's next event of this name."""
        for line in self.process.stdout or ():
            told = json.loads(line)
            if told["event"] == name:
                return told
        raise Broken(f"{self.process.title} exited before it reported {name!r}; see its log")

    def tell(self, word: str) -> None:
        """Sends the program a command."""
        assert self.process.stdin, "it is a pipe"
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def settled(self) -> dict[str, Any]:
        """Waits until every connection got an answer or none, and returns how many did."""
        return self.event("settled")

    def check(self) -> int:
        """Echoes over all connections that are held, and returns how many still answer."""
        self.tell("check")
        return self.event("checked")["alive"]

    def end(self) -> dict[str, Any]:
        """Ends the load, and returns what became of its connections."""
        self.stage.forget(self.process)
        self.tell("end")
        told = self.event("done")
        self.process.wait(timeouts.ENDED)
        return told

    def end_steady(self) -> int:
        """Ends a load of a rate, claims that it was kept and every connection answered, and returns how many were."""
        told = self.end()
        stage, opened, seconds = self.stage, told["opened"], told["seconds"]
        stage.note(f"        {opened} connections in {seconds} s, the slowest took {told['slowest']} s")
        stage.claim("connections without an answer", [], told["samples"])
        stage.claim("connections that are answered", opened, told["answered"])
        low = 0.8 * self.rate / timeouts.FACTOR
        stage.claim_between("connections a second", low, 1.1 * self.rate, round(opened / seconds))
        return opened


class Sessions:
    """Clients with connections that last for a while."""

    def __init__(self, stage: Stage, host: Host, options: dict[str, Any]) -> None:
        self.stage = stage
        number = sum(1 for _ in stage.work.glob("sessions-*.json"))
        file = stage.work / f"sessions-{number}.json"
        options.setdefault("timeout", timeouts.SOON)
        options["destinations"] = [str(one) for one in options["destinations"]]
        file.write_text(json.dumps(options))
        command = [sys.executable, HERE / "sessions.py", file]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = stage.start(host, f"sessions-{number}-{host.name}", command, **pipes)

    def told(self) -> dict[str, Any]:
        """Returns what became of sessions so far: opened, ended, answers, and failed as [time, server, why]."""
        writes, reads = self.process.stdin, self.process.stdout
        assert writes and reads, "they are pipes"
        writes.write("tell\n")
        writes.flush()
        line = reads.readline()
        if not line:
            raise Broken(f"{self.process.title} exited; see its log")
        return json.loads(line)

    def end(self) -> dict[str, Any]:
        """Ends all sessions, and returns what became of them until then."""
        told = self.told()
        self.stage.stop(self.process)
        return told


def address(text: str) -> IPv6Address:
    """Returns the address in `[ADDRESS]:PORT`."""
    return ipaddress.IPv6Address(text.rpartition(":")[0].strip("[]"))
