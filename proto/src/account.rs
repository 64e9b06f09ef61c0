//! An account's committed state and its history chain \[R-ACT\].

use crate::{
    Address, EntryId, Hash, Height, Mites,
    codec::{Canonical, DecodeError, Reader},
    hash::{sha256, tag},
};

/// What headers commit to for one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Spendable money.
    pub balance: Mites,
    /// Number of transactions sent, and so the nonce of the next one.
    pub next_nonce: u64,
    /// Number of ids linked in `history`.
    pub entries: u64,
    /// Head of the history chain: zeros before the first entry.
    pub history: Hash,
}

impl Account {
    /// An account as genesis or a first receipt opens it.
    #[must_use]
    pub fn with_balance(balance: Mites) -> Self {
        Self { balance, ..Self::default() }
    }

    /// Links one more id into the history \[R-ACT-04\]. The count cannot overflow before the chain's end.
    pub fn link(&mut self, id: EntryId, height: Height) {
        self.history = history_link(&self.history, id, height);
        self.entries = self.entries.saturating_add(1);
    }

    /// Hash of this account's leaf in the account tree \[R-ACT-01\].
    #[must_use]
    pub fn leaf_hash(&self, address: &Address) -> Hash {
        Hash::from_bytes(sha256(&[
            &[tag::ACCOUNT_LEAF],
            address.as_bytes(),
            &self.balance.get().to_le_bytes(),
            &self.next_nonce.to_le_bytes(),
            &self.entries.to_le_bytes(),
            self.history.as_bytes(),
        ]))
    }
}

/// The head of a history chain after one more id: `SHA-256(0x50 ‖ history ‖ id ‖ height)` \[R-ACT-04\].
#[must_use]
pub fn history_link(history: &Hash, id: EntryId, height: Height) -> Hash {
    Hash::from_bytes(sha256(&[&[tag::HISTORY], history.as_bytes(), id.as_bytes(), &height.get().to_le_bytes()]))
}

/// Hash of an inner node of the account tree \[R-ACT-02\].
#[must_use]
pub fn node_hash(bit: u8, left: &Hash, right: &Hash) -> Hash {
    Hash::from_bytes(sha256(&[&[tag::ACCOUNT_NODE, bit], left.as_bytes(), right.as_bytes()]))
}

impl Canonical for Account {
    fn encode(&self, out: &mut Vec<u8>) {
        self.balance.encode(out);
        out.extend_from_slice(&self.next_nonce.to_le_bytes());
        out.extend_from_slice(&self.entries.to_le_bytes());
        self.history.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            balance: Mites::decode(reader)?,
            next_nonce: reader.u64("next nonce")?,
            entries: reader.u64("entries")?,
            history: Hash::decode(reader)?,
        })
    }
}

/// Root of the account tree, straight from its definition \[R-ACT-03\]: for genesis, and as the model that faster
/// trees are tested against. `sorted` is strictly sorted by address.
#[must_use]
pub fn accounts_root(sorted: &[(Address, Account)]) -> Hash {
    match sorted {
        [] => Hash::ZERO,
        [(address, account)] => account.leaf_hash(address),
        [(first, _), .., (last, _)] => {
            let bit = first_differing_bit(first, last).unwrap_or(u8::MAX);
            let middle = sorted.partition_point(|(address, _)| !crate::proof::address_bit(address, bit));
            let (left, right) = sorted.split_at(middle);
            node_hash(bit, &accounts_root(left), &accounts_root(right))
        }
    }
}

/// The first bit in which two addresses differ; none if they are equal.
#[must_use]
pub fn first_differing_bit(a: &Address, b: &Address) -> Option<u8> {
    let at = a.as_bytes().iter().zip(b.as_bytes()).position(|(a, b)| a != b)?;
    let difference = a.as_bytes().get(at)? ^ b.as_bytes().get(at)?;
    u8::try_from(at.checked_mul(8)?.checked_add(usize::try_from(difference.leading_zeros()).ok()?)?).ok()
}
