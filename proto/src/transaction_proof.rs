//! Proof that a transfer was mined, checked without a node \[R-TXP\].
//!
//! It leads from the signed transaction to the root of its block, from the block's header to the range of headers, and
//! from there to the commitment of the header that the reader trusts. So it proves the height as well.

use crate::{
    BlockId, Hash, Header, Height, Params, RangeNode, SignedTransaction, TxId, Work,
    header::commitment,
    merkle::{TxPath, TxPathError},
    range::{AncestryError, AncestryProof, RangeOverflow},
    target::BitsError,
};

/// How the header of a block stands on the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchor {
    /// It is the tip itself: what it commits to, laid open.
    Tip {
        /// Root over the accounts after the block.
        accounts_root: Hash,
        /// The node over all headers before it; its count is the height.
        range: RangeNode,
    },
    /// It is an ancestor of a later header.
    Ancestor {
        /// The later header.
        tip: Header,
        /// Root over the accounts after the later block.
        accounts_root: Hash,
        /// From the earlier header to the range before the later one.
        ancestry: AncestryProof,
    },
}

/// Proof that a transfer was mined in a block at one height of the chain that ends in one header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionProof {
    /// The transfer.
    pub signed: SignedTransaction,
    /// Header of the block that it was mined in.
    pub header: Header,
    /// From the transfer to that header's root.
    pub path: TxPath,
    /// From that header to the tip.
    pub anchor: Anchor,
}

/// What a proof proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProvenTransaction {
    /// The block.
    pub block_id: BlockId,
    /// Its height.
    pub height: Height,
    /// Position in the block, 1 for the first transaction behind the coinbase.
    pub index: u32,
    /// Height of the tip that the proof leads to.
    pub tip_height: Height,
    /// Work that the tip's chain claims, the tip's own included. Whether it was done is for a chain proof.
    pub claimed_work: Work,
}

impl ProvenTransaction {
    /// Blocks from the transaction's up to the tip, both counted.
    #[must_use]
    pub const fn confirmations(&self) -> u64 {
        self.tip_height.distance_from(self.height).saturating_add(1)
    }
}

/// Why a proof does not prove that a transfer was mined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionProofError {
    /// It is about another transfer \[R-TXP-01\].
    #[error("the proof is about transaction {found}, expected {expected}")]
    WrongTransaction {
        /// What it is about.
        found: TxId,
        /// What was asked for.
        expected: TxId,
    },
    /// The first leaf of a block is its coinbase \[R-TXP-02\].
    #[error("leaf 0 of a block is its coinbase, not a transaction")]
    CoinbasePlace,
    /// The transfer does not stand in the block \[R-MRK-03\], \[R-MRK-04\].
    #[error(transparent)]
    Path(#[from] TxPathError),
    /// A header states bits that name no target, and so no work \[R-TXP-03\].
    #[error("header {id} states no target")]
    NoTarget {
        /// The header.
        id: BlockId,
        /// What is wrong with its bits; none if only its work is beyond any number.
        #[source]
        bits: Option<BitsError>,
    },
    /// The way to the later header breaks a rule \[R-RNG-04\] to \[R-RNG-06\].
    #[error(transparent)]
    Ancestry(#[from] AncestryError),
    /// What was laid open is not what the tip commits to \[R-TXP-04\].
    #[error("the proof leads to commitment {found}, the tip has {expected}")]
    WrongCommitment {
        /// Where it leads.
        found: Hash,
        /// What the tip says.
        expected: Hash,
    },
    /// It leads to another tip than the one that is trusted \[R-TXP-05\].
    #[error("the proof leads to tip {found}, expected {expected}")]
    WrongTip {
        /// Where it leads.
        found: BlockId,
        /// The one trusted.
        expected: BlockId,
    },
}

impl TransactionProofError {
    /// Id of the rule in SPEC.md.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::WrongTransaction { .. } => "R-TXP-01",
            Self::CoinbasePlace => "R-TXP-02",
            Self::Path(error) => error.rule(),
            Self::NoTarget { .. } => "R-TXP-03",
            Self::Ancestry(error) => error.rule(),
            Self::WrongCommitment { .. } => "R-TXP-04",
            Self::WrongTip { .. } => "R-TXP-05",
        }
    }
}

/// The work that a header's bits stand for.
fn work_of(header: &Header) -> Result<Work, TransactionProofError> {
    let no_target = |bits| TransactionProofError::NoTarget { id: header.id(), bits };
    let target = header.bits.target().map_err(|error| no_target(Some(error)))?;
    target.work().ok_or_else(|| no_target(None))
}

impl TransactionProof {
    /// The header that the proof leads to.
    #[must_use]
    pub const fn tip(&self) -> &Header {
        match &self.anchor {
            Anchor::Tip { .. } => &self.header,
            Anchor::Ancestor { tip, .. } => tip,
        }
    }

    /// Checks that transfer `id` was mined in the chain that ends in the header `tip`, which the reader trusts for a
    /// reason of its own: it asked several nodes, or has a proof of the work below it.
    ///
    /// # Errors
    /// The first rule broken; see [`TransactionProofError`].
    pub fn verify(
        &self,
        params: &Params,
        id: &TxId,
        tip: &BlockId,
    ) -> Result<ProvenTransaction, TransactionProofError> {
        let found = self.signed.transaction().id(params.genesis_id());
        if found != *id {
            return Err(TransactionProofError::WrongTransaction { found, expected: *id });
        }
        if self.path.index == 0 {
            return Err(TransactionProofError::CoinbasePlace);
        }
        self.path.verify(&Hash::from_bytes(self.signed.wire_id().to_bytes()), &self.header.tx_root)?;
        let (height, range, accounts_root) = match &self.anchor {
            Anchor::Tip { accounts_root, range } => (range.count, *range, accounts_root),
            Anchor::Ancestor { accounts_root, ancestry, .. } => {
                let leaf = RangeNode::leaf(&self.header, work_of(&self.header)?);
                (ancestry.index, ancestry.root(&leaf)?, accounts_root)
            }
        };
        let header = self.tip();
        let (found, expected) = (commitment(accounts_root, &range.chain_root()), header.commitment);
        if found != expected {
            return Err(TransactionProofError::WrongCommitment { found, expected });
        }
        let found = header.id();
        if found != *tip {
            return Err(TransactionProofError::WrongTip { found, expected: *tip });
        }
        let claimed_work = range.work.checked_add(work_of(header)?).ok_or(AncestryError::from(RangeOverflow))?;
        Ok(ProvenTransaction {
            block_id: self.header.id(),
            height: Height::new(height),
            index: self.path.index,
            tip_height: Height::new(range.count),
            claimed_work,
        })
    }
}
