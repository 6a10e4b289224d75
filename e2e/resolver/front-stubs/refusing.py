"""A DNS server that answers each query by REFUSED: refusing.py ADDRESS."""

import socket
import sys

server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 53))
while True:
    query, querier = server.recvfrom(4096)
    server.sendto(query[:2] + bytes([0x81, 0x85]) + query[4:6] + bytes(6) + query[12 : query.index(0, 12) + 5], querier)
