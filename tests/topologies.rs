//! Bursts of blocks over networks of several shapes, and a large network that falls into halves.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};

use crate::harness::{
    cluster::Cluster,
    eventually,
    fabric::{everybody, line},
    keys::{ALICE, BOB, CAROL, DAVE},
    ledger::{assert_rebuilds, mine},
    networks,
};

const NODES: usize = 8;
const BURST: u64 = 50;

/// Blocks mined at one node reach all, each with its transfer.
async fn carries_a_burst(links: impl Fn(usize, usize) -> bool + Clone + Send + 'static, from: usize) {
    let cluster = Cluster::start(networks::quick(), NODES, links).await;
    let mut tip = cluster.tip(from);
    for nonce in 0..BURST {
        let transfer = ALICE.pay(&cluster.params, nonce, BOB.address(), 1);
        tip = mine(cluster.chain(from), vec![transfer], CAROL.address()).await;
    }
    assert_eq!(tip.height().get(), BURST);
    let all: Vec<usize> = (0..NODES).collect();
    cluster.agree_on(&all, tip.id()).await;
    for at in all {
        let alice = cluster.chain(at).view().account(&ALICE.address()).expect("genesis funds alice");
        assert_eq!(alice.next_nonce, BURST, "every block carried its transfer to node {at}");
        assert_rebuilds(cluster.chain(at)).await;
        let network = cluster.node(at).network();
        assert_eq!((network.bans(), network.scores()), (Vec::new(), Vec::new()), "node {at}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_eight_carries_a_burst_of_fifty_blocks_from_end_to_end() {
    carries_a_burst(line, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ring_of_eight_carries_a_burst_of_fifty_blocks_both_ways_round() {
    carries_a_burst(|a, b| [1, NODES - 1].contains(&a.abs_diff(b)), 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_star_of_eight_carries_a_burst_of_fifty_blocks_from_a_point_to_all() {
    carries_a_burst(|a, b| a != b && (a == 0 || b == 0), 7).await;
}

/// A tree, so that everybody can be reached, with half as many links more. Another network with another
/// `FARTHING_TOPOLOGY_SEED`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_random_network_of_eight_carries_a_burst_of_fifty_blocks() {
    let seed = std::env::var("FARTHING_TOPOLOGY_SEED").map_or(8, |text| text.parse().expect("a seed is a number"));
    eprintln!("FARTHING_TOPOLOGY_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |count: usize| random.next_u32() as usize % count;
    let mut linked = [[false; NODES]; NODES];
    let mut link = |a: usize, b: usize| (linked[a][b], linked[b][a]) = (a != b, a != b);
    for node in 1..NODES {
        link(node, below(node));
    }
    for _ in 0..NODES / 2 {
        link(below(NODES), below(NODES));
    }
    carries_a_burst(move |a, b| linked[a][b], below(NODES)).await;
}

/// Both halves of ten mine fifty blocks: equal work, so that the smaller id decides. What the losing half carried is
/// carried by a later block.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_halves_of_ten_that_mined_fifty_blocks_each_come_to_one_tip() {
    let cluster = Cluster::start(networks::quick(), 10, everybody).await;
    let common = mine(cluster.chain(0), Vec::new(), DAVE.address()).await;
    let all: Vec<usize> = (0..10).collect();
    cluster.agree_on(&all, common.id()).await;

    cluster.fabric.link(|a, b| (a < 5) == (b < 5));
    for at in &all {
        cluster.connected(*at, 4).await;
    }
    let mut tips = [common, common];
    for nonce in 0..BURST {
        let left = ALICE.pay(&cluster.params, nonce, CAROL.address(), 1);
        tips[0] = mine(cluster.chain(0), vec![left], CAROL.address()).await;
        let right = BOB.pay(&cluster.params, nonce, DAVE.address(), 1);
        tips[1] = mine(cluster.chain(9), vec![right], DAVE.address()).await;
    }
    cluster.agree_on(&all[..5], tips[0].id()).await;
    cluster.agree_on(&all[5..], tips[1].id()).await;
    assert_eq!(tips[0].total_work(), tips[1].total_work());

    cluster.fabric.link(everybody);
    let winner = tips[0].id().min(tips[1].id());
    cluster.agree_on(&all, winner).await;
    let nonces = |at: usize| {
        let view = cluster.chain(at).view();
        [&*ALICE, &*BOB].map(|key| view.account(&key.address()).expect("genesis funds all four").next_nonce)
    };
    eventually("what the losing half carried is mined", async || {
        cluster.mine(4, CAROL.address()).await;
        let found = nonces(4);
        if found == [BURST; 2] { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    cluster.agree_on(&all, cluster.tip(4).id()).await;
    for at in all {
        assert_eq!(nonces(at), [BURST; 2], "node {at}");
        assert_rebuilds(cluster.chain(at)).await;
        let network = cluster.node(at).network();
        assert_eq!((network.bans(), network.scores()), (Vec::new(), Vec::new()), "node {at}");
    }
    cluster.stop().await;
}
