//! Small named sets of keys and values beside the chain.

use super::{
    KeyAndValue, KeyValue, StoreError,
    index::{Index, Op, Tree},
};

/// Keys under a name in the index's tree for others.
#[derive(Debug)]
pub(super) struct NamedKeys {
    index: Index,
    prefix: Vec<u8>,
}

impl NamedKeys {
    pub(super) fn new(index: Index, name: &str) -> Self {
        Self { index, prefix: [name.as_bytes(), &[0]].concat() }
    }

    fn key(&self, key: &[u8]) -> Vec<u8> {
        [&self.prefix, key].concat()
    }

    fn set(&self, key: &[u8], value: Option<Vec<u8>>) -> Result<(), StoreError> {
        self.index.submit(vec![Op { tree: Tree::Named, key: self.key(key), value }], None)
    }
}

impl KeyValue for NamedKeys {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.index.get(Tree::Named, &self.key(key))
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.set(key, Some(value.to_vec()))
    }

    fn remove(&self, key: &[u8]) -> Result<(), StoreError> {
        self.set(key, None)
    }

    fn entries(&self) -> Result<Vec<KeyAndValue>, StoreError> {
        let pairs = self.index.scan(Tree::Named, &self.prefix)?;
        let own = pairs.into_iter().filter_map(|(key, value)| Some((key.strip_prefix(&*self.prefix)?.to_vec(), value)));
        Ok(own.collect())
    }
}
