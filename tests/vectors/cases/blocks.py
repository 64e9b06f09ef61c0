"""blocks.json: short chains executed block by block, and next blocks that are refused."""

from dataclasses import replace

from farthing_ref.difficulty import work_of
from farthing_ref.encoding import u32
from farthing_ref.ledger import Ledger
from farthing_ref.network import DEV, FAR, commitment
from farthing_ref.transactions import Transaction
from farthing_ref.trees import ZERO, accounts_root, root, tx_node

from .common import (
    accounts_json,
    coinbase_json,
    dev,
    fixture,
    header_json,
    refused,
    signed,
    some_address,
    transaction_json,
)
from .genesis import NARROW
from .headers import without_work

MINER = some_address("miner")


def pay(ledger, name, nonce, outputs, fee=40_000, **fields):
    """A signed transfer from a dev key; its nonce decides the form of the sender."""
    key = dev(name)
    sender = {"public_key": key.spki} if nonce == 0 else {"sender_address": key.address}
    transaction = Transaction(nonce, fee, tuple(outputs), **sender, **fields)
    return signed(transaction, key, ledger.genesis_id)


def transaction_in_block(transaction, ledger):
    return {**transaction_json(transaction), "transaction_id": transaction.transaction_id(ledger.genesis_id).hex(),
            "wire_id": transaction.wire_id().hex()}


def connected(text, ledger, block):
    """Connects the block and writes down everything that it changes."""
    before, chain_root, burned = accounts_root(ledger.accounts), ledger.chain_root(), ledger.burned
    data = block.canonical()
    ledger.connect(data)
    total_work = sum(work_of(h.bits) for h in ledger.headers)
    return {
        "description": text, "height": str(len(ledger.headers) - 1), "bytes": data.hex(), "size_bytes": len(data),
        "block_id": block.header.block_id().hex(), "header": header_json(block.header),
        "coinbase": coinbase_json(block.coinbase), "coinbase_id": block.coinbase.coinbase_id(ledger.genesis_id).hex(),
        "coinbase_leaf": block.coinbase.leaf().hex(),
        "transactions": [transaction_in_block(t, ledger) for t in block.transactions],
        "burned_mites": str(ledger.burned - burned), "total_work": str(total_work),
        "accounts_root_before": before.hex(), "accounts_root_after": accounts_root(ledger.accounts).hex(),
        "chain_root": chain_root.hex(), "accounts_after": accounts_json(ledger.accounts)}


def dev_chain(ledger):
    alice, bob, carol = (dev(name).address for name in ("alice", "bob", "carol"))
    new, newer = some_address("new"), some_address("newer")
    yield connected("two first transactions, one opens an account; the miner has one", ledger, ledger.build(
        carol, [pay(ledger, "alice", 0, [(bob, 1_250_000_000)], memo=b"lunch"),
                pay(ledger, "bob", 0, [(new, 5 * FAR)], fee=10_040_000)], tag=b"first"))
    yield connected("no transactions; the coinbase opens an account free of charge", ledger, ledger.build(MINER))
    yield connected("one address twice; to oneself; two of one account in a row", ledger, ledger.build(MINER, [
        pay(ledger, "alice", 1, [(bob, 1), (carol, 2), (bob, 3)]),
        pay(ledger, "carol", 0, [(carol, 7 * FAR)]),
        pay(ledger, "alice", 2, [(MINER, FAR)], valid_until=3)]))
    yield connected("two pay for opening one address: the second fee goes to the miner", ledger, ledger.build(
        newer_miner(), [pay(ledger, "bob", 1, [(newer, FAR)], fee=10_000_000),
                        pay(ledger, "alice", 3, [(newer, FAR)], fee=10_000_000)], time_ms=ledger.tip().time_ms + 1))
    yield connected("an account spends all that it has and stays; the longest tag", ledger, ledger.build(
        bob, [pay(ledger, "dave", 0, [(alice, 999_999 * FAR)], fee=FAR)], tag=b"t" * 64))


def newer_miner():
    return some_address("newer miner")


def narrow_chain(ledger):
    """Rewards wait two blocks; the subsidy is 1, 1, 0, 0 … mites."""
    alice, bob = dev("alice").address, dev("bob").address
    yield connected("a reward of 1 that waits", ledger, ledger.build(MINER))
    yield connected("a reward with a fee, also waiting", ledger, ledger.build(
        newer_miner(), [pay(ledger, "alice", 0, [(bob, 10)], fee=500)]))
    yield connected("no subsidy any more; the first reward is credited behind the transactions", ledger, ledger.build(
        MINER, [pay(ledger, "bob", 0, [(some_address("x"), 1), (some_address("y"), 1)], fee=2_000)]))
    yield connected("the second reward is credited", ledger, ledger.build(MINER))
    yield connected("a reward of zero is due and touches nothing", ledger, ledger.build(alice))
    yield connected("six signature units fill the block", ledger, ledger.build(alice, [
        pay(ledger, "alice", n, [(bob, 1)], fee=0) for n in range(1, 7)]))
    largest = ledger.build(alice, [
        pay(ledger, "alice", 7, [(bob, 1)] * 64, fee=0, memo=b"m" * 256),
        pay(ledger, "bob", 1, [(alice, 1)] * 36, fee=0, memo=b"m" * 38)])
    assert len(largest.canonical()) == ledger.params.max_block_bytes
    yield connected("exactly as many bytes as allowed", ledger, largest)


def remade(block, **header):
    """The block with header fields changed and work done again."""
    return replace(block, header=replace(block.header, nonce=0, **header).mined())


def with_transactions(block, *transactions):
    """The block's bytes with other transactions under the same header."""
    return replace(block, transactions=tuple(transactions)).canonical()


def bad_dev_blocks(ledger):
    """Next blocks behind the first of the dev chain: (description, bytes, rule)."""
    alice, bob = dev("alice").address, dev("bob").address
    nobody = some_address("nobody")
    stranger = fixture("rsa2048")
    first = pay(ledger, "alice", 1, [(bob, 5)])
    second = pay(ledger, "alice", 2, [(bob, 6)])
    good = ledger.build(MINER, [first, second])
    ledger.check(good.canonical())
    data = good.canonical()
    count_at = 118 + len(good.coinbase.canonical())

    def built(*transactions, **changes):
        return ledger.build(MINER, transactions, **changes).canonical()

    yield "one byte behind the end", data + b"\0", "R-ENC-02"
    yield "last byte missing", data[:-1], "R-ENC-01"
    yield "claims a transaction more", data[:count_at] + u32(3) + data[count_at + 4:], "R-ENC-01"
    yield "claims 2^32 - 1 transactions", data[:count_at] + b"\xff" * 4 + data[count_at + 4:], "R-ENC-03"
    yield "version 2", built(first, version=2), "R-HDR-02"
    yield "nonce changed, work missed", missed(good).canonical(), "R-HDR-03"
    yield "tag of 65 bytes", built(first, tag=b"t" * 65), "R-CB-01"
    yield "a transaction left out", with_transactions(good, first), "R-BLK-02"
    yield "a transaction added", with_transactions(good, first, second, second), "R-BLK-02"
    yield "two transactions swapped", with_transactions(good, second, first), "R-BLK-02"
    yield "coinbase changed", replace(good, coinbase=replace(good.coinbase, to=alice)).canonical(), "R-BLK-02"
    yield "a signature changed", with_transactions(
        good, replace(first, signature=second.signature), second), "R-BLK-02"
    yield "root without its count", remade(good, tx_root=root(good.leaves(), tx_node)).canonical(), "R-BLK-02"
    yield "the same transaction twice", built(first, first), "R-BLK-04"
    yield "the same transaction twice, signed differently", built(
        first, replace(first, signature=b"\x01" * 256)), "R-BLK-04"
    yield "unknown parent", built(first, previous=nobody), "R-HDR-05"
    yield "parent is genesis", built(first, previous=ledger.genesis_id), "R-HDR-05"
    yield "time of the parent", built(first, time_ms=ledger.tip().time_ms), "R-TIM-01"
    yield "more work than asked for", built(first, bits=0x1F00FFFF), "R-DIF-06"
    yield "coinbase of another height", built(first, height=3), "R-CB-02"
    yield "reward one too high", built(first, amount=ledger.params.subsidy(2) + first.fee + 1), "R-CB-03"
    yield "reward one too low", built(first, amount=ledger.params.subsidy(2) + first.fee - 1), "R-CB-03"
    opening = pay(ledger, "alice", 1, [(nobody, 1)], fee=10_000_000)
    yield "the burned part of a fee kept as reward", built(
        opening, amount=ledger.params.subsidy(2) + opening.fee), "R-CB-03"
    yield "nonce used before", built(pay(ledger, "alice", 0, [(bob, 5)])), "R-ACC-01"
    yield "nonce skipped", built(second), "R-ACC-01"
    yield "nonces in the wrong order", built(second, first), "R-ACC-01"
    yield "two transactions with one nonce", built(first, pay(ledger, "alice", 1, [(bob, 6)])), "R-ACC-01"
    yield "sender whose key is not known yet", built(pay(ledger, "dave", 1, [(bob, 5)])), "R-ACC-01"
    yield "valid until the block before", built(pay(ledger, "alice", 1, [(bob, 5)], valid_until=1)), "R-ACC-02"
    broke = signed(Transaction(0, 0, ((bob, 1),), public_key=stranger.spki), stranger, ledger.genesis_id)
    yield "sender without an account", built(broke), "R-ACC-03"
    balance = ledger.accounts[alice].balance
    yield "one mite more than the balance", built(pay(ledger, "alice", 1, [(bob, balance)], fee=1)), "R-ACC-03"
    yield "to oneself, more than the balance", built(pay(ledger, "alice", 1, [(alice, balance)], fee=1)), "R-ACC-03"
    yield "signed by another account's key", built(
        signed(replace(first, signature=b""), dev("bob"), ledger.genesis_id)), "R-SIG-03"
    yield "signature of another length than the known key's", built(
        replace(first, signature=bytes(128) + first.signature)), "R-SIG-01"
    yield "opens an account one mite too cheaply", built(
        pay(ledger, "alice", 1, [(nobody, 1)], fee=9_999_999)), "R-OPN-01"
    yield "opens two accounts for the price of one", built(
        pay(ledger, "alice", 1, [(nobody, 1), (some_address("else"), 1)], fee=19_999_999)), "R-OPN-01"
    yield "commits to the accounts before it", remade(
        good, commitment=commitment(accounts_root(ledger.accounts), ledger.chain_root())).canonical(), "R-BLK-05"
    accounts = ledger.execute(good.coinbase, good.transactions)[0]
    no_chain = commitment(accounts_root(accounts), ZERO)
    yield "commits to no chain", remade(good, commitment=no_chain).canonical(), "R-BLK-05"
    yield "commitment of zeros", remade(good, commitment=ZERO).canonical(), "R-BLK-05"


def bad_narrow_blocks(ledger):
    """Next blocks behind genesis of the network with near limits."""
    alice, bob = dev("alice").address, dev("bob").address
    strangers = [some_address(i) for i in range(3)]

    def built(*transactions, **changes):
        return ledger.build(MINER, transactions, **changes).canonical()

    wide = pay(ledger, "alice", 0, [(bob, 1)] * 64, fee=0, memo=b"m" * 200)
    wide_too = pay(ledger, "bob", 0, [(alice, 1)] * 19, fee=0, memo=b"m" * 243)
    too_large = built(wide, wide_too)
    assert len(too_large) == ledger.params.max_block_bytes + 1
    yield "one byte too large", too_large, "R-BLK-01"
    seven = [pay(ledger, "alice", n, [(bob, 1)], fee=0) for n in range(7)]
    yield "seven signature units", built(*seven), "R-BLK-03"
    yield "two transactions of 4096-bit keys", built(*(
        replace(pay(ledger, name, 1, [(bob, 1)]), signature=b"\x01" * 512) for name in ("alice", "bob"))), "R-BLK-03"
    yield "three openings, paid for", built(
        pay(ledger, "alice", 0, [(s, 1) for s in strangers], fee=3_000)), "R-OPN-02"
    yield "three openings in two transactions", built(
        pay(ledger, "alice", 0, [(s, 1) for s in strangers[:2]], fee=2_000),
        pay(ledger, "bob", 0, [(strangers[2], 1)], fee=1_000)), "R-OPN-02"


def missed(block):
    """The block with another nonce, which misses the target."""
    return replace(block, header=without_work(replace(block.header, nonce=block.header.nonce + 1)))


def chain(params, blocks):
    ledger = Ledger(params)
    return {"network": params.name, "genesis_id": ledger.genesis_id.hex(),
            "genesis_accounts": accounts_json(ledger.accounts), "blocks": list(blocks(ledger))}


def refusals(params, connect, cases):
    """Refused next blocks behind the first `connect` blocks of the chain."""
    ledger = Ledger(params)
    blocks = {DEV: dev_chain, NARROW: narrow_chain}[params](ledger)
    for _ in range(connect):
        next(blocks)
    for text, data, rule in cases(ledger):
        yield refused(text, rule, lambda d=data: ledger.check(d), network=params.name,
                      connected_before=connect, bytes=data.hex())


def vectors():
    return {
        "chains": [{"description": "dev", **chain(DEV, dev_chain)},
                   {"description": "a file network with near limits (genesis.json)", **chain(NARROW, narrow_chain)}],
        "refused_blocks": [*refusals(DEV, 1, bad_dev_blocks), *refusals(NARROW, 0, bad_narrow_blocks)]}
