//! Giving blocks compactly, and what all sessions share for it.

use std::sync::{Arc, Mutex};

use farthing::{Block, BlockId, codec::Canonical as _, wire::peer as wire};
use prost::{Message as _, bytes::Bytes};

use super::{CompactBlock, RelayCounts, Sent, counters::Counters, push::Askers};
use crate::{
    chain::{ChainError, SessionId},
    peers::{
        convert::{BlockPlaces, Malformed},
        network::Inner,
        session::{Session, lock},
    },
};

/// What all sessions share.
#[derive(Debug)]
pub(in crate::peers) struct Relay {
    on: bool,
    pub(super) counters: Counters,
    /// The compact form of the tip: mostly all peers need the same one.
    latest: tokio::sync::Mutex<Option<(BlockId, wire::CompactBlock)>>,
    askers: Mutex<Askers>,
}

impl Relay {
    pub(in crate::peers) fn new(on: bool) -> Self {
        Self { on, counters: Counters::default(), latest: tokio::sync::Mutex::default(), askers: Mutex::default() }
    }

    /// Whether the operator wants blocks to travel compactly.
    pub(in crate::peers) const fn is_on(&self) -> bool {
        self.on
    }

    pub(in crate::peers) fn counts(&self) -> RelayCounts {
        self.counters.read()
    }

    /// Whether the next tip is pushed to this peer.
    pub(super) fn takes_push(&self, session: SessionId) -> bool {
        self.on && lock(&self.askers).takes_push(session)
    }

    /// A session is over.
    pub(in crate::peers) fn forget(&self, session: SessionId) {
        lock(&self.askers).forget(session);
    }

    /// Something of a block was sent to a peer.
    pub(in crate::peers) fn sent(&self, what: Sent, bytes: usize) {
        self.counters.sent(what, bytes);
    }
}

/// The compact form of a block for a peer that asks; none if the block is not here, or only travels whole.
pub(in crate::peers) async fn serve_block(
    inner: &Inner,
    session: &Session,
    id: BlockId,
) -> Result<Option<wire::CompactBlock>, ChainError> {
    let Some(compact) = compact_form(inner, id).await? else { return Ok(None) };
    if id == inner.chain.view().tip.id() {
        lock(&inner.relay.askers).asked(session.id);
    }
    inner.relay.sent(Sent::Compact, compact.encoded_len());
    Ok(Some(compact))
}

/// The compact form of a block. That of the tip is made once, and who comes meanwhile waits for it; others are made anew,
/// so that nobody who asks for old ones keeps those waiting.
pub(super) async fn compact_form(inner: &Inner, id: BlockId) -> Result<Option<wire::CompactBlock>, ChainError> {
    if !inner.relay.is_on() {
        return Ok(None);
    }
    if id != inner.chain.view().tip.id() {
        return make(inner, id).await;
    }
    let mut latest = inner.relay.latest.lock().await;
    if let Some((_, compact)) = latest.as_ref().filter(|(of, _)| *of == id) {
        return Ok(Some(compact.clone()));
    }
    let made = make(inner, id).await?;
    if let Some(compact) = &made {
        *latest = Some((id, compact.clone()));
    }
    Ok(made)
}

async fn make(inner: &Inner, id: BlockId) -> Result<Option<wire::CompactBlock>, ChainError> {
    let Some(block) = whole(inner, id).await? else { return Ok(None) };
    let random = Arc::clone(inner.env.random());
    let make = move || CompactBlock::of(&block, &*random).map(|made| made.to_wire());
    Ok(inner.env.compute().run(make).await)
}

/// Transactions of a block by their places, as canonical bytes one behind the other; empty if the block is not here.
pub(in crate::peers) async fn serve_transactions(
    inner: &Inner,
    places: BlockPlaces,
) -> Result<Result<Bytes, Malformed>, ChainError> {
    let Some(block) = whole(inner, places.block).await? else { return Ok(Ok(Bytes::new())) };
    let written = inner.env.compute().run(move || write(&block, &places.indexes)).await;
    if let Ok(bytes) = &written {
        inner.relay.sent(Sent::Transactions, bytes.len());
    }
    Ok(written)
}

fn write(block: &Block, indexes: &[u32]) -> Result<Bytes, Malformed> {
    let mut bytes = Vec::new();
    for index in indexes {
        let place = usize::try_from(*index).unwrap_or(usize::MAX);
        let found = block.transactions.get(place).ok_or(Malformed::OutOfRange {
            field: "block_transactions.indexes",
            found: (*index).into(),
            expected: "the place of one of the block's transactions",
        })?;
        found.encode(&mut bytes);
    }
    Ok(Bytes::from(bytes))
}

async fn whole(inner: &Inner, id: BlockId) -> Result<Option<Arc<Block>>, ChainError> {
    match inner.chain.block(id).await {
        // As good as not here, until another copy was fetched.
        Err(error) if error.damaged_block().is_some() => Ok(None),
        found => found,
    }
}
