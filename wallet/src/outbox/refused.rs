//! Transfers that a node refused.
//!
//! Whether it kept one all the same, nobody can tell. As long as nothing else of this wallet has its nonce, and the chain has
//! not used that, it may still be mined: a payment with a later nonce would then come on top of it.

use farthing::{SignedTransaction, TxId};

use super::{Entry, Outbox, OutboxError};
use crate::disk;

impl Outbox {
    /// Takes out a transfer that was refused, and remembers it.
    ///
    /// # Errors
    /// [`OutboxError::Disk`].
    pub fn refuse(&self, id: &TxId) -> Result<(), OutboxError> {
        disk::make_folder(&self.refused)?;
        match disk::rename(&self.path(id), &self.refused.join(Self::file_name(id))) {
            // It was refused before.
            Err(error) if error.is_exists() => self.forget(id),
            other => Ok(other?),
        }
    }

    /// What was refused and has a lower nonce than a new transfer of its account, the lowest first. None for one with whose
    /// nonce something was handed in already.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn refused_before(&self, transfer: &SignedTransaction) -> Result<Vec<Entry>, OutboxError> {
        let place = |of: &SignedTransaction| (of.transaction().sender_address(), of.transaction().nonce());
        let (address, nonce) = place(transfer);
        let mut refused = self.entries_in(&self.refused)?;
        refused.retain(|entry| entry.place().0 == address && entry.place().1 < nonce);
        if refused.is_empty() {
            return Ok(refused);
        }
        let own = self.entries()?;
        if own.iter().any(|other| other.place() == (address, nonce)) {
            return Ok(Vec::new());
        }
        refused.retain(|entry| !own.iter().any(|other| other.place() == entry.place()));
        Ok(refused)
    }

    /// Forgets a refused transfer whose nonce the chain has used.
    ///
    /// # Errors
    /// [`OutboxError::Disk`].
    pub fn forget_refused(&self, id: &TxId) -> Result<(), OutboxError> {
        match disk::remove(&self.refused.join(Self::file_name(id))) {
            Err(error) if !error.is_missing() => Err(error.into()),
            _ => Ok(()),
        }
    }
}
