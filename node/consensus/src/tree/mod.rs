//! All accounts in memory: a persistent crit-bit tree whose root every header commits to \[SPEC section 7\].
//!
//! A clone costs one pointer and shares all nodes; a change copies only the path to it, and only the part of the path
//! that a clone still shares. Hashes are kept in the nodes and computed when a root or a proof asks for them, so a
//! block's worth of changes hashes every changed node once. No recursion is deeper than the 256 bits of an address.
//! An account costs 272 bytes with 16 of the node's own beside it; `examples/account_memory.rs` measures it.

mod build;
mod iter;
mod node;
#[cfg(test)]
mod tests;

use std::fmt;

use farthing::{
    Account, Address, Hash, Params,
    account::first_differing_bit,
    proof::{AccountProof, ProofStep, address_bit},
};

pub use build::{NotSorted, root_of_sorted};
pub use iter::Iter;
use node::Node;

use crate::execution::AccountView;

/// What the tree holds for one address: the committed account, and what the node wants to keep beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Entry<M> {
    /// What headers commit to.
    pub account: Account,
    /// What they do not.
    pub meta: M,
}

/// A snapshot of all accounts. See the module's header.
pub struct AccountTree<M> {
    root: Option<Node<M>>,
    len: usize,
}

impl<M> AccountTree<M> {
    /// A tree without accounts.
    #[must_use]
    pub const fn new() -> Self {
        Self { root: None, len: 0 }
    }

    /// The accounts that genesis allocates \[R-GEN-03\].
    #[must_use]
    pub fn genesis(params: &Params, meta: &M) -> Self
    where
        M: Clone,
    {
        let allocations = params.allocations.iter().map(|allocation| {
            let account = Account::with_balance(allocation.amount);
            (allocation.address, Entry { account, meta: meta.clone() })
        });
        Self::from_sorted(allocations).expect("parameters hold allocations strictly sorted")
    }

    /// Number of accounts.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True if there are no accounts.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What is held for an address.
    #[must_use]
    pub fn get(&self, address: &Address) -> Option<&Entry<M>> {
        let leaf = self.root.as_ref()?.nearest(address);
        (leaf.address == *address).then_some(&leaf.entry)
    }

    /// Sets what is held for an address.
    pub fn insert(&mut self, address: Address, entry: Entry<M>) {
        let leaf = Node::leaf(address, entry);
        let Some(root) = &mut self.root else {
            self.root = Some(leaf);
            self.len = 1;
            return;
        };
        let Some(bit) = first_differing_bit(&root.nearest(&address).address, &address) else {
            *root.descend(&address, None) = leaf;
            return;
        };
        let place = root.descend(&address, Some(bit));
        let beside = place.clone();
        let (left, right) = if address_bit(&address, bit) { (beside, leaf) } else { (leaf, beside) };
        *place = Node::inner(bit, left, right);
        self.len = self.len.saturating_add(1);
    }

    /// Takes an address out, as only an undo does. False if it was not there.
    pub fn remove(&mut self, address: &Address) -> bool {
        if self.get(address).is_none() {
            return false;
        }
        self.root = self.root.take().and_then(|root| root.without(address));
        self.len = self.len.saturating_sub(1);
        true
    }

    /// The root that a header commits to; hashes only what changed since it was last asked for.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root.as_ref().map_or(Hash::ZERO, Node::hash)
    }

    /// Proof of what the root says about an address: its account, or its absence.
    #[must_use]
    pub fn prove(&self, address: &Address) -> AccountProof {
        let mut steps = Vec::new();
        let Some(mut at) = self.root.as_ref() else {
            return AccountProof { leaf: None, steps };
        };
        loop {
            match at {
                Node::Leaf(leaf) => {
                    return AccountProof { leaf: Some((leaf.address, leaf.entry.account)), steps };
                }
                Node::Inner(inner) => {
                    let (along, sibling) = inner.sides(address);
                    steps.push(ProofStep { bit: inner.bit, sibling: sibling.hash() });
                    at = along;
                }
            }
        }
    }

    /// All accounts in the order of their addresses.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, M> {
        Iter::new(self.root.as_ref(), self.len)
    }
}

impl<M> Default for AccountTree<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M> Clone for AccountTree<M> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), len: self.len }
    }
}

impl<M> fmt::Debug for AccountTree<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountTree").field("len", &self.len).finish_non_exhaustive()
    }
}

impl<'a, M> IntoIterator for &'a AccountTree<M> {
    type Item = (&'a Address, &'a Entry<M>);
    type IntoIter = Iter<'a, M>;

    fn into_iter(self) -> Iter<'a, M> {
        self.iter()
    }
}

impl<M> AccountView for AccountTree<M> {
    fn account(&self, address: &Address) -> Option<Account> {
        self.get(address).map(|entry| entry.account)
    }
}
