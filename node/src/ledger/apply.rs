//! Applying a block: execution, the account tree, the commitment, and the effects that can undo it.

use std::sync::Arc;

use farthing::{Address, Params, RangeNode, Sender};
use farthing_consensus::{CheckedBlock, Entry, HeaderContext, check_commitment, execute};

use super::{ChainView, LedgerError, range_leaf};
use crate::store::{AccountEffect, AccountMeta, Effects};

/// A block applied to a view.
#[derive(Debug)]
pub struct Applied {
    /// The ledger after it.
    pub view: ChainView,
    /// What undoes it.
    pub effects: Effects,
    /// Accounts whose key this block carries; their places are known once the block is in the log.
    pub new_keys: Vec<NewKey>,
    /// Nodes that it adds to the header range, in file order.
    pub range_nodes: Vec<RangeNode>,
}

/// An account whose first transaction is in a block.
#[derive(Debug, Clone, Copy)]
pub struct NewKey {
    /// The account.
    pub address: Address,
    /// Index of the transaction in the block, from 0.
    pub transaction: usize,
}

impl ChainView {
    /// Applies a block whose header is valid on this tip. Signatures are not looked at.
    ///
    /// # Errors
    /// The rule that the block breaks.
    pub fn apply(
        &self,
        params: &Params,
        block: &CheckedBlock,
        context: &HeaderContext,
    ) -> Result<Applied, LedgerError> {
        let delay = usize::try_from(params.reward_delay).unwrap_or(usize::MAX);
        let matured = if delay > 0 && self.immature.len() >= delay { self.immature.front().cloned() } else { None };
        let execution = execute(params, &self.accounts, context.height(), block, matured.as_deref())?;

        let new_keys = new_keys(block);
        let mut accounts = self.accounts.clone();
        let mut effects = Vec::with_capacity(execution.touched.len());
        for touch in execution.touched {
            let before = accounts.get(&touch.address).copied();
            // A key stays where it first stood; a new one is filled in when the log knows its place.
            let meta = AccountMeta { key: before.and_then(|b| b.meta.key), last_touch: context.height() };
            accounts.insert(touch.address, Entry { account: touch.after, meta });
            effects.push(AccountEffect {
                address: touch.address,
                before: before.map(|entry| (entry.account, entry.meta)),
                positions: touch.positions,
            });
        }
        check_commitment(context.header(), &accounts.root(), &self.range.chain_root()?)?;

        let mut immature = self.immature.clone();
        if delay > 0 {
            immature.push_back(Arc::new(block.block().coinbase.clone()));
            while immature.len() > delay {
                immature.pop_front();
            }
        }
        let mut range = self.range.clone();
        let range_nodes = range.append(range_leaf(context))?;
        let supply = self
            .supply
            .checked_add(params.subsidy(context.height()))
            .and_then(|supply| supply.checked_sub(execution.burned))
            .expect("the parameters keep all money below 2^63, and nothing burns more than there is");
        let view = Self { tip: *context, accounts, range, supply, immature };
        Ok(Applied { view, effects: Effects { accounts: effects }, new_keys, range_nodes })
    }
}

fn new_keys(block: &CheckedBlock) -> Vec<NewKey> {
    let transactions = block.block().transactions.iter().enumerate();
    transactions
        .filter(|(_, signed)| matches!(signed.transaction().sender(), Sender::Key(_)))
        .map(|(transaction, signed)| NewKey { address: signed.transaction().sender_address(), transaction })
        .collect()
}
