//! A transfer that a later command makes again, to the byte: its node dropped the first, so that the nonce is free, and words and
//! fee are the same. It is one transfer, which can be mined once.

use farthing::TxId;

use super::{Kind, Marks, Outbox, OutboxError, text};
use crate::disk;

impl Outbox {
    /// Notes that a transfer whose end somebody was told is what a new command makes, and whether that is so. What has an id
    /// keeps it, and what cancels a payment goes on cancelling it.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn make_anew(&self, id: &TxId, marks: &Marks) -> Result<bool, OutboxError> {
        let path = self.path(id);
        let entry = match self.read(&path) {
            Err(OutboxError::Disk(error)) if error.is_missing() => return Ok(false),
            other => other?,
        };
        let is_over = entry.marks.told && entry.marks.key.is_none() && entry.marks.kind != Kind::Cancel;
        // What is handed in for nobody's words is nobody's wish.
        if !is_over || marks.content.is_none() {
            return Ok(false);
        }
        let marks = Marks { kind: entry.marks.kind, ..marks.clone() };
        disk::replace_private(&path, text(id, &entry.transfer, marks, None).as_bytes())?;
        Ok(true)
    }
}
