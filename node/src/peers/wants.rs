//! What a listener has asked of a dialler, and what of the answers was really asked for.

use std::collections::BTreeMap;

/// What kind of thing a want asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WantKind {
    /// Headers.
    Headers,
    /// Blocks.
    Blocks,
    /// Transactions.
    Transactions,
    /// A block without its transactions.
    CompactBlock,
    /// Transactions of a block.
    BlockTransactions,
    /// Which checkpoints there are.
    Checkpoints,
    /// Hashes of a checkpoint's pieces.
    CheckpointHashes,
    /// Pieces of a checkpoint.
    CheckpointPieces,
}

impl WantKind {
    /// Every kind.
    pub(super) const ALL: [Self; 8] = [
        Self::Headers,
        Self::Blocks,
        Self::Transactions,
        Self::CompactBlock,
        Self::BlockTransactions,
        Self::Checkpoints,
        Self::CheckpointHashes,
        Self::CheckpointPieces,
    ];
}

/// Why a delivery is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum DeliveryRefusal {
    /// No such want was ever sent: an unrequested body.
    #[error("want {0} was never sent")]
    NeverWanted(u64),
    /// The want was answered before, or its time is over. Honest peers are late at times.
    #[error("want {0} is no longer open")]
    Closed(u64),
    /// It answers a want for something else.
    #[error("want {id} asks for {asked:?}, not {delivered:?}")]
    WrongKind {
        /// The want.
        id: u64,
        /// What it asks for.
        asked: WantKind,
        /// What came.
        delivered: WantKind,
    },
}

/// The open wants of one session, each with whoever waits for the answer.
#[derive(Debug)]
pub(super) struct Wants<T> {
    next: u64,
    open: BTreeMap<u64, (WantKind, T)>,
    most: usize,
}

impl<T> Wants<T> {
    /// No want yet, and never more than so many at a time.
    pub(super) const fn new(most: usize) -> Self {
        Self { next: 1, open: BTreeMap::new(), most }
    }

    /// Opens a want; nothing if as many as may be are open.
    pub(super) fn open(&mut self, kind: WantKind, waiting: T) -> Option<u64> {
        if self.open.len() >= self.most {
            return None;
        }
        let id = self.next;
        self.next += 1;
        self.open.insert(id, (kind, waiting));
        Some(id)
    }

    /// Who waits for this answer.
    pub(super) fn receive(&self, id: u64, delivered: WantKind) -> Result<&T, DeliveryRefusal> {
        match self.open.get(&id) {
            Some((asked, waiting)) if *asked == delivered => Ok(waiting),
            Some((asked, _)) => Err(DeliveryRefusal::WrongKind { id, asked: *asked, delivered }),
            None if id == 0 || id >= self.next => Err(DeliveryRefusal::NeverWanted(id)),
            None => Err(DeliveryRefusal::Closed(id)),
        }
    }

    /// The want is answered, or nobody waits for it any more.
    pub(super) fn close(&mut self, id: u64) {
        self.open.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_was_wanted_is_taken() {
        let mut wants = Wants::new(2);
        let id = wants.open(WantKind::Blocks, "waiter").unwrap();
        assert_eq!(wants.receive(id, WantKind::Blocks), Ok(&"waiter"));
        assert_eq!(
            wants.receive(id, WantKind::Headers),
            Err(DeliveryRefusal::WrongKind { id, asked: WantKind::Blocks, delivered: WantKind::Headers })
        );
        assert_eq!(wants.receive(id + 1, WantKind::Blocks), Err(DeliveryRefusal::NeverWanted(id + 1)));
        assert_eq!(wants.receive(0, WantKind::Blocks), Err(DeliveryRefusal::NeverWanted(0)));
        wants.close(id);
        assert_eq!(wants.receive(id, WantKind::Blocks), Err(DeliveryRefusal::Closed(id)));
    }

    proptest! {
        #[test]
        fn open_wants_are_bounded_and_ids_never_come_twice(steps: Vec<(bool, u8)>) {
            let mut wants = Wants::new(4);
            let mut issued = std::collections::BTreeSet::new();
            for (open, close) in steps {
                if open {
                    if let Some(id) = wants.open(WantKind::Transactions, ()) {
                        prop_assert!(issued.insert(id));
                    }
                } else {
                    wants.close(close.into());
                }
                prop_assert!(wants.open.len() <= 4);
            }
        }
    }
}
