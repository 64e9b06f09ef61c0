//! Sixteen nodes in several shapes: a burst of blocks mined at one end reaches all, and how long a hop takes.

use std::{collections::VecDeque, time::Duration};

use crate::{
    plan::{Dice, Event, Latency, Plan},
    run::run,
};

const NODES: usize = 16;
const BURST: usize = 50;
/// Latency of every link, one way.
const LATENCY: Latency = Latency { least: Duration::from_millis(20), most: Duration::from_millis(20) };

/// Mines a burst at node 0 and gives the times that blocks took over a hop, sorted.
fn carry(links: &[(usize, usize)], pause: Duration) -> Vec<Duration> {
    let burst = Event::Mine { node: 0, blocks: BURST, pause };
    let plan = Plan::shaped(16, NODES, links, burst, LATENCY);
    let (outcome, hosts) = run(&plan, false);
    assert!(outcome.failures.is_empty(), "{}\n{}", outcome.failures.join("\n"), outcome.last_lines.join("\n"));
    let distance = distances(links);
    let arrivals = hosts.arrivals.borrow();
    assert_eq!(arrivals.len(), BURST);
    let mut hops = Vec::new();
    for at in arrivals.values() {
        for node in 1..NODES {
            let nearer = neighbours(links, node).filter(|near| distance[*near] < distance[node]);
            let first = nearer.map(|near| at[&near]).min().expect("the burst came from somewhere");
            hops.push(at[&node].saturating_sub(first));
        }
    }
    hops.sort_unstable();
    hops
}

fn neighbours(links: &[(usize, usize)], node: usize) -> impl Iterator<Item = usize> {
    links.iter().filter_map(move |(a, b)| if *a == node { Some(*b) } else { (*b == node).then_some(*a) })
}

/// Hops from node 0.
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

fn shows(shape: &str, links: &[(usize, usize)]) {
    for (how, pause) in [("at once", Duration::ZERO), ("a second apart", Duration::from_secs(1))] {
        let hops = carry(links, pause);
        let (median, worst) = (hops[hops.len() / 2], hops[hops.len() - 1]);
        println!("{shape}, {BURST} blocks {how}: a hop takes {median:?} in the median, {worst:?} at worst");
        // One way of a link is 20 ms; a block that must be asked for takes three of them.
        assert!(worst < Duration::from_secs(5), "a hop took {worst:?}");
    }
}

#[test]
fn a_line_of_sixteen_carries_a_burst_from_end_to_end() {
    let links: Vec<_> = (1..NODES).map(|node| (node - 1, node)).collect();
    shows("line", &links);
}

#[test]
fn a_ring_of_sixteen_carries_a_burst_both_ways_round() {
    let links: Vec<_> = (1..NODES).map(|node| (node - 1, node)).chain([(0, NODES - 1)]).collect();
    shows("ring", &links);
}

#[test]
fn a_star_of_sixteen_carries_a_burst_from_a_point_to_all() {
    let links: Vec<_> = (0..NODES).filter(|node| *node != 1).map(|node| (1, node)).collect();
    shows("star", &links);
}

#[test]
fn a_random_network_of_sixteen_carries_a_burst_to_all() {
    let mut dice = Dice::new(16);
    // A tree, so that everybody can be reached, with half as many links more.
    let mut links: Vec<_> = (1..NODES).map(|node| (dice.below(node), node)).collect();
    for _ in 0..NODES / 2 {
        let b = dice.between(1, NODES - 1);
        let a = dice.below(b);
        if !links.contains(&(a, b)) {
            links.push((a, b));
        }
    }
    shows("random", &links);
}
