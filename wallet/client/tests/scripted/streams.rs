//! The stream of blocks, over everything that nodes and lines do to it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use farthing::{Block, BlockId, Height, wire::v1::subscribe_blocks_request::Start as Asked};
use farthing_client::{BlockEvent, Blocks, Client, Error, Start, verify::VerifyError};
use tokio::time::timeout;
use tonic::Code;

use crate::{
    frames::{Part, apply, apply_with, behind, draining, progress, undo},
    node::{Deed, Node, builder, chain, client},
};

const FIRST: Start = Start::Height(Height::GENESIS);
/// Longer than any of these takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a reader is told, and what went wrong meanwhile.
struct Reader {
    blocks: Blocks,
    troubles: Arc<Mutex<Vec<String>>>,
}

impl Reader {
    fn of(client: &Client, start: Start) -> Self {
        let troubles = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&troubles);
        let blocks = client.follow(start).on_trouble(move |error| told.lock().unwrap().push(format!("{error:?}")));
        Self { blocks, troubles }
    }

    /// The next steps: the height of an applied block, the negative one of an undone.
    async fn take(&mut self, count: usize) -> Vec<(i64, BlockId)> {
        let mut taken = Vec::new();
        for _ in 0..count {
            let frame = timeout(PATIENCE, self.blocks.next()).await.expect("a frame in time").unwrap();
            taken.push(match frame.event {
                BlockEvent::Apply(block) => (block.height().get() as i64, block.id()),
                BlockEvent::Undo { height, id } => (-(height.get() as i64), id),
            });
        }
        taken
    }

    async fn fails(&mut self) -> Error {
        timeout(PATIENCE, self.blocks.next()).await.expect("an error in time").unwrap_err()
    }

    fn troubles(&self) -> Vec<String> {
        self.troubles.lock().unwrap().clone()
    }
}

fn applied(blocks: &[Block]) -> Vec<(i64, BlockId)> {
    blocks.iter().map(|block| (block.coinbase.height.get() as i64, block.id())).collect()
}

fn after(block: &Block) -> Asked {
    Asked::Cursor(behind(block).as_bytes().to_vec().into())
}

#[tokio::test]
async fn a_broken_stream_goes_on_behind_its_last_frame() {
    let chain = chain(6, 6, 0);
    let node = Node::start().await;
    node.state().will_stream([apply(&chain[0]), apply(&chain[1]), Part::Refuse(Code::Unavailable, "STORE_FAILED")]);
    node.state().will_stream([apply(&chain[2])]);
    node.state().will_stream([progress(&chain[2]), apply(&chain[3]), apply(&chain[4]), Part::Silence]);
    let mut reader = Reader::of(&client([&node]), FIRST);
    assert_eq!(reader.take(5).await, applied(&chain[..5]));
    assert_eq!(node.state().starts, [Asked::FromHeight(0), after(&chain[1]), after(&chain[2])]);
    assert_eq!(reader.troubles().len(), 2, "{:?}", reader.troubles());
}

#[tokio::test]
async fn a_reorganisation_comes_as_undo_and_apply() {
    let (left, right) = (chain(4, 2, 1), chain(5, 2, 2));
    let node = Node::start().await;
    let forth = left.iter().map(apply);
    let back = [undo(&left[3], &left[2]), undo(&left[2], &left[1])];
    let over = right[2..].iter().map(apply);
    node.state().will_stream(forth.chain(back).chain(over).chain([Part::Silence]));
    let mut reader = Reader::of(&client([&node]), FIRST);
    let expected = [applied(&left), vec![(-3, left[3].id()), (-2, left[2].id())], applied(&right[2..])];
    assert_eq!(reader.take(9).await, expected.concat());
    assert_eq!(reader.troubles(), Vec::<String>::new());
}

/// A first node does this behind its first two blocks; the second node is honest.
async fn lies(parts: Vec<Part>) -> String {
    let chain = chain(5, 2, 0);
    let (liar, honest) = (Node::start().await, Node::start().await);
    liar.state().will_stream([apply(&chain[0]), apply(&chain[1])].into_iter().chain(parts).chain([Part::Silence]));
    honest.state().will_stream(chain[2..].iter().map(apply).chain([Part::Silence]));
    let mut reader = Reader::of(&client([&liar, &honest]), FIRST);
    assert_eq!(reader.take(5).await, applied(&chain), "the reader sees nothing of it");
    assert_eq!(honest.state().starts, [after(&chain[1])]);
    let troubles = reader.troubles();
    assert_eq!(troubles.len(), 1, "{troubles:?}");
    troubles.concat()
}

#[tokio::test]
async fn a_node_that_skips_repeats_or_changes_branch_is_caught_and_left() {
    let (ours, other) = (chain(5, 2, 0), chain(5, 2, 9));
    let mut no_work = ours[2].clone();
    while no_work.header.has_work() {
        no_work.header.nonce += 1;
    }
    let mut forged = ours[2].clone();
    forged.coinbase.amount = farthing::Mites::new(1 << 40);
    let mut higher = ours[2].clone();
    higher.coinbase.height = Height::new(7);
    higher.header.tx_root = higher.tx_root();
    while !higher.header.has_work() {
        higher.header.nonce += 1;
    }
    let table = [
        ("skips", vec![apply(&ours[3])], "Parent"),
        ("repeats", vec![apply(&ours[1])], "Parent"),
        ("changes branch", vec![apply(&other[3])], "Parent"),
        ("claims a height", vec![apply(&higher)], "BlockHeight"),
        ("does no work", vec![apply(&no_work)], "NoWork"),
        ("forges a coinbase", vec![apply(&forged)], "Inconsistent"),
        ("undoes another block", vec![undo(&ours[2], &ours[1])], "UndoneOther"),
        ("undoes to another block", vec![undo(&ours[1], &other[4])], "FrameCursor"),
        ("gives another cursor", vec![apply_with(&ours[2], &behind(&ours[3]))], "FrameCursor"),
    ];
    for (what, parts, expected) in table {
        let trouble = lies(parts).await;
        assert!(trouble.contains(expected), "{what}: {trouble}");
    }
}

#[tokio::test]
async fn a_lie_behind_a_stored_cursor_is_caught_too() {
    let chain = chain(5, 5, 0);
    let (liar, honest) = (Node::start().await, Node::start().await);
    liar.state().will_stream([apply(&chain[4]), Part::Silence]);
    honest.state().will_stream([apply(&chain[3]), Part::Silence]);
    let mut reader = Reader::of(&client([&liar, &honest]), Start::Cursor(behind(&chain[2])));
    assert_eq!(reader.take(1).await, applied(&chain[3..4]));
    assert!(reader.troubles().concat().contains("Parent"));
    liar.state().will_stream([apply(&chain[4]), Part::Silence]);
    let mut reader = Reader::of(&client([&liar, &honest]), Start::After(chain[2].id()));
    honest.state().will_stream([apply(&chain[3]), Part::Silence]);
    assert_eq!(reader.take(1).await, applied(&chain[3..4]));
}

#[tokio::test]
async fn a_node_that_stops_hands_over_to_another_one() {
    let chain = chain(4, 4, 0);
    let (first, second) = (Node::start().await, Node::start().await);
    let stops = [draining(&chain[1]), Part::Refuse(Code::Unavailable, "STOPPING")];
    first.state().will_stream([apply(&chain[0]), apply(&chain[1])].into_iter().chain(stops));
    second.state().will_stream([apply(&chain[2]), apply(&chain[3]), Part::Silence]);
    let mut reader = Reader::of(&client([&first, &second]), FIRST);
    assert_eq!(reader.take(4).await, applied(&chain));
    assert_eq!(second.state().starts, [after(&chain[1])]);
}

#[tokio::test]
async fn an_old_connection_is_replaced_at_the_same_node() {
    let chain = chain(2, 2, 0);
    let node = Node::start().await;
    let expired = [draining(&chain[0]), Part::Refuse(Code::Unavailable, "CONNECTION_EXPIRED")];
    node.state().will_stream([apply(&chain[0])].into_iter().chain(expired));
    node.state().will_stream([apply(&chain[1]), Part::Silence]);
    let mut reader = Reader::of(&client([&node]), FIRST);
    assert_eq!(reader.take(2).await, applied(&chain));
    assert_eq!(node.state().accepted, 2);
    assert_eq!(reader.troubles(), Vec::<String>::new());
}

#[tokio::test]
async fn a_node_that_does_not_know_the_cursor_yet_is_passed_over_or_waited_for() {
    let chain = chain(4, 4, 0);
    let unknown = Deed::Refuse(Code::NotFound, "CURSOR_UNKNOWN", None);
    let (lagging, other) = (Node::start().await, Node::start().await);
    lagging.state().will("subscribe", vec![unknown.clone(); 50]);
    other.state().will_stream([apply(&chain[3]), Part::Silence]);
    let start = Start::Cursor(behind(&chain[2]));
    let mut reader = Reader::of(&client([&lagging, &other]), start.clone());
    assert_eq!(reader.take(1).await, applied(&chain[3..]));

    let alone = Node::start().await;
    alone.state().will("subscribe", vec![unknown; 3]);
    alone.state().will_stream([apply(&chain[3]), Part::Silence]);
    let mut reader = Reader::of(&client([&alone]), start);
    assert_eq!(reader.take(1).await, applied(&chain[3..]));
    assert_eq!(alone.state().starts.len(), 4);
    assert_eq!(reader.troubles().len(), 3);
}

#[tokio::test]
async fn a_silent_stream_is_dead() {
    let chain = chain(3, 3, 0);
    let node = Node::start().await;
    node.state().will_stream([apply(&chain[0]), Part::Silence]);
    node.state().will_stream([apply(&chain[1]), Part::Silence]);
    let client = builder([&node]).silence(Duration::from_millis(300)).build().unwrap();
    let mut reader = Reader::of(&client, FIRST);
    assert_eq!(reader.take(2).await, applied(&chain[..2]));
    assert!(reader.troubles().concat().contains("Deadline"));
}

#[tokio::test]
async fn a_reader_that_waits_for_the_tip_misses_nothing_when_the_stream_breaks() {
    let chain = chain(4, 4, 0);
    let node = Node::start().await;
    node.state().will_stream([progress(&chain[1])]);
    node.state().will_stream([apply(&chain[2]), Part::Silence]);
    let mut reader = Reader::of(&client([&node]), Start::Tip);
    assert_eq!(reader.take(1).await, applied(&chain[2..3]));
    assert_eq!(node.state().starts, [Asked::FromTip(true), after(&chain[1])]);
}

#[tokio::test]
async fn a_stream_of_a_node_that_falls_behind_is_left() {
    let chain = chain(3, 3, 0);
    let (first, second) = (Node::start().await, Node::start().await);
    first.state().will_stream([apply(&chain[0]), progress(&chain[0]), Part::Silence]);
    // The frames of the script say height 9.
    second.state().tip = Some(crate::node::point(100, 202));
    first.state().tip = Some(crate::node::point(99, 200));
    second.state().will_stream([apply(&chain[1]), Part::Silence]);
    let mut reader = Reader::of(&client([&first, &second]), FIRST);
    assert_eq!(reader.take(2).await, applied(&chain[..2]));
    assert_eq!(second.state().starts, [after(&chain[0])]);
}

#[tokio::test]
async fn what_no_node_can_mend_is_told() {
    let node = Node::start().await;
    node.state().will("subscribe", [Deed::Refuse(Code::InvalidArgument, "INVALID_CURSOR", None)]);
    assert!(Reader::of(&client([&node]), FIRST).fails().await.is_refused_for("INVALID_CURSOR"));
    let nodes = [Node::start().await, Node::start().await];
    for node in &nodes {
        node.state().will("subscribe", [Deed::Refuse(Code::FailedPrecondition, "BLOCK_PRUNED", None)]);
    }
    assert!(Reader::of(&client(&nodes), FIRST).fails().await.is_refused_for("BLOCK_PRUNED"));
    assert_eq!(nodes.each_ref().map(|node| node.state().starts.len()), [1, 1]);
    let foreign = Node::start().await;
    foreign.state().genesis = Some([9; 32]);
    let error = Reader::of(&client([&foreign]), FIRST).fails().await;
    assert!(matches!(error, Error::WrongNetwork { .. }), "{error:?}");
}

#[tokio::test]
async fn the_first_block_must_be_the_networks() {
    let mut genesis = chain(1, 1, 0).remove(0);
    genesis.header.nonce += 1;
    let node = Node::start().await;
    node.state().will_stream([apply(&genesis)]);
    node.state().will_stream([apply(&chain(1, 1, 0)[0]), Part::Silence]);
    let mut reader = Reader::of(&client([&node]), FIRST);
    assert_eq!(reader.take(1).await, applied(&chain(1, 1, 0)));
    assert!(reader.troubles().concat().contains(&format!("{:?}", VerifyError::OtherGenesis(genesis.id()))));
}
