//! What the index asks of a key-value engine, and an engine in memory.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The sets of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Tree {
    /// The marker.
    Meta,
    /// Block id -> header, height, work, places.
    Blocks,
    /// Height -> block id of the best chain.
    Heights,
    /// Transaction id -> height and index, of the best chain.
    Transactions,
    /// Height and block id of blocks beside the best chain.
    Side,
    /// Block id of damaged records -> their place.
    Damaged,
    /// What others keep here: name, a zero, key.
    Named,
}

impl Tree {
    pub(crate) const ALL: [Self; 7] =
        [Self::Meta, Self::Blocks, Self::Heights, Self::Transactions, Self::Side, Self::Damaged, Self::Named];
    /// Those whose number of keys is a function of the log.
    pub(crate) const COUNTED: [Self; 4] = [Self::Blocks, Self::Heights, Self::Transactions, Self::Side];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Blocks => "blocks",
            Self::Heights => "heights",
            Self::Transactions => "transactions",
            Self::Side => "side",
            Self::Damaged => "damaged",
            Self::Named => "named",
        }
    }
}

/// A change of one key; without a value it is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    pub(crate) tree: Tree,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
}

/// The engine's own words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct EngineError(pub(crate) String);

/// A key and its value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// A store of small keys. Not trusted: values carry checksums, and everything can be made again.
pub(crate) trait Engine: fmt::Debug + Send + Sync {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;
    /// Applies a few changes, in order.
    fn write(&self, ops: &[Op]) -> Result<(), EngineError>;
    /// Up to `limit` keys from `from` on, in order.
    fn scan(&self, tree: Tree, from: &[u8], limit: usize) -> Result<Vec<Pair>, EngineError>;
    /// Makes everything written so far durable.
    fn settle(&self) -> Result<(), EngineError>;
}

/// An engine in memory: empty at each start, so that the index is made again from the log.
#[derive(Debug, Default)]
pub(crate) struct MemoryEngine(Mutex<Entries>);

/// Values by tree and key.
type Entries = BTreeMap<(Tree, Vec<u8>), Vec<u8>>;

impl MemoryEngine {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for MemoryEngine {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.lock().get(&(tree, key.to_vec())).cloned())
    }

    fn write(&self, ops: &[Op]) -> Result<(), EngineError> {
        let mut keys = self.lock();
        for op in ops {
            let key = (op.tree, op.key.clone());
            match &op.value {
                Some(value) => keys.insert(key, value.clone()),
                None => keys.remove(&key),
            };
        }
        Ok(())
    }

    fn scan(&self, tree: Tree, from: &[u8], limit: usize) -> Result<Vec<Pair>, EngineError> {
        let keys = self.lock();
        let range = keys.range((tree, from.to_vec())..).take_while(|((found, _), _)| *found == tree);
        Ok(range.take(limit).map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn settle(&self) -> Result<(), EngineError> {
        Ok(())
    }
}
