//! The stream of one account, over everything that nodes and lines do to it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use farthing::{
    Account, Address, BlockId, Coinbase, EntryId, Height, Mites,
    account::history_link,
    wire::{ChainPoint, v1, v1::watch_account_response::Event},
};
use farthing_client::{AccountEvent, AccountWatch, Client, Cursor, Error, WatchStart};
use tokio::time::timeout;
use tonic::Code;

use crate::{
    frames::Part,
    node::{Deed, Node, client, params, point},
};

type Message = v1::WatchAccountResponse;

const SOMEBODY: Address = Address::from_bytes([3; 32]);
/// Longer than any of these takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn at(height: u64) -> ChainPoint {
    point(height, u128::from(2 * height + 2))
}

fn behind(height: u64) -> Cursor {
    Cursor::behind(Height::new(height), &at(height).block_id)
}

fn frame(cursor: &Cursor, event: Event) -> Part<Message> {
    let cursor = cursor.as_bytes().to_vec().into();
    Part::Frame(Box::new(Message { cursor, tip: Some((&point(9, 20)).into()), event: Some(event) }))
}

fn state(height: u64, account: Option<Account>) -> v1::AccountState {
    let shown = account.unwrap_or_default();
    v1::AccountState { block: Some((&at(height)).into()), exists: account.is_some(), account: Some((&shown).into()) }
}

fn is(height: u64, account: Option<Account>) -> Part<Message> {
    frame(&behind(height), Event::State(state(height, account)))
}

fn progress(height: u64) -> Part<Message> {
    frame(&behind(height), Event::Progress(v1::Progress {}))
}

fn undo(left: u64, height: u64, account: Option<Account>) -> Part<Message> {
    let (block, state) = (Some((&at(left)).into()), Some(state(height, account)));
    frame(&behind(height), Event::Undo(v1::AccountUndo { block, state }))
}

/// An account that is given a reward, and the frame that tells it.
fn reward(account: &mut Account, height: u64, mites: u64) -> Event {
    let coinbase = Coinbase { height: Height::new(height), to: SOMEBODY, amount: Mites::new(mites), tag: Vec::new() };
    let id: EntryId = coinbase.id(params().genesis_id()).into();
    account.link(id, Height::new(height));
    account.balance = account.balance.checked_add(coinbase.amount).unwrap();
    let entry = v1::AccountEntry {
        entry: account.entries,
        height,
        id: id.to_bytes().to_vec().into(),
        id_hex: id.to_string(),
        history: account.history.to_bytes().to_vec().into(),
        time_ms: 1,
        cause: Some(v1::account_entry::Cause::Coinbase((&coinbase).into())),
    };
    Event::Apply(v1::AccountApply { state: Some(state(height, Some(*account))), entries: vec![entry] })
}

/// The history that all of these tests tell: at heights 2, 3, 5 and 6 the account is given as many mites. The states before
/// the first and behind each, and the frames.
fn history() -> (Vec<Account>, Vec<Part<Message>>) {
    let mut account = Account::with_balance(Mites::new(100));
    let mut states = vec![account];
    let mut frames = Vec::new();
    for height in [2, 3, 5, 6] {
        frames.push(frame(&behind(height), reward(&mut account, height, height)));
        states.push(account);
    }
    (states, frames)
}

struct Reader {
    watch: AccountWatch,
    troubles: Arc<Mutex<Vec<String>>>,
}

impl Reader {
    fn of(client: &Client, start: WatchStart) -> Self {
        let troubles = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&troubles);
        let watch = client.watch_account(&SOMEBODY, start);
        Self { watch: watch.on_trouble(move |error| told.lock().unwrap().push(format!("{error:?}"))), troubles }
    }

    async fn next(&mut self) -> Result<farthing_client::AccountFrame, Error> {
        timeout(PATIENCE, self.watch.next()).await.expect("something in time")
    }

    /// The next steps: what happened, at which height, and the balance behind it.
    async fn take(&mut self, count: usize) -> Vec<(&'static str, u64, u64)> {
        let mut taken = Vec::new();
        for _ in 0..count {
            let frame = self.next().await.unwrap();
            let state = *frame.event.state();
            assert_eq!(frame.cursor.block(), Some((state.block.height, state.block.block_id)));
            let what = match frame.event {
                AccountEvent::State(_) => "is",
                AccountEvent::Apply { .. } => "apply",
                AccountEvent::Undo { .. } => "undo",
            };
            taken.push((what, state.block.height.get(), state.state().balance.get()));
        }
        taken
    }

    fn troubles(&self) -> Vec<String> {
        self.troubles.lock().unwrap().clone()
    }
}

/// Cursors that the node was asked to go on behind; none for the tip.
fn asked(node: &Node) -> Vec<Option<Cursor>> {
    let state = node.state();
    let read = |request: &v1::WatchAccountRequest| Cursor::from_bytes(&request.cursor).ok();
    state.account.asked.iter().map(read).collect()
}

#[tokio::test]
async fn a_broken_stream_goes_on_behind_its_last_frame_and_what_else_was_passed() {
    let (states, frames) = history();
    let node = Node::start().await;
    let broken = Part::Refuse(Code::Unavailable, "STORE_FAILED");
    node.state().account.will([is(1, Some(states[0])), frames[0].clone(), broken]);
    node.state().account.will([frames[1].clone(), progress(4)]);
    node.state().account.will([frames[2].clone(), frames[3].clone(), Part::Silence]);
    let mut reader = Reader::of(&client([&node]), WatchStart::Tip);
    let expected = [("is", 1, 100), ("apply", 2, 102), ("apply", 3, 105), ("apply", 5, 110), ("apply", 6, 116)];
    assert_eq!(reader.take(5).await, expected);
    assert_eq!(asked(&node), [None, Some(behind(2)), Some(behind(4))]);
    assert_eq!(reader.troubles().len(), 2, "{:?}", reader.troubles());
    assert_eq!(reader.watch.cursor(), Some(&behind(6)));
}

#[tokio::test]
async fn a_node_that_stops_or_stalls_hands_over_with_the_cursor() {
    let (states, frames) = history();
    let (first, second) = (Node::start().await, Node::start().await);
    let draining = frame(&behind(2), Event::Draining(v1::Draining {}));
    let stops = [is(1, Some(states[0])), frames[0].clone(), draining, Part::Refuse(Code::Unavailable, "STOPPING")];
    first.state().account.will(stops);
    second.state().account.will([frames[1].clone(), Part::Refuse(Code::ResourceExhausted, "SUBSCRIBER_STALLED")]);
    second.state().account.will([frames[2].clone(), Part::Silence]);
    first.state().account.will([frames[2].clone(), Part::Silence]);
    let mut reader = Reader::of(&client([&first, &second]), WatchStart::Tip);
    assert_eq!(reader.take(4).await, [("is", 1, 100), ("apply", 2, 102), ("apply", 3, 105), ("apply", 5, 110)]);
    let cursors = [asked(&first), asked(&second)].concat();
    assert_eq!(cursors.iter().filter(|cursor| **cursor == Some(behind(3))).count(), 1, "{cursors:?}");
    assert!(cursors.contains(&Some(behind(2))), "{cursors:?}");
    let troubles = reader.troubles().concat();
    assert!(troubles.contains("STOPPING") && troubles.contains("SUBSCRIBER_STALLED"), "{troubles}");
}

#[tokio::test]
async fn a_node_that_does_not_know_the_cursor_yet_is_passed_over_or_waited_for() {
    let (_, frames) = history();
    let (lagging, other) = (Node::start().await, Node::start().await);
    let unknown = Deed::Refuse(Code::NotFound, "CURSOR_UNKNOWN", None);
    lagging.state().will("watch", vec![unknown.clone(); 50]);
    other.state().account.will([frames[2].clone(), Part::Silence]);
    let mut reader = Reader::of(&client([&lagging, &other]), WatchStart::Cursor(behind(3)));
    assert_eq!(reader.take(1).await, [("apply", 5, 110)]);
    let alone = Node::start().await;
    alone.state().will("watch", vec![unknown; 2]);
    alone.state().account.will([frames[2].clone(), Part::Silence]);
    let mut reader = Reader::of(&client([&alone]), WatchStart::Cursor(behind(3)));
    assert_eq!(reader.take(1).await, [("apply", 5, 110)]);
    assert_eq!(asked(&alone), vec![Some(behind(3)); 3]);
}

#[tokio::test]
async fn what_blocks_did_is_taken_back_to_what_it_was() {
    let (states, frames) = history();
    let node = Node::start().await;
    let forth = [is(1, Some(states[0]))].into_iter().chain(frames.clone());
    // One block, then two at once, as a node tells it that never had their branch.
    let back = [undo(6, 5, Some(states[3])), undo(5, 2, Some(states[1]))];
    node.state().account.will(forth.chain(back).chain([frames[1].clone(), Part::Silence]));
    let mut reader = Reader::of(&client([&node]), WatchStart::Tip);
    reader.take(5).await;
    assert_eq!(reader.take(3).await, [("undo", 5, 110), ("undo", 2, 102), ("apply", 3, 105)]);
    assert_eq!(reader.troubles(), Vec::<String>::new());
}

#[tokio::test]
async fn blocks_that_did_nothing_may_leave_unsaid() {
    let (states, frames) = history();
    let node = Node::start().await;
    // As it is at 4; the blocks down to 2 leave, and another block 3 touches it and leaves too.
    let parts = [is(4, Some(states[1])), frames[1].clone(), undo(3, 2, Some(states[1])), frames[1].clone()];
    node.state().account.will(parts.into_iter().chain([Part::Silence]));
    let mut reader = Reader::of(&client([&node]), WatchStart::Tip);
    assert_eq!(reader.take(4).await, [("is", 4, 102), ("apply", 3, 105), ("undo", 2, 102), ("apply", 3, 105)]);
    assert_eq!(reader.troubles(), Vec::<String>::new());
}

/// A first node does this behind its first two frames; the second one is honest.
async fn lies(parts: Vec<Part<Message>>) -> String {
    let (states, frames) = history();
    let (liar, honest) = (Node::start().await, Node::start().await);
    let truth = [is(1, Some(states[0])), frames[0].clone(), frames[1].clone()];
    liar.state().account.will(truth.into_iter().chain(parts).chain([Part::Silence]));
    honest.state().account.will([frames[2].clone(), frames[3].clone(), Part::Silence]);
    let mut reader = Reader::of(&client([&liar, &honest]), WatchStart::Tip);
    let expected = [("is", 1, 100), ("apply", 2, 102), ("apply", 3, 105), ("apply", 5, 110), ("apply", 6, 116)];
    assert_eq!(reader.take(5).await, expected, "the reader sees nothing of it");
    assert_eq!(asked(&honest), [Some(behind(3))], "behind the last frame that was believed");
    let troubles = reader.troubles();
    assert_eq!(troubles.len(), 1, "{troubles:?}");
    troubles.concat()
}

/// The true next frame, changed.
fn forged(change: impl FnOnce(&mut v1::AccountApply)) -> Vec<Part<Message>> {
    let (_, mut frames) = history();
    let Part::Frame(message) = &mut frames[2] else { panic!("a frame") };
    let Some(Event::Apply(apply)) = &mut message.event else { panic!("a block") };
    change(apply);
    vec![frames[2].clone()]
}

#[tokio::test]
async fn a_node_whose_frames_are_not_one_history_is_caught_and_left() {
    let (states, frames) = history();
    let mut other = states[2];
    let table = vec![
        ("skips", vec![frames[3].clone()], "next link"),
        ("skips behind a progress", vec![progress(5), frames[3].clone()], "next link"),
        ("repeats", vec![frames[1].clone()], "was not taken back"),
        ("begins anew", vec![is(4, Some(states[2]))], "begins anew"),
        ("undoes to another state", vec![undo(3, 2, Some(states[2]))], "another one there"),
        ("undoes upwards", vec![undo(3, 4, Some(states[2]))], "not above"),
        ("names another place", vec![frame(&behind(6), reward(&mut other, 5, 5))], "FrameCursor"),
        ("shows nothing", forged(|apply| apply.entries.clear()), "nothing of it is shown"),
        ("hides the account", forged(|apply| apply.state = Some(state(5, None))), "does not exist"),
        (
            "gives more",
            forged(|apply| apply.state.as_mut().unwrap().account.as_mut().unwrap().balance_mites += 1),
            "balance",
        ),
        ("sends", forged(|apply| apply.state.as_mut().unwrap().account.as_mut().unwrap().next_nonce += 1), "nonce"),
        (
            "counts more",
            forged(|apply| apply.state.as_mut().unwrap().account.as_mut().unwrap().entries += 1),
            "history",
        ),
        ("is at another height", forged(|apply| apply.entries[0].height = 4), "another height"),
        ("has another id", forged(|apply| apply.entries[0].id = vec![7; 32].into()), "BrokenHistory"),
        ("shows a reward of another", forged(of_another), "does not concern"),
        ("has no cause", forged(|apply| apply.entries[0].cause = None), "Malformed"),
        ("has no state", forged(|apply| apply.state = None), "Malformed"),
    ];
    for (what, parts, expected) in table {
        let trouble = lies(parts).await;
        assert!(trouble.contains(expected), "{what}: {trouble}");
    }
}

fn of_another(apply: &mut v1::AccountApply) {
    let to = Address::from_bytes([8; 32]);
    let coinbase = Coinbase { height: Height::new(5), to, amount: Mites::new(5), tag: Vec::new() };
    let id: EntryId = coinbase.id(params().genesis_id()).into();
    let entry = &mut apply.entries[0];
    entry.id = id.to_bytes().to_vec().into();
    entry.cause = Some(v1::account_entry::Cause::Coinbase((&coinbase).into()));
    let before = history().0[2].history;
    entry.history = history_link(&before, id, Height::new(5)).to_bytes().to_vec().into();
}

#[tokio::test]
async fn own_transfers_take_what_they_say_and_use_the_next_nonce() {
    let transfer = crate::retries::transfer();
    let id: EntryId = transfer.transaction().id(params().genesis_id()).into();
    let tell = |nonce: u64, balance: u64| {
        let before = Account { next_nonce: 1, ..Account::with_balance(Mites::new(10)) };
        let mut after = before;
        after.link(id, Height::new(2));
        (after.next_nonce, after.balance) = (nonce, Mites::new(balance));
        let entry = v1::AccountEntry {
            entry: 1,
            height: 2,
            id: id.to_bytes().to_vec().into(),
            history: after.history.to_bytes().to_vec().into(),
            cause: Some(v1::account_entry::Cause::Transaction(farthing::wire::transaction_view(params(), &transfer))),
            ..v1::AccountEntry::default()
        };
        let apply = v1::AccountApply { state: Some(state(2, Some(after))), entries: vec![entry] };
        [is(1, Some(before)), frame(&behind(2), Event::Apply(apply)), Part::Silence]
    };
    // It pays 2 and a fee of 1.
    for (nonce, balance, trouble) in [(3, 7, "next nonce"), (2, 8, "another balance")] {
        let (liar, honest) = (Node::start().await, Node::start().await);
        liar.state().account.will(tell(nonce, balance));
        let [_, truth, silence] = tell(2, 7);
        honest.state().account.will([truth, silence]);
        let mut reader = Reader::of(&client([&liar, &honest]), WatchStart::Tip);
        assert_eq!(reader.take(2).await, [("is", 1, 10), ("apply", 2, 7)]);
        assert!(reader.troubles().concat().contains(trouble), "{:?}", reader.troubles());
    }
}

#[tokio::test]
async fn what_genesis_gave_is_the_networks() {
    let given = &params().allocations[0];
    let genesis = params().genesis_id();
    let cursor = Cursor::behind(Height::GENESIS, genesis);
    let begin = |mites: u64| {
        let account = Account::with_balance(Mites::new(mites));
        let block = ChainPoint { block_id: BlockId::from_bytes(genesis.to_bytes()), ..point(0, 2) };
        let state = v1::AccountState { block: Some((&block).into()), ..state(0, Some(account)) };
        let apply = v1::AccountApply { state: Some(state), entries: Vec::new() };
        [frame(&cursor, Event::Apply(apply)), Part::Silence]
    };
    let (liar, honest) = (Node::start().await, Node::start().await);
    liar.state().account.will(begin(given.amount.get() + 1));
    honest.state().account.will(begin(given.amount.get()));
    let start = WatchStart::Cursor(Cursor::before_genesis());
    let mut watch = client([&liar, &honest]).watch_account(&given.address, start);
    let frame = timeout(PATIENCE, watch.next()).await.unwrap().unwrap();
    assert_eq!(frame.event.state().state(), Account::with_balance(given.amount));
    assert_eq!(liar.state().account.asked.len(), 1);
}

#[tokio::test]
async fn what_no_node_can_mend_is_told() {
    let node = Node::start().await;
    node.state().will("watch", [Deed::Refuse(Code::InvalidArgument, "INVALID_CURSOR", None)]);
    let mut reader = Reader::of(&client([&node]), WatchStart::Tip);
    assert!(reader.next().await.unwrap_err().is_refused_for("INVALID_CURSOR"));
}
