//! What a seed makes of a simulation: who is there, how they are joined, who pays whom, and what goes wrong when.

use std::time::Duration;

use farthing_node::env::disk::Survivors;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};

/// Time before the first fault: the nodes find one another.
const QUIET: Duration = Duration::from_secs(5);
/// A wall clock this far off is beyond what the rules forgive.
const FAR_OFF_MS: i64 = 2 * 60 * 60 * 1000;
/// A wall clock no further off than this is as good as right: two such clocks are within the minute that blocks may be
/// ahead.
const NEARLY_RIGHT_MS: i64 = 20_000;

/// A simulation, all of it fixed beforehand but for what the nodes do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) nodes: Vec<NodePlan>,
    pub(crate) orders: Vec<Order>,
    /// By time.
    pub(crate) events: Vec<(Duration, Event)>,
    /// Nodes beside them that keep to nothing.
    pub(crate) liars: usize,
    /// When everything is put right.
    pub(crate) heals_at: Duration,
    /// Latency of every link at the start, and between what it varies.
    pub(crate) latency: Latency,
    /// Mean time in which one miner finds a block.
    pub(crate) spacing: Duration,
    /// Nobody has settled below this height.
    pub(crate) least_height: u64,
}

/// One node as it is started, each time.
#[derive(Clone, Debug)]
pub(crate) struct NodePlan {
    /// Nodes of `--connect`.
    pub(crate) connect: Vec<usize>,
    /// Whether it finds others by its address book.
    pub(crate) discovers: bool,
    pub(crate) mines: bool,
    /// How far its wall clock is ahead.
    pub(crate) skew_ms: i64,
}

/// A transfer to be submitted.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) at: Duration,
    /// Which of the four keys pays.
    pub(crate) from: usize,
    /// Which is paid; the fifth and later are addresses that nobody holds the key of.
    pub(crate) to: usize,
    /// Which node is asked first.
    pub(crate) node: usize,
    /// The node that is given another transfer of the same nonce at the same time, if the payer cheats.
    pub(crate) rival: Option<usize>,
}

/// Latency of a link, one way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    pub(crate) least: Duration,
    pub(crate) most: Duration,
}

/// Something that goes wrong, or is put right.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The process dies (kill -9); what it has written stays.
    Kill(usize),
    /// The machine loses power; what was not synced may be lost, and nobody is told.
    PowerCut(usize, Survivors),
    /// The drive fails at a change to come, in the middle of whatever the node writes then, and power with it.
    TornWrite { node: usize, nth: u64, survivors: Survivors },
    /// Something else fills the disk but for so many bytes.
    DiskFull { node: usize, spare: u64 },
    /// There is room again.
    DiskFreed(usize),
    /// The operator stops the node.
    Stop(usize),
    /// It is started again.
    Start(usize),
    /// Nothing gets from any of the first to any of the second until the cut is mended.
    Cut { cut: usize, from: Vec<usize>, to: Vec<usize> },
    /// A cut is mended.
    Mend { cut: usize },
    /// A link becomes slower, or quicker.
    Latency { a: usize, b: usize, latency: Latency },
    /// A node is asked for blocks, one after the other with a pause between.
    Mine { node: usize, blocks: usize, pause: Duration },
    /// A wall clock jumps.
    Clock { node: usize, skew_ms: i64 },
}

/// Numbers of one seed.
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.next_u64() % bound.max(1) as u64).expect("below a usize")
    }

    pub(crate) fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn time(&mut self, least: Duration, most: Duration) -> Duration {
        let (least, most) = (least.as_millis(), most.as_millis());
        let span = usize::try_from(most - least).expect("a short time");
        let offset = self.between(0, span) as u64;
        Duration::from_millis(u64::try_from(least).expect("a short time") + offset)
    }

    /// Some of the nodes: at least one, at most half of them.
    fn some(&mut self, nodes: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..nodes).collect();
        let count = self.between(1, nodes / 2);
        for at in 0..count {
            let other = self.between(at, nodes - 1);
            all.swap(at, other);
        }
        all.truncate(count);
        all.sort_unstable();
        all
    }
}

impl Plan {
    /// The plan of a seed, with trouble for so long.
    pub(crate) fn of(seed: u64, chaos: Duration) -> Self {
        let mut dice = Dice::new(seed);
        let count = dice.between(10, 12);
        let latency = {
            let least = Duration::from_millis(dice.between(5, 40) as u64);
            Latency { least, most: least * 3 }
        };
        let heals_at = QUIET + chaos;
        let mut plan = Self {
            seed,
            nodes: nodes(&mut dice, count),
            orders: orders(&mut dice, count, heals_at),
            liars: if dice.one_in(3) { dice.between(1, 3) } else { 0 },
            events: Vec::new(),
            heals_at,
            latency,
            spacing: match dice.below(8) {
                // Long branches: what is undone is then told of by its end only.
                0 => Duration::from_millis(dice.between(300, 600) as u64),
                _ => Duration::from_secs(dice.between(3, 8) as u64),
            },
            least_height: 1,
        };
        plan.add_trouble(&mut dice);
        plan.events.sort_by_key(|(at, _)| *at);
        plan
    }

    /// Nodes joined in a given shape, of which nothing goes wrong: the first of each pair is dialled by the second. The
    /// node at one end mines a burst.
    pub(crate) fn shaped(seed: u64, count: usize, links: &[(usize, usize)], burst: Event, latency: Latency) -> Self {
        let mut nodes = vec![NodePlan { connect: Vec::new(), discovers: false, mines: false, skew_ms: 0 }; count];
        for (dialled, dialler) in links {
            nodes[*dialler].connect.push(*dialled);
        }
        let (starts, spacing) = (2 * QUIET, Duration::from_secs(2));
        let least_height = if let Event::Mine { blocks, .. } = burst { blocks as u64 } else { 0 };
        let (orders, events) = (Vec::new(), vec![(starts, burst)]);
        Self { seed, nodes, orders, liars: 0, events, heals_at: starts, latency, spacing, least_height }
    }

    fn add_trouble(&mut self, dice: &mut Dice) {
        let count = self.nodes.len();
        let number = (self.heals_at - QUIET).as_secs() as usize / 5;
        let mut down_until = vec![Duration::ZERO; count];
        for cut in 0..dice.between(number / 2, number * 3 / 2) {
            let at = dice.time(QUIET, self.heals_at);
            match dice.below(12) {
                0..=4 => self.add_stop(dice, at, &mut down_until),
                5..=7 => self.add_cut(dice, at, cut),
                8 | 9 => self.add_delay(dice, at),
                10 => self.add_full_disk(dice, at),
                _ => {
                    let (node, skew_ms) = (dice.below(count), skew(dice, self.nodes.iter().any(|node| node.discovers)));
                    self.events.push((at, Event::Clock { node, skew_ms }));
                }
            }
        }
    }

    fn add_stop(&mut self, dice: &mut Dice, at: Duration, down_until: &mut [Duration]) {
        let node = dice.below(self.nodes.len());
        let survivors = [Survivors::OnlySynced, Survivors::Prefix, Survivors::AnySectors][dice.below(3)];
        let how = match dice.below(8) {
            0 | 1 => Event::Kill(node),
            2..=4 => Event::PowerCut(node, survivors),
            5 | 6 => Event::TornWrite { node, nth: dice.between(1, 40) as u64, survivors },
            _ => Event::Stop(node),
        };
        let until = at + dice.time(Duration::from_millis(100), Duration::from_secs(15));
        // A node that is down already stays so.
        if at > down_until[node] {
            down_until[node] = until;
            self.events.extend([(at, how), (until.min(self.heals_at), Event::Start(node))]);
        }
    }

    fn add_cut(&mut self, dice: &mut Dice, at: Duration, cut: usize) {
        let inside = dice.some(self.nodes.len());
        let outside: Vec<usize> = (0..self.nodes.len()).filter(|node| !inside.contains(node)).collect();
        let until = (at + dice.time(Duration::from_secs(1), Duration::from_secs(20))).min(self.heals_at);
        let one_way = dice.one_in(3);
        self.events.push((at, Event::Cut { cut: 2 * cut, from: inside.clone(), to: outside.clone() }));
        self.events.push((until, Event::Mend { cut: 2 * cut }));
        if !one_way {
            self.events.push((at, Event::Cut { cut: 2 * cut + 1, from: outside, to: inside }));
            self.events.push((until, Event::Mend { cut: 2 * cut + 1 }));
        }
    }

    fn add_full_disk(&mut self, dice: &mut Dice, at: Duration) {
        let node = dice.below(self.nodes.len());
        let until = (at + dice.time(Duration::from_secs(1), Duration::from_secs(15))).min(self.heals_at);
        // Around what the log, and what the mempool's journal, leave free for others; and none at all.
        let room = [0, 32 << 20, 64 << 20][dice.below(3)];
        let spare = room + dice.between(0, 20_000) as u64;
        self.events.extend([(at, Event::DiskFull { node, spare }), (until, Event::DiskFreed(node))]);
    }

    fn add_delay(&mut self, dice: &mut Dice, at: Duration) {
        let until = (at + dice.time(Duration::from_secs(1), Duration::from_secs(15))).min(self.heals_at);
        let node = dice.below(self.nodes.len());
        let least = dice.time(Duration::from_millis(50), Duration::from_millis(1_500));
        let slow = Latency { least, most: least * 2 };
        let whole = dice.one_in(2);
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            if whole || dice.one_in(4) {
                self.events.push((at, Event::Latency { a: node, b: other, latency: slow }));
                self.events.push((until, Event::Latency { a: node, b: other, latency: self.latency }));
            }
        }
    }
}

fn nodes(dice: &mut Dice, count: usize) -> Vec<NodePlan> {
    let discovery = !dice.one_in(4);
    let miners = dice.between(3, 5);
    let mut nodes: Vec<NodePlan> = (0..count)
        .map(|at| {
            // A tree at least, so that everybody can be reached.
            let mut connect: Vec<usize> = (0..at.min(dice.between(1, 2))).map(|_| dice.below(at)).collect();
            connect.sort_unstable();
            connect.dedup();
            NodePlan { connect, discovers: discovery && !dice.one_in(5), mines: false, skew_ms: skew(dice, discovery) }
        })
        .collect();
    for _ in 0..miners {
        nodes[dice.below(count)].mines = true;
    }
    nodes
}

/// Mostly about right, now and then two hours off: where nodes find others by themselves, for one whose only way to the
/// rest leads over such a node hears of nothing but the future.
fn skew(dice: &mut Dice, may_be_far_off: bool) -> i64 {
    let small = i64::try_from(dice.between(0, 2 * usize::try_from(NEARLY_RIGHT_MS).unwrap_or_default()))
        .unwrap_or_default()
        - NEARLY_RIGHT_MS;
    match dice.below(12) {
        0..=4 => 0,
        5..=9 => small,
        10 if may_be_far_off => FAR_OFF_MS + small,
        11 if may_be_far_off => -FAR_OFF_MS + small,
        _ => small,
    }
}

fn orders(dice: &mut Dice, nodes: usize, until: Duration) -> Vec<Order> {
    let runs = usize::try_from(until.as_secs()).unwrap_or(usize::MAX).div_ceil(60);
    let mut orders: Vec<Order> = (0..runs * dice.between(12, 24))
        .map(|_| {
            let from = dice.below(4);
            let node = if dice.one_in(3) { dice.below(nodes) } else { from % nodes };
            let rival = dice.one_in(6).then(|| dice.below(nodes));
            Order { at: dice.time(Duration::from_secs(2), until), from, to: dice.below(7), node, rival }
        })
        .collect();
    orders.sort_by_key(|order| order.at);
    orders
}
