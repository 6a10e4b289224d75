"""What clients send: requests that are counted, a client that keeps asking, and connections that last."""

import socket
from collections import Counter


class Answers(Counter):
    """How many requests each server answered."""

    def __init__(self, names):
        """`names` has the server's name for each answer."""
        super().__init__(names)
        self.all = len(names)

    def share(self, server):
        """Returns a server's share, rounded."""
        return f"{round(100 * self[server] / self.all) if self.all else 0} %"


class Asking:
    """A curl that asks without end, each request over a connection of its own; it looks the name up once."""

    def __init__(self, demo, host, service, name, *options):
        self.demo = demo
        self.log = demo.work / f"{name}.log"
        self.errors = demo.work / f"{name}-errors.log"
        with host:
            address = socket.getaddrinfo(service.name, 80, type=socket.SOCK_STREAM)[0][4][0]
        command = ["curl", "-sS", "-N", "--max-time", 300, "--no-progress-meter", *options]
        command += ["--resolve", f"{service.name}:80:[{address}]", f"{service.url}?[1-1000000]"]
        with open(self.errors, "wb") as errors:
            self.process = demo.start(host, name, command, stderr=errors)

    def answers(self):
        """Returns who answered so far, request by request."""
        return self.log.read_text().split()

    def failed(self):
        """Returns how many requests failed so far."""
        return self.errors.read_text().count("curl: ")

    def next(self, count):
        """Returns who answers the next requests, those on their way left out."""
        first = len(self.answers()) + 1
        self.demo.wait(30, "the client is being answered", lambda: len(self.answers()) >= first + count)
        return Answers(self.answers()[first : first + count])

    def stop(self):
        self.demo.stop(self.process)


class Lasting:
    """Connections that last: each has asked for an answer that does not end."""

    def __init__(self, demo, host, service, count):
        self.demo = demo
        self.sockets = []
        demo.lasting += count
        with host:
            for _ in range(count):
                connection = socket.create_connection((service.name, 80), timeout=20)
                connection.sendall(f"GET /hold HTTP/1.1\r\nhost: {service.name}\r\n\r\n".encode())
                self.sockets.append(connection)
        for connection in self.sockets:
            # Its answer has begun: it is there, all the way.
            connection.recv(4096)
            connection.setblocking(False)

    def alive(self):
        """Returns how many have not ended."""
        self.sockets = [connection for connection in self.sockets if self._lives(connection)]
        return len(self.sockets)

    def _lives(self, connection):
        try:
            while connection.recv(1 << 16):
                pass
            return False
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self):
        """Ends those that have not."""
        for connection in self.sockets:
            connection.close()
        self.demo.lasting = 0
