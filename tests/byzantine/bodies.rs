//! Lies in bodies: other ones than were announced, ones that break rules, none at all, ones that nobody wanted.

use farthing::{
    Block, Signature, SignedTransaction,
    codec::Canonical as _,
    wire::peer::{self as wire, deliver_request::Item},
};
use prost::bytes::Bytes;

use super::{
    headers::{on_the_tip, wait_for_the_end},
    hostile::{Hostile, body, headers_to_wire},
};
use crate::harness::{
    eventually,
    keys::DAVE,
    ledger::{next_block, solve},
};

/// Announces a block's header and answers with that or another body, until the victim has had enough.
async fn send_until_banned(me: &Hostile, forge: impl Fn() -> (Block, Bytes)) {
    me.until_banned(async |session| {
        let (block, body) = forge();
        if session.announce(&[block.header]).await.is_ok() && session.answer_blocks(body).await {
            wait_for_the_end(session).await;
        }
    })
    .await;
}

/// A block that is good but for one change, after which its work is done again.
fn forged(me: &Hostile, transactions: Vec<SignedTransaction>, change: impl Fn(&mut Block)) -> (Block, Bytes) {
    let mut block = next_block(&me.chain, transactions, me.nobody());
    change(&mut block);
    solve(&mut block.header);
    let bytes = body(&block);
    (block, bytes)
}

/// A transfer that the next block may carry.
fn transfer(me: &Hostile) -> SignedTransaction {
    let dave = me.chain.view().account(&DAVE.address()).expect("genesis funds dave");
    DAVE.pay(&me.params, dave.next_nonce, DAVE.address(), 1)
}

/// The same transfer with a signature that nobody made.
pub(super) fn with_forged_signature(signed: &SignedTransaction, serial: u64) -> SignedTransaction {
    let mut signature = signed.signature().as_bytes().to_vec();
    let end = signature.len() - 8;
    signature[end..].copy_from_slice(&serial.to_be_bytes());
    let signature = Signature::from_bytes(&signature).expect("as long as before");
    SignedTransaction::new(signed.transaction().clone(), signature).expect("as large as before")
}

pub(super) async fn a_mutated_body(me: &Hostile) {
    send_until_banned(me, || {
        let (block, _) = forged(me, Vec::new(), |_| ());
        let mut mutated = block.clone();
        mutated.coinbase.tag = b"mutated".to_vec();
        let bytes = body(&mutated);
        (block, bytes)
    })
    .await;
}

/// The victim takes the real body of a block from an honest peer after it has seen a wrong one.
pub(super) async fn a_mutated_body_before_the_real_one(me: &Hostile) {
    let mut real = None;
    me.until_banned(async |session| {
        let block = next_block(&me.chain, Vec::new(), me.nobody());
        let mut mutated = block.clone();
        mutated.coinbase.amount = farthing::Mites::new(1);
        if session.announce(&[block.header]).await.is_ok() && session.answer_blocks(body(&mutated)).await {
            real = Some(block);
            wait_for_the_end(session).await;
        }
    })
    .await;
    let real = real.expect("a ban comes of a body");
    let mut session = me.meet_at(me.honest).await;
    session.announce(&[real.header]).await.expect("a good block");
    if session.answer_blocks(body(&real)).await {
        let (id, height) = (real.id(), real.coinbase.height);
        // Where others mine, a heavier branch may come before the victim hears of it: it then has no reason to take it.
        let what = "the victim has the block whose body was mutated first, or a heavier branch";
        let taken = eventually(what, async || {
            let taken = me.chain.has_body(id).await.expect("the store reads");
            let overtaken = me.chain.view().tip.height() > height;
            if taken || overtaken { Ok(taken) } else { Err(format!("not {id}")) }
        })
        .await;
        me.expects("it takes the real block after the mutated one", taken);
    } else {
        me.expects("the honest node wants the real block", false);
    }
    me.keep(session);
}

pub(super) async fn a_wrong_transaction_root(me: &Hostile) {
    send_until_banned(me, || forged(me, Vec::new(), |block| block.header.tx_root = block.header.commitment)).await;
}

pub(super) async fn a_wrong_commitment(me: &Hostile) {
    send_until_banned(me, || forged(me, Vec::new(), |block| block.header.commitment = block.header.tx_root)).await;
}

pub(super) async fn a_coinbase_of_more_than_its_due(me: &Hostile) {
    let greedy = |block: &mut Block| {
        block.coinbase.amount = farthing::Mites::new(block.coinbase.amount.get() + 1);
        block.header.tx_root = block.tx_root();
    };
    send_until_banned(me, || forged(me, Vec::new(), greedy)).await;
}

pub(super) async fn a_block_with_a_forged_signature(me: &Hostile) {
    send_until_banned(me, || forged(me, vec![with_forged_signature(&transfer(me), me.serial())], |_| ())).await;
}

pub(super) async fn a_block_that_spends_twice(me: &Hostile) {
    let twice = |block: &mut Block| {
        block.transactions.extend(block.transactions.first().cloned());
        block.header.tx_root = block.tx_root();
    };
    send_until_banned(me, || forged(me, vec![transfer(me)], twice)).await;
}

pub(super) async fn another_block_than_the_wanted_one(me: &Hostile) {
    send_until_banned(me, || (forged(me, Vec::new(), |_| ()).0, forged(me, Vec::new(), |_| ()).1)).await;
}

pub(super) async fn bytes_that_are_no_block(me: &Hostile) {
    send_until_banned(me, || (forged(me, Vec::new(), |_| ()).0, Bytes::from_static(&[0xff; 4_096]))).await;
}

/// No sender's salt lets two transactions of a block share their short id.
pub(super) async fn a_compact_block_with_one_short_id_twice(me: &Hostile) {
    me.until_banned_as(wire::Hello { compact_relay: true, ..me.hello() }, async |session| {
        let (block, _) = forged(me, Vec::new(), |_| ());
        let _ = session.announce(&[block.header]).await;
        while let Some((id, item)) = session.want().await {
            let is_it = matches!(item, wire::want::Item::CompactBlock(_));
            let compact = || wire::CompactBlock {
                header: Bytes::copy_from_slice(&block.header.to_bytes()),
                salt: Bytes::from_static(&[1; 8]),
                coinbase: block.coinbase.to_canonical().into(),
                short_ids: Bytes::from_static(&[2; 12]),
            };
            let _ = session.deliver(id, is_it.then(|| Item::CompactBlock(compact())), true).await;
        }
    })
    .await;
}

pub(super) async fn withheld_bodies(me: &Hostile) {
    let mut session = me.meet().await;
    session.announce(&[on_the_tip(me)]).await.expect("a tip");
    // Asked for it, it says nothing.
    me.expects("it asks for what was announced", session.want().await.is_some());
    me.keep(session);
}

pub(super) async fn bodies_that_nobody_wanted(me: &Hostile) {
    me.until_banned(async |session| {
        let (_, bytes) = forged(me, Vec::new(), |_| ());
        let refused = session.deliver(1_000_000, Some(Item::Block(bytes)), true).await;
        assert!(refused.is_err(), "nobody asked for it");
    })
    .await;
}

pub(super) async fn headers_in_place_of_a_body(me: &Hostile) {
    me.until_banned(async |session| {
        let header = on_the_tip(me);
        let _ = session.announce(&[header]).await;
        if let Some((id, _)) = session.want().await {
            let _ = session.deliver(id, Some(Item::Headers(headers_to_wire(&[header]))), true).await;
        }
    })
    .await;
}
