//! Nodes over links as they are between hosts: late, lossy, narrow, silent, open in one direction only; and nodes whose
//! clocks are wrong.

use std::{
    num::NonZeroU64,
    time::{Duration, Instant},
};

use farthing_consensus::HeaderContext;

use crate::harness::{
    cluster::Cluster,
    fabric::{everybody, ring},
    keys::{ALICE, BOB, CAROL, DAVE},
    ledger::{assert_rebuilds, mine},
    link::Quality,
    networks, until,
};

const TWO_HOURS_MS: i64 = 2 * 60 * 60 * 1_000;
/// A silent connection is asked for a sign of life after 20 s and has 10 s to give one.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How much later a loaded machine may be.
const SLACK: Duration = Duration::from_secs(25);

/// No node may be blamed for what its links or its clock did.
fn nobody_is_blamed(cluster: &Cluster) {
    for at in 0..cluster.len() {
        let network = cluster.node(at).network();
        assert_eq!((network.bans(), network.scores()), (Vec::new(), Vec::new()), "node {at}");
    }
}

/// Waits until a node has heard of this height from some peer, which does not say that it has the block.
async fn hears_of(cluster: &Cluster, at: usize, tip: &HeaderContext) {
    let network = cluster.node(at).network();
    until(&format!("node {at} hears of height {}", tip.height()), || {
        let heights: Vec<_> = network.peers().iter().map(|peer| peer.height).collect();
        if heights.contains(&tip.height()) { Ok(()) } else { Err(format!("{heights:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ring_of_eight_over_late_and_lossy_links_that_break_converges_after_a_burst_of_twenty_blocks() {
    let quality = Quality {
        delay: Duration::from_millis(15),
        jitter: Duration::from_millis(10),
        bytes_per_second: NonZeroU64::new(1_000_000),
        loss: 0.02,
        breaks: 0.002,
        ..Quality::default()
    };
    let cluster = Cluster::over(networks::quick(), 8, quality, ring(8)).await;
    let mut tip = cluster.tip(0);
    for nonce in 0..20 {
        let transfer = ALICE.pay(&cluster.params, nonce, BOB.address(), 1);
        tip = mine(cluster.chain(0), vec![transfer], CAROL.address()).await;
    }
    let all: Vec<usize> = (0..8).collect();
    cluster.agree_on(&all, tip.id()).await;
    // And once they have met, block by block.
    for round in 0..5 {
        let from = round * 3 % 8;
        tip = cluster.mine(from, DAVE.address()).await;
        cluster.agree_on(&all, tip.id()).await;
    }
    assert_eq!(tip.height().get(), 25);
    nobody_is_blamed(&cluster);
    for at in all {
        assert_rebuilds(cluster.chain(at)).await;
    }
    let tally = cluster.fabric.tally();
    assert!(tally.lost > 0 && tally.broke > 0, "the links were no trial: {tally:?}");
    cluster.stop().await;
}

/// What a vanished host, and a firewall in either direction, looks like: nothing comes, and nobody closes anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_fall_silent_delay_no_block_and_are_let_go_within_thirty_seconds() {
    let cluster = Cluster::start(networks::quick(), 5, everybody).await;
    let all: Vec<usize> = (0..5).collect();
    let common = cluster.mine(0, DAVE.address()).await;
    cluster.agree_on(&all, common.id()).await;
    // Only node 4 is left to node 0.
    let (both, deaf, dumb) = (cluster.fabric.between(0, 1), cluster.fabric.between(0, 2), cluster.fabric.between(0, 3));
    let held = [&both.there, &both.back, &deaf.there, &dumb.back];
    held.iter().for_each(|way| way.hold(true));
    let since = Instant::now();
    for from in [0, 1, 2, 3, 4] {
        let tip = cluster.mine(from, CAROL.address()).await;
        cluster.agree_on(&all, tip.id()).await;
    }
    // A block that waited for one of them would have waited until it is let go.
    assert!(since.elapsed() < KEEPALIVE, "blocks waited for peers that are silent: {:?}", since.elapsed());
    for (at, left) in [(0, 1), (1, 3), (2, 3), (3, 3), (4, 4)] {
        cluster.connected(at, left).await;
    }
    assert!(since.elapsed() < KEEPALIVE + SLACK, "noticed after {:?}", since.elapsed());
    held.iter().for_each(|way| way.hold(false));
    for at in all {
        cluster.connected(at, 4).await;
    }
    nobody_is_blamed(&cluster);
    cluster.stop().await;
}

/// A link that is open in one direction only for a while: whatever was said comes late, and the halves agree again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halves_of_which_one_hears_the_other_and_is_not_heard_agree_once_it_is() {
    let cluster = Cluster::start(networks::quick(), 4, everybody).await;
    let unheard = [(0, 2), (0, 3), (1, 2), (1, 3)].map(|(from, to)| cluster.fabric.between(from, to).there);
    unheard.iter().for_each(|way| way.hold(true));
    // Those that are heard mine less, so that in the end all must go over to what could not be heard.
    let mut heard = cluster.tip(2);
    for _ in 0..2 {
        heard = cluster.mine(2, CAROL.address()).await;
    }
    cluster.agree_on(&[2, 3], heard.id()).await;
    let mut unheard_tip = cluster.tip(0);
    while unheard_tip.height().get() < 5 {
        unheard_tip = cluster.mine(0, DAVE.address()).await;
    }
    cluster.agree_on(&[0, 1], unheard_tip.id()).await;
    assert_eq!([2, 3].map(|at| cluster.tip(at).id()), [heard.id(); 2]);
    unheard.iter().for_each(|way| way.hold(false));
    cluster.agree_on(&[0, 1, 2, 3], unheard_tip.id()).await;
    nobody_is_blamed(&cluster);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_in_which_each_node_can_be_dialled_only_by_younger_ones_carries_blocks_both_ways() {
    // Nobody is reached by more than its two neighbours in age, so blocks travel over nodes that cannot be dialled.
    let cluster = Cluster::over(networks::quick(), 5, Quality::default(), |from, to| from == to + 1).await;
    let all: Vec<usize> = (0..5).collect();
    for from in [0, 4, 2] {
        let tip = cluster.mine(from, DAVE.address()).await;
        cluster.agree_on(&all, tip.id()).await;
    }
    for at in all {
        cluster.connected(at, if at % 4 == 0 { 1 } else { 2 }).await;
    }
    nobody_is_blamed(&cluster);
    cluster.stop().await;
}

/// Blocks of 60 KiB, each with its transfers of one account.
async fn heavy_chain(cluster: &Cluster, at: usize, blocks: u64) -> HeaderContext {
    const TRANSFERS: u64 = 20;
    let mut tip = cluster.tip(at);
    for height in 0..blocks {
        let nonces = height * TRANSFERS..(height + 1) * TRANSFERS;
        let transfers = nonces.map(|nonce| ALICE.pay_in_pieces(&cluster.params, nonce, BOB.address()));
        tip = mine(cluster.chain(at), transfers.collect(), CAROL.address()).await;
    }
    tip
}

/// Makes a link narrow, both ways.
fn slow_down(cluster: &Cluster, one: usize, other: usize, bytes_per_second: u64) {
    let link = cluster.fabric.between(one, other);
    for way in [&link.there, &link.back] {
        let bytes_per_second = NonZeroU64::new(bytes_per_second);
        way.set(Quality { bytes_per_second, window: 16 * 1024, ..Quality::default() });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_syncs_leaves_a_slow_peer_for_a_fast_one() {
    let cluster = Cluster::start(networks::quick(), 3, everybody).await;
    cluster.fabric.link(|a, b| a != 2 && b != 2);
    let tip = heavy_chain(&cluster, 0, 40).await;
    cluster.agree_on(&[0, 1], tip.id()).await;
    // By this link alone the 2.4 MiB would take five minutes.
    slow_down(&cluster, 0, 2, 8_000);
    cluster.fabric.link(|a, b| a.abs_diff(b) != 1 || a + b == 1);
    let network = cluster.node(2).network();
    until("node 2 has all headers and begins with the bodies", || match network.best_header_height() {
        height if height == tip.height() => Ok(()),
        height => Err(height.to_string()),
    })
    .await;
    let since = Instant::now();
    cluster.fabric.link(everybody);
    cluster.agree_on(&[2], tip.id()).await;
    // Three times at most it waits 5 s for the slow one, which alone would need minutes.
    assert!(since.elapsed() < Duration::from_secs(15) + SLACK, "synced after {:?}", since.elapsed());
    nobody_is_blamed(&cluster);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_all_of_whose_links_are_slow_syncs_all_the_same() {
    let cluster = Cluster::start(networks::quick(), 3, everybody).await;
    cluster.fabric.link(|a, b| a != 2 && b != 2);
    let tip = heavy_chain(&cluster, 0, 4).await;
    cluster.agree_on(&[0, 1], tip.id()).await;
    // A body takes six seconds, and is waited for five at first.
    for peer in [0, 1] {
        slow_down(&cluster, peer, 2, 10_000);
    }
    cluster.fabric.link(everybody);
    cluster.agree_on(&[2], tip.id()).await;
    nobody_is_blamed(&cluster);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_is_two_hours_behind_blames_nobody_and_follows_once_it_is_set_right() {
    let cluster = Cluster::start(networks::quick(), 3, everybody).await;
    cluster.clock(0).set_ahead_ms(-TWO_HOURS_MS);
    let mut tip = cluster.tip(1);
    for from in [1, 2, 1] {
        tip = cluster.mine(from, CAROL.address()).await;
        cluster.agree_on(&[1, 2], tip.id()).await;
    }
    hears_of(&cluster, 0, &tip).await;
    assert_eq!(cluster.tip(0).height().get(), 0, "these blocks are two hours ahead of its clock");
    nobody_is_blamed(&cluster);
    assert_eq!(cluster.node(0).network().peers().len(), 2, "its peers stay");
    // Nothing more is mined: what it was told of before must do.
    cluster.clock(0).set_ahead_ms(0);
    cluster.agree_on(&[0, 1, 2], tip.id()).await;
    let own = cluster.mine(0, DAVE.address()).await;
    cluster.agree_on(&[0, 1, 2], own.id()).await;
    nobody_is_blamed(&cluster);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_of_a_node_whose_clock_is_two_hours_ahead_wait_and_it_follows_the_others() {
    let cluster = Cluster::start(networks::quick(), 3, everybody).await;
    cluster.clock(0).set_ahead_ms(TWO_HOURS_MS);
    let ahead = cluster.mine(0, DAVE.address()).await;
    for at in [1, 2] {
        hears_of(&cluster, at, &ahead).await;
        assert_eq!(cluster.tip(at).height().get(), 0, "that block is two hours ahead of node {at}'s clock");
    }
    // The others mine on, and the one ahead follows: its own block has less work than theirs.
    let mut tip = ahead;
    for from in [1, 2] {
        tip = cluster.mine(from, CAROL.address()).await;
        cluster.agree_on(&[1, 2], tip.id()).await;
    }
    cluster.agree_on(&[0, 1, 2], tip.id()).await;
    // A block that is ahead becomes good with time, without being told of again.
    let ahead = cluster.mine(0, DAVE.address()).await;
    for at in [1, 2] {
        hears_of(&cluster, at, &ahead).await;
        assert_eq!(cluster.tip(at).id(), tip.id(), "node {at}");
    }
    nobody_is_blamed(&cluster);
    for at in [1, 2] {
        cluster.clock(at).set_ahead_ms(TWO_HOURS_MS);
    }
    cluster.agree_on(&[0, 1, 2], ahead.id()).await;
    nobody_is_blamed(&cluster);
    cluster.stop().await;
}
