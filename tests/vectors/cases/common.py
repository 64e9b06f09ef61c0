"""What several case files need: fixed keys and addresses, signing, and the form of a refused case."""

import functools
from dataclasses import replace
from pathlib import Path

import rsa
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from farthing_ref import keys
from farthing_ref.encoding import Broken, sha256
from farthing_ref.network import DEV_ADDRESSES, RETARGETS

HERE = Path(__file__).resolve().parent.parent
DEV_KEYS = HERE.parent.parent / "wallet" / "dev-keys"


class Key:
    """An RSA key of the fixtures."""

    def __init__(self, path):
        self.pem = path.read_bytes()
        self.private = serialization.load_pem_private_key(self.pem, password=None)
        numbers = self.private.private_numbers()
        self.modulus = numbers.public_numbers.n
        self.exponent = numbers.public_numbers.e
        self.secret_exponent = numbers.d
        self.size = (self.modulus.bit_length() + 7) // 8
        self.second = rsa.PrivateKey(self.modulus, self.exponent, numbers.d, numbers.p, numbers.q)
        self.library_spki = self.private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    @functools.cached_property
    def spki(self):
        spki = keys.encode_key(self.modulus)
        assert spki == self.library_spki, "our encoding is the library's"
        return spki

    @functools.cached_property
    def address(self):
        return keys.address_of(self.spki)

    def sign(self, message):
        signature = self.private.sign(message, padding.PKCS1v15(), hashes.SHA256())
        assert signature == rsa.sign(message, self.second, "SHA-256"), "two libraries agree"
        return signature

    def raw(self, block):
        """The number whose e-th power is `block`: what only the owner of the key can make."""
        number = int.from_bytes(block, "big")
        assert number < self.modulus
        return pow(number, self.secret_exponent, self.modulus).to_bytes(self.size, "big")


@functools.cache
def fixture(name):
    return Key(HERE / "keys" / f"{name}.pem")


@functools.cache
def dev(name):
    key = Key(DEV_KEYS / f"{name}.pem")
    assert key.address == DEV_ADDRESSES[name], f"{name}'s published address"
    return key


def sized_keys():
    return [("rsa2048", fixture("rsa2048")), ("rsa3072", fixture("rsa3072")), ("rsa4096", fixture("rsa4096"))]


def some_address(label):
    """An address that nobody holds the key of."""
    return sha256(b"vector address ", str(label).encode())


def signed(transaction, key, genesis_id):
    return replace(transaction, signature=key.sign(transaction.message(genesis_id)))


def refused(description, rule, check, **fields):
    """A case that breaks exactly the named rule; the reference implementation must agree."""
    try:
        check()
    except Broken as broken:
        assert broken.rule == rule, f"{description}: {broken.rule} instead of {rule}"
        return {"description": description, **fields, "broken_rule": rule, "error": broken.error}
    raise AssertionError(f"{description}: accepted, {rule} expected")


def output_json(output):
    to, amount = output
    return {"to_address": to.hex(), "amount_mites": str(amount)}


def transaction_json(transaction):
    sender = ({"public_key_spki": transaction.public_key.hex()} if transaction.public_key is not None
              else {"sender_address": transaction.sender_address.hex()})
    return {
        "version": transaction.version, **sender, "nonce": str(transaction.nonce),
        "fee_mites": str(transaction.fee), "valid_until_height": str(transaction.valid_until),
        "outputs": [output_json(o) for o in transaction.outputs], "memo": transaction.memo.hex(),
        "signature": transaction.signature.hex()}


def coinbase_json(coinbase):
    return {"height": str(coinbase.height), "to_address": coinbase.to.hex(),
            "amount_mites": str(coinbase.amount), "tag": coinbase.tag.hex()}


def header_json(header):
    return {"version": header.version, "previous": header.previous.hex(), "commitment": header.commitment.hex(),
            "tx_root": header.tx_root.hex(), "time_ms": str(header.time_ms), "bits": f"{header.bits:08x}",
            "nonce": str(header.nonce)}


def account_json(account):
    return {"balance_mites": str(account.balance), "next_nonce": str(account.next_nonce),
            "entries": str(account.entries), "history": account.history.hex()}


def accounts_json(accounts):
    return [{"address": a.hex(), **account_json(accounts[a])} for a in sorted(accounts)]


def params_json(params):
    return {
        "name": params.name, "prefix": params.prefix, "genesis_time_ms": str(params.genesis_time_ms),
        "genesis_bits": f"{params.genesis_bits:08x}", "limit_bits": f"{params.limit_bits:08x}",
        "target_spacing_ms": str(params.target_spacing_ms),
        "retarget": RETARGETS[params.retarget] if params.retarget < 2 else str(params.retarget),
        "half_life_ms": str(params.half_life_ms), "reward_delay_blocks": str(params.reward_delay),
        "max_block_bytes": str(params.max_block_bytes), "max_signature_units": str(params.max_signature_units),
        "max_openings": str(params.max_openings), "opening_cost_mites": str(params.opening_cost),
        "initial_subsidy_mites": str(params.initial_subsidy),
        "halving_interval_blocks": str(params.halving_interval),
        "allocations": [{"address": a.hex(), "amount_mites": str(m)} for a, m in params.allocations]}
