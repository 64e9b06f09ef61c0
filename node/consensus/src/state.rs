//! Moving a tree of accounts by a block's effect, forward and back.

use farthing::Address;

use crate::{
    execution::Touch,
    tree::{AccountTree, Entry},
};

/// Applies what an execution did. `meta` gives what to keep beside each account, from the touch and what was there.
pub fn apply_touches<M>(tree: &mut AccountTree<M>, touched: &[Touch], mut meta: impl FnMut(&Touch, Option<&M>) -> M) {
    for touch in touched {
        let meta = meta(touch, tree.get(&touch.address).map(|entry| &entry.meta));
        tree.insert(touch.address, Entry { account: touch.after, meta });
    }
}

/// Puts accounts back to what they were before a block; those that did not exist are taken out.
pub fn undo_touches<M>(tree: &mut AccountTree<M>, before: impl IntoIterator<Item = (Address, Option<Entry<M>>)>) {
    for (address, entry) in before {
        match entry {
            Some(entry) => tree.insert(address, entry),
            None => {
                tree.remove(&address);
            }
        }
    }
}
