"""signatures.json: the function (key, message, signature) -> verdict."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from farthing_ref import keys
from farthing_ref.encoding import sha256

from .common import dev, fixture, refused, sized_keys

MESSAGE = b"farthing transaction\0 a message of the vectors"


def flipped(data, bit):
    return (int.from_bytes(data, "big") ^ 1 << bit).to_bytes(len(data), "big")


def beyond_modulus(key):
    """A message whose valid signature stays within k bytes when n is added to it."""
    for number in range(10_000):
        message = MESSAGE + b" %d" % number
        raised = int.from_bytes(key.sign(message), "big") + key.modulus
        if raised < 1 << 8 * key.size:
            return message, raised.to_bytes(key.size, "big")
    raise AssertionError("no such message")


def forged_blocks(size):
    """Padded blocks that a careless verifier takes for the right one."""
    digest = sha256(MESSAGE)
    info = keys.DIGEST_INFO
    right = keys.padded_block(MESSAGE, size)
    tail = info + digest
    garbage = bytes(range(1, 256)) * 3
    yield "eight bytes of padding, garbage behind the digest (Bleichenbacher 2006)", (
        b"\0\1" + b"\xff" * 8 + b"\0" + tail + garbage)[:size]
    yield "one byte of padding missing, one byte behind the digest", b"\0\1" + right[3:] + b"\0"
    yield "no padding at all, garbage behind the digest", (b"\0\1\0" + tail + garbage)[:size]
    yield "garbage between padding and digest", (
        b"\0\1" + b"\xff" * 8 + b"\0" + garbage)[:size - len(tail)] + tail
    yield "block type 2", b"\0\2" + right[2:]
    yield "block type 0", b"\0\0" + right[2:]
    yield "a padding byte that is not ff", right[:100] + b"\xfe" + right[101:]
    yield "no zero behind the padding", right.replace(b"\0" + tail, b"\xff" + tail)
    yield "digest without DigestInfo", b"\0\1" + b"\xff" * (size - 35) + b"\0" + digest
    without_null = bytes.fromhex("302f300b0609608648016503040201") + b"\x04\x20" + digest
    yield "DigestInfo without its NULL parameters", (
        b"\0\1" + b"\xff" * (size - 3 - len(without_null)) + b"\0" + without_null)
    yield "DigestInfo names SHA-384", right.replace(info, info[:14] + b"\x02" + info[15:])
    yield "DigestInfo with a longer length form", (
        b"\0\1" + b"\xff" * (size - 4 - len(tail)) + b"\0" + b"\x30\x81\x31" + tail[2:])
    garbage_parameters = bytes.fromhex("3039") + bytes.fromhex("3015") + info[4:15] + b"\x04\x08" + bytes(8) + info[17:]
    yield "garbage in the parameters of DigestInfo", (
        b"\0\1" + b"\xff" * (size - 3 - len(garbage_parameters) - 32) + b"\0" + garbage_parameters + digest)
    yield "digest of another message", keys.padded_block(b"another message", size)
    yield "digest with its last bit flipped", flipped(right, 0)


def bad_signatures():
    key = fixture("rsa2048")
    good = key.sign(MESSAGE)
    n = key.modulus.to_bytes(256, "big")
    yield "empty", key, MESSAGE, b"", "R-SIG-01"
    yield "first byte missing", key, MESSAGE, good[1:], "R-SIG-01"
    yield "last byte missing", key, MESSAGE, good[:-1], "R-SIG-01"
    yield "a zero before it", key, MESSAGE, b"\0" + good, "R-SIG-01"
    yield "a zero behind it", key, MESSAGE, good + b"\0", "R-SIG-01"
    yield "384 bytes under a 2048-bit key", key, MESSAGE, bytes(128) + good, "R-SIG-01"
    yield "256 bytes under a 3072-bit key", fixture("rsa3072"), MESSAGE, good, "R-SIG-01"
    message, raised = beyond_modulus(key)
    yield "a valid signature with n added", key, message, raised, "R-SIG-02"
    yield "equal to n", key, MESSAGE, n, "R-SIG-02"
    yield "all ones", key, MESSAGE, b"\xff" * 256, "R-SIG-02"
    yield "zero", key, MESSAGE, bytes(256), "R-SIG-03"
    yield "one", key, MESSAGE, bytes(255) + b"\1", "R-SIG-03"
    yield "n - 1", key, MESSAGE, (key.modulus - 1).to_bytes(256, "big"), "R-SIG-03"
    yield "n - s", key, MESSAGE, (key.modulus - int.from_bytes(good, "big")).to_bytes(256, "big"), "R-SIG-03"
    yield "lowest bit flipped", key, MESSAGE, flipped(good, 0), "R-SIG-03"
    yield "a middle bit flipped", key, MESSAGE, flipped(good, 1000), "R-SIG-03"
    yield "bytes reversed", key, b"reversed", key.sign(b"reversed")[::-1], "R-SIG-03"
    yield "of another message", key, MESSAGE, key.sign(b"another message"), "R-SIG-03"
    yield "of the message's digest", key, MESSAGE, key.sign(sha256(MESSAGE)), "R-SIG-03"
    yield "by another key", key, MESSAGE, dev("alice").sign(MESSAGE), "R-SIG-03"
    yield "with SHA-1", key, MESSAGE, key.private.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA1()), "R-SIG-03"
    yield "with SHA-512", key, MESSAGE, key.private.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA512()), "R-SIG-03"
    yield "unpadded digest", key, MESSAGE, key.raw(sha256(MESSAGE)), "R-SIG-03"
    for size_name in ("rsa2048", "rsa4096"):
        owner = fixture(size_name)
        for text, block in forged_blocks(owner.size):
            assert len(block) == owner.size, text
            yield f"{owner.size * 8} bits: {text}", owner, MESSAGE, owner.raw(block), "R-SIG-03"


def vectors():
    good = []
    for name, key in sized_keys() + [("alice", dev("alice"))]:
        for text, message in (("a text", MESSAGE), ("the empty message", b""), ("4,096 bytes", b"\xa5" * 4096)):
            signature = key.sign(message)
            keys.check_signature(key.spki, message, signature)
            good.append({"description": f"{name}: {text}", "public_key_spki": key.spki.hex(), "message": message.hex(),
                         "signature": signature.hex()})
    return {
        "signatures": good,
        "refused_signatures": [
            refused(text, rule, lambda k=key, m=message, s=signature: keys.check_signature(k.spki, m, s),
                    public_key_spki=key.spki.hex(), message=message.hex(), signature=signature.hex())
            for text, key, message, signature, rule in bad_signatures()]}
