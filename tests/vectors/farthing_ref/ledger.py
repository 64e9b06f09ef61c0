"""Blocks and their execution (SPEC sections 5 and 7)."""

from dataclasses import dataclass, replace

from . import keys
from .difficulty import required_bits, work_of
from .encoding import Broken, Reader, require, u32
from .network import Header, check_header, check_header_after, commitment
from .transactions import U64_MAX, Coinbase, check_fields, read_coinbase, read_transaction
from .trees import Account, accounts_root, chain_root, range_leaf, tx_root


@dataclass(frozen=True)
class Block:
    header: object
    coinbase: Coinbase
    transactions: tuple = ()

    def leaves(self):
        return [self.coinbase.leaf()] + [t.wire_id() for t in self.transactions]

    def canonical(self):
        return (self.header.canonical() + self.coinbase.canonical() + u32(len(self.transactions))
                + b"".join(t.signed_bytes() for t in self.transactions))


def decode_block(data, params, genesis_id):
    """All context-free rules of a block."""
    require(len(data) <= params.max_block_bytes, "R-BLK-01", "DecodeError::TooLarge", str(len(data)))
    header = check_header(data[:118], params)
    reader = Reader(data)
    reader.take(118)
    coinbase = read_coinbase(reader)
    transactions = tuple(read_transaction(reader) for _ in range(reader.count(len(data), 366, "R-ENC-03")))
    reader.finish()
    block = Block(header, coinbase, transactions)
    require(tx_root(block.leaves()) == header.tx_root, "R-BLK-02", "WrongTxRoot")
    for transaction in transactions:
        require(len(transaction.signed_bytes()) <= 4096, "R-TX-01", "DecodeError::TooLarge")
        check_fields(transaction)
    units = sum(t.signature_units() for t in transactions)
    require(units <= params.max_signature_units, "R-BLK-03", "TooManySignatureUnits", str(units))
    ids = [t.transaction_id(genesis_id) for t in transactions]
    require(len(set(ids)) == len(ids), "R-BLK-04", "DuplicateTransaction")
    for transaction in transactions:
        if transaction.public_key is not None:
            message = transaction.message(genesis_id)
            keys.check_signature(transaction.public_key, message, transaction.signature)
    return block


class Ledger:
    """A chain, its accounts after the tip, and what the next block needs."""

    def __init__(self, params):
        self.params = params
        self.genesis_id = params.genesis().block_id()
        self.headers = [params.genesis()]
        self.coinbases = [params.genesis_coinbase()]
        self.accounts = params.genesis_accounts()
        self.keys = {}
        self.burned = 0

    def tip(self):
        return self.headers[-1]

    def chain_root(self):
        """Over all headers so far: what the next block commits to."""
        return chain_root([range_leaf(h.block_id(), work_of(h.bits), h.time_ms) for h in self.headers])

    def execute(self, coinbase, transactions):
        """The accounts, keys and burned amount after a next block with these contents."""
        accounts, known, fees, burned = self._apply(transactions)
        height = len(self.headers)
        require(coinbase.height == height, "R-CB-02", "WrongCoinbaseHeight", str(coinbase.height))
        due = self.params.subsidy(height) + fees - burned
        require(coinbase.amount == due, "R-CB-03", "WrongCoinbaseAmount", f"{due} expected")
        self._credit(accounts, coinbase)
        return accounts, known, burned

    def _apply(self, transactions):
        """Executes the transactions of a next block on a copy of the state."""
        accounts, known, openings, fees = dict(self.accounts), dict(self.keys), 0, 0
        for transaction in transactions:
            openings += self._execute_one(transaction, len(self.headers), accounts, known)
            require(openings <= self.params.max_openings, "R-OPN-02", "TooManyOpenings", str(openings))
            fees += transaction.fee
        return accounts, known, fees, openings * self.params.opening_cost

    def _credit(self, accounts, coinbase):
        """Credits the coinbase whose delay ends with a next block that has this coinbase."""
        height = len(self.headers)
        source = height - self.params.reward_delay
        credited = (self.coinbases + [coinbase])[source] if source >= 1 else None
        if credited is None or credited.amount == 0:
            return
        before = accounts.get(credited.to, Account())
        after = replace(before, balance=before.balance + credited.amount)
        accounts[credited.to] = after.touched(credited.coinbase_id(self.genesis_id), height)

    def _execute_one(self, transaction, height, accounts, known):
        """Applies one transaction and returns how many accounts it opened."""
        sender = transaction.sender()
        before = accounts.get(sender, Account())
        require(transaction.nonce == before.next_nonce, "R-ACC-01", "WrongNonce", f"{before.next_nonce} expected")
        require(transaction.valid_until == 0 or height <= transaction.valid_until, "R-ACC-02", "Expired")
        if transaction.public_key is not None:
            known[sender] = transaction.public_key
        keys.check_signature(known[sender], transaction.message(self.genesis_id), transaction.signature)
        require(transaction.spent() <= before.balance, "R-ACC-03", "InsufficientBalance")
        recipients = {to for to, _ in transaction.outputs}
        opened = len([to for to in recipients if to not in accounts])
        cost = opened * self.params.opening_cost
        require(transaction.fee >= cost, "R-OPN-01", "FeeBelowOpeningCost", f"{cost} expected")
        accounts[sender] = replace(before, balance=before.balance - transaction.spent(),
                                   next_nonce=before.next_nonce + 1)
        for to, amount in transaction.outputs:
            account = accounts.get(to, Account())
            require(account.balance + amount <= U64_MAX, "R-ACC-04", "AccountOverflow")
            accounts[to] = replace(account, balance=account.balance + amount)
        entry = transaction.transaction_id(self.genesis_id)
        for address in recipients | {sender}:
            accounts[address] = accounts[address].touched(entry, height)
        return opened

    def build(self, coinbase_to, transactions=(), time_ms=None, tag=b"", **changes):
        """A next block. `changes` alter fields of its header or coinbase before mining, to make wrong ones."""
        height = len(self.headers)
        try:
            accounts, _, fees, burned = self._apply(transactions)
        except Broken:  # wrong on purpose: there is no state to commit to
            accounts, fees, burned = dict(self.accounts), 0, 0
        amount = self.params.subsidy(height) + fees - burned
        coinbase = Coinbase(height, coinbase_to, amount, tag)
        coinbase = replace(coinbase, **{k: v for k, v in changes.items() if hasattr(coinbase, k)})
        self._credit(accounts, coinbase)
        header = Header(
            previous=self.tip().block_id(), commitment=commitment(accounts_root(accounts), self.chain_root()),
            tx_root=tx_root(Block(None, coinbase, tuple(transactions)).leaves()),
            time_ms=self.tip().time_ms + self.params.target_spacing_ms if time_ms is None else time_ms,
            bits=required_bits(self.params, self.tip().time_ms, height - 1), nonce=0)
        header = replace(header, **{k: v for k, v in changes.items() if hasattr(header, k)})
        return Block(header.mined(), coinbase, tuple(transactions))

    def check(self, data):
        """Every rule that the next block can break; returns the block and the accounts after it."""
        block = decode_block(data, self.params, self.genesis_id)
        require(block.header.previous == self.tip().block_id(), "R-HDR-05", "ParentUnknown")
        check_header_after(block.header, self.tip(), len(self.headers) - 1, self.params)
        accounts, known, burned = self.execute(block.coinbase, block.transactions)
        expected = commitment(accounts_root(accounts), self.chain_root())
        require(block.header.commitment == expected, "R-BLK-05", "WrongCommitment")
        return block, accounts, known, burned

    def connect(self, data):
        block, self.accounts, self.keys, burned = self.check(data)
        self.burned += burned
        self.headers.append(block.header)
        self.coinbases.append(block.coinbase)
        self._check_supply()
        return block

    def _check_supply(self):
        """Balances + credits still delayed + burned = allocations + subsidies so far."""
        height = len(self.headers) - 1
        delayed = self.coinbases[max(1, height - self.params.reward_delay + 1):]
        held = sum(a.balance for a in self.accounts.values()) + sum(c.amount for c in delayed) + self.burned
        issued = sum(a for _, a in self.params.allocations) + sum(self.params.subsidy(h) for h in range(height + 1))
        assert held == issued, f"supply: {held} held, {issued} issued"

