//! One hostile node that does one thing, against a node with one honest peer.

use tokio::time::timeout;

use super::{ALL, Behaviour, Outcome, host::Host, hostile::Hostile};
use crate::harness::{
    PATIENCE,
    cluster::Cluster,
    fabric::everybody,
    keys::{ALICE, BOB, CAROL},
    ledger::try_mine,
    networks, until,
};

const VICTIM: usize = 0;
const HONEST: usize = 1;
const HOSTILE: usize = 2;

/// Tries the behaviour of this name.
pub(super) async fn try_one(name: &str) {
    let behaviour = ALL.iter().find(|behaviour| behaviour.name == name).expect("the table has it");
    let cluster = Cluster::start(networks::quick(), 2, everybody).await;
    follows(&cluster).await;

    let host = Host::start(&cluster, HOSTILE).await;
    let hostile = Hostile::against(&cluster, VICTIM, HONEST, &host).undisturbed();
    let acted = timeout(PATIENCE, (behaviour.act)(&hostile)).await;
    acted.unwrap_or_else(|_| panic!("{name}: it comes to no end"));
    // While whatever it opened is still open.
    for _ in 0..3 {
        follows(&cluster).await;
    }
    judged(&cluster, behaviour, &hostile).await;
    drop((hostile, host));
    cluster.stop().await;
}

/// The honest node mines a transfer, and the victim follows.
async fn follows(cluster: &Cluster) {
    loop {
        let alice = cluster.chain(HONEST).view().account(&ALICE.address()).expect("genesis funds alice");
        let transfer = ALICE.pay(&cluster.params, alice.next_nonce, BOB.address(), 1);
        // A good block that the hostile node made may come first, or take the place of one with equal work.
        let Some(mined) = try_mine(cluster.chain(HONEST), vec![transfer.clone()], CAROL.address()).await else {
            continue;
        };
        if cluster.settle(&[VICTIM, HONEST], &mined).await.id() == mined.id() {
            let block = cluster.chain(VICTIM).block(mined.id()).await.expect("the store reads").expect("it is the tip");
            assert_eq!(block.transactions, [transfer], "the block carries its transfer");
            return;
        }
    }
}

/// The offender ends as the table says, and nobody else has so much as one point.
async fn judged(cluster: &Cluster, behaviour: &Behaviour, hostile: &Hostile) {
    let (victim, culprit) = (cluster.node(VICTIM).network(), hostile.culprit());
    until(&format!("{}: what the table says", behaviour.name), || {
        let (bans, scores) = (victim.bans(), victim.scores());
        let is_met = match (behaviour.outcome, &*bans, &*scores) {
            (Outcome::Banned(why), [(whom, _, reason)], []) => *whom == culprit && reason.starts_with(why),
            (Outcome::Scored, [], [(whom, _)]) => *whom == culprit,
            (Outcome::Harmless, [], []) => true,
            _ => false,
        };
        if is_met { Ok(()) } else { Err(format!("bans {bans:?}, scores {scores:?}")) }
    })
    .await;
    let honest = cluster.node(HONEST).network();
    assert!(honest.bans().is_empty(), "{}: {:?}", behaviour.name, honest.bans());
    assert!(honest.scores().is_empty(), "{}: {:?}", behaviour.name, honest.scores());
    // Still together, or together again.
    until("the honest peer has its session", || {
        let met = victim.peers().iter().any(|peer| peer.node_id == honest.node_id());
        if met { Ok(()) } else { Err(format!("{:?}", victim.peers())) }
    })
    .await;
}
