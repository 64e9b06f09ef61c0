//! A walk over all accounts in the order of their addresses.

use farthing::Address;

use super::{Entry, Node};

/// Accounts in the order of their addresses; made by [`AccountTree::iter`](super::AccountTree::iter).
pub struct Iter<'a, M> {
    /// Subtrees still to be walked, the next one last.
    pending: Vec<&'a Node<M>>,
    left: usize,
}

impl<'a, M> Iter<'a, M> {
    pub(super) fn new(root: Option<&'a Node<M>>, left: usize) -> Self {
        Self { pending: root.into_iter().collect(), left }
    }
}

impl<'a, M> Iterator for Iter<'a, M> {
    type Item = (&'a Address, &'a Entry<M>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.pending.pop()? {
                Node::Leaf(leaf) => {
                    self.left = self.left.saturating_sub(1);
                    return Some((&leaf.address, &leaf.entry));
                }
                Node::Inner(inner) => self.pending.extend([&inner.right, &inner.left]),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<M> ExactSizeIterator for Iter<'_, M> {}
