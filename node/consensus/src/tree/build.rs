//! A tree from accounts already in order, as a checkpoint or genesis lists them: each node is made once.

use farthing::{Address, account::first_differing_bit};

use super::{AccountTree, Entry, Node};

/// Accounts that were said to be sorted are not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("account {address} comes after {previous}; expected strictly growing addresses")]
pub struct NotSorted {
    /// The account out of order.
    pub address: Address,
    /// The one before it.
    pub previous: Address,
}

impl<M> AccountTree<M> {
    /// Builds a tree from accounts in strictly growing order of their addresses.
    ///
    /// # Errors
    /// [`NotSorted`].
    pub fn from_sorted(accounts: impl IntoIterator<Item = (Address, Entry<M>)>) -> Result<Self, NotSorted> {
        // Finished left subtrees that wait for their right side, each with the bit in which that differs from it.
        // Bits grow from bottom to top, so there are at most 256.
        let mut waiting: Vec<(Node<M>, u8)> = Vec::new();
        let mut last: Option<(Address, Node<M>)> = None;
        let mut len = 0_usize;
        for (address, entry) in accounts {
            if let Some((previous, node)) = last.take() {
                let bit = first_differing_bit(&previous, &address)
                    .filter(|_| previous < address)
                    .ok_or(NotSorted { address, previous })?;
                // Everything that splits below this bit has now seen its whole right side.
                let node = close(&mut waiting, node, Some(bit));
                waiting.push((node, bit));
            }
            last = Some((address, Node::leaf(address, entry)));
            len = len.saturating_add(1);
        }
        Ok(Self { root: last.map(|(_, node)| close(&mut waiting, node, None)), len })
    }
}

/// Joins the subtrees that wait for a right side and split below `bit`, or all, with `node` at their right end.
fn close<M>(waiting: &mut Vec<(Node<M>, u8)>, mut node: Node<M>, bit: Option<u8>) -> Node<M> {
    while let Some((left, split)) = waiting.pop_if(|(_, split)| bit.is_none_or(|bit| *split > bit)) {
        node = Node::inner(split, left, node);
    }
    node
}
