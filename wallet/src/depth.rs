//! How many blocks stand above a transfer's: counted on headers that follow one another.
//!
//! An account's state is what one header commits to, so a single block made for it could hold a history with any
//! heights. That a transfer is so many blocks deep is believed only if its block is one of the chain's own headers there,
//! each of which names the one before it and was worked for: then a lie about the depth costs that many blocks.

use farthing::{BlockId, Height, TxId};

use crate::{
    client::{NodeClient, NodeError},
    error::{Error, Exit, Explain, Result},
    verify::ProvenAccount,
};

/// Most headers that are fetched to count on, where a person waits for an answer: about a day's on the public networks, 1.2 MB.
pub const FEW_HEADERS: u64 = 10_000;
/// Most where something is forgotten for good afterwards.
pub const MANY_HEADERS: u64 = 1_000_000;

/// How deep a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Blocks from its own up to the newest, both counted.
    pub blocks: u64,
    /// Its own, if they were counted; else so many follow from heights that one block alone commits to.
    pub block: Option<BlockId>,
}

/// The transfer stands in another block than the chain has there.
#[derive(Debug, thiserror::Error)]
#[error(
    "the node shows the transfer in block {height} ({shown}), where the chain whose work it showed has another one"
)]
pub struct OtherBlock {
    /// Height of both.
    height: Height,
    /// The one with the transfer.
    shown: BlockId,
}

impl Explain for OtherBlock {
    fn code(&self) -> &'static str {
        "VERIFICATION_FAILED"
    }

    fn exit(&self) -> Exit {
        Exit::Verification
    }

    fn tries(&self) -> Vec<String> {
        vec!["again in a moment, if blocks come fast".into(), "--node URL with another node".into()]
    }
}

impl Depth {
    /// Whether that is enough for whoever wants so many blocks; the first of them is the account's proof itself.
    #[must_use]
    pub const fn is_enough(self, wanted: u64) -> bool {
        self.blocks >= wanted && (self.is_counted() || wanted <= 1)
    }

    /// Those that are certain: where they were not counted, one at most.
    #[must_use]
    pub const fn certain(self) -> u64 {
        if self.is_counted() || self.blocks == 0 { self.blocks } else { 1 }
    }

    /// Whether they were counted.
    #[must_use]
    pub const fn is_counted(self) -> bool {
        self.block.is_some()
    }
}

/// How deep a transfer is that the account's proven history has at that height, counted on `most` headers at most.
///
/// # Errors
/// [`OtherBlock`], and [`NodeError`] for a node that does not answer.
pub fn of(client: &NodeClient, account: &ProvenAccount, id: &TxId, height: Height, most: u64) -> Result<Depth> {
    let blocks = account.height.get().saturating_add(1).saturating_sub(height.get());
    // The header that the account is proven against is the block itself.
    if blocks <= 1 {
        return Ok(Depth { blocks, block: (blocks == 1).then(|| account.header.id()) });
    }
    let chain = &account.standing().chain;
    let missing = chain.first_height().get().saturating_sub(height.get());
    if missing > most {
        return Ok(Depth { blocks, block: None });
    }
    let shown = match client.transaction_proof(id) {
        Ok(proof) => proof.header.id(),
        // A node without an index of transactions, or an older one.
        Err(NodeError::Refused { .. } | NodeError::TooOld { .. }) => return Ok(Depth { blocks, block: None }),
        Err(error) => return Err(error.into()),
    };
    let is_its_block = match chain.header_at(height) {
        Some(header) => header.id() == shown,
        None => client.leads(height, shown, chain)?,
    };
    if is_its_block { Ok(Depth { blocks, block: Some(shown) }) } else { Err(Error::from(OtherBlock { height, shown })) }
}
