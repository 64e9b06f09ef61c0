"""Transaction proofs, their one encoding as protobuf, and the samples of chain proofs (SPEC section 8)."""

from dataclasses import dataclass

from .difficulty import work_of
from .encoding import Broken, require, sha256, u32
from .network import Header, commitment
from .transactions import Transaction
from .trees import RangeNode, check_inclusion, range_join, range_leaf, sibling_counts, walk


@dataclass(frozen=True)
class TransactionProof:
    """`siblings` and `height` are None if the block is the tip itself; then `range_node` is the one over all before it."""

    transaction: Transaction
    header: Header
    index: int
    count: int
    path: tuple
    tip: Header
    accounts_root: bytes
    tip_height: int
    height: int = None
    siblings: tuple = None
    range_node: RangeNode = None

    def protobuf(self):
        path = number(1, self.index) + number(2, self.count) + repeated(3, self.path)
        start = string(1, self.transaction.signed_bytes()) + string(2, self.header.canonical()) + string(3, path)
        if self.siblings is None:
            return start + string(4, string(1, self.accounts_root) + string(2, self.range_node.canonical()))
        return start + string(5, (
            string(1, self.tip.canonical()) + string(2, self.accounts_root) + number(3, self.height)
            + number(4, self.tip_height) + repeated(5, [node.canonical() for node in self.siblings])))


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field, value):
    """A field of its default value is not written."""
    return varint(field << 3) + varint(value) if value else b""


def string(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data if data else b""


def repeated(field, items):
    return b"".join(varint(field << 3 | 2) + varint(len(item)) + item for item in items)


def work(header):
    try:
        return work_of(header.bits)
    except Broken as broken:
        raise Broken("R-TXP-03", "NoTarget", str(broken)) from broken


def check_transaction_proof(proof, transaction_id, tip_id, genesis_id):
    """The height of the transaction, and the work that the tip's chain claims."""
    require(proof.transaction.transaction_id(genesis_id) == transaction_id, "R-TXP-01", "WrongTransaction")
    require(proof.index >= 1, "R-TXP-02", "CoinbasePlace")
    check_inclusion(proof.transaction.wire_id(), proof.index, proof.count, proof.path, proof.header.tx_root)
    if proof.siblings is None:
        height, top, tip = proof.range_node.count, proof.range_node, proof.header
    else:
        height, tip = proof.height, proof.tip
        leaf = range_leaf(proof.header.block_id(), work(proof.header), proof.header.time_ms)
        require(height < proof.tip_height, "R-RNG-04", "PathShape")
        shape = sibling_counts(height, proof.tip_height)
        require(len(proof.siblings) == len(shape), "R-RNG-04", "PathShape")
        require([node.count for node in proof.siblings] == shape, "R-RNG-05", "RangeCount")
        top = walk(leaf, height, proof.tip_height, proof.siblings, range_join, "R-RNG-04")
    found = commitment(proof.accounts_root, sha256(b"\x32", top.canonical()))
    require(found == tip.commitment, "R-TXP-04", "TransactionProofError::WrongCommitment")
    require(tip.block_id() == tip_id, "R-TXP-05", "WrongTip")
    return height, top.work + work(tip)


def sampled_places(tip_id, total, tail, samples=25):
    """Places in the work before the tip, rising and each once."""
    places, halving = set(), 0
    while total >> halving > tail and total >> halving > 0:
        left = total >> halving
        length = left - (left >> 1)
        for sample in range(samples):
            draw = sha256(b"farthing chain proof\0", tip_id, u32(halving), u32(sample))
            places.add(total - left + int.from_bytes(draw, "big") % length)
        halving += 1
    return sorted(places)
