//! Proofs of an account's presence or absence, checked without a node \[R-PRF\].

use crate::{Account, Address, Hash, account::node_hash};

/// One level of a proof, the root's first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProofStep {
    /// Which bit of the address this node looks at; 0 is the top bit of the first byte.
    pub bit: u8,
    /// Hash of the subtree that the address does not lead to.
    pub sibling: Hash,
}

/// The leaf that an address's bits lead to, and what stands beside the way there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountProof {
    /// The leaf; none if there are no accounts at all.
    pub leaf: Option<(Address, Account)>,
    /// From the root down; at most 256.
    pub steps: Vec<ProofStep>,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The bits do not grow strictly downwards.
    #[error("bit {found} below bit {above}; bits must grow downwards")]
    BitOrder {
        /// The lower node's bit.
        found: u8,
        /// The upper node's bit.
        above: u8,
    },
    /// Steps without a leaf.
    #[error("an empty tree has no inner nodes, the proof has {0}")]
    StepsWithoutLeaf(usize),
    /// The leaf is not where the address's bits lead.
    #[error("the leaf {leaf} differs from the address in bit {bit}, which the path looks at")]
    LeafOffPath {
        /// The leaf's address.
        leaf: Address,
        /// The bit.
        bit: u8,
    },
    /// The proof leads to another root.
    #[error("the proof leads to root {found}, expected {expected}")]
    WrongRoot {
        /// Where it leads.
        found: Hash,
        /// Where it should lead.
        expected: Hash,
    },
}

impl ProofError {
    /// Id of the rule in SPEC.md.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::StepsWithoutLeaf(_) => "R-PRF-01",
            // Only a proof without a leaf leads to the root of no accounts.
            Self::WrongRoot { found, .. } if *found == Hash::ZERO => "R-PRF-01",
            Self::BitOrder { .. } => "R-PRF-02",
            Self::LeafOffPath { .. } => "R-PRF-03",
            Self::WrongRoot { .. } => "R-PRF-04",
        }
    }
}

/// Whether a bit of an address is set; bit 0 is the top bit of byte 0.
#[must_use]
pub fn address_bit(address: &Address, bit: u8) -> bool {
    let byte = address.as_bytes().get(usize::from(bit >> 3)).copied().unwrap_or_default();
    byte & (0x80 >> (bit & 7)) != 0
}

impl AccountProof {
    /// The root that this proof leads to for `address`, its form checked.
    ///
    /// # Errors
    /// If bits are out of order or the leaf is not on the address's path.
    pub fn root(&self, address: &Address) -> Result<Hash, ProofError> {
        let Some((leaf_address, account)) = &self.leaf else {
            return match self.steps.len() {
                0 => Ok(Hash::ZERO),
                steps => Err(ProofError::StepsWithoutLeaf(steps)),
            };
        };
        for (upper, lower) in self.steps.iter().zip(self.steps.iter().skip(1)) {
            if lower.bit <= upper.bit {
                return Err(ProofError::BitOrder { found: lower.bit, above: upper.bit });
            }
        }
        let mut hash = account.leaf_hash(leaf_address);
        for step in self.steps.iter().rev() {
            let right = address_bit(address, step.bit);
            if right != address_bit(leaf_address, step.bit) {
                return Err(ProofError::LeafOffPath { leaf: *leaf_address, bit: step.bit });
            }
            hash = if right {
                node_hash(step.bit, &step.sibling, &hash)
            } else {
                node_hash(step.bit, &hash, &step.sibling)
            };
        }
        Ok(hash)
    }

    /// The account at `address`, proven present, or none, proven absent.
    ///
    /// # Errors
    /// If the proof has a fault or leads to another root.
    pub fn verify(&self, accounts_root: &Hash, address: &Address) -> Result<Option<Account>, ProofError> {
        let found = self.root(address)?;
        if found != *accounts_root {
            return Err(ProofError::WrongRoot { found, expected: *accounts_root });
        }
        Ok(self.leaf.filter(|(leaf, _)| leaf == address).map(|(_, account)| account))
    }
}
