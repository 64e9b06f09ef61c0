//! A transfer that a later command makes again, to the byte: its node dropped the first, so that the nonce is free, and words and
//! fee are the same. It is one transfer, which can be mined once.

use farthing::TxId;

use super::{Kind, Marks, Outbox, OutboxError, text};
use crate::disk;

impl Outbox {
    /// Whether a command with such marks may make a transfer that is there.
    ///
    /// # Errors
    /// [`OutboxError::Named`] if it has another id, and those of the disk.
    pub fn check_name(&self, id: &TxId, marks: &Marks) -> Result<(), OutboxError> {
        let entries = self.entries()?;
        let old = entries.into_iter().find(|entry| entry.id == *id).and_then(|entry| entry.marks.key);
        match (old, &marks.key) {
            (Some(old), Some(new)) if old != *new => Err(OutboxError::Named { id: *id, key: old }),
            _ => Ok(()),
        }
    }

    /// Notes that a transfer is what a new command makes, if it is there: it takes the id that is given now, and if somebody
    /// was told of its end, its words mean it again. So does what bumped it, since of these only one can be mined. What
    /// cancels a payment goes on cancelling it.
    ///
    /// # Errors
    /// [`OutboxError::Named`] if it has another id, and those of the disk.
    pub fn make_anew(&self, id: &TxId, marks: &Marks) -> Result<(), OutboxError> {
        // What is handed in for nobody's words is nobody's wish.
        if marks.content.is_none() {
            return Ok(());
        }
        self.check_name(id, marks)?;
        let entries = self.entries()?;
        let Some(one) = entries.iter().find(|entry| entry.id == *id) else {
            return Ok(());
        };
        match (&one.marks.key, &marks.key) {
            (Some(_), _) => return Ok(()),
            (None, None) if !one.marks.told => return Ok(()),
            (None, _) if one.marks.kind == Kind::Cancel => return Ok(()),
            (None, _) => {}
        }
        for other in &entries {
            let is_kin = other.place() == one.place()
                && other.marks.content == one.marks.content
                && other.marks.key.is_none()
                && other.marks.kind != Kind::Cancel;
            if is_kin {
                let marks = Marks { kind: other.marks.kind, ..marks.clone() };
                let path = self.path(&other.id);
                disk::replace_private(&path, text(&other.id, &other.transfer, marks, None).as_bytes())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use farthing::BlockId;

    use super::{super::tests::transfer, *};
    use crate::error::Explain as _;

    #[test]
    fn an_id_names_what_is_made_again_and_what_bumped_it_and_nothing_that_has_another() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(folder.path().join("outbox"), BlockId::ZERO);
        let of = |key: Option<&str>, kind, told| {
            let key = key.map(|key| key.parse().unwrap());
            Marks { key, content: Some("words".into()), kind, made: 1, told }
        };
        // All have one nonce here.
        let (first, _) = outbox.write(&transfer(1), of(None, Kind::Payment, false)).unwrap();
        let (bump, _) = outbox.write(&transfer(2), of(None, Kind::Bump, true)).unwrap();
        let (cancel, _) = outbox.write(&transfer(3), of(None, Kind::Cancel, true)).unwrap();
        let marks = |id: TxId| {
            let marks = outbox.entries().unwrap().into_iter().find(|entry| entry.id == id).unwrap().marks;
            (marks.key.map(|key| key.to_string()), marks.kind, marks.told)
        };
        outbox.make_anew(&first, &of(None, Kind::Payment, false)).unwrap();
        assert_eq!(marks(bump), (None, Kind::Bump, true), "nobody was told of the first");
        outbox.make_anew(&first, &of(Some("rent"), Kind::Payment, false)).unwrap();
        assert_eq!(marks(first), (Some("rent".into()), Kind::Payment, false));
        assert_eq!(marks(bump), (Some("rent".into()), Kind::Bump, false));
        assert_eq!(marks(cancel), (None, Kind::Cancel, true));
        outbox.make_anew(&first, &of(Some("rent"), Kind::Payment, false)).unwrap();
        outbox.make_anew(&first, &of(None, Kind::Payment, false)).unwrap();
        let error = outbox.make_anew(&first, &of(Some("gas"), Kind::Payment, false)).unwrap_err();
        assert_eq!((error.code(), marks(first).0), ("ID_REUSED", Some("rent".into())));
    }
}
