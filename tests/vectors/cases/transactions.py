"""transactions.json: transactions on dev, and bytes that are refused."""

from dataclasses import replace

from farthing_ref.encoding import sha256, u32, u64
from farthing_ref.network import DEV, MAIN
from farthing_ref.transactions import U64_MAX, Transaction, decode_transaction

from .common import dev, fixture, refused, signed, some_address, transaction_json

GENESIS = DEV.genesis().block_id()


def first(key, outputs, **fields):
    return Transaction(0, fields.pop("fee", 40_000), tuple(outputs), public_key=key.spki, **fields)


def later(key, outputs, nonce=1, **fields):
    return Transaction(nonce, fields.pop("fee", 40_000), tuple(outputs), sender_address=key.address, **fields)


def many(count):
    return [(some_address(i), 1_000 + i) for i in range(count)]


def transactions():
    alice, bob = dev("alice"), dev("bob")
    one = [(bob.address, 1_250_000_000)]
    yield "first of an account, one output", alice, first(alice, one)
    yield "first, 3072-bit key", fixture("rsa3072"), first(fixture("rsa3072"), one)
    yield "first, 4096-bit key", fixture("rsa4096"), first(fixture("rsa4096"), one)
    yield "first, 64 outputs", alice, first(alice, many(64), fee=640_100_000)
    yield "largest: first, 4096-bit key, 64 outputs, full memo", fixture("rsa4096"), first(
        fixture("rsa4096"), many(64), fee=640_400_000, memo=bytes(range(256)))
    yield "later, one output (smallest of all)", alice, later(alice, one)
    yield "later, 64 outputs", alice, later(alice, many(64), fee=640_300_000)
    yield "later, memo in UTF-8", alice, later(alice, one, nonce=2, memo="für Bücher ☕".encode())
    yield "later, memo that is no text", alice, later(alice, one, nonce=2, memo=b"\xff\xfe\0\x80")
    yield "later, full memo and expiry", alice, later(alice, one, nonce=3, memo=b"m" * 256, valid_until=1_000)
    yield "to oneself", alice, later(alice, [(alice.address, 5)], nonce=4)
    yield "the same address three times", alice, later(alice, [(bob.address, 1)] * 3, nonce=5)
    yield "no fee", alice, later(alice, one, nonce=6, fee=0)
    yield "fee and amounts add up to the largest u64", alice, later(
        alice, [(bob.address, U64_MAX - 1_000), (bob.address, 1)], nonce=7, fee=999)
    yield "largest nonce and expiry", alice, later(alice, one, nonce=U64_MAX, valid_until=U64_MAX)
    yield "later, 3072-bit key", fixture("rsa3072"), later(fixture("rsa3072"), one)
    yield "later, 4096-bit key", fixture("rsa4096"), later(fixture("rsa4096"), one)


def good(text, network, key, transaction):
    genesis_id = network.genesis().block_id()
    transaction = signed(transaction, key, genesis_id)
    data = transaction.signed_bytes()
    assert decode_transaction(data, genesis_id) == transaction
    message = transaction.message(genesis_id)
    assert transaction.transaction_id(genesis_id) == sha256(message)
    return {
        "description": text, "network": network.name, "genesis_id": genesis_id.hex(),
        "transaction": transaction_json(transaction), "sender_address": key.address.hex(),
        "signer_public_key_spki": key.spki.hex(), "body": transaction.body().hex(), "signed_message": message.hex(),
        "transaction_id": sha256(message).hex(), "signed_bytes": data.hex(), "size_bytes": len(data),
        "wire_id": transaction.wire_id().hex(), "signature_units": transaction.signature_units()}


def bad_bytes():
    alice, bob = dev("alice"), dev("bob")
    to_bob = [(bob.address, 1_250_000_000)]
    short = signed(later(alice, to_bob), alice, GENESIS)
    opening = signed(first(alice, to_bob), alice, GENESIS)
    data, with_key = short.signed_bytes(), opening.signed_bytes()
    outputs_at = 1 + 33 + 24
    memo_at = outputs_at + 4 + 40
    signature_at = memo_at + 4

    def put(source, at, new):
        return source[:at] + new + source[at + len(new):]

    def resigned(transaction):
        return signed(transaction, alice, GENESIS).signed_bytes()

    yield "no bytes", b"", "R-ENC-01"
    yield "the version alone", data[:1], "R-ENC-01"
    yield "ends inside the address", data[:20], "R-ENC-01"
    yield "ends inside the nonce", data[:40], "R-ENC-01"
    yield "ends behind the outputs' count", data[:outputs_at + 4], "R-ENC-01"
    yield "ends inside an output", data[:memo_at - 1], "R-ENC-01"
    yield "last byte missing", data[:-1], "R-ENC-01"
    yield "no signature field", data[:signature_at], "R-ENC-01"
    yield "claims 64 outputs, has one", put(data, outputs_at, u32(64)), "R-ENC-01"
    yield "claims a memo of 256 bytes that is not there", data[:memo_at] + u32(256) + data[-8:], "R-ENC-01"
    yield "claims a key of 550 bytes that is not there", put(with_key, 2, u32(550))[:500], "R-ENC-01"
    yield "one byte behind the end", data + b"\0", "R-ENC-02"
    yield "itself a second time behind the end", data + data, "R-ENC-02"
    yield "sender of an unknown kind (2)", put(data, 1, b"\x02"), "R-ENC-04"
    yield "sender of an unknown kind (255)", put(data, 1, b"\xff"), "R-ENC-04"
    yield "4,097 bytes", data + bytes(4_097 - len(data)), "R-TX-01"
    yield "version 0", put(data, 0, b"\0"), "R-TX-02"
    yield "version 2", put(data, 0, b"\x02"), "R-TX-02"
    yield "nonce 0 by address", resigned(replace(short, nonce=0)), "R-TX-03"
    yield "nonce 1 with a key", resigned(replace(opening, nonce=1)), "R-TX-03"
    yield "no outputs", resigned(replace(short, outputs=())), "R-TX-04"
    yield "65 outputs", resigned(replace(short, outputs=tuple(many(65)))), "R-TX-04"
    yield "2^32 - 1 outputs claimed", put(data, outputs_at, b"\xff" * 4), "R-TX-04"
    yield "2^31 outputs claimed", put(data, outputs_at, u32(2**31)), "R-TX-04"
    yield "outputs' count in big-endian order", put(data, outputs_at, b"\0\0\0\1"), "R-TX-04"
    yield "an amount of zero", resigned(replace(short, outputs=((bob.address, 0),))), "R-TX-05"
    yield "an amount of zero behind a good one", resigned(
        replace(short, outputs=(*to_bob, (bob.address, 0)))), "R-TX-05"
    yield "memo of 257 bytes", resigned(replace(short, memo=b"m" * 257)), "R-TX-06"
    yield "memo of 2^32 - 1 bytes claimed", put(data, memo_at, b"\xff" * 4), "R-TX-06"
    yield "amounts exceed u64", resigned(
        replace(short, outputs=((bob.address, U64_MAX), (bob.address, 1)))), "R-TX-07"
    yield "fee and amount exceed u64", resigned(replace(short, fee=U64_MAX)), "R-TX-07"
    yield "64 largest amounts", resigned(replace(short, outputs=((bob.address, U64_MAX),) * 64)), "R-TX-07"
    for size in (0, 1, 255, 257, 383, 385, 511):
        body = short.body()
        yield f"signature of {size} bytes", body + u32(size) + bytes([1]) * size, "R-TX-08"
    yield "signature of 513 bytes", short.body() + u32(513) + bytes(513), "R-TX-08"
    yield "signature of 2^32 - 1 bytes claimed", put(data, signature_at, b"\xff" * 4), "R-TX-08"
    long_key = u32(295) + opening.public_key + b"\0"
    yield "key with a byte behind it", with_key[:2] + long_key + with_key[300:], "R-KEY-01"
    yield "no key", with_key[:2] + u32(0) + with_key[300:], "R-KEY-01"
    yield "key of 2^32 - 1 bytes claimed", put(with_key, 2, b"\xff" * 4), "R-KEY-01"
    yield "key with a broken prefix", put(with_key, 6, b"\x31"), "R-KEY-02"
    yield "key with exponent 3, padded", put(with_key, 297, b"\0\0\3"), "R-KEY-05"
    yield "key with its top bit clear", put(with_key, 39, bytes([with_key[39] & 0x7F])), "R-KEY-03"
    yield "key with an even modulus", put(with_key, 294, bytes([with_key[294] & 0xFE])), "R-KEY-04"
    yield "2048-bit key, signature of 384 bytes", opening.body() + u32(384) + bytes(128) + opening.signature, "R-SIG-01"
    yield "signature of all ones", opening.body() + u32(256) + b"\xff" * 256, "R-SIG-02"
    yield "fee changed after signing", replace(opening, fee=opening.fee + 1).signed_bytes(), "R-SIG-03"
    yield "recipient changed after signing", replace(
        opening, outputs=((alice.address, 1_250_000_000),)).signed_bytes(), "R-SIG-03"
    yield "signed by another key", signed(opening, bob, GENESIS).signed_bytes(), "R-SIG-03"
    yield "signed for main, sent on dev", signed(opening, alice, MAIN.genesis().block_id()).signed_bytes(), "R-SIG-03"
    assert put(data, 34, u64(1)) == data and len(data) == 366, "offsets are those of the layout"


def vectors():
    alice = dev("alice")
    on_main = good("the same body as the first one, on main", MAIN, alice,
                   first(alice, [(dev("bob").address, 1_250_000_000)]))
    return {
        "transactions": [good(text, DEV, key, t) for text, key, t in transactions()] + [on_main],
        "refused_transactions": [
            refused(text, rule, lambda d=data: decode_transaction(d, GENESIS), genesis_id=GENESIS.hex(),
                    signed_bytes=data.hex())
            for text, data, rule in bad_bytes()]}
