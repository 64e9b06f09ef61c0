//! The signature rule, with the sender's key from wherever the caller keeps it \[R-SIG\].

use farthing::{
    Params, SignedTransaction,
    keys::{SignatureError, VerifyingKey},
};

use crate::error::TxError;

/// Checks a transaction's signature on this network with its sender's key: the one that it carries, or the one that
/// the account's first transaction carried on this branch.
///
/// # Errors
/// [`TxError::Signature`]; also if the key is not the sender's at all.
pub fn check_signature(params: &Params, tx: &SignedTransaction, key: &VerifyingKey) -> Result<(), TxError> {
    // One hash beside a verification fifty times as dear: a mixed-up key must never spend another's money.
    if key.public_key().address() != tx.transaction().sender_address() {
        return Err(SignatureError::Mismatch.into());
    }
    Ok(tx.verify(params.genesis_id(), key)?)
}
