"""Transactions and coinbases (SPEC sections 4 and 5)."""

from dataclasses import dataclass, field

from . import keys
from .encoding import Reader, counted, require, sha256, u8, u32, u64

U64_MAX = 2**64 - 1


@dataclass(frozen=True)
class Transaction:
    nonce: int
    fee: int
    outputs: tuple  # of (address, amount)
    public_key: bytes = None  # SPKI, or
    sender_address: bytes = None  # 32 bytes
    valid_until: int = 0
    memo: bytes = b""
    version: int = 1
    signature: bytes = field(default=b"", repr=False)

    def sender(self):
        return self.sender_address if self.public_key is None else keys.address_of(self.public_key)

    def body(self):
        if self.public_key is None:
            sender = u8(1) + self.sender_address
        else:
            sender = u8(0) + counted(self.public_key)
        outputs = b"".join(to + u64(amount) for to, amount in self.outputs)
        return (u8(self.version) + sender + u64(self.nonce) + u64(self.fee) + u64(self.valid_until)
                + u32(len(self.outputs)) + outputs + counted(self.memo))

    def signed_bytes(self):
        return self.body() + counted(self.signature)

    def message(self, genesis_id):
        return b"farthing transaction\0" + genesis_id + self.body()

    def transaction_id(self, genesis_id):
        return sha256(self.message(genesis_id))

    def wire_id(self):
        return sha256(b"\x10\x01", self.signed_bytes())

    def signature_units(self):
        return keys.SIGNATURE_UNITS[len(self.signature)]

    def spent(self):
        return self.fee + sum(amount for _, amount in self.outputs)


def read_transaction(reader):
    version = reader.u8()
    require(version == 1, "R-TX-02", "DecodeError::UnknownVersion", str(version))
    public_key = sender_address = None
    choice = reader.u8()
    require(choice in (0, 1), "R-ENC-04", "DecodeError::UnknownChoice", str(choice))
    if choice == 0:
        public_key = reader.counted(550, "R-KEY-01")
        keys.check_key(public_key)
    else:
        sender_address = reader.take(32)
    nonce, fee, valid_until = reader.u64(), reader.u64(), reader.u64()
    count = reader.count(64, 40, "R-TX-04")
    require(count >= 1, "R-TX-04", "TransactionError::OutputCount")
    outputs = []
    for _ in range(count):
        to, amount = reader.take(32), reader.u64()
        require(amount > 0, "R-TX-05", "TransactionError::ZeroAmount")
        outputs.append((to, amount))
    memo = reader.counted(256, "R-TX-06")
    signature = reader.counted(512, "R-TX-08")
    require(len(signature) in keys.SIGNATURE_UNITS, "R-TX-08", "SignatureError::Length", str(len(signature)))
    return Transaction(nonce, fee, tuple(outputs), public_key, sender_address, valid_until, memo, version, signature)


def check_fields(transaction):
    """The rules over several fields, which come after the last byte."""
    require((transaction.public_key is not None) == (transaction.nonce == 0), "R-TX-03", "TransactionError::SenderForm")
    require(transaction.spent() <= U64_MAX, "R-TX-07", "TransactionError::Overflow")


def decode_transaction(data, genesis_id):
    """All context-free rules of one transaction."""
    require(len(data) <= 4096, "R-TX-01", "DecodeError::TooLarge", str(len(data)))
    reader = Reader(data)
    transaction = read_transaction(reader)
    reader.finish()
    check_fields(transaction)
    if transaction.public_key is not None:
        keys.check_signature(transaction.public_key, transaction.message(genesis_id), transaction.signature)
    assert transaction.signed_bytes() == data, "one value, one encoding"
    return transaction


@dataclass(frozen=True)
class Coinbase:
    height: int
    to: bytes
    amount: int
    tag: bytes = b""

    def canonical(self):
        return u64(self.height) + self.to + u64(self.amount) + counted(self.tag)

    def leaf(self):
        return sha256(b"\x10\x00", self.canonical())

    def coinbase_id(self, genesis_id):
        return sha256(b"farthing coinbase\0", genesis_id, self.canonical())


def read_coinbase(reader):
    return Coinbase(reader.u64(), reader.take(32), reader.u64(), reader.counted(64, "R-CB-01"))
