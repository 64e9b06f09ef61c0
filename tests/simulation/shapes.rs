//! Sixteen nodes in several shapes: a burst of blocks mined at one end reaches all, and how long a hop takes.

use std::{collections::VecDeque, fmt, time::Duration};

use crate::{
    many::report,
    plan::{Dice, Event, Latency, Plan},
    run::run,
};

const NODES: usize = 16;
/// Blocks of a burst.
const BURST: usize = 50;
/// Latency of every link, one way.
const LATENCY: Latency = Latency { least: Duration::from_millis(20), most: Duration::from_millis(20) };

/// How the nodes are joined.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// One behind the other.
    Line,
    /// A line whose ends are joined.
    Ring,
    /// All to one, which is not the one that mines.
    Star,
    /// A tree, so that everybody can be reached, with half as many links more.
    Random,
}

impl Shape {
    fn links(self) -> Vec<(usize, usize)> {
        let line = (1..NODES).map(|node| (node - 1, node));
        match self {
            Self::Line => line.collect(),
            Self::Ring => line.chain([(0, NODES - 1)]).collect(),
            Self::Star => (0..NODES).filter(|node| *node != 1).map(|node| (1, node)).collect(),
            Self::Random => {
                let mut dice = Dice::new(16);
                let mut links: Vec<_> = (1..NODES).map(|node| (dice.below(node), node)).collect();
                for _ in 0..NODES / 2 {
                    let dialler = dice.between(1, NODES - 1);
                    let link = (dice.below(dialler), dialler);
                    if !links.contains(&link) {
                        links.push(link);
                    }
                }
                links
            }
        }
    }
}

/// How long blocks took over one hop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hops {
    pub(crate) median: Duration,
    pub(crate) worst: Duration,
    /// From the first node to the last that got it.
    pub(crate) end_to_end: Duration,
}

impl fmt::Display for Hops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, worst, end_to_end } = self;
        write!(f, "a hop takes {median:?} in the median and {worst:?} at worst; all have a block after {end_to_end:?}")
    }
}

/// Mines a burst at the first node, with a pause behind each block, until all have all of it.
///
/// # Errors
/// What did not hold.
pub(crate) fn carry(shape: Shape, pause: Duration, print: bool) -> Result<Hops, String> {
    let links = shape.links();
    let burst = Event::Mine { node: 0, blocks: BURST, pause };
    let (outcome, hosts) = run(&Plan::shaped(16, NODES, &links, burst, LATENCY), print);
    if !outcome.failures.is_empty() {
        return Err(report(&outcome));
    }
    let distance = distances(&links);
    let (mut hops, mut end_to_end) = (Vec::new(), Duration::ZERO);
    for at in hosts.arrivals.borrow().values() {
        for node in 1..NODES {
            let nearer = neighbours(&links, node).filter(|near| distance[*near] < distance[node]);
            let came = nearer.map(|near| at[&near]).min().ok_or("a node has no neighbour nearer to the first")?;
            hops.push(at[&node].saturating_sub(came));
            end_to_end = end_to_end.max(at[&node].saturating_sub(at[&0]));
        }
    }
    if hops.len() != BURST * (NODES - 1) {
        return Err(format!("{} hops of blocks were seen", hops.len()));
    }
    hops.sort_unstable();
    Ok(Hops { median: hops[hops.len() / 2], worst: hops[hops.len() - 1], end_to_end })
}

fn neighbours(links: &[(usize, usize)], node: usize) -> impl Iterator<Item = usize> {
    links.iter().filter_map(move |(a, b)| if *a == node { Some(*b) } else { (*b == node).then_some(*a) })
}

/// Hops from the first node.
fn distances(links: &[(usize, usize)]) -> Vec<usize> {
    let mut distance = vec![usize::MAX; NODES];
    distance[0] = 0;
    let mut next = VecDeque::from([0]);
    while let Some(node) = next.pop_front() {
        for other in neighbours(links, node) {
            if distance[other] == usize::MAX {
                distance[other] = distance[node] + 1;
                next.push_back(other);
            }
        }
    }
    distance
}
