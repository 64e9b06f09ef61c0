//! `SubscribeTransactions`: the mempool, first all of it, then what changes.
//!
//! A stream holds a number of the next event and at most one part of what is to be told. Whoever reads too slowly for
//! the node's memory of events is told to forget what he holds, and gets all of it anew.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use farthing::{
    BlockId,
    hash::sha256,
    wire::{ChainPoint, TransactionFilter, transaction_view_with_id, v1, v1::subscribe_transactions_response::Event},
};
use futures_util::stream::BoxStream;
use tokio::{
    sync::watch,
    task::yield_now,
    time::{Instant, sleep_until},
};
use tonic::{Request, Status};

use super::run::{Next, Source, Terms, Told, run};
use crate::{
    chain::Chain,
    mempool::{Arrival, DropReason, Exit, Listed, Mempool, PoolEvent, PoolHead, PoolNews, PoolPart, PoolStatus},
    rpc::{ApiError, Deps, Reason, blocks, transactions::in_pool},
    server::CallMeter,
};

/// Events or entries that are taken from the pool at once.
const PART: usize = 256;
/// The pool changes thousands of times a second; what changed is taken together, no more often than this.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// First byte of every cursor; another one means another format.
const VERSION: u8 = 2;
/// Bytes of a cursor that names an event: version, run, number, filter.
const CURSOR_BYTES: usize = 1 + 16 + 8 + 8;
/// A transaction that could not be written to disk was here for a moment.
const NOT_WRITTEN: &str = "NOT_WRITTEN";
/// It was mined, or another one with its nonce: without an index of transactions nobody can say which.
const NONCE_TAKEN: &str = "NONCE_TAKEN";
/// Its nonce was used by another one while the pool did not look.
const NONCE_USED: &str = DropReason::NonceUsed.reason();

/// Starts a stream.
pub(in crate::rpc) fn subscribe(
    deps: &Deps,
    request: Request<v1::SubscribeTransactionsRequest>,
) -> Result<BoxStream<'static, Result<v1::SubscribeTransactionsResponse, Status>>, ApiError> {
    let terms = Terms::of(deps, &request);
    let meter = request.extensions().get::<CallMeter>().cloned();
    let request = request.into_inner();
    let filter = blocks::filter(deps, request.filter.as_ref())?;
    let resumed = if request.cursor.is_empty() { None } else { Cursor::read(&request.cursor)? };
    let (mempool, chain) = (deps.mempool.clone(), deps.chain.clone());
    let mark = Cursor { run: mempool.run(), next: 0, filter: digest(filter.as_deref()) };
    let phase = match resumed {
        Some(cursor) if cursor == (Cursor { next: cursor.next, ..mark }) => Phase::Live(cursor.next),
        _ => Phase::Begin,
    };
    let next = resumed.filter(|_| matches!(phase, Phase::Live(_))).map(|cursor| cursor.next);
    let head = mempool.head();
    let (ready, mined, taken) = (VecDeque::new(), None, 0);
    let transactions =
        Transactions { mempool, chain, head, filter, mark, phase, ready, told: next, mined, meter, taken };
    Ok(run(transactions, terms))
}

/// A place in the events of one run of one pool, as one filter sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    run: [u8; 16],
    /// Number of the next event.
    next: u64,
    filter: [u8; 8],
}

impl Cursor {
    fn to_bytes(self) -> Bytes {
        [&[VERSION][..], &self.run, &self.next.to_le_bytes(), &self.filter].concat().into()
    }

    /// None for the cursor of one who does not have the whole pool yet.
    fn read(bytes: &[u8]) -> Result<Option<Self>, ApiError> {
        let wrong = || {
            let message = format!(
                "cursor: expected one of this method, version {VERSION} and 1 or {CURSOR_BYTES} bytes, got {} bytes",
                bytes.len()
            );
            ApiError::new(Reason::InvalidCursor, message).with("field", "cursor")
        };
        let rest = bytes.split_first().filter(|(version, _)| **version == VERSION).ok_or_else(wrong)?.1;
        if rest.is_empty() {
            return Ok(None);
        }
        let (run, rest) = rest.split_first_chunk().ok_or_else(wrong)?;
        let (next, filter) = rest.split_first_chunk().ok_or_else(wrong)?;
        let filter = filter.try_into().map_err(|_| wrong())?;
        Ok(Some(Self { run: *run, next: u64::from_le_bytes(*next), filter }))
    }
}

/// Tells filters apart.
fn digest(filter: Option<&TransactionFilter>) -> [u8; 8] {
    let addresses = filter.map(|filter| filter.addresses().flat_map(|address| address.to_bytes()).collect::<Vec<_>>());
    let hash = sha256(&[&addresses.unwrap_or_default()]);
    std::array::from_fn(|at| hash[at])
}

/// How far the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is to forget what it holds.
    Begin,
    /// It is told of the whole pool as far as that arrived before `from`, and of the events before `next`.
    Listing { next: u64, from: Arrival },
    /// It has the whole pool as of this event.
    Live(u64),
}

/// What is to be told.
#[derive(Debug)]
pub(in crate::rpc) enum News {
    Reset,
    Present,
    Added(Listed),
    Event(PoolEvent),
}

/// What makes the frames of one subscription.
#[derive(Debug)]
struct Transactions {
    mempool: Mempool,
    chain: Chain,
    head: watch::Receiver<PoolHead>,
    filter: Option<Arc<TransactionFilter>>,
    /// Of this run and filter.
    mark: Cursor,
    phase: Phase,
    /// What was taken from the pool, each with the event that comes next behind it; none before the reader has all.
    ready: VecDeque<(News, Option<u64>)>,
    /// The event that comes next behind the last frame.
    told: Option<u64>,
    /// Place of the block that was looked up last: a block takes many transactions.
    mined: Option<ChainPoint>,
    meter: Option<CallMeter>,
    /// Entries and events taken from the pool that are not paid for yet.
    taken: usize,
}

impl Transactions {
    fn wants(&self, listed: &crate::mempool::Pooled) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.matches(listed.transaction()))
    }

    /// Takes more from the pool. Says whether there may be more to take.
    fn take(&mut self) -> bool {
        match self.phase {
            Phase::Begin => {
                let next = self.head.borrow_and_update().next;
                self.ready.push_back((News::Reset, None));
                self.phase = Phase::Listing { next, from: Arrival::FIRST };
                true
            }
            Phase::Listing { next, from } => {
                match self.mempool.part_before(next, from, PART) {
                    Some(part) => self.list(next, from, part),
                    // Something happened meanwhile. Of what was not told of yet, the rest of the list will tell.
                    None => self.events(next, |pooled| pooled < from),
                }
                true
            }
            Phase::Live(next) => {
                self.head.borrow_and_update();
                let had = self.phase;
                self.events(next, |_| true);
                self.phase != had
            }
        }
    }

    fn list(&mut self, next: u64, from: Arrival, PoolPart { entries, is_last }: PoolPart) {
        self.taken = self.taken.saturating_add(entries.len());
        let behind = entries.last().map_or(from, |last| last.pooled.arrival().next());
        for listed in entries {
            if self.wants(&listed.pooled) {
                self.ready.push_back((News::Added(listed), None));
            }
        }
        self.phase = Phase::Listing { next, from: behind };
        if is_last {
            self.ready.push_back((News::Present, Some(next)));
            self.phase = Phase::Live(next);
        }
    }

    fn events(&mut self, mut next: u64, concerns: impl Fn(Arrival) -> bool) {
        let Ok(events) = self.mempool.events_since(next, PART) else {
            self.phase = Phase::Begin;
            return;
        };
        self.taken = self.taken.saturating_add(events.len());
        let is_live = matches!(self.phase, Phase::Live(_));
        for event in events {
            next = next.saturating_add(1);
            if concerns(event.pooled.arrival()) && self.wants(&event.pooled) {
                self.ready.push_back((News::Event(event), is_live.then_some(next)));
            }
        }
        match &mut self.phase {
            Phase::Live(at) | Phase::Listing { next: at, .. } => *at = next,
            Phase::Begin => {}
        }
    }

    /// Place of a block that took transactions.
    async fn place_of(&mut self, id: BlockId) -> Result<ChainPoint, ApiError> {
        if let Some(known) = self.mined.filter(|known| known.block_id == id) {
            return Ok(known);
        }
        let unknown = || ApiError::new(Reason::Internal, format!("block {id} is no longer in the store"));
        let point = blocks::point(&self.chain.header(id).await?.ok_or_else(unknown)?);
        self.mined = Some(point);
        Ok(point)
    }

    async fn removal(&mut self, event: &PoolEvent, exit: Exit) -> Result<v1::MempoolRemoval, ApiError> {
        use v1::mempool_removal::Cause;
        let id = event.pooled.id();
        let cause = match exit {
            Exit::Mined { block, .. } => Cause::Mined((&self.place_of(block).await?).into()),
            Exit::Dropped(reason) => Cause::Dropped(dropped(reason)),
            Exit::NotWritten => {
                Cause::Dropped(v1::MempoolDrop { reason: NOT_WRITTEN.to_owned(), ..v1::MempoolDrop::default() })
            }
            Exit::NonceTaken => match self.chain.locate(id).await? {
                Some(at) => Cause::Mined((&self.place_of(at.block_id).await?).into()),
                None => {
                    let reason = if self.chain.indexes_transactions() { NONCE_USED } else { NONCE_TAKEN };
                    Cause::Dropped(v1::MempoolDrop { reason: reason.to_owned(), ..v1::MempoolDrop::default() })
                }
            },
        };
        let transaction_id = id.to_bytes().to_vec().into();
        Ok(v1::MempoolRemoval { transaction_id, transaction_id_hex: id.to_string(), cause: Some(cause) })
    }

    fn added(&self, Listed { pooled, status }: &Listed) -> Event {
        let (params, id) = (self.chain.params(), pooled.id());
        Event::Added(v1::MempoolEntry {
            transaction: Some(transaction_view_with_id(params, pooled.transaction(), id)),
            state: state(*status, pooled.id()),
            received_ms: pooled.received().get(),
        })
    }

    async fn event(&mut self, news: News) -> Result<Event, ApiError> {
        Ok(match news {
            News::Reset => Event::Reset(v1::MempoolReset {}),
            News::Present => Event::Present(v1::MempoolPresent {}),
            News::Added(listed) => self.added(&listed),
            News::Event(event) => match event.what {
                PoolNews::Added(status) => self.added(&Listed { pooled: event.pooled, status }),
                PoolNews::Changed(status) => Event::Changed(v1::MempoolChange {
                    transaction_id: event.pooled.id().to_bytes().to_vec().into(),
                    transaction_id_hex: event.pooled.id().to_string(),
                    state: state(status, event.pooled.id()),
                }),
                PoolNews::Removed(exit) => Event::Removed(self.removal(&event, exit).await?),
            },
        })
    }
}

impl Source for Transactions {
    /// With the event that comes next behind it.
    type Event = (News, Option<u64>);
    type Frame = v1::SubscribeTransactionsResponse;

    async fn next(&mut self) -> Result<Next<Self::Event>, ApiError> {
        loop {
            if let Some(news) = self.ready.pop_front() {
                return Ok(Next::Tell(news));
            }
            // A filter may let nothing pass for a long time: what is gone through is paid for, told or not.
            if let Some(meter) = &self.meter
                && self.taken > 0
            {
                meter.pay(self.taken).await;
                self.taken = 0;
            }
            if self.take() {
                yield_now().await;
            } else {
                if let Phase::Live(next) = self.phase {
                    // All of it was told, or is of no concern.
                    self.told = Some(next);
                }
                let look_at = Instant::now() + LOOK_EVERY;
                if self.head.changed().await.is_err() {
                    return Ok(Next::Stopping);
                }
                sleep_until(look_at).await;
            }
        }
    }

    async fn frame(&mut self, told: Told<Self::Event>) -> Result<v1::SubscribeTransactionsResponse, ApiError> {
        let event = match told {
            Told::Event((news, behind)) => {
                self.told = behind;
                self.event(news).await?
            }
            Told::Progress => Event::Progress(v1::Progress {}),
            Told::Draining => Event::Draining(v1::Draining {}),
        };
        let tip = blocks::tip(&self.chain.view());
        Ok(v1::SubscribeTransactionsResponse { cursor: self.cursor(), tip: Some((&tip).into()), event: Some(event) })
    }

    fn cursor(&self) -> Bytes {
        match self.told {
            Some(next) => Cursor { next, ..self.mark }.to_bytes(),
            None => Bytes::from_static(&[VERSION]),
        }
    }
}

fn state(status: PoolStatus, id: farthing::TxId) -> i32 {
    v1::TransactionStatus::from(&in_pool(id, status)).state
}

fn dropped(reason: DropReason) -> v1::MempoolDrop {
    let (replaced_by, replaced_by_hex) = match reason {
        DropReason::Replaced { by } => (by.to_bytes().to_vec().into(), by.to_string()),
        _ => Default::default(),
    };
    v1::MempoolDrop { reason: reason.reason().to_owned(), replaced_by, replaced_by_hex }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_has_a_fixed_length() {
        let cursor = Cursor { run: [7; 16], next: 0x0102, filter: [9; 8] };
        assert_eq!(cursor.to_bytes().len(), CURSOR_BYTES);
        assert_eq!(Cursor::read(&cursor.to_bytes()).unwrap(), Some(cursor));
        assert_eq!(Cursor::read(&[VERSION]).unwrap(), None);
    }

    #[test]
    fn anything_else_is_refused_with_what_was_expected() {
        for bytes in [&[1][..], &[1; 41], &[VERSION; 32], &[VERSION; 34], &[0; 33]] {
            let error = Cursor::read(bytes).unwrap_err();
            assert_eq!(error.reason(), Reason::InvalidCursor);
            assert!(error.to_string().contains("1 or 33 bytes, got"), "{error}");
        }
    }
}
