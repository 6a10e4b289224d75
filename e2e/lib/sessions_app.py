"""A small stateful application: sessions_app.py PORT SOCKET. It keeps sessions, and loses none if one endpoint is gone.

A line `set KEY VALUE` is kept here and at every sibling that answers, before it is acknowledged with `ok COPIES`. A
line `get KEY` is answered with `is VALUE`; what is not here is asked of siblings (`peek KEY`), and kept here from then
on. Who the siblings are, the agent's socket tells. It is an example: values are never deleted, and the last writer wins
by no more than the order of arrival.
"""

import json
import socket
import socketserver
import sys
import threading

# A sibling that is gone must not hold a client for long.
PATIENCE = 0.3
LONGEST = 4096
PORT = int(sys.argv[1])
SESSIONS: dict[str, str] = {}
# Addresses of siblings, by the agent's latest line.
SIBLINGS: list[str] = []


def follow(path: str) -> None:
    """Keeps up with what the agent tells; begins again if the agent does."""
    pause = threading.Event()
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as agent:
                agent.connect(path)
                for line in agent.makefile():
                    SIBLINGS[:] = [one["address"] for one in json.loads(line)["siblings"]]
        except OSError:
            pass
        pause.wait(0.1)


def ask(address: str, line: str) -> str:
    """Asks a sibling; nothing if it does not answer."""
    try:
        with socket.create_connection((address, PORT), timeout=PATIENCE) as sibling:
            sibling.sendall(f"{line}\n".encode())
            return sibling.makefile().readline(LONGEST).strip()
    except OSError:
        return ""


def ask_all(line: str) -> list[str]:
    """Asks all siblings at once; returns the answers that there are."""
    answers: list[str] = []
    threads = [threading.Thread(target=lambda at=at: answers.append(ask(at, line))) for at in list(SIBLINGS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answer for answer in answers if answer]


def answer(words: list[str]) -> str:
    """Answers a line."""
    match words:
        case ["set", key, value]:
            SESSIONS[key] = value
            return f"ok {1 + len(ask_all(f'keep {key} {value}'))}"
        case ["keep", key, value]:
            SESSIONS[key] = value
            return "kept"
        case ["peek", key]:
            return f"is {SESSIONS[key]}" if key in SESSIONS else "none"
        case ["get", key]:
            if key not in SESSIONS:
                found = [one.split()[1] for one in ask_all(f"peek {key}") if one.startswith("is ")]
                if found:
                    SESSIONS[key] = found[0]
            return f"is {SESSIONS[key]}" if key in SESSIONS else "none"
    return "what?"


class Client(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self) -> None:
        """Answers its lines."""
        while line := self.rfile.readline(LONGEST):
            self.wfile.write(f"{answer(line.decode(errors='replace').split())}\n".encode())


class Server(socketserver.ThreadingTCPServer):
    """All connections."""

    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512


threading.Thread(target=follow, args=(sys.argv[2],), daemon=True).start()
with Server(("::", PORT), Client) as server:
    server.serve_forever()
