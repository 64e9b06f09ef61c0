//! What the transfers of a block paid, read back from the block and its effects.

use std::collections::HashSet;

use farthing::{Address, BlockId, Height};

use super::{Chain, handle::Shared, rejection::ChainError};
use crate::mempool::Paid;

/// What the transfers of a block paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockPayments {
    /// The block.
    pub id: BlockId,
    /// Its height.
    pub height: Height,
    /// Its parent.
    pub previous: BlockId,
    /// One a transfer, in order.
    pub paid: Vec<Paid>,
}

impl Chain {
    /// What the transfers of a block paid, what they burned taken off; none if the block is not here, or is genesis.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn block_payments(&self, id: BlockId) -> Result<Option<BlockPayments>, ChainError> {
        self.read(move |shared| shared.block_payments(&id)).await
    }
}

impl Shared {
    fn block_payments(&self, id: &BlockId) -> Result<Option<BlockPayments>, ChainError> {
        let (Some(block), Some(context)) = (self.store.block(id)?, self.store.header(id)?) else { return Ok(None) };
        let Some(effects) = self.store.effects(id)?.filter(|_| context.height() > Height::GENESIS) else {
            return Ok(None);
        };
        // Accounts that did not exist before the block. The first transfer that pays one has opened it, for the coinbase
        // is credited last.
        let new = effects.accounts.iter().filter(|effect| effect.before.is_none()).map(|effect| effect.address);
        let mut unopened: HashSet<Address> = new.collect();
        let mut paid = Vec::with_capacity(block.transactions.len());
        for signed in &block.transactions {
            let transfer = signed.transaction();
            let opened = transfer.outputs().iter().filter(|output| unopened.remove(&output.to)).count();
            let openings = u32::try_from(opened).unwrap_or(u32::MAX);
            let burned = self.params.opening_cost.checked_mul(openings.into()).unwrap_or(farthing::Mites::MAX);
            paid.push(Paid {
                net: transfer.fee().checked_sub(burned).unwrap_or(farthing::Mites::ZERO),
                bytes: signed.size_bytes(),
                signature_units: signed.signature().size().signature_units(),
                openings,
            });
        }
        Ok(Some(BlockPayments { id: *id, height: context.height(), previous: block.header.previous, paid }))
    }
}
