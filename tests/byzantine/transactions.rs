//! Lies about transactions: signatures that nobody made, spent twice, long mined, announced and never sent.

use farthing::{Height, Network, SignedTransaction};
use prost::bytes::Bytes;

use super::{
    bodies::with_forged_signature,
    headers::wait_for_the_end,
    hostile::{Hostile, bytes},
};
use crate::harness::keys::{BOB, CAROL, DAVE, Key};

fn next_nonce(me: &Hostile, key: &Key) -> u64 {
    me.chain.view().account(&key.address()).expect("genesis funds all four").next_nonce
}

fn wire_id(signed: &SignedTransaction) -> Bytes {
    bytes(signed.wire_id().as_bytes())
}

/// Announces a transaction and sends it, until the victim has had enough.
async fn send_until_banned(me: &Hostile, forge: impl Fn() -> Vec<SignedTransaction>) {
    me.until_banned(async |session| {
        let transactions = forge();
        let announced = session.announce_transactions(vec![wire_id(&transactions[0])]).await;
        if announced.is_ok() && session.answer_transactions(&transactions).await {
            wait_for_the_end(session).await;
        }
    })
    .await;
}

pub(super) async fn forged_signatures(me: &Hostile) {
    send_until_banned(me, || {
        // Of an account of which nothing waits: what is refused as a poor replacement has its signature not looked at.
        let signed = DAVE.pay(&me.params, next_nonce(me, &DAVE), DAVE.address(), 1);
        vec![with_forged_signature(&signed, me.serial())]
    })
    .await;
}

pub(super) async fn transfers_of_another_network(me: &Hostile) {
    send_until_banned(me, || {
        // Another amount each time: the same bytes are not asked for twice.
        let amount = me.serial() % 10_000 + 1;
        vec![CAROL.pay(Network::Dev.params(), next_nonce(me, &CAROL), CAROL.address(), amount)]
    })
    .await;
}

pub(super) async fn one_transaction_twice_in_an_answer(me: &Hostile) {
    send_until_banned(me, || {
        let amount = me.serial() % 10_000 + 1;
        let signed = BOB.pay(&me.params, next_nonce(me, &BOB) + 5, BOB.address(), amount);
        vec![signed.clone(), signed]
    })
    .await;
}

pub(super) async fn conflicting_transfers(me: &Hostile) {
    let nonce = next_nonce(me, &BOB);
    let both: Vec<_> = (1..=2).map(|amount| BOB.pay(&me.params, nonce, CAROL.address(), amount)).collect();
    // One to each of two nodes, and then both to both.
    for (node, order) in [(me.victim, [0, 1]), (me.honest, [1, 0])] {
        let mut session = me.meet_at(node).await;
        for at in order {
            session.announce_transactions(vec![wire_id(&both[at])]).await.expect("a transfer");
            // One of the two, and which the nodes do not agree on, may be known to them already from one another.
            session.answer_transactions(&both[at..=at]).await;
        }
        me.keep(session);
    }
}

pub(super) async fn transfers_that_were_mined_long_ago(me: &Hostile) {
    let mut mined = Vec::new();
    for height in 1..=me.chain.view().tip.height().get() {
        let id = me.chain.best_at(Height::new(height)).await.expect("the store reads").expect("up to the tip");
        mined.extend(me.chain.block(id).await.expect("the store reads").expect("a body").transactions.iter().cloned());
        if !mined.is_empty() {
            break;
        }
    }
    let mut session = me.meet().await;
    session.announce_transactions(vec![wire_id(&mined[0])]).await.expect("it was good once");
    session.answer_transactions(&mined[..1]).await;
    me.keep(session);
}

pub(super) async fn announced_and_never_sent(me: &Hostile) {
    let mut session = me.meet().await;
    // Twice as many as a node remembers from one peer.
    for _ in 0..100 {
        let ids = (0..1_000).map(|_| bytes(me.nobody().as_bytes())).collect();
        let announced = session.announce_transactions(ids).await;
        me.expects("it takes announcements", announced.is_ok());
        if announced.is_err() {
            break;
        }
    }
    me.expects("it asks for some of them", session.want().await.is_some());
    me.keep(session);
}
