//! Prints a JSON line for every payment to some addresses once it is deep enough, and one that takes it back should its
//! block leave the chain all the same.
//!
//! ```text
//! cargo run --example payment_notifier -- --network dev --node http://127.0.0.1:50051 \
//!     --depth 6 --state notifier.json ADDRESS...
//! ```
//!
//! A payment of `--depth` 1 is in the tip. `block`, `transaction` and `output` together name it: a line of the type
//! `payment` says that it stands, one of the type `retraction` that it does not. Lines may come twice, for a program that is
//! killed between printing and writing its position prints again what it printed last; who notes what stands, and
//! nothing else, is not misled by that. More cannot be had without a common transaction: `follow_sqlite` has one.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]

use std::{
    collections::{BTreeSet, VecDeque},
    error::Error,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Parser;
use farthing::{Address, Height, Network, Params};
use farthing_client::{BlockEvent, ChainBlock, Client, Cursor, NodeUrl, Start};
use serde::{Deserialize, Serialize};

#[derive(Parser)]
struct Arguments {
    /// main, test, dev, or the file of a private network.
    #[arg(long)]
    network: String,
    /// A node's API; several in the order of preference.
    #[arg(long, required = true)]
    node: Vec<NodeUrl>,
    /// Blocks from the payment's up to the tip before it is told.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..))]
    depth: u64,
    /// Where the position is kept.
    #[arg(long)]
    state: PathBuf,
    /// Who is paid.
    #[arg(required = true)]
    addresses: Vec<String>,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How many blocks below the depth are kept, so that a payment that was told can be taken back.
const REMEMBERED: usize = 1_000;

/// A payment to one of the addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Payment {
    block: String,
    height: u64,
    transaction: String,
    output: usize,
    to: String,
    mites: String,
}

/// A block near the tip.
#[derive(Debug, Serialize, Deserialize)]
struct Recent {
    height: u64,
    payments: Vec<Payment>,
    told: bool,
}

/// The position, as it is kept in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// Where to continue, in hex.
    cursor: Option<String>,
    /// The newest blocks, the newest last.
    recent: VecDeque<Recent>,
}

/// A line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    payment: &'a Payment,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let network = Arc::new(read_network(&arguments.network)?);
    let watched: BTreeSet<Address> =
        arguments.addresses.iter().map(|text| network.prefix.parse(text)).collect::<std::result::Result<_, _>>()?;
    let mut state = State::read(&arguments.state)?;
    let client =
        Client::builder(Arc::clone(&network)).nodes(arguments.node).user_agent("payment_notifier/1").build()?;
    let mut blocks = client.follow(state.start()?).on_trouble(|error| eprintln!("{error}; {}", error.advice()));
    loop {
        let frame = blocks.next().await?;
        match &frame.event {
            BlockEvent::Apply(block) => state.apply(&network, &watched, arguments.depth, block)?,
            BlockEvent::Undo { height, .. } => state.undo(height.get())?,
        }
        state.cursor = Some(hex::encode(frame.cursor.as_bytes()));
        state.write(&arguments.state)?;
    }
}

fn read_network(name: &str) -> Result<Params> {
    match Network::by_name(name) {
        Some(network) => Ok(network.params().clone()),
        None => Ok(fs::read_to_string(name)?.parse()?),
    }
}

impl State {
    fn read(path: &Path) -> Result<Self> {
        match fs::read(path) {
            Ok(text) => Ok(serde_json::from_slice(&text)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the position beside the file and puts it in its place, so that it is never there by half.
    fn write(&self, path: &Path) -> Result<()> {
        let beside = path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        Ok(())
    }

    fn start(&self) -> Result<Start> {
        match &self.cursor {
            Some(text) => Ok(Start::Cursor(Cursor::from_bytes(&hex::decode(text)?)?)),
            None => Ok(Start::Height(Height::GENESIS)),
        }
    }

    fn apply(&mut self, network: &Params, watched: &BTreeSet<Address>, depth: u64, block: &ChainBlock) -> Result<()> {
        let (height, payments) = (block.height().get(), payments(network, watched, block));
        self.recent.push_back(Recent { height, payments, told: false });
        for recent in self.recent.iter_mut().filter(|recent| !recent.told && recent.height + depth <= height + 1) {
            recent.told = true;
            tell("payment", &recent.payments)?;
        }
        let kept = REMEMBERED.saturating_add(usize::try_from(depth)?);
        while self.recent.len() > kept {
            self.recent.pop_front();
        }
        Ok(())
    }

    fn undo(&mut self, height: u64) -> Result<()> {
        if self.recent.back().is_some_and(|recent| recent.height == height)
            && let Some(left) = self.recent.pop_back()
            && left.told
        {
            tell("retraction", &left.payments)?;
        }
        Ok(())
    }
}

fn payments(network: &Params, watched: &BTreeSet<Address>, block: &ChainBlock) -> Vec<Payment> {
    let mut found = Vec::new();
    for (id, signed) in block.transactions() {
        let outputs = signed.transaction().outputs().iter().enumerate();
        found.extend(outputs.filter(|(_, output)| watched.contains(&output.to)).map(|(at, output)| Payment {
            block: block.id().to_string(),
            height: block.height().get(),
            transaction: id.to_string(),
            output: at,
            to: network.prefix.format(&output.to),
            mites: output.amount.get().to_string(),
        }));
    }
    found
}

fn tell(r#type: &'static str, payments: &[Payment]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    for payment in payments {
        writeln!(out, "{}", serde_json::to_string(&Line { r#type, payment })?)?;
    }
    Ok(out.flush()?)
}
