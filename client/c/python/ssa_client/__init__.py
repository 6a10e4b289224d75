"""Clients of SSA services: from a service's name and what is wanted of it to a connection to the endpoint that has it.

service = Service.dns("store.example")
connection, target = service.connect(80, b"photos/cat.jpg")
"""

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ._native import ffi, lib

__all__ = ["Service", "SsaError", "Target"]

# How long a text about a fault may be, in bytes.
ERROR_BYTES = 4096
MAX_TARGETS = 16


class SsaError(Exception):
    """Why there is no service, plan or connection. `status` is one of ssa_status in ssa_client.h."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Target:
    """A place to connect to. The connection has to come from `source`: the address is composed for it."""

    address: ipaddress.IPv6Address
    port: int
    source: ipaddress.IPv6Address
    replica: int


def _address(text: str | ipaddress.IPv6Address | None) -> Any:
    return ffi.NULL if text is None else ffi.from_buffer("uint8_t[]", ipaddress.IPv6Address(text).packed)


def _text(text: str | None) -> Any:
    return ffi.NULL if text is None else ffi.new("char[]", text.encode())


def _number(kind: str, number: int | None) -> Any:
    return ffi.NULL if number is None else ffi.new(f"{kind} *", number)


def _target(target: Any) -> Target:
    return Target(
        ipaddress.IPv6Address(bytes(ffi.buffer(target.address))),
        target.port,
        ipaddress.IPv6Address(bytes(ffi.buffer(target.source))),
        target.replica,
    )


class Service:
    """A service, which is followed until it is closed or collected. Threads may share it.

    Services are followed by a thread of the library, which a forked process does not have: make them after forking.
    """

    def __init__(self, made: Any) -> None:
        """Takes what `fixed`, `dns` or `socket` made."""
        self._service = ffi.gc(made, lib.ssa_service_free)

    @classmethod
    def fixed(
        cls,
        name: str,
        apl: str | None,
        records: Iterable[str],
        *,
        source: str | None = None,
        client_keys: str | None = None,
        attempt_delay_ms: int = 0,
        attempt_timeout_ms: int = 0,
    ) -> "Service":
        """Makes a service of records that are known already."""
        texts = [_text(record) for record in records]
        listed = ffi.new("char *[]", texts)
        options = _Options(source, client_keys, attempt_delay_ms, attempt_timeout_ms)
        return cls(
            _made(lib.ssa_service_fixed, _text(name), _text(apl), ffi.cast("char **", listed), len(texts), options.raw)
        )

    @classmethod
    def dns(
        cls,
        name: str,
        server: str | None = None,
        *,
        source: str | None = None,
        client_keys: str | None = None,
        attempt_delay_ms: int = 0,
        attempt_timeout_ms: int = 0,
    ) -> "Service":
        """Asks the DNS, `server` (ADDRESS:PORT) or the system's servers, and follows the service from then on."""
        options = _Options(source, client_keys, attempt_delay_ms, attempt_timeout_ms)
        return cls(_made(lib.ssa_service_dns, _text(name), _text(server), options.raw))

    @classmethod
    def socket(
        cls,
        name: str,
        path: str = "/run/ssa-resolver/snapshot.sock",
        *,
        source: str | None = None,
        client_keys: str | None = None,
        attempt_delay_ms: int = 0,
        attempt_timeout_ms: int = 0,
    ) -> "Service":
        """Asks an ssa-resolver by its socket, and follows the service from then on."""
        options = _Options(source, client_keys, attempt_delay_ms, attempt_timeout_ms)
        return cls(_made(lib.ssa_service_socket, _text(name), _text(path), options.raw))

    def plan(
        self,
        port: int,
        key: bytes | None = None,
        *,
        chunk: int | None = None,
        replica: int | None = None,
        source: str | None = None,
        time: int = 0,
        targets: int = 0,
        fixed_order: bool = False,
    ) -> list[Target]:
        """Returns the targets for an object key, in the order in which they are to be tried."""
        want = _Want(port, key, chunk, replica, source, time, targets, fixed_order)
        found = ffi.new("struct Target[]", MAX_TARGETS)
        count = ffi.new("uintptr_t *")
        _call(lib.ssa_plan, self._service, want.raw, found, MAX_TARGETS, count)
        return [_target(found[place]) for place in range(min(count[0], MAX_TARGETS))]

    def connect(
        self,
        port: int,
        key: bytes | None = None,
        *,
        chunk: int | None = None,
        replica: int | None = None,
        source: str | None = None,
        time: int = 0,
        targets: int = 0,
        fixed_order: bool = False,
    ) -> tuple["socket.socket", Target | None]:
        """Connects, and returns the socket and where it leads: None where no record is in force, and the service's
        published address was taken."""
        want = _Want(port, key, chunk, replica, source, time, targets, fixed_order)
        descriptor = ffi.new("int *")
        reached = ffi.new("struct Target *")
        _call(lib.ssa_connect, self._service, want.raw, descriptor, reached)
        connection = socket.socket(fileno=descriptor[0])
        return connection, _target(reached) if reached.port else None

    def report_failure(self, target: Target) -> None:
        """Remembers for 30 s that connections to a target fail, so that plans have it last."""
        raw = ffi.new("struct Target *")
        raw.address = target.address.packed
        lib.ssa_report_failure(self._service, raw)

    def close(self) -> None:
        """Ends following the service, which must not be used any more."""
        ffi.release(self._service)


class _Options:
    """Options for a call. What they point to lives as long as they do."""

    def __init__(
        self, source: str | None, client_keys: str | None, attempt_delay_ms: int, attempt_timeout_ms: int
    ) -> None:
        self.kept = (_address(source), _text(client_keys))
        self.raw = ffi.new("struct Options *")
        self.raw.source, self.raw.client_keys = self.kept
        self.raw.attempt_delay_ms = attempt_delay_ms
        self.raw.attempt_timeout_ms = attempt_timeout_ms


class _Want:
    """What is wanted by a call. What it points to lives as long as it does."""

    def __init__(
        self,
        port: int,
        key: bytes | None,
        chunk: int | None,
        replica: int | None,
        source: str | None,
        time: int,
        targets: int,
        fixed_order: bool,
    ) -> None:
        self.raw = ffi.new("struct Want *")
        self.kept = (
            ffi.NULL if key is None else ffi.new("uint8_t[]", key or b"\0"),
            _number("uint64_t", chunk),
            _number("uint8_t", replica),
            _address(source),
        )
        self.raw.object, self.raw.chunk, self.raw.replica, self.raw.source = self.kept
        self.raw.object_length = len(key or b"")
        self.raw.port, self.raw.time, self.raw.targets, self.raw.fixed_order = port, time, targets, fixed_order


def _call(function: Any, *arguments: Any) -> None:
    error = ffi.new("char[]", ERROR_BYTES)
    status = function(*arguments, error, ERROR_BYTES)
    if status != 0:
        raise SsaError(status, ffi.string(error).decode())


def _made(function: Any, *arguments: Any) -> Any:
    made = ffi.new("struct Service **")
    _call(function, *arguments, made)
    return made[0]
