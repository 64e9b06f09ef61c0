//! Verifying a block's signatures: all at once on all cores, those from the mempool not again.

use std::collections::HashMap;

use farthing::{Address, PublicKey, Sender, SignedTransaction};
use farthing_consensus::{CheckedBlock, check_signature};

use super::{
    ChainView,
    handle::Shared,
    rejection::{BlockRejection, ChainError},
};

/// Checks every signature of a block that was executed on `before`.
pub(super) fn verify(shared: &Shared, before: &ChainView, block: &CheckedBlock) -> Result<(), BlockRejection> {
    let transactions = &block.block().transactions;
    let new_keys: HashMap<Address, &PublicKey> = transactions
        .iter()
        .filter_map(|signed| match signed.transaction().sender() {
            Sender::Key(key) => Some((signed.transaction().sender_address(), key)),
            Sender::Address(_) => None,
        })
        .collect();
    let open: Vec<(usize, &SignedTransaction)> =
        transactions.iter().enumerate().filter(|(_, signed)| !shared.verified.contains(&signed.wire_id())).collect();
    let verdicts = shared.env.compute().map(&open, |(_, signed)| {
        let address = signed.transaction().sender_address();
        let key = match new_keys.get(&address) {
            Some(key) => shared.keys.parse(address, key),
            None => shared.keys.of_account(before, &*shared.store, address)?,
        };
        // The block was executed, so the account has sent a transaction before, and that carried its key.
        let key =
            key.ok_or_else(|| ChainError::Inconsistent(format!("no key of account {address} is in the store")))?;
        Ok::<_, ChainError>(check_signature(&shared.params, signed, &key))
    });
    for ((transaction, signed), verdict) in open.iter().zip(verdicts) {
        verdict?.map_err(|error| BlockRejection::Signature {
            id: block.id(),
            transaction: *transaction,
            wire_id: signed.wire_id(),
            error,
        })?;
    }
    shared.verified.insert_all(open.iter().map(|(_, signed)| signed.wire_id()));
    Ok(())
}
