//! Nodes of the account tree: shared, with their hashes kept once computed.

use std::sync::{Arc, OnceLock};

use farthing::{Address, Hash, account::node_hash, proof::address_bit};

use super::Entry;

/// A subtree with at least one account.
pub(super) enum Node<M> {
    Leaf(Arc<Leaf<M>>),
    Inner(Arc<Inner<M>>),
}

/// One account.
pub(super) struct Leaf<M> {
    pub(super) address: Address,
    pub(super) entry: Entry<M>,
    hash: OnceLock<Hash>,
}

/// Two subtrees whose addresses differ first in `bit`; the left ones have a 0 there.
pub(super) struct Inner<M> {
    pub(super) bit: u8,
    pub(super) left: Node<M>,
    pub(super) right: Node<M>,
    hash: OnceLock<Hash>,
}

impl<M> Node<M> {
    pub(super) fn leaf(address: Address, entry: Entry<M>) -> Self {
        Self::Leaf(Arc::new(Leaf { address, entry, hash: OnceLock::new() }))
    }

    pub(super) fn inner(bit: u8, left: Self, right: Self) -> Self {
        Self::Inner(Arc::new(Inner { bit, left, right, hash: OnceLock::new() }))
    }

    /// The leaf that the address's bits lead to: its own, if it has one.
    pub(super) fn nearest(&self, address: &Address) -> &Leaf<M> {
        let mut at = self;
        loop {
            match at {
                Self::Leaf(leaf) => return leaf,
                Self::Inner(inner) => at = inner.sides(address).0,
            }
        }
    }

    /// The node along the address's bits at which something is about to change: the first that looks at `bit` or a
    /// later one, or the leaf. What stands above is made this tree's own and forgets its hash.
    pub(super) fn descend(&mut self, address: &Address, bit: Option<u8>) -> &mut Self {
        let mut at = self;
        while at.is_above(bit) {
            let Self::Inner(inner) = at else { break };
            at = Inner::make_mut(inner).side_mut(address);
        }
        at
    }

    /// Whether this is an inner node that looks at an earlier bit than `bit`, or at any if none is given.
    fn is_above(&self, bit: Option<u8>) -> bool {
        match self {
            Self::Leaf(_) => false,
            Self::Inner(inner) => bit.is_none_or(|bit| inner.bit < bit),
        }
    }

    /// This subtree without an address that is in it; none if it was the only one.
    pub(super) fn without(mut self, address: &Address) -> Option<Self> {
        // Down to the node whose child is the address's leaf; the other child takes that node's place.
        let mut at = &mut self;
        loop {
            let sibling = match &*at {
                Self::Leaf(_) => return None,
                Self::Inner(inner) => match inner.sides(address) {
                    (Self::Leaf(_), sibling) => Some(sibling.clone()),
                    (Self::Inner(_), _) => None,
                },
            };
            if let Some(sibling) = sibling {
                *at = sibling;
                return Some(self);
            }
            let Self::Inner(inner) = at else { return None };
            at = Inner::make_mut(inner).side_mut(address);
        }
    }

    /// Hash of this subtree; at most 256 calls deep.
    pub(super) fn hash(&self) -> Hash {
        match self {
            Self::Leaf(leaf) => *leaf.hash.get_or_init(|| leaf.entry.account.leaf_hash(&leaf.address)),
            Self::Inner(inner) => {
                *inner.hash.get_or_init(|| node_hash(inner.bit, &inner.left.hash(), &inner.right.hash()))
            }
        }
    }
}

impl<M> Clone for Node<M> {
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(leaf) => Self::Leaf(Arc::clone(leaf)),
            Self::Inner(inner) => Self::Inner(Arc::clone(inner)),
        }
    }
}

impl<M> Inner<M> {
    /// The child along the address's bits, and the other one.
    pub(super) fn sides(&self, address: &Address) -> (&Node<M>, &Node<M>) {
        if address_bit(address, self.bit) { (&self.right, &self.left) } else { (&self.left, &self.right) }
    }

    fn side_mut(&mut self, address: &Address) -> &mut Node<M> {
        if address_bit(address, self.bit) { &mut self.right } else { &mut self.left }
    }

    /// A node that is about to change below: copied if it is shared, and without its hash.
    fn make_mut(shared: &mut Arc<Self>) -> &mut Self {
        let inner = Arc::make_mut(shared);
        inner.hash = OnceLock::new();
        inner
    }
}

impl<M> Clone for Inner<M> {
    /// Nodes are only copied to be changed, so a copy begins without a hash.
    fn clone(&self) -> Self {
        Self { bit: self.bit, left: self.left.clone(), right: self.right.clone(), hash: OnceLock::new() }
    }
}
