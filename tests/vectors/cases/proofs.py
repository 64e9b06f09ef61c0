"""proofs.json: proofs that transfers were mined, proofs that are refused, and the samples of chain proofs."""

import functools
from dataclasses import replace

from farthing_ref.difficulty import work_of
from farthing_ref.encoding import sha256
from farthing_ref.network import DEV, Header, commitment
from farthing_ref.proofs import TransactionProof, check_transaction_proof, sampled_places
from farthing_ref.transactions import Transaction
from farthing_ref.trees import chain_root, path, range_join, range_leaf, range_root, tx_node, tx_root

from .common import dev, refused, signed, some_address

GENESIS = DEV.genesis().block_id()
ACCOUNTS = sha256(b"vector accounts")


@functools.cache
def transactions(height):
    """As many as the height, so that paths differ."""
    alice = dev("alice")
    made = [Transaction(nonce, 40_000, ((some_address(height), 1_000 + nonce),), sender_address=alice.address)
            for nonce in range(1, height + 1)]
    return [signed(transaction, alice, GENESIS) for transaction in made]


def leaves_of(height):
    return [sha256(b"vector coinbase leaf %d" % height)] + [t.wire_id() for t in transactions(height)]


@functools.cache
def chain(count):
    """Headers up to this height, and their leaves in the range; without work, as no proof looks at it."""
    headers, leaves = [], []
    for height in range(count + 1):
        previous = headers[-1].block_id() if headers else bytes(32)
        header = Header(previous, commitment(ACCOUNTS, chain_root(leaves)), tx_root(leaves_of(height)),
                        1_000_000 + 2_000 * height, 0x207FFFFF, height)
        headers.append(header)
        leaves.append(range_leaf(header.block_id(), work_of(header.bits), header.time_ms))
    return headers, leaves


def prove(count, height, index):
    headers, leaves = chain(count)
    tree = leaves_of(height)
    proof = TransactionProof(
        transactions(height)[index - 1], headers[height], index, len(tree), tuple(path(tree, index, tx_node)),
        headers[count], ACCOUNTS, count)
    if height == count:
        return replace(proof, range_node=range_root(leaves[:count]))
    return replace(proof, height=height, siblings=tuple(path(leaves[:count], height, range_join)))


def id_of(proof):
    return proof.transaction.transaction_id(GENESIS)


def fields(proof, transaction_id, tip_id):
    return {"transaction_id": transaction_id.hex(), "tip_id": tip_id.hex(), "proof": proof.protobuf().hex()}


def good(count, height, index):
    proof = prove(count, height, index)
    found, work = check_transaction_proof(proof, id_of(proof), proof.tip.block_id(), GENESIS)
    assert found == height
    where = "in the tip" if height == count else f"{count - height} below the tip"
    return {"description": f"transaction {index} of block {height}, {where}",
            **fields(proof, id_of(proof), proof.tip.block_id()), "height": str(height), "tip_height": str(count),
            "index": str(index), "block_id": proof.header.block_id().hex(), "claimed_work": str(work)}


def bad_proofs():
    """(description, proof, rule), each held against what the good proof proves."""
    proof = prove(11, 6, 3)
    siblings = proof.siblings
    yield "another transaction", replace(proof, transaction=transactions(6)[0]), "R-TXP-01"
    yield "the place of the coinbase", replace(proof, index=0), "R-TXP-02"
    yield "path one too short", replace(proof, path=proof.path[:-1]), "R-MRK-03"
    yield "another index", replace(proof, index=2), "R-MRK-04"
    yield "another header's root", replace(proof, header=chain(11)[0][5]), "R-MRK-04"
    yield "bits that name no target", replace(proof, header=replace(proof.header, bits=0x1D800001)), "R-TXP-03"
    yield "height of the tip", replace(proof, height=11), "R-RNG-04"
    yield "ancestry one too short", replace(proof, siblings=siblings[:-1]), "R-RNG-04"
    yield "a sibling that claims one header more", replace(proof, siblings=(
        replace(siblings[0], count=2), *siblings[1:])), "R-RNG-05"
    yield "height of the header before", replace(proof, height=7), "R-RNG-06"
    yield "a sibling's commit changed", replace(proof, siblings=(
        replace(siblings[0], commit=bytes(32)), *siblings[1:])), "R-TXP-04"
    yield "another nonce in the header", replace(proof, header=replace(proof.header, nonce=99)), "R-TXP-04"
    yield "another accounts_root", replace(proof, accounts_root=bytes(32)), "R-TXP-04"
    yield "another tip of the same commitment", replace(proof, tip=replace(proof.tip, nonce=99)), "R-TXP-05"
    in_tip = prove(6, 6, 3)
    yield "in the tip, one header more before it", replace(
        in_tip, range_node=replace(in_tip.range_node, count=7)), "R-TXP-04"


def refused_proof(text, proof, rule):
    count = 6 if proof.siblings is None else 11
    good_one = prove(count, 6, 3)
    expected = (id_of(good_one), good_one.tip.block_id())
    return refused(text, rule, lambda: check_transaction_proof(proof, *expected, GENESIS), **fields(proof, *expected))


def other_encodings():
    """Bytes that protobuf reads as a good proof, and that are not its one encoding."""
    data = prove(5, 3, 2).protobuf()
    assert data[1] >= 0x80 > data[2], "the length of the transaction takes two bytes"
    end = 3 + (data[1] & 0x7F | data[2] << 7)
    yield "an unknown field", data + b"\xf8\x01\x01"
    yield "a length in three bytes", data[:2] + bytes([data[2] | 0x80, 0]) + data[3:]
    yield "a field twice", data[:end] + data
    yield "fields in another order", data[end:] + data[:end]


def samples():
    for name, total, tail in [("2,000 headers of two attempts", 4_000, 128), ("nothing but the last ones", 128, 128),
                              ("odd work", 2**70 + 12_345, 2**50 - 1), ("the most work there is", 2**128 - 1, 2**100)]:
        tip_id = sha256(b"vector tip ", name.encode())
        yield {"description": name, "tip_id": tip_id.hex(), "work": str(total), "tail_work": str(tail),
               "places": [str(place) for place in sampled_places(tip_id, total, tail)]}


def vectors():
    places = [(1, 1, 1), (2, 1, 1), (2, 2, 1), (2, 2, 2), (5, 3, 2), (6, 6, 3), (8, 8, 8), (9, 1, 1), (11, 6, 3)]
    return {
        "transaction_proofs": [good(*place) for place in places],
        "refused_transaction_proofs": [refused_proof(*case) for case in bad_proofs()],
        "other_encodings": [{"description": text, "proof": data.hex()} for text, data in other_encodings()],
        "chain_proof_samples": list(samples())}
