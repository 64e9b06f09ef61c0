//! What the fake node tells those who follow its account and its mempool.

use farthing::{
    Hash, Height, SignedTransaction,
    wire::{transaction_view, v1, v1::subscribe_transactions_response, v1::watch_account_response},
};
use farthing_client::Cursor;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tonic::Status;

use crate::{fake_ledger::State, fake_node::point};

/// Who follows; nobody where the node has no streams.
#[derive(Default)]
pub(crate) struct Readers {
    account: Vec<UnboundedSender<Result<v1::WatchAccountResponse, Status>>>,
    pool: Vec<UnboundedSender<Result<v1::SubscribeTransactionsResponse, Status>>>,
}

/// An entry of the account's history, counted from 0.
pub(super) fn account_entry(
    state: &State,
    at: usize,
    (transfer, height, history): &(SignedTransaction, u64, Hash),
) -> v1::AccountEntry {
    let id = transfer.transaction().id(state.params.genesis_id());
    v1::AccountEntry {
        entry: at as u64 + 1,
        height: *height,
        id: id.to_bytes().to_vec().into(),
        id_hex: id.to_string(),
        history: history.to_bytes().to_vec().into(),
        cause: Some(v1::account_entry::Cause::Transaction(transaction_view(state.params, transfer))),
        time_ms: state.chain.header(*height).time.get(),
    }
}

/// A transfer that waits.
pub(super) fn mempool_entry(state: &State, transfer: &SignedTransaction) -> v1::MempoolEntry {
    v1::MempoolEntry {
        transaction: Some(transaction_view(state.params, transfer)),
        state: v1::TransactionState::Pending.into(),
        received_ms: 1_800_000_000_000,
    }
}

fn account_state(state: &State) -> v1::AccountState {
    v1::AccountState { block: Some(point(state)), exists: true, account: Some((&state.shown_account()).into()) }
}

fn account_frame(state: &State, event: watch_account_response::Event) -> v1::WatchAccountResponse {
    let height = state.height();
    let cursor = Cursor::behind(Height::new(height), &state.chain.header(height).id());
    v1::WatchAccountResponse { cursor: cursor.as_bytes().to_vec().into(), tip: Some(point(state)), event: Some(event) }
}

fn pool_frame(state: &State, event: subscribe_transactions_response::Event) -> v1::SubscribeTransactionsResponse {
    v1::SubscribeTransactionsResponse { cursor: vec![1].into(), tip: Some(point(state)), event: Some(event) }
}

impl State {
    /// Somebody follows the account from now on.
    pub(super) fn follow_account(&mut self) -> UnboundedReceiver<Result<v1::WatchAccountResponse, Status>> {
        let (sender, receiver) = unbounded_channel();
        let state = watch_account_response::Event::State(account_state(self));
        sender.send(Ok(account_frame(self, state))).unwrap();
        self.readers.account.push(sender);
        receiver
    }

    /// Somebody follows the mempool from now on.
    pub(super) fn follow_pool(&mut self) -> UnboundedReceiver<Result<v1::SubscribeTransactionsResponse, Status>> {
        use subscribe_transactions_response::Event;
        let (sender, receiver) = unbounded_channel();
        let waiting = self.pool.iter().map(|transfer| Event::Added(mempool_entry(self, transfer)));
        let begin = std::iter::once(Event::Reset(v1::MempoolReset {}));
        let end = std::iter::once(Event::Present(v1::MempoolPresent {}));
        begin.chain(waiting).chain(end).for_each(|event| sender.send(Ok(pool_frame(self, event))).unwrap());
        self.readers.pool.push(sender);
        receiver
    }

    /// Whether so many follow both.
    pub(crate) fn is_followed(&self) -> bool {
        !self.readers.account.is_empty() && !self.readers.pool.is_empty()
    }

    /// Tells of the block that was just mined.
    pub(super) fn tell_of_the_block(&self) {
        let height = self.height();
        let own = self.mined.iter().enumerate().filter(|(_, (_, at, _))| *at == height);
        let entries: Vec<_> = own.map(|(at, mined)| account_entry(self, at, mined)).collect();
        if !entries.is_empty() {
            let apply = v1::AccountApply { state: Some(account_state(self)), entries };
            let frame = account_frame(self, watch_account_response::Event::Apply(apply));
            self.readers.account.iter().for_each(|reader| drop(reader.send(Ok(frame.clone()))));
        }
    }

    /// Tells of a transfer that just came.
    pub(super) fn tell_of_the_transfer(&self, transfer: &SignedTransaction) {
        let added = subscribe_transactions_response::Event::Added(mempool_entry(self, transfer));
        let frame = pool_frame(self, added);
        self.readers.pool.iter().for_each(|reader| drop(reader.send(Ok(frame.clone()))));
    }
}
