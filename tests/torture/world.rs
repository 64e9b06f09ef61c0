//! The nodes, what happens to them, and the comparison at the end.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use farthing::{Address, BlockId};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore as _, SeedableRng as _},
};
use tokio::{
    sync::watch,
    task::{JoinSet, block_in_place},
    time::{sleep, timeout},
};

use super::{
    author::{Author, Branch, Pace},
    lines::{Doors, Line, NODES, READERS_PER_LINE},
    model::{Balances, Model},
    reader::{Common, Counts, Ended, Reader},
    state::{digest, id},
};
use crate::harness::{
    api::Api,
    eventually, networks,
    process::{Options, Place, Running},
};

/// A branch whose work is more than that of so many easy blocks is left for hard blocks only: easy ones would be too many.
const MOST_EASY_BLOCKS: u128 = 200;
/// The longest time that a killed node stays down.
const LONGEST_DOWN_MS: u64 = 1_500;
/// The longest time between a branch's first block and the kill.
const LONGEST_TO_KILL_MS: u64 = 400;
/// How many wrong readers are told in full.
const TOLD: usize = 10;

/// How large a run is.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Of the readers, and of what happens. The moments are the machine's.
    pub(crate) seed: u64,
    /// How many readers.
    pub(crate) subscribers: u64,
    /// How often a node is killed.
    pub(crate) kills: u64,
    /// Blocks that are there before the readers are.
    pub(crate) blocks: u64,
    /// Blocks that come at once, in the midst.
    pub(crate) burst: u64,
    /// The deepest reorganisation.
    pub(crate) depth: u64,
    /// Whether some readers pause for longer than a node bears.
    pub(crate) long_pauses: bool,
    /// How long the readers may take to the end once nothing happens any more.
    pub(crate) patience: Duration,
    /// Whether to tell on stderr what happens.
    pub(crate) verbose: bool,
}

/// What a run came to.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) kills: u64,
    pub(crate) reorganisations: u64,
    pub(crate) deepest: u64,
    /// Reorganisations to a lower height.
    pub(crate) shorter: u64,
    pub(crate) counts: Vec<(&'static str, u64)>,
    /// Readers that ended with the nodes' hash.
    pub(crate) equal: u64,
    /// What was wrong, reader by reader.
    pub(crate) wrong: Vec<String>,
    blocks: usize,
    height: u64,
    digest: String,
    /// While things happened, and until all had read all.
    took: [Duration; 2],
}

impl Figures {
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.counts.iter().find(|(counted, _)| *counted == name).expect("a name of a count").1
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [happened, settled] = self.took;
        writeln!(f, "{} kills, {} reorganisations, the deepest of {}", self.kills, self.reorganisations, self.deepest)?;
        writeln!(f, "{} of them to a shorter chain with more work", self.shorter)?;
        writeln!(f, "{} blocks made, height {} at the end", self.blocks, self.height)?;
        for (name, count) in &self.counts {
            writeln!(f, "{count:10} {name}")?;
        }
        let rate = (self.count("blocks applied") + self.count("blocks undone")) as f64 / happened.as_secs_f64();
        writeln!(
            f,
            "{happened:.1?} of trouble and reading, {rate:.0} blocks/s to all readers; {settled:.1?} to the end"
        )?;
        writeln!(f, "hash of both nodes: {}", self.digest)?;
        writeln!(f, "{} readers ended with it, {} did not", self.equal, self.wrong.len())?;
        self.wrong.iter().take(TOLD).try_for_each(|wrong| writeln!(f, "WRONG {wrong}"))
    }
}

/// What is told while it runs.
fn tell(settings: &Settings, what: fmt::Arguments<'_>) {
    if settings.verbose {
        eprintln!("{what}");
    }
}

/// The nodes that are read from, each in a process of its own.
struct Nodes<'a> {
    options: Options,
    doors: Arc<Doors>,
    places: &'a [Place; NODES],
    running: [Option<Running<'a>>; NODES],
}

impl<'a> Nodes<'a> {
    async fn start(&mut self, at: usize) {
        let places: &'a [Place; NODES] = self.places;
        let running = places[at].start(&self.options).await;
        self.doors.set(at, Some(running.rpc));
        self.running[at] = Some(running);
    }

    fn kill(&mut self, at: usize) {
        self.running[at].take().expect("it runs").kill();
        self.doors.set(at, None);
    }

    async fn api(&self, at: usize) -> Api {
        self.running[at].as_ref().expect("it runs").api().await
    }

    /// Waits until a node has this tip.
    async fn has(&self, at: usize, tip: BlockId) {
        let mut api = self.api(at).await;
        eventually(&format!("node {at} has the author's tip"), async || {
            let info = api.info().await.map_err(|status| status.to_string())?;
            let found = info.tip.ok_or("no tip")?;
            if found.block_id == tip.as_bytes()[..] { Ok(()) } else { Err(format!("{} of {tip}", found.block_id_hex)) }
        })
        .await;
    }

    /// The hash of what a node says that it holds: its blocks, page by page, and each account with its proof.
    async fn digest(&self, at: usize, addresses: impl Iterator<Item = Address>) -> [u8; 32] {
        let mut api = self.api(at).await;
        let mut ids: Vec<BlockId> = Vec::new();
        let mut token = String::new();
        loop {
            let page = api.list_blocks(&token).await.expect("the node answers");
            ids.extend(page.blocks.iter().map(|block| id(&block.block_id).expect("an id")));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        ids.reverse();
        let mut balances = Balances::new();
        for address in addresses {
            if let Some(account) = api.account(&address).await.filter(|account| account.balance.get() > 0) {
                balances.insert(address, account.balance.get().into());
            }
        }
        assert_eq!(
            api.info().await.expect("the node answers").accounts,
            balances.len() as u64,
            "every account is known"
        );
        digest(&ids, &balances)
    }
}

/// What happens, and where that comes from.
struct Trouble<'a> {
    settings: &'a Settings,
    author: Author,
    nodes: Nodes<'a>,
    random: ChaCha8Rng,
    figures: Figures,
}

impl Trouble<'_> {
    fn below(&mut self, limit: u64) -> u64 {
        self.random.next_u64() % limit.max(1)
    }

    /// A branch that leaves blocks: the deepest first, once for fewer blocks and once for more, then any.
    fn leave(&mut self, round: u64) -> Branch {
        let deepest = self.settings.depth.min(self.author.height() - 1);
        let depth = if round < 2 { deepest } else { 1 + self.below(deepest) };
        let hard = match round {
            0 => true,
            1 => false,
            _ => self.below(2) == 0,
        };
        let pace = if hard || self.author.work_of(depth) > MOST_EASY_BLOCKS { Pace::AtOnce } else { Pace::OnTime };
        block_in_place(|| self.author.leave(depth, pace, &mut self.random))
    }

    async fn publish(&mut self, branch: Branch) {
        if branch.depth > 0 {
            self.figures.reorganisations += 1;
            self.figures.deepest = self.figures.deepest.max(branch.depth);
            self.figures.shorter += u64::from(branch.is_shorter());
        }
        self.author.publish(branch).await;
    }

    async fn extend(&mut self, count: u64) {
        let branch = block_in_place(|| self.author.extend(count, &mut self.random));
        self.publish(branch).await;
    }

    /// Blocks, a reorganisation, a node killed while it comes, and more blocks while that node is down.
    async fn round(&mut self, round: u64) {
        let more = 5 + self.below(15);
        self.extend(more).await;
        if round == self.settings.kills / 2 {
            // More than any buffer holds, as fast as they can be taken.
            self.extend(self.settings.burst).await;
        }
        let victim = self.below(NODES as u64) as usize;
        let branch = self.leave(round);
        let told = (branch.depth, branch.blocks.len());
        let moment = Duration::from_millis(self.below(LONGEST_TO_KILL_MS));
        let down = Duration::from_millis(self.below(LONGEST_DOWN_MS));
        if round.is_multiple_of(2) {
            // Killed while it reorganises, or short before or behind.
            self.publish(branch).await;
            sleep(moment).await;
            self.nodes.kill(victim);
        } else {
            // Reorganises when it is back: it learns of the branch and what came on top of it at once.
            self.nodes.kill(victim);
            sleep(moment).await;
            self.publish(branch).await;
        }
        self.figures.kills += 1;
        let more = self.below(10);
        self.extend(more).await;
        sleep(down).await;
        self.nodes.start(victim).await;
        if self.below(2) == 0 {
            self.nodes.has(victim, self.author.tip().tip.id()).await;
        }
        let (depth, blocks) = told;
        let height = self.author.height();
        tell(
            self.settings,
            format_args!("round {round}: node {victim} killed, {depth} blocks left for {blocks}, height {height}"),
        );
    }
}

/// Runs it.
///
/// # Panics
/// When a node does not come back, or does not follow.
pub(crate) async fn run(settings: &Settings) -> Figures {
    let params = networks::moving();
    let model = Arc::new(Model::new(&params));
    let places = [0, 1].map(|at| Place::new(&format!("node {at} (seed {})", settings.seed), &params));
    let author = Author::start(&params, &model).await;
    let options = Options { connect: vec![author.node().p2p_address()], ..Options::default() };
    let doors = Arc::new(Doors::default());
    let nodes = Nodes { options, doors, places: &places, running: [None, None] };
    let random = ChaCha8Rng::seed_from_u64(settings.seed);
    let mut trouble = Trouble { settings, author, nodes, random, figures: Figures::default() };
    tell(settings, format_args!("seed {}: makes {} blocks", settings.seed, settings.blocks));
    trouble.extend(settings.blocks).await;
    for at in 0..NODES {
        trouble.nodes.start(at).await;
        trouble.nodes.has(at, trouble.author.tip().tip.id()).await;
    }

    tell(settings, format_args!("starts {} readers", settings.subscribers));
    let (end, ending) = watch::channel(None);
    let common = Arc::new(Common {
        params,
        model,
        counts: Counts::default(),
        end: ending,
        long_pauses: settings.long_pauses,
        cursors: Mutex::default(),
    });
    let begin = Instant::now();
    let mut readers = start_readers(settings, &common, &trouble.nodes.doors);
    for round in 0..settings.kills {
        trouble.round(round).await;
    }
    let goal = trouble.author.tip().tip.id();
    for at in 0..NODES {
        trouble.nodes.has(at, goal).await;
    }
    let happened = begin.elapsed();
    end.send_replace(Some(goal));
    let begin = Instant::now();
    let ended = timeout(settings.patience, gather(&mut readers)).await;
    let Trouble { author, mut nodes, mut figures, .. } = trouble;
    figures.took = [happened, begin.elapsed()];
    let mut ended = ended.unwrap_or_default();
    if ended.len() as u64 != settings.subscribers {
        figures.wrong.push(format!("only {} readers came to the end within {:?}", ended.len(), settings.patience));
        readers.shutdown().await;
    }
    (figures.blocks, figures.height) = (common.model.blocks(), author.height());
    figures.counts = common.counts.list();
    compare(&common.model, goal, &nodes, &mut ended, &mut figures).await;
    for node in &mut nodes.running {
        assert!(node.take().expect("it runs").stop().await.success(), "a node ends well");
    }
    author.stop().await;
    figures
}

type Readers = JoinSet<(u64, Result<Ended, String>)>;

fn start_readers(settings: &Settings, common: &Arc<Common>, doors: &Arc<Doors>) -> Readers {
    let mut readers = JoinSet::new();
    let mut line = Arc::new(Line::new(doors));
    for number in 0..settings.subscribers {
        if number > 0 && number.is_multiple_of(READERS_PER_LINE as u64) {
            line = Arc::new(Line::new(doors));
        }
        let reader = Reader::new(common, &line, settings.seed, number);
        readers.spawn(async move { (number, reader.live().await) });
    }
    readers
}

async fn gather(readers: &mut Readers) -> BTreeMap<u64, Result<Ended, String>> {
    let mut ended = BTreeMap::new();
    while let Some(reader) = readers.join_next().await {
        let (number, how) = reader.expect("readers do not panic");
        ended.insert(number, how);
    }
    ended
}

/// Holds the readers' hashes against what both nodes answer.
async fn compare(
    model: &Model,
    goal: BlockId,
    nodes: &Nodes<'_>,
    ended: &mut BTreeMap<u64, Result<Ended, String>>,
    figures: &mut Figures,
) {
    let known: Vec<Address> = model.get(goal).expect("the tip was made").balances.keys().copied().collect();
    let mut digests = Vec::new();
    for at in 0..NODES {
        digests.push(nodes.digest(at, known.iter().copied()).await);
    }
    assert_eq!(digests[0], digests[1], "the nodes hold the same");
    figures.digest = farthing::Hash::from_bytes(digests[0]).to_string();
    for (number, how) in std::mem::take(ended) {
        match how {
            Ok(ended) if ended.digest == digests[0] => figures.equal += 1,
            Ok(_) => figures.wrong.push(format!("reader {number}: another hash than the nodes'")),
            Err(why) => figures.wrong.push(format!("reader {number}: {why}")),
        }
    }
}
