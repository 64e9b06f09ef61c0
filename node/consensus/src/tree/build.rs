//! A tree from accounts already in order, as a checkpoint or genesis lists them: each node is made once.

use farthing::{
    Account, Address, Hash,
    account::{first_differing_bit, node_hash},
};

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
        let leaves = accounts.into_iter().map(|(address, entry)| (address, Node::leaf(address, entry)));
        let (root, len) = join(leaves, Node::inner)?;
        Ok(Self { root, len })
    }
}

/// The root over accounts in strictly growing order of their addresses, however many: no tree is kept, 257 hashes are
/// waiting at most.
///
/// # Errors
/// [`NotSorted`].
pub fn root_of_sorted(accounts: impl IntoIterator<Item = (Address, Account)>) -> Result<Hash, NotSorted> {
    let leaves = accounts.into_iter().map(|(address, account)| (address, account.leaf_hash(&address)));
    let (root, _) = join(leaves, |bit, left, right| node_hash(bit, &left, &right))?;
    Ok(root.unwrap_or(Hash::ZERO))
}

/// Joins leaves in strictly growing order of their addresses to one subtree; counts them.
fn join<T>(
    leaves: impl Iterator<Item = (Address, T)>,
    inner: impl Fn(u8, T, T) -> T,
) -> Result<(Option<T>, usize), NotSorted> {
    // Finished left subtrees that wait for their right side, each with the bit in which that differs from it.
    // Bits grow from bottom to top, so there are at most 256.
    let mut waiting: Vec<(T, u8)> = Vec::new();
    let mut last: Option<(Address, T)> = None;
    let mut len = 0_usize;
    for (address, leaf) in leaves {
        if let Some((previous, node)) = last.take() {
            let bit = first_differing_bit(&previous, &address)
                .filter(|_| previous < address)
                .ok_or(NotSorted { address, previous })?;
            // Everything that splits below this bit has now seen its whole right side.
            let node = close(&mut waiting, node, Some(bit), &inner);
            waiting.push((node, bit));
        }
        last = Some((address, leaf));
        len = len.saturating_add(1);
    }
    Ok((last.map(|(_, node)| close(&mut waiting, node, None, &inner)), len))
}

/// Joins the subtrees that wait for a right side and split below `bit`, or all, with `node` at their right end.
fn close<T>(waiting: &mut Vec<(T, u8)>, mut node: T, bit: Option<u8>, inner: &impl Fn(u8, T, T) -> T) -> T {
    while let Some((left, split)) = waiting.pop_if(|(_, split)| bit.is_none_or(|bit| *split > bit)) {
        node = inner(split, left, node);
    }
    node
}
