//! What was settled under an id that a person gave, or as a part of a payroll: kept for ever.

use std::path::PathBuf;

use super::{Entry, Key, Marks, Outbox, OutboxError, Outcome, text};
use crate::disk;

impl Outbox {
    /// Takes out a transfer whose fate is known for good. With an id that a person gave it is kept among those sent.
    ///
    /// # Errors
    /// [`OutboxError::Disk`].
    pub fn settle(&self, entry: &Entry, outcome: Outcome) -> Result<(), OutboxError> {
        if let Some(key) = &entry.marks.key {
            disk::make_folder(&self.sent)?;
            let text = text(&entry.id, &entry.transfer, entry.marks.clone(), Some(outcome));
            match disk::create_private(&self.sent_path(key), text.as_bytes()) {
                Err(error) if error.is_exists() => {}
                other => other?,
            }
        }
        self.forget(&entry.id)
    }

    /// What was settled under an id that a person gave.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn sent(&self, key: &Key) -> Result<Option<Entry>, OutboxError> {
        match self.read(&self.sent_path(key)) {
            Err(OutboxError::Disk(error)) if error.is_missing() => Ok(None),
            other => other.map(Some),
        }
    }

    /// Marks what was settled under an id as something that somebody was told.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn mark_sent_told(&self, key: &Key) -> Result<(), OutboxError> {
        match self.sent(key)? {
            Some(entry) if !entry.marks.told => {
                let marks = Marks { told: true, ..entry.marks };
                let text = text(&entry.id, &entry.transfer, marks, entry.outcome);
                Ok(disk::replace_private(&self.sent_path(key), text.as_bytes())?)
            }
            _ => Ok(()),
        }
    }

    fn sent_path(&self, key: &Key) -> PathBuf {
        self.sent.join(format!("{}.toml", key.file_name()))
    }
}
