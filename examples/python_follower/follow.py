"""Follows the chain into SQLite, exactly once: the balances of all accounts, as the blocks make them.

    python follow.py --network dev.toml --node 127.0.0.1:50051 ledger.sqlite

Every frame is one transaction of the database: the rows that the block changes, and the cursor behind it. Kill the
program at any moment and start it again: a frame is either wholly there or wholly absent. Several --node are asked in
turn. What nodes say is believed, but every frame must fit behind the last one.
"""

import argparse
import decimal
import pathlib
import random
import sqlite3
import sys
import threading
import time
import tomllib
from collections import defaultdict

import grpc

sys.path.append(str(pathlib.Path(__file__).resolve().parent / "generated"))
from farthing.v1 import ledger_service_pb2 as v1  # noqa: E402
from farthing.v1 import ledger_service_pb2_grpc as v1_grpc  # noqa: E402

# A node sends a frame at least every 15 s; without one for so long, the stream is dead.
SILENCE_S = 45
DEADLINE_S = 15
# What waiting or another node may mend. NOT_FOUND and OUT_OF_RANGE: the node is behind the cursor.
TEMPORARY = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.OUT_OF_RANGE,
}
TABLES = """
    CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY CHECK (one = 1), genesis BLOB NOT NULL, cursor BLOB);
    CREATE TABLE IF NOT EXISTS blocks (height INTEGER PRIMARY KEY, id BLOB NOT NULL, parent BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS balances (address TEXT PRIMARY KEY, mites INTEGER NOT NULL CHECK (mites >= 0));
    -- What each block moved, a row for each account: enough to take it back.
    CREATE TABLE IF NOT EXISTS changes (
        height INTEGER, address TEXT, mites INTEGER NOT NULL, PRIMARY KEY (height, address)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS changes_by_address ON changes (address);
    -- What each block's miner is to have, once the delay is over.
    CREATE TABLE IF NOT EXISTS rewards (height INTEGER PRIMARY KEY, address TEXT NOT NULL, mites INTEGER NOT NULL);
"""


class BadFrame(Exception):
    """A frame that does not fit behind the last one: the node skips, repeats or lies."""


class WrongNetwork(Exception):
    """A node of another network than the database is of."""


class Ledger:
    """The database."""

    def __init__(self, path, allocations):
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = FULL")
        self.db.executescript(TABLES)
        self.allocations = allocations

    def pin(self, genesis):
        """The first node says which network this is; from then on every node must be of it."""
        self.db.execute("INSERT OR IGNORE INTO place VALUES (1, ?, NULL)", (genesis,))
        (pinned,) = self.db.execute("SELECT genesis FROM place").fetchone()
        if pinned != genesis:
            raise WrongNetwork(f"the node's genesis is {genesis.hex()}, the database is of {pinned.hex()}")

    def cursor(self):
        row = self.db.execute("SELECT cursor FROM place").fetchone()
        return row[0] if row else None

    def take(self, frame, reward_delay):
        """Takes a frame: its rows and its cursor, or nothing."""
        event = frame.WhichOneof("event")
        if event not in ("apply", "undo"):
            return
        self.db.execute("BEGIN IMMEDIATE")
        try:
            top = self.db.execute("SELECT height, id FROM blocks ORDER BY height DESC LIMIT 1").fetchone()
            if event == "apply":
                self.apply(frame.apply, top, reward_delay)
            else:
                self.undo(frame.undo, top)
            self.db.execute("UPDATE place SET cursor = ?", (frame.cursor,))
            self.db.execute("COMMIT")
        except BaseException:
            self.db.execute("ROLLBACK")
            raise

    def apply(self, block, top, reward_delay):
        parent = block.header.previous
        if block.height != (top[0] + 1 if top else 0) or (top and parent != top[1]):
            raise BadFrame(f"block {block.height} {block.block_id_hex} is not the next one")
        row = (block.height, block.block_id, parent)
        self.db.execute("INSERT INTO blocks VALUES (?, ?, ?)", row)
        reward = block.coinbase.amount_mites
        if reward:
            row = (block.height, block.miner_address_text, reward)
            self.db.execute("INSERT INTO rewards VALUES (?, ?, ?)", row)
        for address, mites in self.moved(block, reward_delay).items():
            self.db.execute("INSERT INTO changes VALUES (?, ?, ?)", (block.height, address, mites))
            self.db.execute("INSERT OR IGNORE INTO balances VALUES (?, 0)", (address,))
            self.db.execute("UPDATE balances SET mites = mites + ? WHERE address = ?", (mites, address))

    def moved(self, block, reward_delay):
        """What a block moves, by account; the sum is never below what an account has."""
        if block.height == 0:
            return self.allocations
        moved = defaultdict(int)
        for view in block.transactions:
            transaction = view.transaction
            moved[view.sender_address_text] -= transaction.fee_mites
            for output, address in zip(transaction.outputs, view.output_address_texts, strict=True):
                moved[view.sender_address_text] -= output.amount_mites
                moved[address] += output.amount_mites
        due = (block.height - reward_delay,)
        for address, mites in self.db.execute("SELECT address, mites FROM rewards WHERE height = ?", due):
            moved[address] += mites
        return moved

    def undo(self, undo, top):
        if top != (undo.height, undo.block_id):
            raise BadFrame(f"block {undo.height} {undo.block_id_hex} is undone, but it is not the last one")
        for statement in (
            "UPDATE balances SET mites = balances.mites - changes.mites FROM changes "
            "WHERE changes.height = ? AND changes.address = balances.address",
            "DELETE FROM changes WHERE height = ?",
            "DELETE FROM rewards WHERE height = ?",
            "DELETE FROM blocks WHERE height = ?",
        ):
            self.db.execute(statement, (undo.height,))
        # An account that the block opened is gone again.
        self.db.execute("DELETE FROM balances WHERE address NOT IN (SELECT address FROM changes)")


def read_allocations(path):
    """What genesis gives, from the network's file. The API does not tell it."""
    network = tomllib.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    return {
        each["address"]: int(decimal.Decimal(each["amount_far"]) * 100_000_000)
        for each in network.get("allocations", [])
    }


def follow(node, ledger):
    """Follows one node until its stream ends; says whether any frame came."""
    options = [("grpc.max_receive_message_length", 40 << 20)]
    with grpc.insecure_channel(node, options=options) as channel:
        api = v1_grpc.LedgerServiceStub(channel)
        ledger.pin(api.GetNodeInfo(v1.GetNodeInfoRequest(), timeout=DEADLINE_S).genesis_id)
        reward_delay = api.GetLimits(v1.GetLimitsRequest(), timeout=DEADLINE_S).protocol.reward_delay_blocks
        cursor = ledger.cursor()
        start = {"cursor": cursor} if cursor else {"from_height": 0}
        stream = api.SubscribeBlocks(v1.SubscribeBlocksRequest(**start))
        watchdog = threading.Timer(SILENCE_S, stream.cancel)
        watchdog.start()
        try:
            for frame in stream:
                watchdog.cancel()
                ledger.take(frame, reward_delay)
                yield frame
                watchdog = threading.Timer(SILENCE_S, stream.cancel)
                watchdog.start()
        finally:
            watchdog.cancel()
            stream.cancel()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", required=True, metavar="FILE", help="the network's file, for its allocations")
    parser.add_argument("--node", required=True, action="append", metavar="HOST:PORT", help="may be given several times")
    parser.add_argument("database")
    arguments = parser.parse_args()
    ledger = Ledger(arguments.database, read_allocations(arguments.network))
    failures = 0
    while True:
        for node in arguments.node:
            try:
                for _ in follow(node, ledger):
                    failures = 0
            except grpc.RpcError as error:
                if error.code() not in TEMPORARY:
                    raise
                print(f"{node}: {error.code().name}: {error.details()}", file=sys.stderr, flush=True)
            except (BadFrame, WrongNetwork) as error:
                print(f"{node}: {error}", file=sys.stderr, flush=True)
        # Every node failed, or ended its stream: wait before the next round, and not as long as others do.
        failures += 1
        time.sleep(min(0.1 * 2**failures, 10) * random.uniform(0.5, 1))


if __name__ == "__main__":
    main()
