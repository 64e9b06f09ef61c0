//! Fetching one block compactly from one peer, whoever dialled.

use farthing::{Block, BlockId};

use super::{
    CompactBlock,
    draft::{Draft, Unfit},
};
use crate::{
    mempool::{Arrival, Mempool},
    peers::{
        blame::Misdeed,
        limits::{MAX_BLOCK_INDEXES, POOL_PART},
        network::Inner,
        remote::PullError,
        session::Session,
    },
};

/// Fetches a block compactly. None if it is to be fetched whole: the peer does not give it compactly, or it did not come
/// together, which is nobody's fault.
pub(in crate::peers) async fn fetch(inner: &Inner, session: &Session, id: BlockId) -> Result<Option<Block>, PullError> {
    if !inner.relay.is_on() || !session.gives_compactly(id) {
        return Ok(None);
    }
    match attempt(inner, session, id).await {
        Ok(Ok(block)) => Ok(Some(block)),
        Ok(Err(why)) => {
            inner.relay.counters.fell_back();
            tracing::debug!(peer = %session.who.address, %id, why, counts = %inner.relay.counts(), "block fetched whole");
            Ok(None)
        }
        Err(error) => {
            // Whoever is mute now may yet give the whole block; others are asked first.
            session.give_whole(id);
            inner.relay.counters.fell_back();
            Err(error)
        }
    }
}

/// The block, or why it is to be fetched whole.
async fn attempt(inner: &Inner, session: &Session, id: BlockId) -> Result<Result<Block, &'static str>, PullError> {
    let pushed = session.take_pushed(id);
    let was_pushed = pushed.is_some();
    let compact = match pushed {
        Some(compact) => Some(compact),
        None => session.remote.compact_block(id, inner.max_block_bytes()).await?,
    };
    let Some(compact) = compact else { return Ok(Err("the peer does not give it compactly")) };
    if compact.id() != id {
        return Err(Misdeed::WrongAnswer("another block").into());
    }
    inner.relay.counters.received(was_pushed);
    let count = compact.len();
    // A block beside the tip mostly has what the tip's has, and that has left the pool.
    let tip = inner.chain.view().tip;
    let beside =
        if compact.header.previous == tip.id() { None } else { inner.chain.block(tip.id()).await.ok().flatten() };
    let mempool = inner.mempool.clone();
    let mut draft = inner.env.compute().run(move || from_here(compact, &mempool, beside.as_deref())).await;
    if draft.has_collided() {
        return Ok(Err("two known transactions have the same short id"));
    }
    let missing = draft.missing();
    if missing.len() > MAX_BLOCK_INDEXES {
        return Ok(Err("too many transactions are missing"));
    }
    if !missing.is_empty() {
        let Some(added) = session.remote.block_transactions(id, &missing, inner.env.compute()).await? else {
            return Ok(Err("the peer no longer has its transactions"));
        };
        draft.add(&missing, added)?;
    }
    match inner.env.compute().run(move || draft.finish()).await {
        Ok(block) => {
            inner.relay.counters.put_together(missing.len());
            let (asked, counts) = (missing.len(), inner.relay.counts());
            tracing::debug!(peer = %session.who.address, %id, transactions = count, asked, %counts, "compact block");
            Ok(Ok(block))
        }
        Err(Unfit::OtherRoot) => Ok(Err("its transactions are not those that the header commits to")),
        Err(Unfit::Collision | Unfit::Incomplete) => Ok(Err("it did not come together")),
    }
}

/// Puts together what is here: from the mempool, and from the block beside it.
fn from_here(compact: CompactBlock, mempool: &Mempool, beside: Option<&Block>) -> Draft {
    let most = compact.len();
    let mut draft = Draft::new(compact);
    let mut next = if most == 0 { None } else { Some(Arrival::FIRST) };
    let mut found = Vec::new();
    while let Some(from) = next {
        let (ids, rest) = mempool.arrived(from, POOL_PART);
        found.extend(ids.into_iter().filter(|id| draft.may_hold(id)));
        // More than there are places for: some collide, which is seen below.
        next = rest.filter(|_| found.len() <= most);
    }
    for pooled in mempool.get_all_by_wire(&found) {
        draft.put(pooled.transaction());
    }
    for transaction in beside.iter().flat_map(|block| &block.transactions) {
        draft.put(transaction);
    }
    draft
}
