//! One transaction, watched over a real connection.

use futures_util::StreamExt as _;
use tonic::Request;
use v1::{WatchedState, watch_transaction_response::Event};

use super::*;
use crate::{
    rpc::stream::watch_transaction,
    server::{CallMeter, MethodPolicy, Unit, calls},
};

type Frames = tonic::Streaming<v1::WatchTransactionResponse>;

async fn watch(api: &Api, signed: &SignedTransaction, confirmations: u64) -> Frames {
    try_watch(api, Some(id_of(api, signed)), confirmations, Vec::new()).await.unwrap()
}

fn id_of(api: &Api, signed: &SignedTransaction) -> v1::watch_transaction_request::Id {
    v1::watch_transaction_request::Id::TransactionIdHex(api.id_of(signed).to_string())
}

async fn try_watch(
    api: &Api,
    id: Option<v1::watch_transaction_request::Id>,
    confirmations: u64,
    cursor: Vec<u8>,
) -> Result<Frames, Status> {
    let request = v1::WatchTransactionRequest { id, confirmations, cursor: cursor.into() };
    Ok(api.client().await.watch_transaction(request).await?.into_inner())
}

/// The next status, and the cursor behind it.
async fn status(frames: &mut Frames) -> (v1::WatchedTransaction, Vec<u8>) {
    loop {
        let frame = next_frame(frames).await.unwrap().expect("the stream goes on");
        match frame.event.unwrap() {
            Event::Status(status) => return (status, frame.cursor.to_vec()),
            Event::Progress(_) => {}
            other @ Event::Draining(_) => panic!("{other:?}"),
        }
    }
}

async fn state(frames: &mut Frames) -> WatchedState {
    status(frames).await.0.state()
}

/// The next status, which must be mined: its block and confirmations.
async fn mined(frames: &mut Frames) -> (String, u64) {
    let (status, _) = status(frames).await;
    assert_eq!((status.state(), status.block_index), (WatchedState::Mined, 1), "{status:?}");
    (status.block.unwrap().block_id_hex, status.confirmations)
}

#[tokio::test]
async fn a_transfer_that_nobody_knows_is_awaited_and_followed_until_it_is_as_deep_as_asked() {
    let api = Api::start().await;
    let pay = ALICE.pay(0, BOB.address(), 5);
    let mut frames = watch(&api, &pay, 3).await;
    assert_eq!(state(&mut frames).await, WatchedState::Awaited);
    api.pool([pay.clone()]).await;
    assert_eq!(state(&mut frames).await, WatchedState::Pending);
    let block = api.include(vec![pay.clone()], 1).await.to_string();
    assert_eq!(mined(&mut frames).await, (block.clone(), 1));
    api.grow(2, 1).await;
    assert_eq!(mined(&mut frames).await, (block.clone(), 2));
    assert_eq!(mined(&mut frames).await, (block.clone(), 3));
    assert_eq!(next_frame(&mut frames).await.unwrap(), None, "it ends with OK");
    // Asked again, the first frame says it all.
    let mut again = watch(&api, &pay, 0).await;
    assert_eq!(mined(&mut again).await, (block, 3));
    assert_eq!(next_frame(&mut again).await.unwrap(), None);
}

/// Each frame here was waited for, and no block was gone through.
#[tokio::test]
async fn who_waits_for_the_mempool_pays_for_no_block() {
    let api = Api::start().await;
    let policy = MethodPolicy::server_stream(4_096, calls(1, 1, 1)).counting(Unit::Blocks, 1, 100);
    let meter = CallMeter::for_tests(policy);
    let pay = ALICE.pay(0, BOB.address(), 5);
    let id = Some(id_of(&api, &pay));
    let mut request = Request::new(v1::WatchTransactionRequest { id, ..Default::default() });
    request.extensions_mut().insert(meter.clone());
    let mut frames = watch_transaction(&api.deps, request).await.unwrap();
    let mut told = async || {
        let frame = tokio::time::timeout(PATIENCE, frames.next()).await.unwrap().unwrap().unwrap();
        let Some(Event::Status(status)) = frame.event else { panic!("{frame:?}") };
        status.state()
    };
    assert_eq!(told().await, WatchedState::Awaited);
    api.pool([pay]).await;
    assert_eq!(told().await, WatchedState::Pending);
    api.pool([dearer(0)]).await;
    assert_eq!(told().await, WatchedState::Replaced);
    assert_eq!(meter.used_percent(), 0);
}

/// Nothing is indexed on a branch that was left: whoever begins there has its blocks read.
#[tokio::test]
async fn who_begins_on_a_branch_that_was_left_pays_for_its_blocks() {
    let api = Api::start().await;
    let genesis = (*api.test.chain.view()).clone();
    let (left, _) = branch(&genesis, 10, Vec::new(), 1);
    let (height, id) = (left.len() as u64, left.last().unwrap().id());
    api.take(left).await;
    api.take(branch(&genesis, 11, Vec::new(), 2).0).await;
    let policy = MethodPolicy::server_stream(4_096, calls(1, 1, 1)).counting(Unit::Blocks, 1, 100);
    let meter = CallMeter::for_tests(policy);
    let cursor = [&[1][..], &height.to_le_bytes(), id.as_bytes()].concat().into();
    let id = Some(id_of(&api, &ALICE.pay(0, BOB.address(), 5)));
    let mut request = Request::new(v1::WatchTransactionRequest { id, cursor, ..Default::default() });
    request.extensions_mut().insert(meter.clone());
    let _frames = watch_transaction(&api.deps, request).await.unwrap();
    let used = meter.used_percent();
    assert!((5..=10).contains(&used), "{used}");
}

#[tokio::test]
async fn a_transfer_with_a_gap_before_it_is_queued_until_the_gap_closes() {
    let api = Api::start().await;
    api.include(vec![ALICE.pay(0, BOB.address(), 5)], 1).await;
    let (gap, late) = (ALICE.pay(1, BOB.address(), 5), ALICE.pay(2, BOB.address(), 5));
    let mut frames = watch(&api, &late, 1).await;
    assert_eq!(state(&mut frames).await, WatchedState::Awaited);
    api.pool([late]).await;
    assert_eq!(state(&mut frames).await, WatchedState::Queued);
    api.pool([gap]).await;
    assert_eq!(state(&mut frames).await, WatchedState::Pending);
}

#[tokio::test]
async fn a_transfer_that_a_reorganisation_takes_out_and_back_in_is_told_as_such() {
    let api = Api::start().await;
    let genesis = (*api.test.chain.view()).clone();
    let pay = ALICE.pay(0, BOB.address(), 5);
    let mut frames = watch(&api, &pay, 3).await;
    assert_eq!(state(&mut frames).await, WatchedState::Awaited);
    let (old, _) = branch(&genesis, 2, vec![pay.clone()], 1);
    let old_ids: Vec<String> = old.iter().map(|block| block.id().to_string()).collect();
    api.take(old).await;
    assert_eq!(mined(&mut frames).await, (old_ids[0].clone(), 1));
    assert_eq!(mined(&mut frames).await, (old_ids[0].clone(), 2));
    let (mut new, view) = branch(&genesis, 3, Vec::new(), 2);
    let (with, _) = branch(&view, 3, vec![pay], 2);
    let back_in = with[0].id().to_string();
    new.extend(with);
    // The reader sleeps through all of it.
    api.take(new).await;
    // The tip went first, and with it one of the confirmations.
    assert_eq!(mined(&mut frames).await, (old_ids[0].clone(), 1));
    let (out, _) = status(&mut frames).await;
    assert_eq!(out.state(), WatchedState::ReorgedOut);
    assert_eq!(out.block.unwrap().block_id_hex, old_ids[0]);
    loop {
        let (status, _) = status(&mut frames).await;
        // What the mempool says between depends on when it was asked.
        if status.state() != WatchedState::Pending {
            assert_eq!((status.state(), status.confirmations), (WatchedState::Mined, 1), "{status:?}");
            assert_eq!(status.block.unwrap().block_id_hex, back_in);
            break;
        }
    }
    assert_eq!(mined(&mut frames).await, (back_in.clone(), 2));
    assert_eq!(mined(&mut frames).await, (back_in, 3));
    assert_eq!(next_frame(&mut frames).await.unwrap(), None);
}

#[tokio::test]
async fn a_transfer_waits_again_after_its_block_was_undone_and_its_cursor_works_on_another_node() {
    let api = Api::start().await;
    let genesis = (*api.test.chain.view()).clone();
    let pay = ALICE.pay(0, BOB.address(), 5);
    let (old, _) = branch(&genesis, 2, vec![pay.clone()], 1);
    let (new, _) = branch(&genesis, 3, Vec::new(), 2);
    api.take(old.clone()).await;
    let mut frames = watch(&api, &pay, 10).await;
    let (first, cursor) = status(&mut frames).await;
    assert_eq!((first.state(), first.confirmations), (WatchedState::Mined, 2));

    // Another node, on which the old branch was never the best.
    let other = Api::start().await;
    other.take(new.clone()).await;
    other.take(old.clone()).await;
    let mut resumed = try_watch(&other, Some(id_of(&other, &pay)), 10, cursor).await.unwrap();
    assert_eq!(mined(&mut resumed).await, (old[0].id().to_string(), 2), "as of the cursor");
    api.take(new).await;
    for (frames, waits) in [(&mut frames, WatchedState::Pending), (&mut resumed, WatchedState::Awaited)] {
        assert_eq!(mined(frames).await, (old[0].id().to_string(), 1));
        assert_eq!(state(frames).await, WatchedState::ReorgedOut);
        assert_eq!(state(frames).await, waits);
    }
}

#[tokio::test]
async fn the_last_word_on_a_dropped_transfer_says_why_and_ends_the_stream() {
    let api = Api::start().await;
    let (first, dearer) = (ALICE.pay(0, BOB.address(), 5), dearer(0));
    let mut frames = watch(&api, &first, 1).await;
    assert_eq!(state(&mut frames).await, WatchedState::Awaited);
    api.pool([first]).await;
    assert_eq!(state(&mut frames).await, WatchedState::Pending);
    api.pool([dearer.clone()]).await;
    let (last, _) = status(&mut frames).await;
    assert_eq!((last.state(), last.reason.as_str()), (WatchedState::Replaced, "REPLACED"));
    assert_eq!(last.replaced_by_hex, api.id_of(&dearer).to_string());
    assert_eq!(next_frame(&mut frames).await.unwrap(), None);
}

#[tokio::test]
async fn a_transfer_that_expires_is_told_as_expired() {
    let api = Api::start().await;
    let short = valid_until(0, 4);
    let mut frames = watch(&api, &short, 1).await;
    api.pool([short]).await;
    loop {
        match state(&mut frames).await {
            WatchedState::Awaited => {}
            other => break assert_eq!(other, WatchedState::Pending),
        }
    }
    api.grow(4, 1).await;
    assert_eq!(state(&mut frames).await, WatchedState::Expired);
    assert_eq!(next_frame(&mut frames).await.unwrap(), None);
}

#[tokio::test]
async fn a_request_that_cannot_be_is_refused_with_its_reason() {
    use v1::watch_transaction_request::Id;
    let api = Api::start().await;
    let id = || Some(Id::TransactionId(vec![7; 32].into()));
    let table = [
        (None, 1, vec![], "MISSING_FIELD", "id: is required"),
        (Some(Id::TransactionId(vec![7; 31].into())), 1, vec![], "INVALID_FIELD", "expected 32 bytes, got 31"),
        (id(), 10_001, vec![], "INVALID_FIELD", "confirmations: expected 0 to 10000, got 10001"),
        (id(), 1, vec![9; 41], "INVALID_CURSOR", "version Some(9) is unknown"),
        (id(), 1, [vec![1], vec![9; 40]].concat(), "CURSOR_UNKNOWN", "is not known to this node"),
    ];
    for (id, depth, cursor, reason, message) in table {
        let error = try_watch(&api, id, depth, cursor).await.unwrap_err();
        assert_eq!(facts(&error).1, reason);
        assert!(error.message().contains(message), "{error}");
    }
    try_watch(&api, id(), 10_000, vec![]).await.unwrap();
}
