"""Answers datagrams by a name, from the address that they were sent to: datagrams.py NAME PORT."""

import socket
import sys

# As Linux numbers them, where Python has no names.
IPV6_RECVPKTINFO = 49
IPV6_PKTINFO = 50
IPV6_FREEBIND = 78


def serve(name: str, port: int) -> None:
    """Serves without end."""
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
    server.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    server.bind(("::", port))
    while True:
        _data, info, _flags, client = server.recvmsg(65536, 1024)
        for level, kind, value in info:
            if (level, kind) == (socket.IPPROTO_IPV6, IPV6_PKTINFO):
                # The address alone: an answer may leave by another interface.
                server.sendmsg([name.encode()], [(level, kind, value[:16] + bytes(4))], 0, client)


serve(sys.argv[1], int(sys.argv[2]))
