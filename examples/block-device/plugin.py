"""A disk for nbdkit's Python plugin, each block of which is an object: base=http://HOST/disks/NAME size=BYTES.

The filter `blocksize` in front makes whole blocks of all requests. A block that nobody has written is zeros. A write is
done once both replicas have it; while one is gone it is repeated, until another endpoint has its place or PATIENCE is
over. One writer at a time: there are no versions.
"""

import errno
import http.client
import os
import threading
import time
import urllib.parse
from typing import Any

import nbdkit  # type: ignore[import-not-found]

API_VERSION = 2
BLOCK = 65536
REPLICAS = 2
# Seconds that a write is repeated, between two tries, and until an answer counts as missing.
PATIENCE, PAUSE, TIMEOUT = 60.0, 0.05, 10.0
OPTIONS: dict[str, str] = {}
KEPT = threading.local()


def config(key: str, value: str) -> None:
    """Takes an option."""
    OPTIONS[key] = value


def thread_model() -> int:
    """Requests run side by side; those for one block do not, by the clients' own order."""
    return nbdkit.THREAD_MODEL_PARALLEL


def open(readonly: bool) -> Any:
    """Opens the disk."""
    return urllib.parse.urlsplit(OPTIONS["base"])


def get_size(_: Any) -> int:
    """Returns its size."""
    return int(OPTIONS["size"])


def block_size(_: Any) -> tuple[int, int, int]:
    """Returns the smallest, the best and the largest size of a request."""
    return BLOCK, BLOCK, BLOCK


def can_multi_conn(_: Any) -> bool:
    """Any connection reads what another one has written."""
    return True


def can_fua(_: Any) -> int:
    """A write is at both replicas when it is done."""
    return nbdkit.FUA_NATIVE


def can_flush(_: Any) -> bool:
    """Nothing is kept back."""
    return True


def flush(_: Any, flags: int) -> None:
    """Does nothing."""


def ask(base: Any, method: str, block: int, headers: dict[str, str], body: bytes | None = None) -> tuple[int, bytes]:
    """Sends a request, over this thread's connection; 503 stands for no answer."""
    for fresh in (False, True):
        connection = getattr(KEPT, "connection", None)
        if fresh or connection is None:
            connection = KEPT.connection = http.client.HTTPConnection(base.hostname, base.port or 80, timeout=TIMEOUT)
        try:
            connection.request(method, f"{base.path}/{block}", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            KEPT.connection = None
    return 503, b""


def until(accepted: set[int], base: Any, *request: Any) -> tuple[int, bytes]:
    """Repeats a request until it has one of these statuses."""
    end = time.monotonic() + PATIENCE
    while True:
        status, body = ask(base, *request)
        if status in accepted:
            return status, body
        if time.monotonic() > end:
            nbdkit.debug(f"{request[:2]}: status {status}")
            nbdkit.set_error(errno.EIO)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        time.sleep(PAUSE)


def pread(base: Any, buffer: bytearray, offset: int, flags: int) -> None:
    """Reads a block, from whichever replica answers."""
    status, body = until({200, 404}, base, "GET", offset // BLOCK, {})
    buffer[:] = body if status == 200 else bytes(len(buffer))


def pwrite(base: Any, buffer: bytes, offset: int, flags: int) -> None:
    """Writes a block, at each replica."""
    for replica in range(REPLICAS):
        headers = {"ssa-replica": str(replica)}
        until({201, 204}, base, "PUT", offset // BLOCK, headers, bytes(buffer))
