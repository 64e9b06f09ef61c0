//! `WatchTransaction`: one transaction on its way through mempool and chain.
//!
//! The chain is followed block by block, so that each block that takes the transaction, and each that leaves with it, is
//! told in order. What the mempool says counts only while it speaks of the block up to which the reader was told.

use std::time::Duration;

use bytes::Bytes;
use farthing::{
    BlockId, TxId,
    wire::{ChainPoint, v1, v1::watch_transaction_response::Event},
};
use futures_util::stream::BoxStream;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tonic::{Request, Status};

use super::{
    StartError,
    follow::{Move, Position},
    onlooker::{Onlooker, SeenChain},
    run::{Next, Source, Terms, Told, run},
    walk::Walk,
};
use crate::{
    chain::{Chain, ChainError, Sighting},
    mempool::{DropReason, Mempool, PoolHead, PoolStatus},
    rpc::{ApiError, Deps, blocks, transactions::confirmations_wanted},
    server::CallMeter,
};

/// The mempool changes thousands of times a second; a reader asks it no more often than this.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Starts a stream.
pub(in crate::rpc) async fn watch(
    deps: &Deps,
    request: Request<v1::WatchTransactionRequest>,
) -> Result<BoxStream<'static, Result<v1::WatchTransactionResponse, Status>>, ApiError> {
    let terms = Terms::of(deps, &request);
    let meter = request.extensions().get::<CallMeter>().cloned();
    let request = request.into_inner();
    let id = TxId::try_from(&request)?;
    let depth = confirmations_wanted(request.confirmations)?;
    let chain = SeenChain { chain: deps.chain.clone(), by: id };
    let walk = Walk::resume(chain, &deps.chain, request.cursor).await?;
    let mined = mined_as_of(&walk.on, walk.position(), meter.as_ref()).await?;
    let walk = walk.paid_by(meter);
    let (mempool, head) = (deps.mempool.clone(), deps.mempool.head());
    Ok(run(Watched { walk, mempool, head, asked: Instant::now(), depth, mined, told: None }, terms))
}

impl Onlooker for TxId {
    /// Its position in the block.
    type Sees = Option<u32>;

    async fn look(&self, chain: &Chain, id: BlockId) -> Result<Option<Sighting<Option<u32>>>, ChainError> {
        chain.transaction_in(*self, id).await
    }
}

/// Where the transaction was mined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mined {
    at: ChainPoint,
    index: u32,
}

/// Where the transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rpc) enum Standing {
    Awaited,
    Pending,
    Queued,
    Mined { at: ChainPoint, index: u32, confirmations: u64 },
    ReorgedOut(ChainPoint),
    Dropped(DropReason),
}

/// What makes the frames of one subscription.
#[derive(Debug)]
struct Watched {
    walk: Walk<SeenChain<TxId>>,
    mempool: Mempool,
    head: watch::Receiver<PoolHead>,
    /// When the mempool was asked last.
    asked: Instant,
    depth: u64,
    /// As of the reader's position.
    mined: Option<Mined>,
    told: Option<Standing>,
}

impl Watched {
    /// Whether the last word was said.
    fn is_over(&self) -> bool {
        match self.told {
            Some(Standing::Mined { confirmations, .. }) => confirmations >= self.depth,
            Some(Standing::Dropped(_)) => true,
            _ => false,
        }
    }

    /// What is to be told, if it is not what was told last.
    fn tell(&mut self, standing: Standing) -> Option<Next<Standing>> {
        (self.told.replace(standing) != Some(standing)).then_some(Next::Tell(standing))
    }

    /// How deep it is mined as of the reader's position, if it is.
    fn mined(&self) -> Option<Standing> {
        let Mined { at, index } = self.mined?;
        let Position::Behind { height, .. } = self.walk.position() else { return None };
        Some(Standing::Mined { at, index, confirmations: height.distance_from(at.height).saturating_add(1) })
    }

    fn undone(&mut self, id: BlockId) -> Standing {
        match self.mined.take_if(|mined| mined.at.block_id == id) {
            Some(Mined { at, .. }) => Standing::ReorgedOut(at),
            None => self.mined().unwrap_or(Standing::Awaited),
        }
    }

    /// What the mempool says, if it speaks of the reader's position.
    fn pooled(&mut self) -> Option<Standing> {
        self.asked = Instant::now();
        self.head.borrow_and_update();
        let (status, tip) = self.mempool.status_and_tip(&self.walk.on.by);
        let is_here = matches!(self.walk.position(), Position::Behind { id, .. } if id == tip);
        is_here.then_some(match status {
            None => Standing::Awaited,
            Some(PoolStatus::Pending) => Standing::Pending,
            Some(PoolStatus::Queued) => Standing::Queued,
            Some(PoolStatus::Dropped { reason, .. }) => Standing::Dropped(reason),
        })
    }

    /// Waits for the chain or the mempool; false once the node stops.
    async fn changed(&mut self) -> bool {
        let (head, ask_at) = (&mut self.head, self.asked + ASK_EVERY);
        let pool = async move {
            let changed = head.changed().await.is_ok();
            sleep_until(ask_at).await;
            changed
        };
        tokio::select! {
            changed = self.walk.changed() => changed,
            changed = pool => changed,
        }
    }
}

impl Source for Watched {
    type Event = Standing;
    type Frame = v1::WatchTransactionResponse;

    async fn next(&mut self) -> Result<Next<Standing>, ApiError> {
        if self.is_over() {
            return Ok(Next::End);
        }
        if self.told.is_none()
            && let Some(next) = self.mined().and_then(|mined| self.tell(mined))
        {
            return Ok(next);
        }
        loop {
            let told = match self.walk.step().await? {
                Move::Apply(Sighting { context, seen: index }) => {
                    if let Some(index) = index {
                        self.mined = Some(Mined { at: blocks::point(&context), index });
                    }
                    self.mined().and_then(|mined| self.tell(mined))
                }
                Move::Undo { id, .. } if self.mined.is_some() => {
                    let standing = self.undone(id);
                    self.tell(standing)
                }
                Move::Undo { .. } => None,
                Move::Done => return Ok(Next::End),
                Move::Wait => {
                    let pooled = if self.mined.is_some() { None } else { self.pooled() };
                    let told = pooled.and_then(|pooled| self.tell(pooled));
                    if told.is_none() && !self.changed().await {
                        return Ok(Next::Stopping);
                    }
                    told
                }
            };
            if let Some(next) = told {
                return Ok(next);
            }
        }
    }

    async fn frame(&mut self, told: Told<Standing>) -> Result<v1::WatchTransactionResponse, ApiError> {
        let tip = self.walk.tip();
        let event = match told {
            Told::Event(standing) => Event::Status(message(self.walk.on.by, standing)),
            Told::Progress => Event::Progress(v1::Progress {}),
            Told::Draining => Event::Draining(v1::Draining {}),
        };
        Ok(v1::WatchTransactionResponse { cursor: self.cursor(), tip: Some((&tip).into()), event: Some(event) })
    }

    fn cursor(&self) -> Bytes {
        self.walk.position().to_cursor().into()
    }
}

fn message(id: TxId, standing: Standing) -> v1::WatchedTransaction {
    let mut message = v1::WatchedTransaction {
        transaction_id: id.to_bytes().to_vec().into(),
        transaction_id_hex: id.to_string(),
        ..v1::WatchedTransaction::default()
    };
    let state = match standing {
        Standing::Awaited => v1::WatchedState::Awaited,
        Standing::Pending => v1::WatchedState::Pending,
        Standing::Queued => v1::WatchedState::Queued,
        Standing::Mined { at, index, confirmations } => {
            (message.block, message.block_index) = (Some((&at).into()), index);
            message.confirmations = confirmations;
            v1::WatchedState::Mined
        }
        Standing::ReorgedOut(at) => {
            message.block = Some((&at).into());
            v1::WatchedState::ReorgedOut
        }
        Standing::Dropped(reason) => {
            reason.reason().clone_into(&mut message.reason);
            match reason {
                DropReason::Replaced { by } => {
                    message.replaced_by = by.to_bytes().to_vec().into();
                    message.replaced_by_hex = by.to_string();
                    v1::WatchedState::Replaced
                }
                DropReason::Expired => v1::WatchedState::Expired,
                _ => v1::WatchedState::Dropped,
            }
        }
    };
    message.set_state(state);
    message
}

/// Where the transaction was mined at or below a position, on the position's own branch.
async fn mined_as_of(
    on: &SeenChain<TxId>,
    position: Position,
    meter: Option<&CallMeter>,
) -> Result<Option<Mined>, ApiError> {
    let (chain, tx) = (&on.chain, on.by);
    let Position::Behind { mut id, .. } = position else { return Ok(None) };
    loop {
        let lost = || ApiError::from(StartError::<ChainError>::CursorUnknown { id });
        let context = chain.header(id).await?.ok_or_else(lost)?;
        if chain.best_at(context.height()).await? != Some(id) {
            // On a branch beside the best chain nothing is indexed: its blocks are gone through, and paid for before they are.
            if let Some(meter) = meter {
                meter.charge(1);
            }
            if let Some(index) = chain.index_in(tx, id).await? {
                return Ok(Some(Mined { at: blocks::point(&context), index }));
            }
            id = context.header().previous;
            continue;
        }
        let located = chain.locate(tx).await?.filter(|at| at.height <= context.height());
        let block = match located {
            Some(at) => chain.header(at.block_id).await?,
            None => None,
        };
        // The answers belong together only if none of the blocks has left the best chain meanwhile.
        if chain.best_at(context.height()).await? == Some(id) {
            return Ok(located.zip(block).map(|(at, block)| Mined { at: blocks::point(&block), index: at.index }));
        }
    }
}
