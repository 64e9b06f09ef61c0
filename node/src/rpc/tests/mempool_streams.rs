//! The mempool, followed over a real connection.

use std::collections::BTreeMap;

use v1::{TransactionState, mempool_removal::Cause, subscribe_transactions_response::Event};

use super::*;

pub(super) type Frames = tonic::Streaming<v1::SubscribeTransactionsResponse>;

pub(super) async fn subscribe(api: &Api, cursor: Vec<u8>, filter: Option<v1::AddressFilter>) -> Result<Frames, Status> {
    let request = v1::SubscribeTransactionsRequest { cursor: cursor.into(), filter };
    Ok(api.client().await.subscribe_transactions(request).await?.into_inner())
}

/// A reader that believes the frames and nothing else.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) held: BTreeMap<String, TransactionState>,
    pub(super) has_all: bool,
    pub(super) cursor: Vec<u8>,
    pub(super) resets: usize,
}

impl Reader {
    pub(super) fn take(&mut self, frame: v1::SubscribeTransactionsResponse) {
        self.cursor = frame.cursor.to_vec();
        match frame.event.unwrap() {
            Event::Reset(_) => {
                (self.has_all, self.resets) = (false, self.resets + 1);
                self.held.clear();
            }
            Event::Present(_) => self.has_all = true,
            Event::Added(entry) => {
                let id = entry.transaction.as_ref().unwrap().transaction_id_hex.clone();
                assert_eq!(self.held.insert(id, entry.state()), None, "added twice: {entry:?}");
            }
            Event::Changed(change) => {
                let before = self.held.insert(change.transaction_id_hex.clone(), change.state());
                assert!(before.is_some_and(|before| before != change.state()), "{before:?}: {change:?}");
            }
            Event::Removed(removal) => {
                assert!(self.held.remove(&removal.transaction_id_hex).is_some(), "never added: {removal:?}");
            }
            Event::Progress(_) => {}
            Event::Draining(_) => panic!("the node goes on"),
        }
    }
}

/// What the node's own mempool holds.
pub(super) fn pool_of(api: &Api) -> BTreeMap<String, TransactionState> {
    let page = api.mempool.page(None, usize::MAX);
    let state = |listed: &mempool::Listed| match listed.status {
        mempool::PoolStatus::Pending => TransactionState::Pending,
        _ => TransactionState::Queued,
    };
    page.entries.iter().map(|listed| (listed.pooled.id().to_string(), state(listed))).collect()
}

/// Reads until the reader holds what the node does.
pub(super) async fn catch_up(api: &Api, frames: &mut Frames, reader: &mut Reader) {
    while !reader.has_all || reader.held != pool_of(api) {
        reader.take(next_frame(frames).await.unwrap().expect("the stream goes on"));
    }
}

async fn event(frames: &mut Frames) -> (Event, Vec<u8>) {
    let frame = next_frame(frames).await.unwrap().expect("the stream goes on");
    assert!(frame.tip.is_some() && !frame.cursor.is_empty() && frame.cursor.len() <= 33);
    (frame.event.unwrap(), frame.cursor.to_vec())
}

async fn added(frames: &mut Frames) -> (String, TransactionState) {
    match event(frames).await.0 {
        Event::Added(entry) => {
            let state = entry.state();
            assert!(entry.received_ms > 0);
            (entry.transaction.unwrap().transaction_id_hex, state)
        }
        other => panic!("{other:?}"),
    }
}

async fn removed(frames: &mut Frames) -> (String, Cause) {
    match event(frames).await.0 {
        Event::Removed(removal) => (removal.transaction_id_hex, removal.cause.unwrap()),
        other => panic!("{other:?}"),
    }
}

/// A new reader, which is told of an empty mempool.
async fn begun(api: &Api) -> Frames {
    let mut frames = subscribe(api, vec![], None).await.unwrap();
    assert!(matches!(event(&mut frames).await.0, Event::Reset(_)));
    assert!(matches!(event(&mut frames).await.0, Event::Present(_)));
    frames
}

#[tokio::test]
async fn what_is_there_comes_first_and_then_what_enters_changes_and_leaves_with_its_reason() {
    let api = Api::start().await;
    api.include(vec![ALICE.pay(0, BOB.address(), 5)], 1).await;
    let [gap, late, dearer] = [ALICE.pay(1, BOB.address(), 5), ALICE.pay(2, BOB.address(), 5), dearer(2)];
    let hex = |signed: &SignedTransaction| api.id_of(signed).to_string();
    api.pool([late.clone()]).await;
    let mut frames = subscribe(&api, vec![], None).await.unwrap();
    assert!(matches!(event(&mut frames).await.0, Event::Reset(_)));
    assert_eq!(added(&mut frames).await, (hex(&late), TransactionState::Queued));
    assert!(matches!(event(&mut frames).await.0, Event::Present(_)));

    api.pool([gap.clone()]).await;
    assert_eq!(added(&mut frames).await, (hex(&gap), TransactionState::Pending));
    match event(&mut frames).await.0 {
        Event::Changed(change) => {
            assert_eq!((change.transaction_id_hex.clone(), change.state()), (hex(&late), TransactionState::Pending));
        }
        other => panic!("{other:?}"),
    }
    api.pool([dearer.clone()]).await;
    let (id, cause) = removed(&mut frames).await;
    let Cause::Dropped(drop) = cause else { panic!("{cause:?}") };
    assert_eq!((id, drop.reason.as_str(), drop.replaced_by_hex), (hex(&late), "REPLACED", hex(&dearer)));
    assert_eq!(added(&mut frames).await, (hex(&dearer), TransactionState::Pending));

    let block = api.include(vec![gap.clone()], 1).await;
    let (id, cause) = removed(&mut frames).await;
    let Cause::Mined(point) = cause else { panic!("{cause:?}") };
    assert_eq!((id, point.block_id_hex, point.height), (hex(&gap), block.to_string(), 2));
    assert!(point.time_ms > 0 && point.total_work.len() == 16);
}

#[tokio::test]
async fn what_a_reorganisation_takes_from_the_chain_is_added_again() {
    let api = Api::start().await;
    let genesis = (*api.test.chain.view()).clone();
    let pay = ALICE.pay(0, BOB.address(), 5);
    let hex = api.id_of(&pay).to_string();
    let mut frames = begun(&api).await;
    api.pool([pay.clone()]).await;
    assert_eq!(added(&mut frames).await, (hex.clone(), TransactionState::Pending));
    api.take(branch(&genesis, 1, vec![pay.clone()], 1).0).await;
    assert!(matches!(removed(&mut frames).await, (id, Cause::Mined(_)) if id == hex));
    let (other_branch, view) = branch(&genesis, 2, Vec::new(), 2);
    api.take(other_branch).await;
    assert_eq!(added(&mut frames).await, (hex.clone(), TransactionState::Pending));
    api.take(branch(&view, 1, vec![pay], 2).0).await;
    assert!(matches!(removed(&mut frames).await, (id, Cause::Mined(point)) if id == hex && point.height == 3));
}

#[tokio::test]
async fn a_cursor_resumes_on_the_same_node_and_is_answered_with_all_of_it_by_another() {
    let api = Api::start().await;
    let [first, second] = [ALICE.pay(0, BOB.address(), 5), ALICE.pay(1, BOB.address(), 5)];
    let mut frames = begun(&api).await;
    api.pool([first.clone()]).await;
    let (_, behind_first) = event(&mut frames).await;
    api.pool([second.clone()]).await;
    let mut resumed = subscribe(&api, behind_first.clone(), None).await.unwrap();
    assert_eq!(added(&mut resumed).await.0, api.id_of(&second).to_string(), "nothing before it again");

    // Another node, another filter, or a reader that never had all of it: forget, and here is the whole.
    let other = Api::start().await;
    let of_alice =
        v1::AddressFilter { addresses: vec![ALICE.address().to_bytes().to_vec().into()], ..Default::default() };
    for (api, cursor, filter) in
        [(&other, behind_first.clone(), None), (&api, behind_first, Some(of_alice)), (&api, vec![2], None)]
    {
        let mut anew = subscribe(api, cursor, filter).await.unwrap();
        assert!(matches!(event(&mut anew).await.0, Event::Reset(_)));
        let mut reader = Reader::default();
        catch_up(api, &mut anew, &mut reader).await;
        assert_eq!(reader.held.len(), pool_of(api).len());
    }
}

#[tokio::test]
async fn a_reader_that_was_overtaken_is_told_to_forget_and_gets_all_of_it_anew() {
    let limits = PoolLimits { events: 8, ..PoolLimits::default() };
    let api = Api::start_of(Pool { limits, ..Pool::default() }, |_| ()).await;
    let mut frames = begun(&api).await;
    // More at one moment than is remembered.
    api.pool((0..20).map(|nonce| ALICE.pay(nonce, BOB.address(), 1))).await;
    let (first, _) = event(&mut frames).await;
    assert!(matches!(first, Event::Reset(_)), "{first:?}");
    let mut reader = Reader::default();
    catch_up(&api, &mut frames, &mut reader).await;
    assert_eq!(reader.held.len(), 20);
}

#[tokio::test]
async fn a_whole_pool_comes_in_pieces_and_each_transfer_once() {
    let api = Api::start().await;
    let transfers: Vec<_> = (0..600).map(|nonce| ALICE.pay(nonce, BOB.address(), 1)).collect();
    api.pool(transfers).await;
    // With room for few of them, so that the list is still being made when it changes.
    let request = v1::SubscribeTransactionsRequest::default();
    let mut narrow = LedgerServiceClient::new(api.narrow_channel(16 * 1024).await);
    let mut frames = narrow.subscribe_transactions(request).await.unwrap().into_inner();
    let mut reader = Reader::default();
    while !reader.has_all {
        reader.take(next_frame(&mut frames).await.unwrap().unwrap());
        if reader.held.len() == 100 {
            // Meanwhile one more comes, of which the rest of the list will tell, and the first ones are mined.
            api.pool([ALICE.pay(600, BOB.address(), 1)]).await;
            api.include((0..50).map(|nonce| ALICE.pay(nonce, BOB.address(), 1)).collect(), 1).await;
            api.pool_follows().await;
        }
    }
    catch_up(&api, &mut frames, &mut reader).await;
    assert_eq!((reader.held.len(), reader.resets), (551, 1));
}

#[tokio::test]
async fn a_filter_lets_through_what_its_addresses_send_or_receive() {
    let api = Api::start().await;
    let stranger = Address::from_bytes([9; 32]);
    let [by_alice, by_bob, to_stranger] =
        [ALICE.pay(0, ALICE.address(), 1), BOB.pay(0, BOB.address(), 1), ALICE.pay(1, stranger, 1)];
    let filter = v1::AddressFilter {
        addresses: vec![stranger.to_bytes().to_vec().into()],
        address_texts: vec![api.test.chain.params().prefix.format(&BOB.address())],
    };
    let mut frames = subscribe(&api, vec![], Some(filter)).await.unwrap();
    assert!(matches!(event(&mut frames).await.0, Event::Reset(_)));
    assert!(matches!(event(&mut frames).await.0, Event::Present(_)));
    api.pool([by_alice.clone(), by_bob.clone(), to_stranger.clone()]).await;
    for expected in [&by_bob, &to_stranger] {
        assert_eq!(added(&mut frames).await.0, api.id_of(expected).to_string());
    }
    api.include(vec![by_alice], 1).await;
    api.include(vec![by_bob.clone()], 1).await;
    assert_eq!(removed(&mut frames).await.0, api.id_of(&by_bob).to_string());
}

#[tokio::test]
async fn a_request_that_cannot_be_is_refused_with_its_reason() {
    let api = Api::start().await;
    let filter = |addresses: Vec<Vec<u8>>| {
        let addresses = addresses.into_iter().map(Into::into).collect();
        Some(v1::AddressFilter { addresses, address_texts: Vec::new() })
    };
    let table = [
        (vec![1], None, "INVALID_CURSOR", "cursor: expected one of this method"),
        (vec![2; 32], None, "INVALID_CURSOR", "1 or 33 bytes, got 32 bytes"),
        (vec![], filter(vec![]), "INVALID_FIELD", "filter: expected 1 to 64 addresses, got 0"),
        (vec![], filter(vec![vec![1; 32]; 65]), "INVALID_FIELD", "filter: expected 1 to 64 addresses, got 65"),
        (vec![], filter(vec![vec![1; 20]]), "INVALID_FIELD", "filter.addresses[0]: expected 32 bytes, got 20"),
    ];
    for (cursor, filter, reason, message) in table {
        let error = subscribe(&api, cursor, filter).await.unwrap_err();
        assert_eq!((facts(&error).0, facts(&error).1.as_str()), (Code::InvalidArgument, reason));
        assert!(error.message().contains(message), "{error}");
    }
}
