"""accounts.json: account trees, one account more or changed at a time, and proofs."""

from dataclasses import replace

from farthing_ref.encoding import sha256
from farthing_ref.trees import ZERO, Account, account_leaf, accounts_root, check_account_proof, prove_account

from .common import account_json, accounts_json, refused, some_address


def flipped(address, bit):
    """The address with one bit (0 = the top bit of byte 0) the other way."""
    changed = bytearray(address)
    changed[bit // 8] ^= 0x80 >> bit % 8
    return bytes(changed)


BASE = some_address("tree")


def operations():
    """Sets one account each. Neighbours of BASE make paths through chosen bits."""
    yield "the first account: its leaf is the root", BASE, Account(1_000)
    yield "a neighbour in the lowest bit", flipped(BASE, 255), Account(1)
    yield "a neighbour in the top bit", flipped(BASE, 0), Account(2, 1, 1, sha256(b"h"))
    yield "a neighbour in bit 8, between the others", flipped(BASE, 8), Account(3)
    yield "a neighbour in bit 7", flipped(BASE, 7), Account(4)
    yield "all zeros", bytes(32), Account(5)
    yield "all ones", b"\xff" * 32, Account(6)
    for number in range(8):
        yield f"an unrelated one ({number})", some_address(number), Account(10**number, number, number * 3)
    yield "a balance of zero: the account stays", some_address(3), Account(0, 4, 10, sha256(b"spent"))
    yield "the first one changed", BASE, Account(999, 1, 1, sha256(b"changed"))
    yield "largest numbers", some_address(5), Account(2**64 - 1, 2**64 - 1, 2**64 - 1, b"\xff" * 32)
    yield "changed back", BASE, Account(1_000)


def growing():
    accounts, steps, states = {}, [], [{}]
    for text, address, account in operations():
        accounts[address] = account
        steps.append({"description": text, "address": address.hex(), "account": account_json(account),
                      "leaf": account_leaf(address, account).hex(), "accounts_root": accounts_root(accounts).hex()})
        states.append(dict(accounts))
    for state in states:  # the shape depends on the set alone
        backwards = dict(reversed(state.items()))
        assert accounts_root(backwards) == accounts_root(state)
    return steps, states


def steps_json(steps):
    return [{"bit": bit, "sibling": sibling.hex()} for bit, sibling in steps]


def proof_json(accounts_root_bytes, key, leaf_address, account, steps):
    return {"accounts_root": accounts_root_bytes.hex(), "key": key.hex(),
            "leaf_address": None if leaf_address is None else leaf_address.hex(),
            "leaf_account": None if leaf_address is None else account_json(account), "steps": steps_json(steps)}


def proof(text, accounts, key):
    expected = accounts_root(accounts)
    leaf_address, steps = prove_account(accounts, key)
    account = accounts.get(leaf_address)
    present = check_account_proof(expected, key, leaf_address, account, steps)
    assert present == (key in accounts)
    return {"description": text, **proof_json(expected, key, leaf_address, account, steps), "present": present}


def proofs(states):
    yield proof("absent from the empty tree", {}, BASE)
    yield proof("present, the only account", states[1], BASE)
    yield proof("absent beside the only account", states[1], flipped(BASE, 255))
    yield proof("absent beside the only account, all bits different", states[1], bytes(b ^ 255 for b in BASE))
    yield proof("present, one of two that differ in the last bit", states[2], flipped(BASE, 255))
    full = states[-1]
    for address in sorted(full):
        yield proof("present in the full tree", full, address)
    for bit in (1, 7, 9, 128, 254):
        yield proof(f"absent: the first account with bit {bit} flipped", full, flipped(BASE, bit))
    for number in range(8, 14):
        yield proof("absent: an unrelated address", full, some_address(number))
    yield proof("absent: all zeros but the last bit", full, flipped(bytes(32), 255))


def bad_proofs(states):
    """(description, root, key, leaf address, leaf account, steps, rule)"""
    full = states[-1]
    expected = accounts_root(full)
    leaf, steps = prove_account(full, BASE)
    account = full[BASE]
    assert leaf == BASE and len(steps) >= 3
    other = some_address(1)
    other_leaf, other_steps = prove_account(full, other)
    absent = flipped(BASE, 128)
    yield "no leaf although there are accounts", expected, BASE, None, None, [], "R-PRF-01"
    yield "no leaf, but steps", ZERO, BASE, None, None, steps, "R-PRF-01"
    yield "steps from the leaf up instead of from the root down", expected, BASE, leaf, account, steps[::-1], "R-PRF-02"
    yield "a step twice", expected, BASE, leaf, account, [*steps, steps[-1]], "R-PRF-02"
    yield "the leaf of another address passed off as reached by the key", expected, BASE, other_leaf, full[
        other], other_steps, "R-PRF-03"
    yield "absence claimed with a leaf off the key's path", expected, absent, other_leaf, full[
        other], other_steps, "R-PRF-03"
    yield "balance changed", expected, BASE, leaf, replace(account, balance=account.balance + 1), steps, "R-PRF-04"
    yield "next nonce changed", expected, BASE, leaf, replace(account, next_nonce=9), steps, "R-PRF-04"
    yield "entries changed", expected, BASE, leaf, replace(account, entries=9), steps, "R-PRF-04"
    yield "history changed", expected, BASE, leaf, replace(account, history=sha256(b"x")), steps, "R-PRF-04"
    yield "first step missing", expected, BASE, leaf, account, steps[1:], "R-PRF-04"
    yield "last step missing", expected, BASE, leaf, account, steps[:-1], "R-PRF-04"
    yield "no steps", expected, BASE, leaf, account, [], "R-PRF-04"
    bit, sibling = steps[1]
    yield "sibling changed", expected, BASE, leaf, account, [steps[0], (bit, sha256(sibling)), *steps[2:]], "R-PRF-04"
    yield "the proof of an older state", expected, BASE, *_older(states[3]), "R-PRF-04"
    yield "the leaf's address replaced by the key", expected, absent, absent, account, steps, "R-PRF-04"
    yield "a leaf against the root of no accounts", ZERO, BASE, leaf, account, [], "R-PRF-04"


def _older(state):
    leaf, steps = prove_account(state, BASE)
    return leaf, state[leaf], steps


def vectors():
    steps, states = growing()
    return {
        "growing_tree": steps,
        "final_accounts": accounts_json(states[-1]),
        "proofs": list(proofs(states)),
        "refused_proofs": [
            refused(text, rule, lambda a=arguments: check_account_proof(*a), **proof_json(*arguments))
            for text, *arguments, rule in bad_proofs(states)]}
