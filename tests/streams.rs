//! Streams that go on where they were, whatever becomes of the node.

use std::time::Duration;

use farthing::{Account, Address, EntryId, Height, Params, wire::v1};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

use crate::harness::{
    PATIENCE,
    api::Api,
    keys::{ALICE, BOB, CAROL},
    networks,
    process::{Options, Place},
};

async fn next<F>(frames: &mut Streaming<F>) -> Result<F, Status> {
    timeout(PATIENCE, frames.message()).await.expect("a frame in time").map(|frame| frame.expect("it goes on"))
}

/// A reader of one account that believes the frames and nothing else.
#[derive(Debug, Default)]
struct Reader {
    account: Account,
    height: u64,
    cursor: Vec<u8>,
    applied: usize,
}

impl Reader {
    fn take(&mut self, frame: v1::WatchAccountResponse) {
        use v1::watch_account_response::Event;
        self.cursor = frame.cursor.to_vec();
        let state = match frame.event.expect("an event") {
            Event::State(state) => state,
            Event::Apply(apply) => {
                let mut before = self.account;
                for entry in &apply.entries {
                    assert_eq!(entry.entry, before.entries + 1, "a gap or a repeat");
                    before.link(EntryId::try_from(&entry.id[..]).expect("32 bytes"), Height::new(entry.height));
                    assert_eq!(&entry.history[..], before.history.as_bytes());
                }
                self.applied += 1;
                apply.state.expect("a state")
            }
            Event::Undo(undo) => undo.state.expect("a state"),
            Event::Progress(_) => return,
            Event::Draining(_) => panic!("nobody asked the node to stop"),
        };
        self.height = state.block.expect("a block").height;
        self.account = state.account.expect("an account").try_into().expect("well-formed");
    }
}

async fn watch_account(api: &Api, address: Address, cursor: Vec<u8>) -> Streaming<v1::WatchAccountResponse> {
    let id = Some(v1::watch_account_request::Id::Address(address.to_bytes().to_vec().into()));
    let request = v1::WatchAccountRequest { id, cursor: cursor.into() };
    api.raw().watch_account(request).await.expect("the node has the block").into_inner()
}

async fn subscribe_pool(api: &Api, cursor: Vec<u8>) -> Streaming<v1::SubscribeTransactionsResponse> {
    let request = v1::SubscribeTransactionsRequest { cursor: cursor.into(), filter: None };
    api.raw().subscribe_transactions(request).await.expect("every cursor is taken").into_inner()
}

async fn watch_transfer(api: &Api, id: &str, cursor: Vec<u8>) -> Streaming<v1::WatchTransactionResponse> {
    let id = Some(v1::watch_transaction_request::Id::TransactionIdHex(id.to_owned()));
    let request = v1::WatchTransactionRequest { id, confirmations: 10_000, cursor: cursor.into() };
    api.raw().watch_transaction(request).await.expect("the node has the block").into_inner()
}

/// Reads until the transfer is mined; its block, and the cursor.
async fn mined(frames: &mut Streaming<v1::WatchTransactionResponse>) -> (v1::ChainPoint, Vec<u8>) {
    loop {
        let frame = next(frames).await.expect("a frame");
        if let Some(v1::watch_transaction_response::Event::Status(status)) = frame.event
            && status.state() == v1::WatchedState::Mined
        {
            return (status.block.expect("a block"), frame.cursor.to_vec());
        }
    }
}

/// Reads a mempool from its reset to its end; how many transfers it holds, and the cursor.
async fn whole_pool(frames: &mut Streaming<v1::SubscribeTransactionsResponse>) -> (usize, Vec<u8>) {
    use v1::subscribe_transactions_response::Event;
    let first = next(frames).await.expect("a frame");
    assert!(matches!(first.event, Some(Event::Reset(_))), "{first:?}");
    let mut held = 0;
    loop {
        let frame = next(frames).await.expect("a frame");
        match frame.event.expect("an event") {
            Event::Added(_) => held += 1,
            Event::Present(_) => return (held, frame.cursor.to_vec()),
            other => panic!("nothing else happens: {other:?}"),
        }
    }
}

fn pay(params: &Params, nonce: u64) -> farthing::SignedTransaction {
    ALICE.pay(params, nonce, BOB.address(), 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_go_on_after_a_kill_and_a_restart_on_the_same_data() {
    let params = networks::quick();
    let place = Place::new("node", &params);
    let node = place.start(&Options { mine: Some(CAROL.address()), ..Options::default() }).await;
    let mut api = node.api().await;
    let mut frames = watch_account(&api, CAROL.address(), Vec::new()).await;
    let status = api.submit(&pay(&params, 0)).await.expect("a good transfer");
    let id = status.id.to_string();
    let (block, transfer_cursor) = mined(&mut watch_transfer(&api, &id, Vec::new()).await).await;
    let mut reader = Reader::default();
    while reader.applied < 5 {
        reader.take(next(&mut frames).await.expect("a frame"));
    }
    node.kill();

    // What happens while nobody reads.
    let node = place.start(&Options { mine: Some(CAROL.address()), ..Options::default() }).await;
    let target = reader.height + 10;
    let mut later = watch_account(&node.api().await, CAROL.address(), Vec::new()).await;
    let mut other = Reader::default();
    while other.height < target {
        other.take(next(&mut later).await.expect("a frame"));
    }
    node.kill();

    let node = place.start(&Options::default()).await;
    let mut api = node.api().await;
    api.submit(&pay(&params, 1)).await.expect("a good transfer");
    let (held, pool_cursor) = whole_pool(&mut subscribe_pool(&api, Vec::new()).await).await;
    assert_eq!(held, 1);
    let tip = api.info().await.expect("it answers").tip.expect("a tip").height;
    let mut frames = watch_account(&api, CAROL.address(), reader.cursor.clone()).await;
    while reader.height < tip {
        reader.take(next(&mut frames).await.expect("a frame"));
    }
    assert_eq!(Some(reader.account), api.account(&CAROL.address()).await);
    let again = mined(&mut watch_transfer(&api, &id, transfer_cursor.clone()).await).await;
    assert_eq!(again, (block, transfer_cursor), "as of the cursor");
    node.kill();

    // The mempool came through the kill; its numbers did not.
    let node = place.start(&Options::default()).await;
    let (held, _) = whole_pool(&mut subscribe_pool(&node.api().await, pool_cursor).await).await;
    assert_eq!(held, 1);
    node.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_told_to_stop_drains_every_stream_in_time() {
    let params = networks::quick();
    let place = Place::new("node", &params);
    let node = place.start(&Options::default()).await;
    let api = node.api().await;
    let mut account = watch_account(&api, ALICE.address(), Vec::new()).await;
    let mut transfer = watch_transfer(&api, &"ab".repeat(32), Vec::new()).await;
    let mut pool = subscribe_pool(&api, Vec::new()).await;
    let ends = async {
        let mut codes = Vec::new();
        codes.push(loop {
            if let Err(status) = next(&mut account).await {
                break status.code();
            }
        });
        codes.push(loop {
            if let Err(status) = next(&mut transfer).await {
                break status.code();
            }
        });
        codes.push(loop {
            if let Err(status) = next(&mut pool).await {
                break status.code();
            }
        });
        codes
    };
    let (codes, status) = tokio::join!(timeout(Duration::from_secs(10), ends), node.stop());
    assert_eq!(codes.expect("at once"), [Code::Unavailable; 3]);
    assert!(status.success(), "{status}");
}
