//! One account, watched over a real connection.

use farthing::{Account, EntryId, Hash, account::history_link};
use v1::watch_account_response::Event;

use super::*;

pub(super) type Frames = tonic::Streaming<v1::WatchAccountResponse>;

pub(super) async fn watch(api: &Api, address: Address, cursor: Vec<u8>) -> Result<Frames, Status> {
    let id = Some(v1::watch_account_request::Id::AddressText(api.test.chain.params().prefix.format(&address)));
    let request = v1::WatchAccountRequest { id, cursor: cursor.into() };
    Ok(api.client().await.watch_account(request).await?.into_inner())
}

/// A reader that believes the frames and nothing else, and holds them to be one history.
#[derive(Debug, Clone, Default)]
pub(super) struct Reader {
    pub(super) account: Option<Account>,
    /// Ids with the history's head behind each; what was there before the first frame is not known.
    pub(super) entries: Vec<(u64, String)>,
    pub(super) cursor: Vec<u8>,
    pub(super) undone: usize,
}

impl Reader {
    pub(super) fn take(&mut self, frame: v1::WatchAccountResponse) {
        self.cursor = frame.cursor.to_vec();
        match frame.event.unwrap() {
            Event::State(state) => self.account = read(state),
            Event::Apply(apply) => {
                let mut history = self.account.unwrap_or_default();
                for entry in &apply.entries {
                    history.link(EntryId::try_from(&entry.id[..]).unwrap(), Height::new(entry.height));
                    assert_eq!((entry.entry, &entry.history[..]), (history.entries, &history.history.as_bytes()[..]));
                    self.entries.push((entry.entry, entry.id_hex.clone()));
                }
                self.account = read(apply.state.unwrap());
                let (account, entries) = (self.account.unwrap(), apply.entries.len());
                assert_eq!((account.entries, account.history), (history.entries, history.history), "{entries} entries");
            }
            Event::Undo(undo) => {
                self.account = read(undo.state.unwrap());
                let kept = self.account.map_or(0, |account| account.entries);
                self.entries.retain(|(entry, _)| *entry <= kept);
                self.undone += 1;
            }
            Event::Progress(_) => {}
            Event::Draining(_) => panic!("the node goes on"),
        }
    }
}

fn read(state: v1::AccountState) -> Option<Account> {
    let account = Account::try_from(state.account.unwrap()).unwrap();
    assert!(state.exists || account == Account::default());
    state.exists.then_some(account)
}

async fn event(frames: &mut Frames) -> (Event, Vec<u8>) {
    loop {
        let frame = next_frame(frames).await.unwrap().expect("the stream goes on");
        assert!(frame.tip.is_some() && frame.cursor.len() == 41);
        match frame.event.unwrap() {
            Event::Progress(_) => {}
            event => return (event, frame.cursor.to_vec()),
        }
    }
}

/// The next frame, which must tell of this block, and what the account has after it; with its cursor.
async fn applied(frames: &mut Frames, block: &Block) -> (v1::AccountApply, Account, Vec<u8>) {
    match event(frames).await {
        (Event::Apply(apply), cursor) => {
            let state = apply.state.clone().unwrap();
            assert_eq!(state.block.as_ref().unwrap().block_id_hex, block.id().to_string());
            let account = read(state).expect("it was touched");
            (apply, account, cursor)
        }
        other => panic!("{other:?}"),
    }
}

/// The next frame, which must tell that blocks left; the highest of them, where the account is told of, and the account.
async fn undone(frames: &mut Frames) -> (String, String, Option<Account>) {
    match event(frames).await.0 {
        Event::Undo(undo) => {
            let state = undo.state.unwrap();
            (undo.block.unwrap().block_id_hex, state.block.clone().unwrap().block_id_hex, read(state))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_account_is_told_as_it_is_and_then_block_by_block_where_one_touches_it() {
    let api = Api::start().await;
    let stranger = Address::from_bytes([9; 32]);
    let genesis = (*api.test.chain.view()).clone();
    let mut frames = watch(&api, stranger, vec![]).await.unwrap();
    let (first, _) = event(&mut frames).await;
    let Event::State(state) = first else { panic!("{first:?}") };
    assert_eq!((state.block.clone().unwrap().block_id_hex, read(state)), (genesis.tip.id().to_string(), None));

    let pays = vec![ALICE.pay(0, stranger, 5), BOB.pay(0, BOB.address(), 1), ALICE.pay(1, stranger, 2)];
    let (untouched, view) = branch(&genesis, 2, Vec::new(), 1);
    let (paid, view) = branch(&view, 1, pays, 1);
    // The miner of this block is the stranger.
    let (mined, view) = branch(&view, 1, Vec::new(), 9);
    api.take(untouched.into_iter().chain(paid.clone()).chain(mined.clone())).await;
    let (apply, account, _) = applied(&mut frames, &paid[0]).await;
    assert_eq!((apply.entries.len(), account.balance.get()), (2, 700_000_000));
    let transfers = [0, 2].map(|at| api.id_of(&paid[0].transactions[at]).to_string());
    assert_eq!(apply.entries.iter().map(|entry| entry.id_hex.clone()).collect::<Vec<_>>(), transfers);
    let (apply, account, _) = applied(&mut frames, &mined[0]).await;
    assert!(matches!(apply.entries[0].cause, Some(v1::account_entry::Cause::Coinbase(_))), "{apply:?}");
    assert_eq!(Some(account), view.account(&stranger));
}

#[tokio::test]
async fn blocks_that_leave_are_undone_one_by_one_and_a_cursor_resumes_without_gaps_or_repeats() {
    let api = Api::start().await;
    let genesis = (*api.test.chain.view()).clone();
    let alice = ALICE.address();
    let mut frames = watch(&api, alice, vec![]).await.unwrap();
    assert!(matches!(event(&mut frames).await.0, Event::State(_)));
    let (one, view_1) = branch(&genesis, 1, vec![ALICE.pay(0, BOB.address(), 5)], 1);
    let (two, _) = branch(&view_1, 1, vec![ALICE.pay(1, BOB.address(), 6)], 1);
    let (new, new_view) = branch(&genesis, 3, vec![ALICE.pay(0, BOB.address(), 7)], 2);
    api.take(one.clone()).await;
    let (_, _, behind_one) = applied(&mut frames, &one[0]).await;
    api.take(two.clone()).await;
    let (_, _, behind_two) = applied(&mut frames, &two[0]).await;
    let mut resumed = watch(&api, alice, behind_one.clone()).await.unwrap();
    applied(&mut resumed, &two[0]).await;

    api.take(new.clone()).await;
    let mut late = watch(&api, alice, behind_two).await.unwrap();
    let ids = [genesis.tip.id(), one[0].id(), two[0].id()].map(|id| id.to_string());
    for frames in [&mut frames, &mut resumed, &mut late] {
        assert_eq!(undone(frames).await, (ids[2].clone(), ids[1].clone(), view_1.account(&alice)));
        assert_eq!(undone(frames).await, (ids[1].clone(), ids[0].clone(), genesis.account(&alice)));
        let (_, account, _) = applied(frames, &new[0]).await;
        assert_eq!(Some(account), new_view.account(&alice));
    }
    let mut later = watch(&api, alice, behind_one).await.unwrap();
    assert_eq!(undone(&mut later).await, (ids[1].clone(), ids[0].clone(), genesis.account(&alice)));
}

#[tokio::test]
async fn a_cursor_of_a_branch_that_another_node_never_followed_leads_back_to_where_the_branches_meet() {
    let api = Api::start().await;
    let genesis = (*api.test.chain.view()).clone();
    let alice = ALICE.address();
    let (common, common_view) = branch(&genesis, 1, vec![ALICE.pay(0, BOB.address(), 3)], 1);
    let (old, view) = branch(&common_view, 1, vec![ALICE.pay(1, BOB.address(), 5)], 1);
    let (old_2, _) = branch(&view, 1, vec![ALICE.pay(2, BOB.address(), 5)], 1);
    let (new, view) = branch(&common_view, 3, vec![ALICE.pay(1, BOB.address(), 7)], 2);
    let (new_2, new_view) = branch(&view, 1, vec![ALICE.pay(2, BOB.address(), 8)], 2);
    let mut frames = watch(&api, alice, vec![]).await.unwrap();
    api.take(common.clone().into_iter().chain(old.clone()).chain(old_2.clone())).await;
    let mut reader = Reader::default();
    while reader.entries.len() < 3 {
        reader.take(next_frame(&mut frames).await.unwrap().unwrap());
    }

    let other = Api::start().await;
    other.take(common.clone().into_iter().chain(new.clone()).chain(new_2.clone())).await;
    other.take(old.into_iter().chain(old_2.clone())).await;
    let mut resumed = watch(&other, alice, reader.cursor.clone()).await.unwrap();
    let (top, fork) = (old_2[0].id().to_string(), common[0].id().to_string());
    assert_eq!(undone(&mut resumed).await, (top, fork, common_view.account(&alice)));
    applied(&mut resumed, &new[0]).await;
    let (_, account, _) = applied(&mut resumed, &new_2[0]).await;
    assert_eq!(Some(account), new_view.account(&alice));
}

#[tokio::test]
async fn a_stream_from_before_genesis_begins_with_what_genesis_gave() {
    let api = Api::start().await;
    let mut frames = watch(&api, ALICE.address(), vec![1]).await.unwrap();
    let genesis = api.test.chain.params().genesis().clone();
    let (apply, account, _) = applied(&mut frames, &genesis).await;
    assert_eq!((apply.entries.len(), account.history), (0, Hash::ZERO));
    assert_eq!(Some(account), api.test.chain.view().account(&ALICE.address()));
    assert_ne!(history_link(&Hash::ZERO, EntryId::from(TxId::ZERO), Height::GENESIS), Hash::ZERO);
}

#[tokio::test]
async fn a_request_that_cannot_be_is_refused_with_its_reason() {
    let api = Api::start().await;
    let alice = ALICE.address();
    let table = [
        (vec![9; 41], Code::InvalidArgument, "INVALID_CURSOR"),
        (vec![1; 33], Code::InvalidArgument, "INVALID_CURSOR"),
        ([vec![1], vec![9; 40]].concat(), Code::NotFound, "CURSOR_UNKNOWN"),
    ];
    for (cursor, code, reason) in table {
        let error = watch(&api, alice, cursor).await.unwrap_err();
        assert_eq!((facts(&error).0, facts(&error).1.as_str()), (code, reason));
    }
    let request = v1::WatchAccountRequest { id: None, cursor: Vec::new().into() };
    let error = api.client().await.watch_account(request).await.unwrap_err();
    assert_eq!(facts(&error).1, "MISSING_FIELD");
}
