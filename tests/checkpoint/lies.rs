//! Peers that lie about a checkpoint: each is refused and pays for it, and an honest one is asked in its place.

use farthing::{
    Mites, PublicKey,
    checkpoint::{CheckpointAccount, Layout, PieceRange, decode_accounts, encode_accounts},
};

use super::{
    folder, full, grow,
    liar::{Liar, Lie},
    light, params, standing, stop,
};
use crate::harness::until;

/// Changes the accounts of the last piece.
fn with_accounts(pieces: &mut [Vec<u8>], layout: &Layout, change: impl FnOnce(&mut Vec<CheckpointAccount>)) {
    let last = pieces.len() - 1;
    let Some(PieceRange::Accounts { count, .. }) = layout.piece(last as u64) else { panic!("accounts come last") };
    let mut accounts = decode_accounts(&pieces[last], count, None).expect("honest so far");
    change(&mut accounts);
    pieces[last] = encode_accounts(&accounts);
}

fn sender(accounts: &mut [CheckpointAccount]) -> &mut CheckpointAccount {
    accounts.iter_mut().find(|account| account.account.next_nonce > 0).expect("somebody has sent")
}

/// A node that asks a liar, and is told of an honest one only once it has seen through it. The liar is banned, with this
/// in the reason, and nobody else.
async fn is_seen_through(lie: Lie, why: &str) {
    let (params, folders) = (params(), tempfile::tempdir().expect("a folder"));
    let honest = full(&params, &folder(&folders, "full"), &[]).await;
    grow(&honest, &params, 40).await;
    let liar = Liar::start(&params, honest.p2p_address(), lie).await;
    let node = light(&params, &folder(&folders, "light"), 15, &[liar.address]).await;
    until("the liar is banned", || match node.network().bans().as_slice() {
        [(who, _, reason)] if who.contains(&liar.address.port().to_string()) && reason.contains(why) => Ok(()),
        bans => Err(format!("{bans:?} {:?}", node.network().scores())),
    })
    .await;
    assert_eq!((node.chain().view().tip.height().get(), node.chain().base()), (0, None), "nothing of it is in force");
    node.network().connect(honest.p2p_address().to_string().parse().expect("an address"));
    let tip = honest.chain().view().tip;
    super::agrees(&node, &tip).await;
    assert!(node.chain().base().is_some(), "it began with the honest one's");
    assert_eq!(standing(&params, &node).await, standing(&params, &honest).await);
    assert_eq!(node.network().bans().len(), 1);
    assert_eq!((honest.network().bans(), node.network().scores()), (Vec::new(), Vec::new()));
    stop(node).await;
    stop(honest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_that_was_changed_on_the_way_is_seen_at_once() {
    is_seen_through(Lie::Flipped, "has the hash").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_that_the_digest_does_not_cover_are_seen_at_once() {
    is_seen_through(Lie::OtherHashes, "give the digest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_made_of_nothing_is_not_what_the_header_commits_to() {
    let more = |pieces: &mut Vec<Vec<u8>>, layout: &Layout| {
        with_accounts(pieces, layout, |accounts| {
            let balance = &mut sender(accounts).account.balance;
            *balance = balance.checked_add(Mites::new(1)).expect("a mite more");
        });
    };
    is_seen_through(Lie::Forged(more), "not what the header").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_account_is_seen() {
    let fewer = |pieces: &mut Vec<Vec<u8>>, layout: &Layout| {
        with_accounts(pieces, layout, |accounts| drop(accounts.remove(1)));
    };
    is_seen_through(Lie::Forged(fewer), "not what the header").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_key_is_seen() {
    let foreign = |pieces: &mut Vec<Vec<u8>>, layout: &Layout| {
        with_accounts(pieces, layout, |accounts| {
            let keys: Vec<PublicKey> = accounts.iter().filter_map(|account| account.key.clone()).collect();
            let one = sender(accounts);
            one.key = keys.into_iter().find(|key| key.address() != one.address);
            assert!(one.key.is_some(), "two have sent");
        });
    };
    is_seen_through(Lie::Forged(foreign), "hashes to").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_is_seen() {
    let keyless = |pieces: &mut Vec<Vec<u8>>, layout: &Layout| {
        with_accounts(pieces, layout, |accounts| sender(accounts).key = None);
    };
    is_seen_through(Lie::Forged(keyless), "key missing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_coinbase_that_is_not_yet_credited_is_seen() {
    let forged = |pieces: &mut Vec<Vec<u8>>, _: &Layout| {
        // Count, height, and the first byte of whom the first one pays.
        pieces[0][4 + 8] ^= 1;
    };
    is_seen_through(Lie::Forged(forged), "is not proven").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_accounts_of_another_block_are_seen() {
    is_seen_through(Lie::OtherBlock, "sent a false checkpoint").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_accounts_than_there_can_be_are_not_waited_for() {
    is_seen_through(Lie::TooMany, "at most").await;
}

/// Whoever stops sending is not blamed, for honest nodes stop too; another one is asked, and goes on where it stopped.
async fn is_replaced(lie: Lie) {
    let (params, folders) = (params(), tempfile::tempdir().expect("a folder"));
    let honest = full(&params, &folder(&folders, "full"), &[]).await;
    grow(&honest, &params, 40).await;
    let liar = Liar::start(&params, honest.p2p_address(), lie).await;
    let node = light(&params, &folder(&folders, "light"), 15, &[liar.address]).await;
    until("the first one is asked", || if liar.was_asked() { Ok(()) } else { Err("not yet".to_owned()) }).await;
    node.network().connect(honest.p2p_address().to_string().parse().expect("an address"));
    super::agrees(&node, &honest.chain().view().tip).await;
    assert!(node.chain().base().is_some());
    assert_eq!(standing(&params, &node).await, standing(&params, &honest).await);
    assert_eq!(honest.network().bans(), Vec::new());
    stop(node).await;
    stop(honest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_peer_is_replaced_within_seconds() {
    is_replaced(Lie::Silent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_ends_too_early_is_replaced() {
    is_replaced(Lie::Truncated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_sends_without_end_is_read_no_further_than_a_piece_may_be_and_replaced() {
    is_replaced(Lie::Endless).await;
}
