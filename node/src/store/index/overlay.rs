//! Changes that the index's engine does not have yet.

use std::collections::BTreeMap;

use super::engine::{Op, Tree};

/// A value that waits: none for a removal.
type Waiting = Option<Vec<u8>>;

/// By tree and key: the newest change and the step that it came with.
#[derive(Debug, Default)]
pub(super) struct Overlay(BTreeMap<(Tree, Vec<u8>), (u64, Waiting)>);

impl Overlay {
    /// What waits for this key, if anything does.
    pub(super) fn get(&self, tree: Tree, key: &[u8]) -> Option<Waiting> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&(tree, key.to_vec())).map(|(_, value)| value.clone())
    }

    /// What waits from this key on.
    pub(super) fn range(&self, tree: Tree, from: &[u8]) -> Vec<(Vec<u8>, Waiting)> {
        let range = self.0.range((tree, from.to_vec())..).take_while(|((found, _), _)| *found == tree);
        range.map(|((_, key), (_, value))| (key.clone(), value.clone())).collect()
    }

    /// Takes a step's changes.
    pub(super) fn add(&mut self, ops: &[Op], sequence: u64) {
        for op in ops {
            self.0.insert((op.tree, op.key.clone()), (sequence, op.value.clone()));
        }
    }

    /// Forgets a step's changes once they are written, but not later ones of the same keys.
    pub(super) fn written(&mut self, ops: &[Op], sequence: u64) {
        for op in ops {
            let key = (op.tree, op.key.clone());
            if self.0.get(&key).is_some_and(|(newest, _)| *newest <= sequence) {
                self.0.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_change_outlives_the_writing_of_an_earlier_one() {
        let op = |value: Option<&[u8]>| Op { tree: Tree::Side, key: vec![1], value: value.map(<[u8]>::to_vec) };
        let mut overlay = Overlay::default();
        overlay.add(&[op(Some(b"old"))], 1);
        overlay.add(&[op(None)], 2);
        overlay.written(&[op(Some(b"old"))], 1);
        assert_eq!(overlay.get(Tree::Side, &[1]), Some(None));
        assert_eq!(overlay.range(Tree::Side, &[0]), [(vec![1], None)]);
        overlay.written(&[op(None)], 2);
        assert_eq!(overlay.get(Tree::Side, &[1]), None);
    }
}
