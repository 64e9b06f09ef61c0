//! After a failed sync nothing more is written: what is on the disk is unknown until the next start verifies it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::StoreError;

const CLOSED: &str = "it was closed";

/// Why no more writes are taken, once that is so.
#[derive(Debug, Default)]
pub(crate) struct Poison(Mutex<Option<String>>);

impl Poison {
    /// Notes the first cause and gives the error back.
    pub(crate) fn set(&self, cause: StoreError) -> StoreError {
        let message = crate::tasks::Chain(&cause).to_string();
        tracing::error!(error = %message, "the store takes no more writes");
        self.lock().get_or_insert(message);
        cause
    }

    /// Notes that the store was closed.
    pub(crate) fn close(&self) {
        self.lock().get_or_insert_with(|| CLOSED.to_owned());
    }

    /// Whether that is all.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().as_deref() == Some(CLOSED)
    }

    /// # Errors
    /// [`StoreError::Poisoned`] once there is a cause.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        self.lock().clone().map_or(Ok(()), |cause| Err(StoreError::Poisoned(cause)))
    }

    /// The cause.
    pub(crate) fn cause(&self) -> Option<String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
