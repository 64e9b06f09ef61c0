//! The stream of one transaction, over everything that nodes and lines do to it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use farthing::{
    Height, TxId,
    wire::{ChainPoint, v1, v1::WatchedState, v1::watch_transaction_response::Event},
};
use farthing_client::{Client, Cursor, Error, TransactionWatch, WatchStart, WatchedStatus};
use tokio::time::timeout;
use tonic::Code;

use crate::{
    frames::Part,
    node::{Deed, Node, client, point},
};

type Message = v1::WatchTransactionResponse;

const ID: TxId = TxId::from_bytes([7; 32]);
/// Longer than any of these takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn at(height: u64) -> ChainPoint {
    point(height, u128::from(2 * height + 2))
}

fn behind(height: u64) -> Cursor {
    Cursor::behind(Height::new(height), &at(height).block_id)
}

fn frame(height: u64, event: Event) -> Part<Message> {
    let cursor = behind(height).as_bytes().to_vec().into();
    Part::Frame(Box::new(Message { cursor, tip: Some((&point(9, 20)).into()), event: Some(event) }))
}

fn told(height: u64, state: WatchedState, change: impl FnOnce(&mut v1::WatchedTransaction)) -> Part<Message> {
    let mut status = v1::WatchedTransaction {
        transaction_id: ID.to_bytes().to_vec().into(),
        transaction_id_hex: ID.to_string(),
        ..v1::WatchedTransaction::default()
    };
    status.set_state(state);
    change(&mut status);
    frame(height, Event::Status(status))
}

fn stands(height: u64, state: WatchedState) -> Part<Message> {
    told(height, state, |_| ())
}

/// Mined at a height, as of another.
fn mined(own: u64, height: u64) -> Part<Message> {
    told(height, WatchedState::Mined, |status| {
        status.block = Some((&at(own)).into());
        (status.block_index, status.confirmations) = (1, height - own + 1);
    })
}

fn reorged(own: u64) -> Part<Message> {
    told(own - 1, WatchedState::ReorgedOut, |status| status.block = Some((&at(own)).into()))
}

fn progress(height: u64) -> Part<Message> {
    frame(height, Event::Progress(v1::Progress {}))
}

struct Reader {
    watch: TransactionWatch,
    troubles: Arc<Mutex<Vec<String>>>,
}

impl Reader {
    fn of(client: &Client, depth: u64) -> Self {
        let troubles = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&troubles);
        let watch = client.watch_transaction(&ID, depth, WatchStart::Tip);
        Self { watch: watch.on_trouble(move |error| told.lock().unwrap().push(format!("{error:?}"))), troubles }
    }

    async fn next(&mut self) -> Result<Option<farthing_client::TransactionFrame>, Error> {
        timeout(PATIENCE, self.watch.next()).await.expect("something in time")
    }

    /// All steps up to the end.
    async fn all(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(frame) = self.next().await.unwrap() {
            all.push(match frame.status {
                WatchedStatus::Mined { block, confirmations, .. } => format!("{}+{confirmations}", block.height),
                WatchedStatus::ReorgedOut { block } => format!("-{}", block.height),
                WatchedStatus::Dropped { reason } => format!("dropped {reason}"),
                other => format!("{other:?}"),
            });
        }
        all
    }

    fn troubles(&self) -> Vec<String> {
        self.troubles.lock().unwrap().clone()
    }
}

fn asked(node: &Node) -> Vec<(u64, Option<Cursor>)> {
    let state = node.state();
    let read =
        |request: &v1::WatchTransactionRequest| (request.confirmations, Cursor::from_bytes(&request.cursor).ok());
    state.transaction.asked.iter().map(read).collect()
}

#[tokio::test]
async fn each_step_is_told_once_over_nodes_that_break_and_the_last_one_ends_it() {
    use WatchedState::{Awaited, Pending};
    let (first, second) = (Node::start().await, Node::start().await);
    let broken = Part::Refuse(Code::Unavailable, "STORE_FAILED");
    first.state().transaction.will([stands(1, Awaited), stands(1, Pending), progress(3), mined(4, 4), broken]);
    // Whoever takes over says first where it stands as of the cursor.
    second.state().transaction.will([mined(4, 4), reorged(4), stands(4, Pending), mined(5, 5), mined(5, 6)]);
    let mut reader = Reader::of(&client([&first, &second]), 2);
    assert_eq!(reader.all().await, ["Awaited", "Pending", "4+1", "-4", "Pending", "5+1", "5+2"]);
    assert_eq!(asked(&first), [(2, None)]);
    assert_eq!(asked(&second), [(2, Some(behind(4)))]);
    assert_eq!(reader.troubles().len(), 1, "{:?}", reader.troubles());
    assert!(reader.next().await.unwrap().is_none(), "it stays ended");
}

#[tokio::test]
async fn a_stream_that_ends_before_the_last_word_goes_on() {
    let node = Node::start().await;
    node.state().transaction.will([stands(1, WatchedState::Pending), progress(2)]);
    node.state().transaction.will([mined(3, 3)]);
    node.state().transaction.will([mined(3, 3), mined(3, 4), mined(3, 5), Part::Silence]);
    let mut reader = Reader::of(&client([&node]), 3);
    assert_eq!(reader.all().await, ["Pending", "3+1", "3+2", "3+3"]);
    let cursors = asked(&node).into_iter().map(|(_, cursor)| cursor).collect::<Vec<_>>();
    assert_eq!(cursors, [None, Some(behind(2)), Some(behind(3))]);
    assert_eq!(reader.troubles().len(), 2, "{:?}", reader.troubles());
}

#[tokio::test]
async fn a_drop_is_the_last_word_and_says_why() {
    use WatchedState::{Dropped, Expired, Queued, Replaced};
    let by = TxId::from_bytes([9; 32]);
    let replaced = told(1, Replaced, |status| status.replaced_by = by.to_bytes().to_vec().into());
    let evicted = told(1, Dropped, |status| "EVI\u{1b}CTED".clone_into(&mut status.reason));
    let table = [
        (replaced, format!("{:?}", WatchedStatus::Replaced { by })),
        (stands(1, Expired), "Expired".to_owned()),
        (evicted, format!("dropped {}", farthing_client::printable("EVI\u{1b}CTED", 100))),
    ];
    for (last, expected) in table {
        let node = Node::start().await;
        node.state().transaction.will([stands(1, Queued), last, Part::Silence]);
        assert_eq!(Reader::of(&client([&node]), 1).all().await, ["Queued".to_owned(), expected]);
    }
}

#[tokio::test]
async fn a_node_that_contradicts_what_was_told_is_caught_and_left() {
    let other_block = told(5, WatchedState::Mined, |status| {
        status.block = Some((&at(5)).into());
        (status.block_index, status.confirmations) = (1, 1);
    });
    let deeper = told(5, WatchedState::Mined, |status| {
        status.block = Some((&at(4)).into());
        (status.block_index, status.confirmations) = (1, 3);
    });
    let another = told(5, WatchedState::Pending, |status| status.transaction_id = vec![8; 32].into());
    let table = [
        ("forgets its block", stands(5, WatchedState::Pending), "not told to have left"),
        ("names another block", other_block, "another block had it"),
        ("counts blocks that are not there", deeper, "not as deep"),
        ("takes another block back", reorged(6), "another block had it"),
        ("tells of another one", another, "OtherAnswer"),
        ("does not say", stands(5, WatchedState::Unspecified), "Malformed"),
    ];
    for (what, lie, expected) in table {
        let (liar, honest) = (Node::start().await, Node::start().await);
        liar.state().transaction.will([mined(4, 4), lie, Part::Silence]);
        honest.state().transaction.will([mined(4, 4), mined(4, 5)]);
        let mut reader = Reader::of(&client([&liar, &honest]), 2);
        assert_eq!(reader.all().await, ["4+1", "4+2"], "{what}");
        assert_eq!(asked(&honest), [(2, Some(behind(4)))], "{what}");
        let trouble = reader.troubles().concat();
        assert!(trouble.contains(expected), "{what}: {trouble}");
    }
}

#[tokio::test]
async fn a_block_that_was_never_told_cannot_take_it_back() {
    let (liar, honest) = (Node::start().await, Node::start().await);
    liar.state().transaction.will([stands(4, WatchedState::Pending), reorged(4), Part::Silence]);
    honest.state().transaction.will([stands(4, WatchedState::Pending), mined(5, 5)]);
    let mut reader = Reader::of(&client([&liar, &honest]), 1);
    assert_eq!(reader.all().await, ["Pending", "5+1"]);
    assert!(reader.troubles().concat().contains("no block had it"), "{:?}", reader.troubles());
}

#[tokio::test]
async fn a_depth_that_nodes_refuse_is_told() {
    let node = Node::start().await;
    node.state().will("watch", [Deed::Refuse(Code::InvalidArgument, "INVALID_FIELD", None)]);
    assert!(Reader::of(&client([&node]), 20_000).next().await.unwrap_err().is_refused_for("INVALID_FIELD"));
    assert_eq!(asked(&node), [(20_000, None)]);
}
