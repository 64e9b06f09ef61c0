//! What there is to say about nodes beside a result: kept until somebody can say it.

use std::sync::{Arc, Mutex, PoisonError};

/// Remarks not said yet; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Remarks(Arc<Mutex<Vec<String>>>);

impl Remarks {
    /// Adds one, unless it waits already.
    pub fn add(&self, text: String) {
        let mut remarks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !remarks.contains(&text) {
            remarks.push(text);
        }
    }

    /// Takes all.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
