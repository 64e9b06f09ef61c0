"""keys.json: good keys of each size, and encodings that are refused."""

from cryptography.hazmat.primitives import serialization

from farthing_ref import keys

from .common import dev, fixture, refused, sized_keys


def good(name, file, key):
    assert keys.check_key(key.spki) == key.modulus
    return {
        "description": f"{key.size * 8} bits", "name": name, "private_key_file": file,
        "modulus_bits": key.size * 8, "spki": key.spki.hex(), "address": key.address.hex(),
        "address_main": keys.address_text(key.address, "far"),
        "address_test": keys.address_text(key.address, "tfar"),
        "address_dev": keys.address_text(key.address, "dfar"),
        "signature_bytes": key.size, "signature_units": keys.SIGNATURE_UNITS[key.size]}


def swapped(data, at, new):
    """`data` with the bytes at `at` replaced."""
    return data[:at] + new + data[at + len(new):]


def with_modulus(spki, modulus):
    return spki[:33] + modulus + spki[-5:]


def der(tag, content):
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([0x82]) + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


RSA_ALGORITHM = bytes.fromhex("300d06092a864886f70d0101010500")


def spki_of(modulus_content, exponent_content, algorithm=RSA_ALGORITHM):
    """A DER SubjectPublicKeyInfo around the content bytes of its two integers."""
    pair = der(0x30, der(2, modulus_content) + der(2, exponent_content))
    return der(0x30, algorithm + der(3, b"\0" + pair))


def bad_encodings():
    k2, k3, k4 = (key.spki for _, key in sized_keys())
    n = k2[33:-5]
    e3 = fixture("rsa2048_e3")
    assert spki_of(b"\0" + n, b"\x01\0\x01") == k2, "the builder makes the good encoding too"
    yield "empty", b"", "R-KEY-01"
    yield "last byte missing", k2[:-1], "R-KEY-01"
    yield "one byte behind the end", k2 + b"\0", "R-KEY-01"
    yield "a whole second key behind the end", k2 + k2, "R-KEY-01"
    yield "1024-bit modulus", spki_of(b"\0" + n[:127] + b"\x01", b"\x01\0\x01"), "R-KEY-01"
    yield "2040-bit modulus in shortest form", spki_of(b"\0" + n[1:], b"\x01\0\x01"), "R-KEY-01"
    yield "8192-bit modulus", spki_of(b"\0" + n * 4, b"\x01\0\x01"), "R-KEY-01"
    yield "exponent 3 in shortest form, a genuine key", e3.library_spki, "R-KEY-01"
    yield "exponent 1 in shortest form", spki_of(b"\0" + n, b"\x01"), "R-KEY-01"
    yield "exponent of five bytes (2^32 + 1)", spki_of(b"\0" + n, b"\x01\0\0\0\x01"), "R-KEY-01"
    yield "exponent 65537 with a leading zero", spki_of(b"\0" + n, b"\0\x01\0\x01"), "R-KEY-01"
    yield "modulus with two leading zeros", spki_of(b"\0\0" + n, b"\x01\0\x01"), "R-KEY-01"
    yield "modulus without its leading zero (a negative number)", spki_of(n, b"\x01\0\x01"), "R-KEY-01"
    yield "algorithm without its NULL parameters", spki_of(
        b"\0" + n, b"\x01\0\x01", bytes.fromhex("300b06092a864886f70d010101")), "R-KEY-01"
    yield "bare PKCS#1 RSAPublicKey", k2[24:], "R-KEY-01"
    yield "elliptic curve key (P-256)", bytes.fromhex(
        "3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945"
        "d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"), "R-KEY-01"
    yield "PEM text of the key", fixture("rsa2048").private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo), "R-KEY-01"
    yield "outer length one too large", swapped(k2, 2, b"\x01\x23"), "R-KEY-02"
    yield "outer SEQUENCE is a SET", swapped(k2, 0, b"\x31"), "R-KEY-02"
    yield "indefinite length", swapped(k2, 1, b"\x80"), "R-KEY-02"
    yield "algorithm RSASSA-PSS", swapped(k2, 16, b"\x0a"), "R-KEY-02"
    yield "parameters not NULL", swapped(k2, 17, b"\x04\x00"), "R-KEY-02"
    yield "bit string with one unused bit", swapped(k2, 23, b"\x01"), "R-KEY-02"
    yield "modulus of 2049 bits in the room of 2048", swapped(k2, 32, b"\x01"), "R-KEY-02"
    yield "first 294 bytes of a 3072-bit key", k3[:294], "R-KEY-02"
    yield "first 422 bytes of a 4096-bit key", k4[:422], "R-KEY-02"
    yield "294 zero bytes", bytes(294), "R-KEY-02"
    yield "exponent 3 padded to three bytes", k2[:-3] + b"\0\0\x03", "R-KEY-05"
    yield "exponent 65536 (even)", k2[:-3] + b"\x01\0\0", "R-KEY-05"
    yield "exponent 65539", k2[:-3] + b"\x01\0\x03", "R-KEY-05"
    yield "exponent with another tag", swapped(k2, 289, b"\x04"), "R-KEY-05"
    yield "3072 bits, exponent 3 padded", k3[:-3] + b"\0\0\x03", "R-KEY-05"
    yield "modulus of 2047 bits", with_modulus(k2, bytes([n[0] & 0x7F]) + n[1:]), "R-KEY-03"
    yield "modulus 1", with_modulus(k2, bytes(255) + b"\x01"), "R-KEY-03"
    yield "modulus 0", with_modulus(k2, bytes(256)), "R-KEY-03"
    yield "4096 bits, top byte zero", with_modulus(k4, b"\0" + k4[34:-5]), "R-KEY-03"
    yield "modulus even", with_modulus(k2, n[:-1] + bytes([n[-1] & 0xFE])), "R-KEY-04"
    yield "modulus 2^2047", with_modulus(k2, b"\x80" + bytes(255)), "R-KEY-04"
    yield "3072 bits, modulus even", with_modulus(k3, k3[33:-6] + bytes([k3[-6] & 0xFE])), "R-KEY-04"


def vectors():
    return {
        "keys": [good(name, f"tests/vectors/keys/{name}.pem", key) for name, key in sized_keys()]
        + [good(name, f"wallet/dev-keys/{name}.pem", dev(name)) for name in ("alice", "bob", "carol", "dave")],
        "refused_keys": [refused(text, rule, lambda s=spki: keys.check_key(s), spki=spki.hex())
                         for text, spki, rule in bad_encodings()]}
