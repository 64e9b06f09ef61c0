"""The transaction tree (SPEC section 5), the account tree and history (7), the range of headers (8)."""

from dataclasses import dataclass
from itertools import pairwise

from .encoding import require, sha256, u8, u32, u64, u128

ZERO = bytes(32)


# RFC 6962 shape, shared by the transaction tree and the range.

def split(count):
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def root(leaves, join):
    if len(leaves) == 1:
        return leaves[0]
    left = split(len(leaves))
    return join(root(leaves[:left], join), root(leaves[left:], join))


def path(leaves, index, join):
    """Siblings of the leaf, from the leaf up."""
    if len(leaves) == 1:
        return []
    left = split(len(leaves))
    if index < left:
        return path(leaves[:left], index, join) + [root(leaves[left:], join)]
    return path(leaves[left:], index - left, join) + [root(leaves[:left], join)]


def walk(value, index, count, siblings, join, rule):
    require(0 <= index < count, rule, "PathShape", "index beyond count")
    at, last = index, count - 1
    for sibling in siblings:
        require(last != 0, rule, "PathShape", "path too long")
        if at % 2 == 1 or at == last:
            value = join(sibling, value)
            while at % 2 == 0 and at != 0:
                at, last = at // 2, last // 2
        else:
            value = join(value, sibling)
        at, last = at // 2, last // 2
    require(last == 0, rule, "PathShape", "path too short")
    return value


def tx_node(left, right):
    return sha256(b"\x11", left, right)


def tx_root(leaves):
    return sha256(b"\x12", u32(len(leaves)), root(leaves, tx_node))


def check_inclusion(leaf, index, count, siblings, expected):
    top = walk(leaf, index, count, siblings, tx_node, "R-MRK-03")
    require(sha256(b"\x12", u32(count), top) == expected, "R-MRK-04", "WrongTxRoot")


# Accounts.

@dataclass(frozen=True)
class Account:
    balance: int = 0
    next_nonce: int = 0
    entries: int = 0
    history: bytes = ZERO

    def canonical(self):
        return u64(self.balance) + u64(self.next_nonce) + u64(self.entries) + self.history

    def touched(self, entry_id, height):
        return Account(self.balance, self.next_nonce, self.entries + 1, next_history(self.history, entry_id, height))


def next_history(history, entry_id, height):
    return sha256(b"\x50", history, entry_id, u64(height))


def bit_of(address, index):
    return address[index // 8] >> 7 - index % 8 & 1


def account_leaf(address, account):
    return sha256(b"\x20", address, account.canonical())


def _branch(addresses):
    """The first bit in which the addresses differ, and the two sides."""
    bit = next(b for b in range(256) if len({bit_of(a, b) for a in addresses}) == 2)
    return bit, [a for a in addresses if not bit_of(a, bit)], [a for a in addresses if bit_of(a, bit)]


def _subtree(accounts, addresses):
    if len(addresses) == 1:
        return account_leaf(addresses[0], accounts[addresses[0]])
    bit, zeros, ones = _branch(addresses)
    return sha256(b"\x21", u8(bit), _subtree(accounts, zeros), _subtree(accounts, ones))


def accounts_root(accounts):
    return _subtree(accounts, list(accounts)) if accounts else ZERO


def prove_account(accounts, key):
    """(address in the leaf or None, steps from the root down)."""
    addresses, steps = list(accounts), []
    if not addresses:
        return None, steps
    while len(addresses) > 1:
        bit, zeros, ones = _branch(addresses)
        addresses, beside = (ones, zeros) if bit_of(key, bit) else (zeros, ones)
        steps.append((bit, _subtree(accounts, beside)))
    return addresses[0], steps


def check_account_proof(expected, key, leaf_address, account, steps):
    """Returns whether the account of `key` is present."""
    wrong_root = "R-PRF-04", "ProofError::WrongRoot"
    if leaf_address is None:
        require(not steps, "R-PRF-01", "ProofError::StepsWithoutLeaf")
        require(expected == ZERO, "R-PRF-01", "ProofError::WrongRoot")
        return False
    bits = [bit for bit, _ in steps]
    require(all(a < b for a, b in pairwise(bits)), "R-PRF-02", "ProofError::BitOrder")
    require(all(bit_of(leaf_address, b) == bit_of(key, b) for b in bits), "R-PRF-03", "ProofError::LeafOffPath")
    value = account_leaf(leaf_address, account)
    for bit, sibling in reversed(steps):
        pair = (sibling, value) if bit_of(key, bit) else (value, sibling)
        value = sha256(b"\x21", u8(bit), *pair)
    require(value == expected, *wrong_root)
    return leaf_address == key


# The range of headers.

@dataclass(frozen=True)
class RangeNode:
    commit: bytes
    count: int
    work: int
    first_time: int
    last_time: int

    def canonical(self):
        return self.commit + u64(self.count) + u128(self.work) + u64(self.first_time) + u64(self.last_time)


def range_leaf(block_id, work, time_ms):
    return RangeNode(block_id, 1, work, time_ms, time_ms)


def range_join(left, right):
    require(left.first_time <= left.last_time < right.first_time <= right.last_time, "R-RNG-06", "RangeOrder")
    count, work = left.count + right.count, left.work + right.work
    require(count < 2**64 and work < 2**128, "R-RNG-06", "RangeOverflow")
    commit = sha256(b"\x31", left.canonical(), right.canonical())
    return RangeNode(commit, count, work, left.first_time, right.last_time)


def range_root(leaves):
    return root(leaves, range_join)


def chain_root(leaves):
    return sha256(b"\x32", range_root(leaves).canonical()) if leaves else ZERO


def sibling_counts(index, count):
    """How many leaves each sibling of the path stands for, from the leaf up."""
    if count == 1:
        return []
    left = split(count)
    if index < left:
        return sibling_counts(index, left) + [count - left]
    return sibling_counts(index - left, count - left) + [left]


def check_ancestry(leaf, index, count, siblings, expected):
    require(index < count, "R-RNG-04", "PathShape")
    shape = sibling_counts(index, count)
    require(len(siblings) == len(shape), "R-RNG-04", "PathShape")
    require([s.count for s in siblings] == shape, "R-RNG-05", "RangeCount")
    top = walk(leaf, index, count, siblings, range_join, "R-RNG-04")
    require(sha256(b"\x32", top.canonical()) == expected, "R-RNG-07", "WrongChainRoot")
