//! Block rules that need no chain: what a body shows together with its header \[SPEC section 5\].

use std::collections::BTreeSet;

use farthing::{Block, BlockId, Hash, Header, Params, TxId, header, limits::MAX_COINBASE_TAG_BYTES};

use crate::error::BlockError;

/// A block whose body is the header's own and keeps every context-free rule. Its header's rules, its signatures and
/// its execution are separate questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedBlock {
    block: Block,
    id: BlockId,
    tx_ids: Vec<TxId>,
}

impl CheckedBlock {
    /// The block.
    #[must_use]
    pub const fn block(&self) -> &Block {
        &self.block
    }

    /// Id of its header.
    #[must_use]
    pub const fn id(&self) -> BlockId {
        self.id
    }

    /// Ids of its transactions, in order.
    #[must_use]
    pub fn tx_ids(&self) -> &[TxId] {
        &self.tx_ids
    }

    /// The block and the ids of its transactions.
    #[must_use]
    pub fn into_parts(self) -> (Block, Vec<TxId>) {
        (self.block, self.tx_ids)
    }
}

/// Checks a body against its header and the network's limits. Size first, then whether the header commits to this body
/// at all: only faults found after that are the block's own \[R-FRK-03\].
///
/// # Errors
/// The first rule broken.
pub fn check_block(params: &Params, block: &Block) -> Result<CheckedBlock, BlockError> {
    check_block_owned(params, block.clone())
}

/// As [`check_block`], for a caller that has no further use for the block as it is.
///
/// # Errors
/// The first rule broken.
pub fn check_block_owned(params: &Params, block: Block) -> Result<CheckedBlock, BlockError> {
    check_size(params, &block)?;
    check_tag(&block)?;
    check_tx_root(&block)?;
    check_signature_units(params, &block)?;
    let tx_ids: Vec<TxId> = block.transactions.iter().map(|tx| tx.transaction().id(params.genesis_id())).collect();
    check_duplicates(&tx_ids)?;
    Ok(CheckedBlock { id: block.id(), block, tx_ids })
}

/// Checks that a header commits to the accounts after its block and the chain before it \[R-BLK-05\].
///
/// # Errors
/// [`BlockError::WrongCommitment`].
pub fn check_commitment(header: &Header, accounts_root: &Hash, chain_root: &Hash) -> Result<(), BlockError> {
    let expected = header::commitment(accounts_root, chain_root);
    if header.commitment == expected {
        Ok(())
    } else {
        Err(BlockError::WrongCommitment { found: header.commitment, expected })
    }
}

/// R-BLK-01.
fn check_size(params: &Params, block: &Block) -> Result<(), BlockError> {
    let (size, max) = (block.size_bytes(), params.max_block_bytes);
    if usize::try_from(max).is_ok_and(|max| size > max) { Err(BlockError::TooLarge { size, max }) } else { Ok(()) }
}

/// R-CB-01.
const fn check_tag(block: &Block) -> Result<(), BlockError> {
    let size = block.coinbase.tag.len();
    if size > MAX_COINBASE_TAG_BYTES { Err(BlockError::TagTooLong(size)) } else { Ok(()) }
}

/// R-BLK-02.
fn check_tx_root(block: &Block) -> Result<(), BlockError> {
    let (found, expected) = (block.tx_root(), block.header.tx_root);
    if found == expected { Ok(()) } else { Err(BlockError::WrongTxRoot { found, expected }) }
}

/// R-BLK-03.
fn check_signature_units(params: &Params, block: &Block) -> Result<(), BlockError> {
    let (found, max) = (block.signature_units(), params.max_signature_units);
    if found > u64::from(max) { Err(BlockError::TooManySignatureUnits { found, max }) } else { Ok(()) }
}

/// R-BLK-04.
fn check_duplicates(tx_ids: &[TxId]) -> Result<(), BlockError> {
    let mut seen = BTreeSet::new();
    match tx_ids.iter().find(|id| !seen.insert(**id)) {
        Some(twice) => Err(BlockError::DuplicateTransaction(*twice)),
        None => Ok(()),
    }
}
