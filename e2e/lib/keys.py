"""The client key that a record with `kdf` derives for a client (docs/spec.md), so that clients hold only their own."""

import ipaddress
import struct

ONES = (1 << 64) - 1


def client_key(secret: str, bits: int, source: str) -> str:
    """Returns the key of clients whose first `bits` bits are those of `source`; `secret` and key are 32 hex digits."""
    masked = ipaddress.IPv6Network((source, bits), strict=False).network_address.packed
    halves = (siphash(bytes.fromhex(secret), bytes([5, half, bits]) + masked) for half in (0, 1))
    return b"".join(half.to_bytes(8, "big") for half in halves).hex()


def siphash(key: bytes, message: bytes) -> int:
    """SipHash-2-4 with 64 bits of output."""
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    padded = message + bytes(-(len(message) + 1) % 8) + bytes([len(message) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        _rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xFF
    _rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _rounds(v: list[int], count: int) -> None:
    for _ in range(count):
        for a, b, first, c, d, second in ((0, 1, 13, 2, 3, 16), (2, 1, 17, 0, 3, 21)):
            v[a] = (v[a] + v[b]) & ONES
            v[b] = _turn(v[b], first) ^ v[a]
            v[a] = _turn(v[a], 32)
            v[c] = (v[c] + v[d]) & ONES
            v[d] = _turn(v[d], second) ^ v[c]


def _turn(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & ONES
