"""Tries the wheel as it is installed; hack/wheel.sh runs this in namespaces of its own.

Ends by `N passed, N failed`.
"""

import subprocess
import sys
import threading
import unittest
from socket import AF_INET6, create_server

from ssa_client import Service, SsaError, Target

RECORD = "v=ssa1; addr=hash(obj):10 const(0):54; replicas=2"
APL = "2:2001:db8:5::/64"
CLIENT = "2001:db8:77::7"


def run(command: str) -> None:
    """Runs a command."""
    subprocess.run(command.split(), check=True)


def serve() -> None:
    """Answers each connection at every address of the service with the address dialled and the client's."""
    server = create_server(("::", 80), family=AF_INET6)

    def answer() -> None:
        while True:
            stream, peer = server.accept()
            stream.sendall(f"{stream.getsockname()[0]} {peer[0]}".encode())
            stream.close()

    threading.Thread(target=answer, daemon=True).start()


class WheelTest(unittest.TestCase):
    """What an application does with the wheel."""

    def service(self) -> Service:
        """Returns a service with one item."""
        return Service.fixed("store.example", APL, [RECORD], source=CLIENT)

    def test_plans_have_a_target_for_each_replica(self) -> None:
        targets = self.service().plan(80, b"photos/cat.jpg", fixed_order=True)
        self.assertEqual([target.replica for target in targets], [0, 1])
        self.assertEqual({(str(target.source), target.port) for target in targets}, {(CLIENT, 80)})
        one = self.service().plan(80, b"photos/cat.jpg", replica=1)
        self.assertEqual(one, targets[1:])
        self.assertNotEqual(self.service().plan(80, b"", replica=1), one)

    def test_what_failed_comes_last(self) -> None:
        service = self.service()
        first: Target = service.plan(80, b"x", fixed_order=True)[0]
        service.report_failure(first)
        self.assertEqual(service.plan(80, b"x", fixed_order=True)[-1], first)

    def test_connections_come_from_the_source(self) -> None:
        connection, target = self.service().connect(80, b"photos/cat.jpg")
        with connection:
            address, client = connection.recv(256).decode().split()
        assert target is not None
        self.assertEqual((address, client), (str(target.address), CLIENT))

    def test_faults_are_told(self) -> None:
        with self.assertRaisesRegex(SsaError, "store.example: the record needs inputs that are not given: object key"):
            self.service().plan(80)
        with self.assertRaisesRegex(SsaError, "attempt_delay: 5ms is out of range; allowed are 10ms to 2s"):
            Service.fixed("x", APL, [RECORD], attempt_delay_ms=5)
        with self.assertRaises(SsaError) as caught:
            Service.dns("store.example", "127.0.0.1:9")
        self.assertEqual(caught.exception.status, 2)
        with self.assertRaisesRegex(SsaError, "/no/such/socket: No such file or directory"):
            Service.socket("store.example", "/no/such/socket")


if __name__ == "__main__":
    run("ip link set lo up")
    run(f"ip -6 addr add {CLIENT}/128 dev lo")
    run(f"ip -6 route add local 2001:db8:5::/64 dev lo src {CLIENT}")
    serve()
    result = unittest.main(exit=False, verbosity=2).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
