//! Streams of blocks over a real connection.

use v1::subscribe_blocks_request::Start;
use v1::subscribe_blocks_response::Event;

use super::*;
use crate::testing::{ALICE, BOB};

type Frames = tonic::Streaming<v1::SubscribeBlocksResponse>;

async fn subscribe(api: &Api, start: Option<Start>, stop_height: Option<u64>) -> Result<Frames, Status> {
    let request = v1::SubscribeBlocksRequest { start, stop_height, ..Default::default() };
    Ok(api.client().await.subscribe_blocks(request).await?.into_inner())
}

/// The next frame; none at an end with OK.
async fn next(frames: &mut Frames) -> Result<Option<v1::SubscribeBlocksResponse>, Status> {
    tokio::time::timeout(PATIENCE, frames.message()).await.expect("a frame in time")
}

async fn applied(frames: &mut Frames) -> v1::BlockView {
    match next(frames).await.unwrap().unwrap().event.unwrap() {
        Event::Apply(block) => block,
        other => panic!("expected apply, got {other:?}"),
    }
}

#[tokio::test]
async fn a_stream_replays_from_a_height_and_ends_with_ok_at_its_stop() {
    let api = Api::start().await;
    let pay = ALICE.pay(0, BOB.address(), 5);
    api.include(vec![pay], 1).await;
    let ids = api.grow(3, 1).await;
    let mut frames = subscribe(&api, Some(Start::FromHeight(1)), Some(4)).await.unwrap();
    let first = applied(&mut frames).await;
    assert_eq!((first.height, first.transactions.len(), first.confirmations), (1, 1, 4));
    for id in ids {
        assert_eq!(applied(&mut frames).await.block_id_hex, id.to_string());
    }
    assert_eq!(next(&mut frames).await.unwrap(), None);
}

#[tokio::test]
async fn a_stream_from_the_tip_carries_each_new_block_with_the_tip() {
    let api = Api::start().await;
    api.grow(2, 1).await;
    let mut frames = subscribe(&api, None, None).await.unwrap();
    for expected in 3..6 {
        let id = api.grow(1, 1).await[0];
        let frame = next(&mut frames).await.unwrap().unwrap();
        assert_eq!(frame.tip.as_ref().unwrap().block_id_hex, id.to_string());
        let Some(Event::Apply(block)) = frame.event else { panic!("expected apply, got {frame:?}") };
        assert_eq!((block.height, block.block_id_hex), (expected, id.to_string()));
    }
}

#[tokio::test]
async fn a_reorganisation_is_undone_and_applied_and_its_cursor_works_on_another_node() {
    let api = Api::start().await;
    let genesis = api.test.chain.view();
    let old = api.grow(1, 1).await[0];
    let mut frames =
        subscribe(&api, Some(Start::AfterBlockId(genesis.tip.id().to_bytes().to_vec().into())), None).await.unwrap();
    let frame = next(&mut frames).await.unwrap().unwrap();
    let cursor_on_old = frame.cursor;

    // Another node, on which a longer branch was mined and the old one arrived late.
    let other = Api::start().await;
    let new = other.grow(2, 2).await;
    for id in &new {
        let block = other.test.chain.block(*id).await.unwrap().unwrap();
        api.test.chain.submit_block((*block).clone(), Origin::Local).await.unwrap();
    }
    let old_block = api.test.chain.block(old).await.unwrap().unwrap();
    other.test.chain.submit_block((*old_block).clone(), Origin::Local).await.unwrap();

    let mut resumed = subscribe(&other, Some(Start::Cursor(cursor_on_old)), None).await.unwrap();
    for frames in [&mut frames, &mut resumed] {
        match next(frames).await.unwrap().unwrap().event.unwrap() {
            Event::Undo(undo) => assert_eq!((undo.block_id_hex, undo.height), (old.to_string(), 1)),
            other => panic!("expected undo, got {other:?}"),
        }
        for id in &new {
            assert_eq!(applied(frames).await.block_id_hex, id.to_string());
        }
    }
}

#[tokio::test]
async fn a_reader_that_sleeps_through_hundreds_of_blocks_gets_every_one() {
    let api = Api::start().await;
    let mut frames = subscribe(&api, None, Some(300)).await.unwrap();
    // Far more than followers of the chain may be behind; nothing reads meanwhile.
    let ids = api.grow(300, 1).await;
    for id in ids {
        assert_eq!(applied(&mut frames).await.block_id_hex, id.to_string());
    }
    assert_eq!(next(&mut frames).await.unwrap(), None);
}

#[tokio::test]
async fn a_filter_leaves_out_the_transfers_of_others_and_nothing_else() {
    let api = Api::start().await;
    let stranger = Address::from_bytes([9; 32]);
    let pays = vec![ALICE.pay(0, BOB.address(), 1), ALICE.pay(1, stranger, 1), BOB.pay(0, ALICE.address(), 1)];
    api.include(pays.clone(), 1).await;
    api.grow(1, 1).await;
    let filter = |addresses: Vec<Vec<u8>>, address_texts| {
        let addresses = addresses.into_iter().map(Into::into).collect();
        Some(v1::AddressFilter { addresses, address_texts })
    };
    let bob = api.test.chain.params().prefix.format(&BOB.address());
    let table = [
        (filter(vec![], vec![bob]), false, vec![0, 2]),
        (filter(vec![stranger.to_bytes().to_vec()], vec![]), false, vec![1]),
        (filter(vec![vec![8; 32]], vec![]), false, vec![]),
        (filter(vec![stranger.to_bytes().to_vec()], vec![]), true, vec![]),
        (None, false, vec![0, 1, 2]),
    ];
    for (filter, headers_only, expected) in table {
        let start = Some(Start::FromHeight(1));
        let request = v1::SubscribeBlocksRequest { start, headers_only, filter, ..Default::default() };
        let mut frames = api.client().await.subscribe_blocks(request).await.unwrap().into_inner();
        let block = applied(&mut frames).await;
        let found: Vec<_> = block.transactions.iter().map(|view| view.transaction_id_hex.clone()).collect();
        assert_eq!(found, expected.iter().map(|at| api.id_of(&pays[*at]).to_string()).collect::<Vec<_>>());
        assert_eq!((block.transaction_count, block.height), (3, 1));
        assert!(block.coinbase.is_some() && block.header_bytes.len() == 118 && block.size_bytes > 1_000);
        assert_eq!(applied(&mut frames).await.height, 2, "every block is sent");
    }
    let request = v1::SubscribeBlocksRequest { filter: filter(vec![vec![1; 32]; 65], vec![]), ..Default::default() };
    let error = api.client().await.subscribe_blocks(request).await.unwrap_err();
    assert_eq!((facts(&error).0, facts(&error).1.as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
}

#[tokio::test]
async fn a_start_that_cannot_be_is_refused_with_its_reason() {
    let api = Api::start().await;
    let table = [
        (Start::Cursor(vec![9; 41].into()), None, Code::InvalidArgument, "INVALID_CURSOR"),
        (Start::Cursor(vec![].into()), None, Code::InvalidArgument, "INVALID_CURSOR"),
        (Start::AfterBlockId(vec![9; 32].into()), None, Code::NotFound, "CURSOR_UNKNOWN"),
        (Start::AfterBlockId(vec![9; 31].into()), None, Code::InvalidArgument, "INVALID_FIELD"),
        (Start::FromHeight(2), None, Code::OutOfRange, "HEIGHT_ABOVE_TIP"),
        (Start::FromHeight(1), Some(0), Code::InvalidArgument, "INVALID_FIELD"),
    ];
    for (start, stop, code, reason) in table {
        let error = subscribe(&api, Some(start), stop).await.unwrap_err();
        let found = facts(&error);
        assert_eq!((found.0, found.1.as_str()), (code, reason));
        let details = error.get_error_details();
        let violations = details.bad_request().map(|bad| bad.field_violations.len());
        assert_eq!(violations, (code == Code::InvalidArgument).then_some(1), "{reason}");
    }
}

#[tokio::test]
async fn a_stopping_node_says_that_it_drains_and_then_that_it_is_unavailable() {
    let api = Api::start().await;
    let mut frames = subscribe(&api, None, None).await.unwrap();
    api.test.tasks.stop();
    let frame = next(&mut frames).await.unwrap().unwrap();
    assert!(matches!(frame.event, Some(Event::Draining(_))), "{frame:?}");
    assert!(!frame.cursor.is_empty());
    let status = next(&mut frames).await.unwrap_err();
    assert_eq!((facts(&status).0, facts(&status).1.as_str()), (Code::Unavailable, "STOPPING"));
    assert!(status.get_error_details().retry_info().is_some());
}

#[tokio::test]
async fn a_stream_ends_with_draining_and_a_reason_before_its_connection_is_cut_for_its_age() {
    let api = Api::start_with(|settings| settings.max_age = Some(Duration::from_secs(2))).await;
    let mut frames = subscribe(&api, None, None).await.unwrap();
    let frame = next(&mut frames).await.unwrap().unwrap();
    assert!(matches!(frame.event, Some(Event::Draining(_))), "{frame:?}");
    let status = next(&mut frames).await.unwrap_err();
    assert_eq!((facts(&status).0, facts(&status).1.as_str()), (Code::Unavailable, "CONNECTION_EXPIRED"));
    assert_eq!(status.get_error_details().retry_info().unwrap().retry_delay, Some(Duration::ZERO));
    let resumed = subscribe(&api, Some(Start::Cursor(frame.cursor)), None).await;
    assert!(resumed.is_ok(), "the same node takes it again");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_shows_that_it_lives_within_15_seconds() {
    let test = TestChain::start();
    let settings = crate::rpc::stream::FramesSettings {
        start: farthing::wire::StreamStart::Tip,
        stop_height: None,
        headers_only: false,
        filter: None,
    };
    let views = crate::rpc::blocks::Views::of(
        test.chain.params(),
        &Env::system().unwrap(),
        &Arc::default(),
        farthing::wire::ReadMask::all(),
    );
    let frames = crate::rpc::stream::Frames::start(&test.chain, views, settings).await.unwrap();
    let stop = test.tasks.token().clone();
    let mut frames =
        crate::rpc::stream::run(frames, crate::rpc::stream::Terms { stop, leave_by: None, delivery: None });
    for _ in 0..3 {
        let before = tokio::time::Instant::now();
        let frame = futures_util::StreamExt::next(&mut frames).await.unwrap().unwrap();
        assert!(matches!(frame.event, Some(Event::Progress(_))), "{frame:?}");
        let quiet = before.elapsed();
        assert!(quiet > Duration::from_secs(1) && quiet <= Duration::from_secs(15), "{quiet:?}");
    }
}
