"""Real DNS servers, and the resolver shim on hosts.

SSA_DNS=knot uses Knot instead of BIND.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import snapshots, timeouts
from .claims import Broken, Skip
from .envoy import Sidecar
from .files import Files

if TYPE_CHECKING:
    from .net import Host
    from .stage import Program, Stage

HERE = Path(__file__).resolve().parent
ZONE = "demo.test"
ADMIN = 9467
# Returns the configuration of a shim from its `folder` and `socket`.
Configure = Callable[..., dict[str, Any]]
TYPES = {"SOA": 6, "TXT": 16, "AAAA": 28, "APL": 42}


class NameServer:
    """An authoritative server for demo.test, BIND or Knot."""

    process: Program

    def __init__(
        self, stage: Stage, host: Host, kind: str | None = None, template: Callable[..., str] | None = None
    ) -> None:
        """Starts it with an empty zone; `template` makes its configuration in place of those of dns/."""
        self.stage, self.host = stage, host
        self.kind = kind or os.environ.get("SSA_DNS", "bind")
        self.template = template
        self.folder = stage.work / f"{host.name}-zone"
        self.folder.mkdir()
        self.records = ""
        self.serial = 0
        self._configure()
        self._write()
        self.start()

    def _configure(self) -> None:
        program, file = {"bind": ("named", "named.conf"), "knot": ("knotd", "knot.conf")}[self.kind]
        self.program = shutil.which(program)
        if not self.program:
            raise Skip(f"{program} is not installed")
        template = self.template or Files(HERE / "dns" / file).template(file)
        text = template(folder=self.folder, address=self.host.address, zone=ZONE)
        (self.folder / "configuration").write_text(text)

    def _write(self) -> None:
        self.serial += 1
        lines = [
            f"$ORIGIN {ZONE}.",
            f"@ 2 SOA ns root {self.serial} 60 60 60 2",
            "@ 2 NS ns",
            f"ns 2 AAAA {self.host.address}",
        ]
        new = self.folder / "new"
        new.write_text("\n".join([*lines, self.records]) + "\n")
        os.replace(new, self.folder / "zone")

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        # A Knot that was killed left its PID file; another process may have that PID by now, and Knot would not start.
        (self.folder / "knot.pid").unlink(missing_ok=True)
        arguments = {"bind": ["-g", "-c"], "knot": ["-c"]}[self.kind]
        command = [self.program, *arguments, self.folder / "configuration"]
        self.process = self.stage.start(self.host, f"{self.host.name}-{self.kind}", command)
        self._settle()

    def _settle(self) -> None:
        self.stage.wait(
            timeouts.SOON, f"{self.kind} serves zone {self.serial}", lambda: self.served_serial() == self.serial
        )

    def stop(self) -> None:
        """Stops it."""
        self.stage.stop(self.process, signal.SIGKILL)

    def served_serial(self) -> int | None:
        """Returns the serial number of the zone as it is served; nothing when no answer comes."""
        answer = ask(self.host, self.host.address, ZONE, "SOA", timeout=timeouts.POLLED_QUERY)
        if not answer or answer[3] & 15:
            return None
        # The five numbers at the end of the SOA record, of which the first is the serial; nothing follows without EDNS.
        end = answer.index(b"\0\0\0\x3c\0\0\0\x3c\0\0\0\x3c\0\0\0\x02") if b"\0\0\0\x3c\0\0\0\x3c" in answer else None
        return struct.unpack("!I", answer[end - 4 : end])[0] if end else None

    def publish(self, records: str) -> None:
        """Serves these lines of a zone file."""
        self.records = records
        self._write()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGHUP)
            self._settle()


def ask(
    host: Host, server: str, name: str, kind: str, timeout: float = timeouts.EXCHANGE, number: int = 7
) -> bytes | None:
    """Asks by UDP, and returns the answer's bytes; nothing where none comes."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    question = struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", TYPES[kind], 1)
    with host:
        asking = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with asking:
        asking.settimeout(timeout)
        try:
            asking.sendto(question, (server, 53))
            return asking.recv(65535)
        except OSError:
            return None


class Shim:
    """The resolver shim on a host."""

    # What runs it, if not the system.
    wrapper: Sequence[str | Path] = ()
    process: Program

    def __init__(self, stage: Stage, host: Host, configure: Configure, socket_path: Path | None = None) -> None:
        """Starts it.

        `configure` returns its configuration, and is called with `folder`, a folder of its own, and `socket`, the path
        of the socket that it is to serve: `Files.later` makes one of a file.
        """
        self.stage, self.host = stage, host
        self.folder = stage.work / f"{host.name}-shim"
        self.folder.mkdir()
        self.socket = Path(socket_path or self.folder / "resolver.sock")
        self.configuration = configure(folder=self.folder, socket=self.socket)
        self.start()

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        self._write()
        command = [*self.wrapper, self.stage.tools["resolver"], "--config", self.folder / "configuration.json"]
        self.process = self.stage.start(self.host, f"{self.host.name}-resolver", command)
        self.stage.wait(
            timeouts.SOON, f"the shim of {self.host.name} is healthy", lambda: self.get("/healthz") == (200, "ok\n")
        )

    def _write(self) -> None:
        (self.folder / "configuration.json").write_text(json.dumps(self.configuration, indent=1))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stops it, and returns its exit status."""
        return self.stage.stop(self.process, number)

    def reload(self, by_signal: bool = True, **fields: Any) -> None:
        """Gives it other fields of its configuration, and waits until it has taken or refused them.

        Without a signal it has to see by itself that the file has changed.
        """
        before = self.count("ssa_resolver_reloads_total")
        self.configuration.update(fields)
        self._write()
        if by_signal:
            self.process.send_signal(signal.SIGHUP)
        self.stage.wait(timeouts.SOON, "the shim reloads", lambda: self.count("ssa_resolver_reloads_total") > before)

    def get(self, path: str) -> tuple[int, str] | None:
        """Asks its address of health and metrics: returns status and body, or nothing."""
        connection = http.client.HTTPConnection("::1", ADMIN, timeout=timeouts.ADMIN)
        try:
            with self.host:
                connection.sock = socket.create_connection(("::1", ADMIN), timeouts.ADMIN)
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return None
        finally:
            connection.close()

    def page(self, path: str) -> str:
        """Returns a page of its admin interface; aborts the scenario if it does not answer."""
        answer = self.get(path)
        if not answer:
            raise Broken(f"the shim of {self.host.name} does not answer {path}")
        return answer[1]

    def fetch(self, role: str, etag: str | None = None, wait: int = 0) -> tuple[int, str | None, Any]:
        """Fetches a snapshot: returns status, ETag and object."""
        connection = http.client.HTTPConnection("resolver", timeout=wait + timeouts.ADMIN)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(wait + timeouts.ADMIN)
        connection.sock.connect(str(self.socket))
        try:
            headers = {"if-none-match": etag, "prefer": f"wait={wait}"} if etag else {}
            connection.request("GET", f"/v1/{role}", headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            return answer.status, answer.getheader("etag"), json.loads(body) if answer.status == 200 else None
        finally:
            connection.close()

    def rules(self, role: str, name: str) -> Any:
        """Returns the rules of a service as they are served; nothing where it is not."""
        services = self.fetch(role)[2]["services"]
        return next((service["rules"] for service in services if service["name"] == name), None)

    def status(self, name: str, role: str) -> tuple[str | None, str]:
        """Returns the state of a service and the reason of it."""
        answer = self.get("/status")
        for one in json.loads(answer[1]) if answer else []:
            if one["service"] == name and one["role"] == role:
                return one["state"], one.get("reason", "")
        return None, ""

    def wait_state(self, name: str, role: str, state: str, seconds: float = timeouts.SOON) -> str:
        """Waits until a service is in a state, and returns the reason."""
        self.stage.wait(seconds, f"{name} is {state} at {self.host.name}", lambda: self.status(name, role)[0] == state)
        return self.status(name, role)[1]

    def count(self, metric: str, **labels: str) -> int:
        """Returns the sum of a metric over what has these labels."""
        total = 0
        answer = self.get("/metrics")
        for line in answer[1].splitlines() if answer else []:
            name, _, value = line.rpartition(" ")
            has = all(f'{label}="{wanted}"' in name for label, wanted in labels.items())
            if name.partition("{")[0] == metric and has:
                total += int(value)
        return total

    def resident(self) -> int:
        """Returns its resident memory in kB."""
        return self.process.resident_kb()

    def output(self) -> str:
        """Returns its log so far."""
        return (self.stage.work / f"{self.host.name}-resolver.log").read_text()


def configured(services: list[dict[str, Any]], servers: list[str] | None = None, **more: Any) -> Configure:
    """Returns a function for Shim that configures it for these entries of services; `more` are other fields."""

    def configure(folder: Path, socket: Path) -> dict[str, Any]:
        return {
            "socket": {"path": str(socket)},
            "admin": f"[::1]:{ADMIN}",
            "state": str(folder / "state.json"),
            "dns": {"servers": servers, "timeout_ms": 500, "max_backoff_s": 1},
            "services": services,
            **more,
        }

    return configure


def sidecar(
    stage: Stage, host: Host, configuration: dict[str, Any], configure: Configure, **options: Any
) -> tuple[Sidecar, Shim]:
    """Makes a sidecar that takes its services from a shim, and that shim; `options` are those of `Sidecar`."""
    made = Sidecar(stage, host, snapshots.FILES[configuration["role"]], configuration, **options)
    return made, Shim(stage, host, configure, made.folder / "resolver.sock")
