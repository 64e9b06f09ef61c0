//! Watches one account: tells what arrives in the node's mempool, and what is mined once the account's history proves it.
//!
//! The node's streams say when there is something to look at; a node without them is asked for the proven account once a
//! second. The history is asked for only when the account has changed. A lost node is told once and asked again, more and more
//! seldom, until it is back.

mod bell;
mod movement;
mod streams;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use self::{bell::Woken, streams::Streams};
pub use self::{
    bell::{Bell, Rings, Stopper, bell},
    movement::{Kind, Movement},
};
use crate::{
    client::{NodeClient, Remarks},
    config::Settings,
    error::{Report, Result},
    history,
    light::cache::Cache,
};
use farthing::{Account, Address, EntryId, Height, Mites, Params, TxId};
use farthing_client::WaitingTransaction;

/// How often the account is asked for without streams.
pub const PERIOD: Duration = Duration::from_secs(1);
/// How often it is asked for beside them: a node may hide from its streams what it can prove.
const SELDOM: Duration = Duration::from_secs(30);
/// How seldom a lost node is asked at most.
const LONGEST_PERIOD: Duration = Duration::from_secs(10);
/// Entries below the newest one that are remembered, to see what a reorganisation takes back.
const REMEMBERED: u64 = 32;
/// The most entries that are fetched at once.
const MOST_ENTRIES: u64 = 10_000;
/// How much of the mempool is searched for what the node says is there.
const MEMPOOL_PAGES: usize = 4;
const MEMPOOL_PAGE: u32 = 1_000;
/// How many waiting transfers are remembered as told.
const TOLD: usize = 1_000;

/// Something worth a line.
#[derive(Debug)]
pub enum News {
    /// A transfer to the account waits in the node's mempool, on the node's word.
    Waiting(Movement),
    /// It is in the account's proven history.
    Mined {
        /// What moved.
        movement: Movement,
        /// The block that the history names.
        height: Height,
        /// What the account holds now, proven.
        balance: Mites,
    },
    /// It was there and is no longer: its block left the best chain.
    Undone(Movement),
    /// The node cannot be asked, or what it says fails verification.
    Lost(Report),
    /// It answers again.
    Back,
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Yes.
    Go,
    /// No.
    Stop,
}

/// One account under watch.
#[derive(Debug)]
pub struct Watch {
    network: Arc<Params>,
    client: NodeClient,
    address: Address,
    account: Account,
    /// The newest entries, by their numbers.
    known: BTreeMap<u64, (EntryId, Movement)>,
    /// Entries below this number are older than the watch.
    floor: u64,
    /// What the node said last of what waits.
    waiting: (Mites, Mites),
    told: VecDeque<TxId>,
    /// How often in a row the node could not be asked.
    failures: u32,
    streams: Option<Streams>,
}

/// How long to wait before a node that failed so often is asked again.
#[must_use]
pub fn patience(failures: u32) -> Duration {
    PERIOD.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_PERIOD)
}

impl Watch {
    /// Begins with the account as it is. With a quorum so many nodes must agree on it.
    ///
    /// # Errors
    /// Those of connecting, asking and verifying.
    pub fn begin(settings: &Settings, quorum: Option<usize>, address: Address) -> Result<Self> {
        let network = Arc::clone(settings.network());
        // What is to be said of nodes was said when the command connected.
        let cache = Cache::within(&settings.home());
        let client = NodeClient::connect(settings.nodes(), &network, Some(cache), Remarks::default())?
            .with_minimum_work(settings.minimum_work())
            .with_quorum(quorum)?;
        let history = history::fetch(&client, &network, &address, REMEMBERED)?;
        let account = history.account.state();
        let known: BTreeMap<_, _> = history
            .entries
            .iter()
            .map(|entry| (entry.number, (entry.id, Movement::of_entry(entry, &address))))
            .collect();
        let floor = known.keys().next().copied().unwrap_or(account.entries + 1);
        Ok(Self {
            network,
            client,
            address,
            account,
            known,
            floor,
            waiting: (Mites::ZERO, Mites::ZERO),
            told: VecDeque::new(),
            failures: 0,
            streams: None,
        })
    }

    /// What the account holds, proven when it was last asked for.
    #[must_use]
    pub const fn balance(&self) -> Mites {
        self.account.balance
    }

    /// Lets the nodes' streams ring this bell when there is something to look at.
    pub fn follow(&mut self, nodes: &[farthing_client::NodeUrl], bell: &Bell) {
        self.streams = Some(Streams::begin(nodes, &self.network, self.address, bell));
    }

    /// Looks whenever the bell rings, and now and then, and tells the news; until one of the two says stop, or until that moment.
    pub fn run(&mut self, rings: &Rings, until: Option<Instant>, tell: &mut dyn FnMut(News) -> Next) {
        let mut news = self.look();
        loop {
            for one in news {
                if tell(one) == Next::Stop {
                    return;
                }
            }
            news = match rings.wait(self.period(), until) {
                Woken::Look => self.look(),
                Woken::Arrives(waiting) => {
                    let mut news = Vec::new();
                    self.note_waiting(&waiting, &mut news);
                    news
                }
                Woken::Stop => return,
            };
        }
    }

    fn period(&self) -> Duration {
        match self.failures {
            0 if self.streams.as_ref().is_some_and(Streams::are_open) => SELDOM,
            failures => patience(failures),
        }
    }

    /// What happened since the last time.
    pub fn look(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        match self.ask(&mut news) {
            Ok(()) => {
                if std::mem::take(&mut self.failures) > 0 {
                    news.insert(0, News::Back);
                }
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                if self.failures == 1 {
                    news.push(News::Lost(error.report()));
                }
            }
        }
        news
    }

    fn ask(&mut self, news: &mut Vec<News>) -> Result<()> {
        let (proven, answer) = self.client.account(&self.address)?;
        let (account, waiting) = (proven.state(), (answer.pending_in, answer.pending_out));
        if account != self.account {
            self.read_history(account.entries, news)?;
        }
        if waiting != self.waiting {
            if waiting.0 > Mites::ZERO && !self.streams.as_ref().is_some_and(Streams::is_mempool_open) {
                self.read_mempool(news)?;
            }
            self.waiting = waiting;
        }
        Ok(())
    }

    /// Compares the newest part of the history with what was known of it.
    fn read_history(&mut self, entries: u64, news: &mut Vec<News>) -> Result<()> {
        let grown = entries.saturating_sub(self.account.entries);
        let limit = grown.saturating_add(REMEMBERED).min(MOST_ENTRIES);
        let history = history::fetch(&self.client, &self.network, &self.address, limit)?;
        let account = history.account.state();
        let lowest = history.entries.last().map_or(account.entries + 1, |entry| entry.number);
        let is_there = |id: &EntryId| history.entries.iter().any(|entry| entry.id == *id);
        let gone: Vec<Movement> = self
            .known
            .range(lowest..)
            .filter(|(_, (id, _))| !is_there(id))
            .map(|(_, (_, movement))| movement.clone())
            .collect();
        news.extend(gone.into_iter().map(News::Undone));
        let mut known = BTreeMap::new();
        for entry in history.entries.iter().rev() {
            let movement = Movement::of_entry(entry, &self.address);
            let is_new = entry.number >= self.floor && !self.known.values().any(|(id, _)| *id == entry.id);
            if is_new {
                let (movement, height, balance) = (movement.clone(), entry.height, account.balance);
                news.push(News::Mined { movement, height, balance });
            }
            known.insert(entry.number, (entry.id, movement));
        }
        self.known = known;
        // A reorganisation may have gone deeper than what is remembered: what is below stays untold.
        self.floor = self.floor.max(self.known.keys().next().copied().unwrap_or(self.floor));
        self.account = account;
        Ok(())
    }

    /// Looks for the transfers that the node says are on their way to the account.
    fn read_mempool(&mut self, news: &mut Vec<News>) -> Result<()> {
        let mut token = None;
        for _ in 0..MEMPOOL_PAGES {
            let page = self.client.mempool(MEMPOOL_PAGE, token.as_ref())?.page;
            for waiting in &page.entries {
                self.note_waiting(waiting, news);
            }
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Tells of a transfer to the account, once.
    fn note_waiting(&mut self, waiting: &WaitingTransaction, news: &mut Vec<News>) {
        let movement = Movement::of_transfer(&waiting.transaction, waiting.id.into(), &self.address);
        let is_known = self.told.contains(&waiting.id) || self.known.values().any(|(id, _)| *id == movement.id);
        if movement.kind == Kind::Received && !is_known {
            self.told.push_back(waiting.id);
            news.push(News::Waiting(movement));
        }
        while self.told.len() > TOLD {
            self.told.pop_front();
        }
    }
}
