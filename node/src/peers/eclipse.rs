//! What it takes to surround a node: a Monte Carlo simulation of an attacker with many addresses of few networks, on the
//! address book, the choice of whom to dial, the feelers and the anchors that the node runs with.
//!
//! `cargo run --release -p farthing-node --example eclipse` prints what comes of it, and so does a test.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use farthing::TimeMs;

use super::{
    anchors::Anchors,
    book::{Book, NetGroup, Salt, SeenAddress, Source, is_public},
    config::OUTBOUND_TARGET,
    limits::MAX_ADDRESSES,
};
use crate::{
    chain::SessionId,
    env::{Random, SeededRandom},
};

/// Feelers between two restarts: an hour of them.
const FEELERS: usize = 30;
/// Time between two restarts, in ms.
const BETWEEN_MS: u64 = 6 * 60 * 60 * 1_000;
/// A node that restarts gives up looking for more peers after so long.
const PATIENCE: Duration = Duration::from_secs(120);
const START: TimeMs = TimeMs::new(1_800_000_000_000);

/// What is simulated.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The same seed gives the same outcome.
    pub seed: u64,
    /// Nodes that are attacked, each with a salt and a life of its own.
    pub victims: u64,
    /// Restarts of each.
    pub restarts: u64,
    /// Addresses of honest nodes, each in a random network group.
    pub honest: usize,
    /// Share of the honest nodes that can be reached at a time, 0 to 1. The attacker's always can.
    pub reachable: f64,
    /// Addresses of the attacker.
    pub attackers: usize,
    /// Network groups that these are in.
    pub attacker_groups: usize,
    /// Whether a victim returns to the peers that it was with longest.
    pub anchors: bool,
}

impl Default for Setting {
    /// The attack that Farthing promises to withstand.
    fn default() -> Self {
        Self {
            seed: 1,
            victims: 1,
            restarts: 100,
            honest: 200,
            reachable: 0.7,
            attackers: 10_000,
            attacker_groups: 8,
            anchors: true,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Restarts in all.
    pub restarts: u64,
    /// After so many of them every peer that the victim had chosen was the attacker's.
    pub surrounded: u64,
    /// After how many of them so many peers were the attacker's; from 0 on.
    pub hostile_peers: BTreeMap<usize, u64>,
    /// Peers that were chosen in all.
    pub peers: u64,
    /// The attacker's addresses among those that the last victim's book holds at the end, and how many it holds.
    pub hostile_in_book: (usize, usize),
}

impl Outcome {
    /// Share of the restarts after which the victim was surrounded, 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of restarts are small")]
    pub fn chance(&self) -> f64 {
        self.surrounded as f64 / self.restarts.max(1) as f64
    }

    /// Mean number of the attacker's among the chosen peers.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of peers are small")]
    pub fn mean_hostile(&self) -> f64 {
        let hostile: u64 = self.hostile_peers.iter().map(|(peers, times)| *peers as u64 * times).sum();
        hostile as f64 / self.restarts.max(1) as f64
    }
}

/// Runs the simulation.
#[must_use]
pub fn simulate(setting: &Setting) -> Outcome {
    let random = SeededRandom::new(setting.seed);
    let mut outcome = Outcome::default();
    for _ in 0..setting.victims {
        let world = World::new(setting, &random);
        Victim::new(&world, &random).live(setting, &mut outcome);
    }
    outcome
}

/// All addresses that there are.
struct World {
    honest: Vec<SocketAddr>,
    hostile: Vec<SocketAddr>,
    hostile_set: BTreeSet<SocketAddr>,
}

fn pick<T: Copy>(random: &dyn Random, items: &[T]) -> Option<T> {
    items.get(usize::try_from(random.below(items.len() as u64)).unwrap_or_default()).copied()
}

fn public_address(random: &dyn Random, group: Option<[u8; 2]>) -> SocketAddr {
    loop {
        let [a, b, c, d]: [u8; 4] = random.array();
        let [a, b] = group.unwrap_or([a, b]);
        let address = SocketAddr::from(([a, b, c, d], 50_061));
        if is_public(address.ip()) {
            return address;
        }
    }
}

impl World {
    fn new(setting: &Setting, random: &dyn Random) -> Self {
        let group = |address: SocketAddr| match NetGroup::of(address.ip()) {
            NetGroup::V4(group) => group,
            NetGroup::V6([a, b, ..]) => [a, b],
        };
        let groups: Vec<[u8; 2]> =
            (0..setting.attacker_groups.max(1)).map(|_| group(public_address(random, None))).collect();
        let mut hostile_set = BTreeSet::new();
        while hostile_set.len() < setting.attackers {
            let of = groups.get(hostile_set.len() % groups.len()).copied();
            hostile_set.insert(public_address(random, of));
        }
        let hostile = hostile_set.iter().copied().collect();
        let honest = (0..setting.honest).map(|_| public_address(random, None)).collect();
        Self { honest, hostile, hostile_set }
    }
}

/// A node under attack.
struct Victim<'a> {
    world: &'a World,
    random: &'a dyn Random,
    salt: Salt,
    /// What it keeps on its disk.
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    anchors: Option<Vec<u8>>,
    book: Book,
    now: TimeMs,
    /// Its steady clock since the last start.
    steady: Duration,
    reachable: BTreeSet<SocketAddr>,
    peers: BTreeMap<SessionId, SocketAddr>,
    sessions: u64,
    longest: Anchors,
}

impl<'a> Victim<'a> {
    /// A node that knows ten honest ones by a seed.
    fn new(world: &'a World, random: &'a dyn Random) -> Self {
        let salt = Salt::from_bytes(random.array());
        let mut book = Book::new(false, salt);
        for address in world.honest.iter().take(10) {
            book.learn(SeenAddress { address: *address, last_seen: START }, Source::Seed, START);
        }
        Self {
            world,
            random,
            salt,
            records: BTreeMap::new(),
            anchors: None,
            book,
            now: START,
            steady: Duration::ZERO,
            reachable: BTreeSet::new(),
            peers: BTreeMap::new(),
            sessions: 0,
            longest: Anchors::default(),
        }
    }

    fn live(mut self, setting: &Setting, outcome: &mut Outcome) {
        // One life before the attack, so that there is something to lose; then the attacker comes.
        self.start(setting);
        self.hear(false);
        self.feel();
        for _ in 0..setting.restarts {
            self.hear(true);
            self.feel();
            self.churn();
            self.stop();
            self.start(setting);
            let hostile = self.peers.values().filter(|peer| self.world.hostile_set.contains(peer)).count();
            outcome.restarts += 1;
            outcome.peers += self.peers.len() as u64;
            outcome.surrounded += u64::from(hostile == self.peers.len());
            *outcome.hostile_peers.entry(hostile).or_default() += 1;
        }
        let known = self.book.sample(self.random, usize::MAX, self.now);
        let hostile = known.iter().filter(|seen| self.world.hostile_set.contains(&seen.address)).count();
        outcome.hostile_in_book = (hostile, known.len());
    }

    fn answers(&self, address: SocketAddr) -> bool {
        self.world.hostile_set.contains(&address) || self.reachable.contains(&address)
    }

    /// Starts with what is on the disk and looks for peers.
    fn start(&mut self, setting: &Setting) {
        let up = self.world.honest.iter().filter(|_| self.random.fraction() < setting.reachable);
        self.reachable = up.copied().collect();
        self.steady = Duration::ZERO;
        if !self.records.is_empty() {
            self.book = Book::new(false, self.salt);
            self.book.restore(self.records.clone());
            self.book.expire(self.now);
        }
        self.longest = Anchors::default();
        if let Some(record) = self.anchors.as_ref().filter(|_| setting.anchors)
            && self.longest.restore(record).is_ok()
        {
            for anchor in self.longest.list() {
                self.dial(anchor);
            }
        }
        self.fill();
    }

    /// Dials until there are as many peers as wanted.
    fn fill(&mut self) {
        let until = self.steady.saturating_add(PATIENCE);
        while self.peers.len() < OUTBOUND_TARGET && self.steady < until {
            let in_use: BTreeSet<NetGroup> = self.peers.values().map(|peer| NetGroup::of(peer.ip())).collect();
            let taken: BTreeSet<SocketAddr> = self.peers.values().copied().collect();
            match self.book.pick(self.random, self.steady, &in_use, |address| !taken.contains(address)) {
                Some(address) => self.dial(address),
                None => self.steady += Duration::from_secs(2),
            }
        }
    }

    fn dial(&mut self, address: SocketAddr) {
        self.steady += Duration::from_millis(100);
        if !self.answers(address) {
            self.book.failed(address, self.steady, self.random.fraction());
            return;
        }
        self.book.connected(address, self.now);
        self.sessions += 1;
        let session = SessionId::new(self.sessions);
        self.peers.insert(session, address);
        self.longest.begin(session, address);
    }

    /// The honest peers tell of what they know, in which the attacker's addresses outnumber the others; the attacker
    /// tells of all its addresses, from all its networks.
    fn hear(&mut self, attack: bool) {
        let peers: Vec<SocketAddr> = self.peers.values().copied().collect();
        for peer in peers.into_iter().filter(|peer| !self.world.hostile_set.contains(peer)) {
            for _ in 0..MAX_ADDRESSES {
                let all = self.world.honest.len() + if attack { self.world.hostile.len() } else { 0 };
                let at = usize::try_from(self.random.below(all as u64)).unwrap_or_default();
                let told = self.world.honest.get(at);
                let told = told.or_else(|| self.world.hostile.get(at - self.world.honest.len()));
                self.learn(told.copied(), peer);
            }
        }
        if attack {
            let mut hostile = self.world.hostile.clone();
            self.random.shuffle(&mut hostile);
            for told in hostile {
                let Some(teller) = pick(self.random, &self.world.hostile) else { return };
                self.learn(Some(told), teller);
            }
        }
    }

    fn learn(&mut self, told: Option<SocketAddr>, teller: SocketAddr) {
        if let Some(address) = told {
            let seen = SeenAddress { address, last_seen: self.now };
            self.book.learn(seen, NetGroup::of(teller.ip()), self.now);
        }
    }

    fn feel(&mut self) {
        for _ in 0..FEELERS {
            self.steady += Duration::from_secs(120);
            let probed = self.book.pick_to_probe(self.random, self.steady, |_| true);
            match probed {
                Some(address) if self.answers(address) => self.book.connected(address, self.now),
                Some(address) => self.book.failed(address, self.steady, self.random.fraction()),
                None => return,
            }
        }
    }

    /// A third of the honest sessions end, and others take their place; the attacker's stay.
    fn churn(&mut self) {
        let ending: Vec<(SessionId, SocketAddr)> = self
            .peers
            .iter()
            .filter(|(_, peer)| !self.world.hostile_set.contains(peer) && self.random.below(3) == 0)
            .map(|(session, peer)| (*session, *peer))
            .collect();
        for (session, peer) in ending {
            self.peers.remove(&session);
            self.longest.end(session);
            self.book.parted(peer, self.now, self.steady, Duration::from_secs(3_600), self.random.fraction());
        }
        self.fill();
    }

    fn stop(&mut self) {
        for (key, record) in self.book.take_changes() {
            match record {
                Some(record) => drop(self.records.insert(key, record)),
                None => drop(self.records.remove(&key)),
            }
        }
        if let Some(record) = self.longest.take_changed() {
            self.anchors = Some(record);
        }
        self.peers.clear();
        self.now = self.now.saturating_add(BETWEEN_MS);
    }
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "the outcome with the seed that repeats it")]
mod tests {
    use super::*;

    fn report(setting: &Setting) -> Outcome {
        let outcome = simulate(setting);
        println!("{setting:?}\n{outcome:?}\nchance to be surrounded {:.4}", outcome.chance());
        outcome
    }

    /// THREATS section 1, "Eclipse/sybil"; section 3, "Eclipse".
    #[test]
    fn an_attacker_with_many_addresses_of_few_networks_does_not_surround_a_node() {
        for anchors in [true, false] {
            let outcome = report(&Setting { anchors, ..Setting::default() });
            assert_eq!(outcome.restarts, 100);
            assert!(outcome.chance() < 0.01, "{outcome:?}");
            assert!(outcome.peers >= 99 * OUTBOUND_TARGET as u64, "the node finds its peers: {outcome:?}");
            let (hostile, all) = outcome.hostile_in_book;
            assert!(hostile > all / 2, "the attack was one: {outcome:?}");
        }
    }

    #[test]
    fn an_attacker_with_as_many_networks_as_addresses_would_be_seen_to_succeed() {
        let setting =
            Setting { attacker_groups: 10_000, anchors: false, reachable: 0.3, restarts: 20, ..Setting::default() };
        let outcome = report(&setting);
        assert!(outcome.surrounded > 0, "the simulation can show a node that is surrounded: {outcome:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_outcome_and_another_seed_another() {
        let setting = Setting { restarts: 5, attackers: 500, ..Setting::default() };
        assert_eq!(simulate(&setting), simulate(&setting));
        assert_ne!(simulate(&setting), simulate(&Setting { seed: 2, ..setting.clone() }));
    }
}
