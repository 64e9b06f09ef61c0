//! The stream of a mempool, over everything that nodes and lines do to it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use farthing::{
    Address, TxId,
    wire::{transaction_view, v1, v1::subscribe_transactions_response::Event},
};
use farthing_client::{Client, Error, MempoolCursor, MempoolEvent, MempoolExit, MempoolFrame, MempoolWatch};
use tokio::time::timeout;
use tonic::Code;

use crate::{
    frames::Part,
    node::{Deed, Node, client, params, point},
    retries::transfer,
};

type Message = v1::SubscribeTransactionsResponse;

/// Longer than any of these takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn frame(cursor: u8, event: Event) -> Part<Message> {
    let cursor = vec![2, cursor].into();
    Part::Frame(Box::new(Message { cursor, tip: Some((&point(9, 20)).into()), event: Some(event) }))
}

fn reset() -> Part<Message> {
    frame(0, Event::Reset(v1::MempoolReset {}))
}

fn present(cursor: u8) -> Part<Message> {
    frame(cursor, Event::Present(v1::MempoolPresent {}))
}

fn added(cursor: u8) -> Part<Message> {
    let mut entry = v1::MempoolEntry {
        transaction: Some(transaction_view(params(), &transfer())),
        received_ms: 7,
        ..v1::MempoolEntry::default()
    };
    entry.set_state(v1::TransactionState::Queued);
    frame(cursor, Event::Added(entry))
}

fn changed(cursor: u8, state: v1::TransactionState) -> Part<Message> {
    let mut change = v1::MempoolChange { transaction_id: vec![5; 32].into(), ..v1::MempoolChange::default() };
    change.set_state(state);
    frame(cursor, Event::Changed(change))
}

fn removed(cursor: u8, cause: v1::mempool_removal::Cause) -> Part<Message> {
    let transaction_id = vec![5; 32].into();
    frame(cursor, Event::Removed(v1::MempoolRemoval { transaction_id, cause: Some(cause), ..Default::default() }))
}

struct Reader {
    watch: MempoolWatch,
    troubles: Arc<Mutex<Vec<String>>>,
}

impl Reader {
    fn of(client: &Client, addresses: &[Address], after: Option<MempoolCursor>) -> Self {
        let troubles = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&troubles);
        let watch = client.watch_mempool(addresses, after);
        Self { watch: watch.on_trouble(move |error| told.lock().unwrap().push(format!("{error:?}"))), troubles }
    }

    async fn next(&mut self) -> Result<MempoolFrame, Error> {
        timeout(PATIENCE, self.watch.next()).await.expect("something in time")
    }

    async fn take(&mut self, count: usize) -> Vec<MempoolEvent> {
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.push(self.next().await.unwrap().event);
        }
        taken
    }

    fn troubles(&self) -> Vec<String> {
        self.troubles.lock().unwrap().clone()
    }
}

fn asked(node: &Node) -> Vec<Vec<u8>> {
    node.state().mempool.asked.iter().map(|request| request.cursor.to_vec()).collect()
}

#[tokio::test]
async fn a_mempool_is_told_whole_and_then_its_changes_behind_the_cursor_of_the_last() {
    use v1::mempool_removal::Cause;
    let node = Node::start().await;
    let progress = frame(4, Event::Progress(v1::Progress {}));
    node.state().mempool.will([reset(), added(1), present(3), progress]);
    let replaced = v1::MempoolDrop {
        reason: "REPLACED".to_owned(),
        replaced_by: vec![6; 32].into(),
        ..v1::MempoolDrop::default()
    };
    let (mined, dropped) = (Cause::Mined((&point(9, 20)).into()), Cause::Dropped(replaced));
    let news = [changed(5, v1::TransactionState::Pending), removed(6, mined), removed(7, dropped), Part::Silence];
    node.state().mempool.will(news);
    let sender = transfer().transaction().sender_address();
    let mut reader = Reader::of(&client([&node]), &[sender], None);
    let told = reader.take(6).await;
    let MempoolEvent::Added(waiting) = &told[1] else { panic!("{told:?}") };
    assert_eq!((&waiting.transaction, waiting.is_executable, waiting.received.get()), (&transfer(), false, 7));
    assert_eq!((&told[0], &told[2]), (&MempoolEvent::Reset, &MempoolEvent::Present));
    let id = TxId::from_bytes([5; 32]);
    let by = Some(TxId::from_bytes([6; 32]));
    let expected = [
        MempoolEvent::Changed { id, is_executable: true },
        MempoolEvent::Removed { id, why: MempoolExit::Mined(point(9, 20)) },
        MempoolEvent::Removed { id, why: MempoolExit::Dropped { reason: "REPLACED".to_owned(), replaced_by: by } },
    ];
    assert_eq!(told[3..], expected);
    assert_eq!(asked(&node), [vec![], vec![2, 4]], "what was passed in silence is not asked for again");
    let filters = node.state().mempool.asked.iter().map(|request| request.filter.clone()).collect::<Vec<_>>();
    let filter = v1::AddressFilter { addresses: vec![sender.to_bytes().to_vec().into()], address_texts: Vec::new() };
    assert_eq!(filters, vec![Some(filter); 2]);
}

#[tokio::test]
async fn another_node_takes_over_with_its_own_mempool_from_the_start() {
    let (first, second) = (Node::start().await, Node::start().await);
    let stops = [reset(), present(3), Part::Refuse(Code::Unavailable, "STOPPING")];
    first.state().mempool.will(stops);
    second.state().mempool.will([reset(), added(1), present(9), Part::Silence]);
    let mut reader = Reader::of(&client([&first, &second]), &[], None);
    let told = reader.take(5).await;
    let resets = told.iter().filter(|event| **event == MempoolEvent::Reset).count();
    assert_eq!((resets, asked(&second)), (2, vec![vec![2, 3]]));
    assert!(second.state().mempool.asked[0].filter.is_none(), "no filter means all");
    assert_eq!(reader.troubles().len(), 1, "{:?}", reader.troubles());
}

#[tokio::test]
async fn a_node_that_tells_what_cannot_be_is_left() {
    let (all, stranger): (&[Address], &[Address]) = (&[], &[Address::from_bytes([9; 32])]);
    let table = [
        ("begins in the middle", vec![changed(1, v1::TransactionState::Pending)], all, "never told"),
        ("ends what it did not begin", vec![present(1)], all, "not begun"),
        ("tells of others", vec![reset(), added(1)], stranger, "addresses asked about"),
        ("knows a third state", vec![reset(), changed(1, v1::TransactionState::Mined)], all, "changed.state"),
        ("has no cursor", vec![with_cursor(0), reset()], all, "cursor"),
    ];
    for (what, parts, addresses, expected) in table {
        let (liar, honest) = (Node::start().await, Node::start().await);
        liar.state().mempool.will(parts.into_iter().chain([Part::Silence]));
        honest.state().mempool.will([reset(), present(1), Part::Silence]);
        let mut reader = Reader::of(&client([&liar, &honest]), addresses, None);
        while reader.next().await.unwrap().event != MempoolEvent::Present {}
        let trouble = reader.troubles().concat();
        assert!(trouble.contains(expected), "{what}: {trouble}");
    }
}

/// A frame whose cursor has so many bytes.
fn with_cursor(bytes: usize) -> Part<Message> {
    let Part::Frame(mut message) = reset() else { panic!("a frame") };
    message.cursor = vec![2; bytes].into();
    Part::Frame(message)
}

#[tokio::test]
async fn a_stored_cursor_goes_on_and_one_of_something_else_is_refused() {
    let node = Node::start().await;
    node.state().mempool.will([changed(4, v1::TransactionState::Queued), Part::Silence]);
    let stored = MempoolCursor::from_bytes(&[2, 3]);
    let mut reader = Reader::of(&client([&node]), &[], Some(stored));
    let next = reader.next().await.unwrap();
    assert_eq!((next.cursor.as_bytes(), asked(&node)), (&[2, 4][..], vec![vec![2, 3]]));
    node.state().will("watch", [Deed::Refuse(Code::InvalidArgument, "INVALID_CURSOR", None)]);
    let mut reader = Reader::of(&client([&node]), &[], Some(MempoolCursor::from_bytes(&[9])));
    assert!(reader.next().await.unwrap_err().is_refused_for("INVALID_CURSOR"));
}
