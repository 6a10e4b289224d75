"""An application that knows nothing of SSA: app.py NAME ADDRESS PORT.

A request of HTTP is answered by NAME; everything else is echoed. One thread, one epoll: it bears tens of thousands of
connections at once.
"""

import resource
import select
import socket
import sys


def answer(name: str, data: bytes) -> tuple[bytes, bool]:
    """Returns the answer to the data, and whether the connection is closed after it."""
    if not data.startswith((b"GET ", b"HEAD ", b"POST ")):
        return data, False
    body = name.encode() + b"\n"
    closing = b"connection: close" in data.lower()
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n%s\r\n" % (
        len(body),
        b"connection: close\r\n" if closing else b"",
    )
    requests = data.count(b"\r\n\r\n") or 1
    return (head + body) * requests, closing


def serve(name: str, address: str, port: int) -> None:
    """Serves until it is killed."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(4096)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    connections: dict[int, socket.socket] = {}

    def close(number: int) -> None:
        connections.pop(number).close()

    def accept() -> None:
        for _ in range(256):
            try:
                connection, _peer = listener.accept()
            except BlockingIOError:
                return
            except OSError:
                continue
            connection.setblocking(False)
            connections[connection.fileno()] = connection
            poll.register(connection, select.EPOLLIN)

    def talk(number: int) -> None:
        connection = connections[number]
        try:
            data = connection.recv(65536)
            if not data:
                return close(number)
            # Answers are small: the socket's buffer takes them.
            answered, closing = answer(name, data)
            connection.send(answered)
            if closing:
                close(number)
        except BlockingIOError:
            pass
        except OSError:
            close(number)

    while True:
        for number, _events in poll.poll():
            if number == listener.fileno():
                accept()
            elif number in connections:
                talk(number)


serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
