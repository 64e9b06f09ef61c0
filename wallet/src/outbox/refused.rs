//! Transfers that a node refused.
//!
//! Whether it kept one all the same, nobody can tell. As long as nothing else of this wallet has its nonce, and the chain has
//! not used that, it may still be mined: a payment with a later nonce would then come on top of it. A transfer is either here or
//! in the outbox: it comes here with a refusal, and goes back when it is handed in once more or was mined after all.

use farthing::TxId;

use super::{Entry, Outbox, OutboxError};
use crate::disk;

impl Outbox {
    /// Takes out a transfer that was refused, and remembers it.
    ///
    /// # Errors
    /// [`OutboxError::Disk`].
    pub fn refuse(&self, id: &TxId) -> Result<(), OutboxError> {
        disk::make_folder(&self.refused)?;
        // After a crash between two steps it may be there already.
        self.forget_refused(id)?;
        Ok(disk::rename(&self.path(id), &self.refused.join(Self::file_name(id)))?)
    }

    /// What was refused, the lowest nonce first.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn refused(&self) -> Result<Vec<Entry>, OutboxError> {
        self.entries_in(&self.refused)
    }

    /// Whether it is among them now.
    #[must_use]
    pub fn is_refused(&self, id: &TxId) -> bool {
        self.refused.join(Self::file_name(id)).exists()
    }

    /// Forgets that a transfer was refused.
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

impl Entry {
    /// The same as it comes back beside others: whoever was told of its kin was told of the payment.
    #[must_use]
    pub fn told_with(mut self, others: &[Self]) -> Self {
        self.marks.told |= others.iter().any(|other| other.is_kin(&self) && other.marks.told);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use farthing::BlockId;

    use super::{super::tests::transfer, *};

    #[test]
    fn a_transfer_is_in_the_outbox_or_refused_and_never_both() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(folder.path().join("outbox"), BlockId::ZERO);
        let counts = || (outbox.entries().unwrap().len(), outbox.refused().unwrap().len());
        for _ in 0..2 {
            let (id, is_new) = outbox.save(&transfer(5)).unwrap();
            assert!(is_new);
            assert_eq!(counts(), (1, 0));
            outbox.refuse(&id).unwrap();
            assert_eq!(counts(), (0, 1));
        }
        let (id, _) = outbox.save(&transfer(5)).unwrap();
        // As after a crash between two steps.
        let twin = outbox.refused.join(Outbox::file_name(&id));
        for mend in [
            &(|| assert!(!outbox.save(&transfer(5)).unwrap().1)) as &dyn Fn(),
            &|| outbox.refuse(&id).unwrap(),
            &|| outbox.forget(&id).unwrap(),
        ] {
            outbox.save(&transfer(5)).unwrap();
            std::fs::copy(outbox.path(&id), &twin).unwrap();
            assert_eq!(counts(), (1, 1));
            mend();
            let (open, refused) = counts();
            assert!(open + refused <= 1, "{open} {refused}");
        }
    }

    #[test]
    fn what_another_command_takes_out_meanwhile_is_not_missed() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(folder.path().join("outbox"), BlockId::ZERO);
        outbox.save(&transfer(1)).unwrap();
        let other = outbox.clone();
        let (done, is_done) = mpsc::channel::<()>();
        let busy = thread::spawn(move || {
            for _ in 0..60 {
                let (id, _) = other.save(&transfer(2)).unwrap();
                other.forget(&id).unwrap();
            }
            drop(done);
        });
        while is_done.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
            assert!((1..=2).contains(&outbox.entries().unwrap().len()));
        }
        busy.join().unwrap();
    }
}
