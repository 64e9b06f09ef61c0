//! Readers that take nothing, or little, and a node that stops: the same on every stream.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use farthing::wire::v1::ledger_service_server::LedgerService as _;
use futures_util::{
    StreamExt as _,
    stream::{BoxStream, FuturesUnordered},
};
use tonic::Request;

use super::*;
use crate::rpc::ledger::LedgerApi;

/// A client that has room for little.
const WINDOW: u32 = 64;

/// What all frames have: a cursor, and whether they say that the node drains.
type Frames = BoxStream<'static, Result<(Vec<u8>, bool), Status>>;

/// The four streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Blocks,
    Transactions,
    Transaction,
    Account,
}

const KINDS: [Kind; 4] = [Kind::Blocks, Kind::Transactions, Kind::Transaction, Kind::Account];

macro_rules! frames {
    ($answer:expr, $module:ident) => {
        $answer
            .await?
            .into_inner()
            .map(|frame| {
                frame.map(|frame| {
                    let drains = matches!(frame.event, Some(v1::$module::Event::Draining(_)));
                    (frame.cursor.to_vec(), drains)
                })
            })
            .boxed()
    };
}

/// Opens a stream that has something to tell with each block, or transfer, that comes.
async fn open(kind: Kind, channel: Channel, first: &SignedTransaction, cursor: Vec<u8>) -> Result<Frames, Status> {
    let (mut client, cursor) = (LedgerServiceClient::new(channel), cursor.into());
    Ok(match kind {
        Kind::Blocks => {
            let start = Some(v1::subscribe_blocks_request::Start::Cursor(cursor)).filter(
                |start| !matches!(start, v1::subscribe_blocks_request::Start::Cursor(cursor) if cursor.is_empty()),
            );
            let request = v1::SubscribeBlocksRequest { start, ..Default::default() };
            frames!(client.subscribe_blocks(request), subscribe_blocks_response)
        }
        Kind::Transactions => {
            let request = v1::SubscribeTransactionsRequest { cursor, filter: None };
            frames!(client.subscribe_transactions(request), subscribe_transactions_response)
        }
        Kind::Transaction => {
            let id = first.transaction().id(dev().genesis_id()).to_bytes().to_vec().into();
            let id = Some(v1::watch_transaction_request::Id::TransactionId(id));
            let request = v1::WatchTransactionRequest { id, confirmations: 1_000, cursor };
            frames!(client.watch_transaction(request), watch_transaction_response)
        }
        Kind::Account => {
            let id = Some(v1::watch_account_request::Id::Address(ALICE.address().to_bytes().to_vec().into()));
            let request = v1::WatchAccountRequest { id, cursor };
            frames!(client.watch_account(request), watch_account_response)
        }
    })
}

/// Lets something happen that every stream tells of.
async fn happen(api: &Api, nonce: u64) {
    let pay = ALICE.pay(nonce, BOB.address(), 1);
    api.pool([pay.clone()]).await;
    api.include(vec![pay], 1).await;
}

async fn next(frames: &mut Frames) -> Option<Result<(Vec<u8>, bool), Status>> {
    tokio::time::timeout(PATIENCE, frames.next()).await.expect("a frame in time")
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_let_go_and_told_so_with_its_cursor_when_it_reads_again() {
    let stall = Duration::from_millis(300);
    for kind in KINDS {
        let api = Api::start_with(|settings| settings.subscriber_stall = stall).await;
        let first = ALICE.pay(0, BOB.address(), 1);
        let (watchers, heads) = (api.test.chain.watchers(), api.mempool.followers());
        let mut frames = open(kind, api.narrow_channel(WINDOW).await, &first, vec![]).await.unwrap();
        let mut nonces = 0..;
        let held = |api: &Api| api.test.chain.watchers() > watchers || api.mempool.followers() > heads;
        assert!(held(&api), "{kind:?} holds something for its reader");
        let let_go = async {
            while held(&api) {
                happen(&api, nonces.next().unwrap()).await;
                tokio::time::sleep(stall / 10).await;
            }
        };
        tokio::time::timeout(PATIENCE, let_go).await.unwrap_or_else(|_| panic!("{kind:?} is let go"));

        let mut last = Vec::new();
        let status = loop {
            match next(&mut frames).await.unwrap_or_else(|| panic!("{kind:?} ends with OK")) {
                Ok((cursor, _)) => last = cursor,
                Err(status) => break status,
            }
        };
        let (code, reason, metadata) = facts(&status);
        assert_eq!((code, reason.as_str()), (Code::ResourceExhausted, "SUBSCRIBER_STALLED"), "{kind:?}: {status:?}");
        assert_eq!(metadata["limit_ms"], "300");
        assert_eq!(metadata["cursor"], BASE64_STANDARD.encode(&last), "{kind:?}: that of the last frame");
        assert_eq!(status.get_error_details().retry_info().unwrap().retry_delay, Some(Duration::ZERO));
        // With room to read, it goes on from there.
        let mut resumed = open(kind, api.channel().await, &first, last).await.unwrap();
        happen(&api, nonces.next().unwrap()).await;
        next(&mut resumed).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_reader_that_is_slow_but_reads_is_not_let_go() {
    let stall = Duration::from_secs(2);
    let api = Api::start_with(|settings| settings.subscriber_stall = stall).await;
    let first = ALICE.pay(0, BOB.address(), 1);
    let mut all = Vec::new();
    for kind in KINDS {
        all.push(open(kind, api.narrow_channel(WINDOW).await, &first, vec![]).await.unwrap());
    }
    let happening = async {
        for nonce in 0..20 {
            happen(&api, nonce).await;
        }
    };
    // Far slower than the node could tell, and for far longer than it lets one take nothing.
    let reading = async {
        let mut pace = tokio::time::interval(stall / 8);
        for _ in 0..16 {
            pace.tick().await;
            let reading: FuturesUnordered<_> = all.iter_mut().map(next).collect();
            for frame in reading.collect::<Vec<_>>().await {
                frame.unwrap().unwrap();
            }
        }
    };
    tokio::join!(happening, reading);
}

#[tokio::test]
async fn a_quiet_reader_with_room_is_not_let_go() {
    let stall = Duration::from_millis(100);
    let api = Api::start_with(|settings| settings.subscriber_stall = stall).await;
    let first = ALICE.pay(0, BOB.address(), 1);
    let mut all = Vec::new();
    for kind in KINDS {
        all.push((kind, open(kind, api.channel().await, &first, vec![]).await.unwrap()));
    }
    tokio::time::sleep(stall * 5).await;
    happen(&api, 0).await;
    for (kind, frames) in &mut all {
        next(frames).await.unwrap().unwrap_or_else(|status| panic!("{kind:?}: {status:?}"));
    }
}

#[tokio::test]
async fn every_stream_says_that_the_node_drains_and_then_that_it_is_unavailable() {
    let api = Api::start().await;
    let first = ALICE.pay(0, BOB.address(), 1);
    let mut all = Vec::new();
    for kind in KINDS {
        all.push((kind, open(kind, api.channel().await, &first, vec![]).await.unwrap()));
    }
    api.test.tasks.stop();
    for (kind, frames) in &mut all {
        let mut drained = false;
        let status = loop {
            match next(frames).await.unwrap_or_else(|| panic!("{kind:?} ends with OK")) {
                Ok((cursor, drains)) => {
                    assert!(!cursor.is_empty() && !drained, "{kind:?}");
                    drained = drains;
                }
                Err(status) => break status,
            }
        };
        assert!(drained, "{kind:?} said so first");
        assert_eq!((facts(&status).0, facts(&status).1.as_str()), (Code::Unavailable, "STOPPING"), "{kind:?}");
        assert!(status.get_error_details().retry_info().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn every_quiet_stream_shows_that_it_lives_within_15_seconds_and_moves_its_cursor_along() {
    let api = Api::start().await;
    let service = LedgerApi::new(api.deps.clone());
    let id = Some(v1::watch_account_request::Id::Address(vec![9; 32].into()));
    let account = Request::new(v1::WatchAccountRequest { id, ..Default::default() });
    let mut account = service.watch_account(account).await.unwrap().into_inner();
    let id = Some(v1::watch_transaction_request::Id::TransactionId(vec![9; 32].into()));
    let transaction = Request::new(v1::WatchTransactionRequest { id, ..Default::default() });
    let mut transaction = service.watch_transaction(transaction).await.unwrap().into_inner();
    let pool = Request::new(v1::SubscribeTransactionsRequest::default());
    let mut pool = service.subscribe_transactions(pool).await.unwrap().into_inner();
    account.next().await.unwrap().unwrap();
    transaction.next().await.unwrap().unwrap();
    for _ in 0..2 {
        pool.next().await.unwrap().unwrap();
    }
    let tip = api.grow(3, 1).await[2].to_bytes();
    for _ in 0..3 {
        let before = tokio::time::Instant::now();
        let (account, transaction, pool) = tokio::join!(account.next(), transaction.next(), pool.next());
        let (account, transaction) = (account.unwrap().unwrap(), transaction.unwrap().unwrap());
        assert!(matches!(account.event, Some(v1::watch_account_response::Event::Progress(_))), "{account:?}");
        assert!(matches!(transaction.event, Some(v1::watch_transaction_response::Event::Progress(_))));
        let pool = pool.unwrap().unwrap().event;
        assert!(matches!(pool, Some(v1::subscribe_transactions_response::Event::Progress(_))), "{pool:?}");
        for cursor in [account.cursor, transaction.cursor] {
            assert!(cursor.ends_with(&tip), "with the blocks that are of no concern");
        }
        assert!(before.elapsed() > Duration::from_secs(1) && before.elapsed() <= Duration::from_secs(15));
    }
}
