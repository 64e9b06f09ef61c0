"""Short ids of compact blocks (peer_service.proto, CompactBlock): SipHash-2-4, written from the paper by Aumasson and
Bernstein (https://www.aumasson.jp/siphash/siphash.pdf)."""

from .encoding import sha256

MASK = 2**64 - 1


def rotate(value, bits):
    return (value << bits | value >> (64 - bits)) & MASK


def sip_round(v0, v1, v2, v3):
    v0 = (v0 + v1) & MASK
    v2 = (v2 + v3) & MASK
    v1 = rotate(v1, 13) ^ v0
    v3 = rotate(v3, 16) ^ v2
    v0 = rotate(v0, 32)
    v2 = (v2 + v1) & MASK
    v0 = (v0 + v3) & MASK
    v1 = rotate(v1, 17) ^ v2
    v3 = rotate(v3, 21) ^ v0
    return v0, v1, rotate(v2, 32), v3


def siphash_2_4(key, data):
    """The 64-bit number of the paper."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    state = (k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573)
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) % 256])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at:at + 8], "little")
        v0, v1, v2, v3 = state
        v0, v1, v2, v3 = sip_round(*sip_round(v0, v1, v2, v3 ^ word))
        state = (v0 ^ word, v1, v2, v3)
    v0, v1, v2, v3 = state
    state = (v0, v1, v2 ^ 0xFF, v3)
    for _ in range(4):
        state = sip_round(*state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


# Appendix A of the paper.
assert siphash_2_4(bytes(range(16)), bytes(range(15))) == 0xA129CA6149BE45E5


def short_id_key(header, salt):
    return sha256(header, salt)[:16]


def short_id(key, wire_id):
    return siphash_2_4(key, wire_id).to_bytes(8, "little")[:6]
