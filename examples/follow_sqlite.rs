//! Follows the chain into SQLite, exactly once: the balances of all accounts, as the blocks make them.
//!
//! ```text
//! cargo run --example follow_sqlite -- --network dev --node http://127.0.0.1:50051 ledger.sqlite
//! ```
//!
//! Every frame is one transaction of the database: the rows that the block changes, and the cursor behind it. Kill the
//! program at any moment and start it again; a frame is either wholly there or wholly absent. A block that leaves the best
//! chain is undone from the rows that it left. Give several `--node` and it goes on when one fails.

#![allow(clippy::print_stderr, reason = "a program that says what it does")]

use std::{collections::BTreeMap, error::Error, path::PathBuf, sync::Arc};

use clap::Parser;
use farthing::{Address, Height, Network, Params};
use farthing_client::{BlockEvent, ChainBlock, Client, Cursor, Frame, NodeUrl, Start};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

const TABLES: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY CHECK (one = 1), genesis BLOB NOT NULL, cursor BLOB);
    CREATE TABLE IF NOT EXISTS blocks (height INTEGER PRIMARY KEY, id BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS balances (address BLOB PRIMARY KEY, mites INTEGER NOT NULL CHECK (mites >= 0));
    -- What each block moved, a row for each account: enough to take it back.
    CREATE TABLE IF NOT EXISTS changes (
        height INTEGER, address BLOB, mites INTEGER NOT NULL, PRIMARY KEY (height, address)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS changes_by_address ON changes (address);
    -- What each block's miner is to have, once the delay is over.
    CREATE TABLE IF NOT EXISTS rewards (height INTEGER PRIMARY KEY, address BLOB NOT NULL, mites INTEGER NOT NULL);
";

#[derive(Parser)]
struct Arguments {
    /// main, test, dev, or the file of a private network.
    #[arg(long)]
    network: String,
    /// A node's API; several in the order of preference.
    #[arg(long, required = true)]
    node: Vec<NodeUrl>,
    /// The database.
    database: PathBuf,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let network = Arc::new(read_network(&arguments.network)?);
    let mut ledger = Ledger::open(Connection::open(&arguments.database)?, Arc::clone(&network))?;
    let client = Client::builder(network).nodes(arguments.node).user_agent("follow_sqlite/1").build()?;
    let start = ledger.cursor()?.map_or(Start::Height(Height::GENESIS), Start::Cursor);
    let mut blocks = client.follow(start).on_trouble(|error| eprintln!("{error}; {}", error.advice()));
    loop {
        ledger.take(&blocks.next().await?)?;
    }
}

fn read_network(name: &str) -> Result<Params> {
    match Network::by_name(name) {
        Some(network) => Ok(network.params().clone()),
        None => Ok(std::fs::read_to_string(name)?.parse()?),
    }
}

/// The database.
struct Ledger {
    connection: Connection,
    network: Arc<Params>,
}

impl Ledger {
    fn open(connection: Connection, network: Arc<Params>) -> Result<Self> {
        connection.execute_batch(TABLES)?;
        let genesis = network.genesis_id().as_bytes();
        connection.execute("INSERT OR IGNORE INTO place VALUES (1, ?1, NULL)", [genesis])?;
        let found: Vec<u8> = connection.query_row("SELECT genesis FROM place", [], |row| row.get(0))?;
        if found != genesis {
            return Err("the database is of another network".into());
        }
        Ok(Self { connection, network })
    }

    /// Where the last frame that is wholly in the database ended.
    fn cursor(&self) -> Result<Option<Cursor>> {
        let found: Option<Vec<u8>> = self.connection.query_row("SELECT cursor FROM place", [], |row| row.get(0))?;
        Ok(found.map(|bytes| Cursor::from_bytes(&bytes)).transpose()?)
    }

    /// Takes a frame: its rows and its cursor, or nothing.
    fn take(&mut self, frame: &Frame) -> Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match &frame.event {
            BlockEvent::Apply(block) => apply(&transaction, &self.network, block)?,
            BlockEvent::Undo { height, .. } => undo(&transaction, number(height.get())?)?,
        }
        transaction.execute("UPDATE place SET cursor = ?1", [frame.cursor.as_bytes()])?;
        transaction.commit()?;
        Ok(())
    }
}

/// SQLite's numbers are signed; no amount and no height of this ledger reaches 2^63.
fn number(value: u64) -> Result<i64> {
    Ok(i64::try_from(value)?)
}

/// What a block moves, by account. The sum of a block is never below what an account has, whatever its transfers' order.
fn moved(transaction: &Transaction<'_>, network: &Params, block: &ChainBlock) -> Result<BTreeMap<Address, i64>> {
    let mut moved = BTreeMap::new();
    let mut add = |address: Address, mites: i64| *moved.entry(address).or_insert(0) += mites;
    if block.height() == Height::GENESIS {
        for allocation in &network.allocations {
            add(allocation.address, number(allocation.amount.get())?);
        }
        return Ok(moved);
    }
    for (_, signed) in block.transactions() {
        let transfer = signed.transaction();
        add(transfer.sender_address(), -number(transfer.total().get())?);
        for output in transfer.outputs() {
            add(output.to, number(output.amount.get())?);
        }
    }
    // The reward that is credited here was mined some blocks ago, or just now on a network without delay.
    let due = block.height().get().saturating_sub(network.reward_delay);
    let reward = transaction
        .query_row("SELECT address, mites FROM rewards WHERE height = ?1", [number(due)?], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?))
        })
        .optional()?;
    if let Some((address, mites)) = reward {
        add(Address::try_from(address.as_slice())?, mites);
    }
    Ok(moved)
}

fn apply(transaction: &Transaction<'_>, network: &Params, block: &ChainBlock) -> Result<()> {
    let height = number(block.height().get())?;
    transaction.execute("INSERT INTO blocks VALUES (?1, ?2)", params![height, block.id().as_bytes()])?;
    let coinbase = &block.block.coinbase;
    if !coinbase.amount.is_zero() {
        let row = params![height, coinbase.to.as_bytes(), number(coinbase.amount.get())?];
        transaction.execute("INSERT INTO rewards VALUES (?1, ?2, ?3)", row)?;
    }
    for (address, mites) in moved(transaction, network, block)? {
        let row = params![height, address.as_bytes(), mites];
        transaction.execute("INSERT INTO changes VALUES (?1, ?2, ?3)", row)?;
        transaction.execute("INSERT OR IGNORE INTO balances VALUES (?1, 0)", [address.as_bytes()])?;
        let row = params![address.as_bytes(), mites];
        transaction.execute("UPDATE balances SET mites = mites + ?2 WHERE address = ?1", row)?;
    }
    Ok(())
}

/// Takes back what the block at the top moved.
fn undo(transaction: &Transaction<'_>, height: i64) -> Result<()> {
    let statements = [
        "UPDATE balances SET mites = balances.mites - changes.mites FROM changes
         WHERE changes.height = ?1 AND changes.address = balances.address",
        "DELETE FROM changes WHERE height = ?1",
        "DELETE FROM rewards WHERE height = ?1",
        "DELETE FROM blocks WHERE height = ?1",
    ];
    for statement in statements {
        transaction.execute(statement, [height])?;
    }
    // An account that the block opened is gone again.
    transaction.execute("DELETE FROM balances WHERE address NOT IN (SELECT address FROM changes)", [])?;
    Ok(())
}
