//! Account proofs both ways. On the wire a proof comes with the header that it proves against.

use prost::bytes::Bytes;

use super::{WireError, WireFault, field, v1};
use crate::{
    Account, Address, BlockId, Hash, Header, Height, RangeNode,
    codec::Canonical as _,
    header::commitment,
    proof::{AccountProof, ProofError, ProofStep},
};

/// A proof with the header whose commitment it leads to.
///
/// It proves what the state under that header says; whether the header has work and belongs to the chain is the
/// reader's to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchoredProof {
    /// The header.
    pub header: Header,
    /// Its height. Proven if the range is there; else what the sender states.
    pub height: Height,
    /// Root over the chain before the header: the other half of its commitment.
    pub chain_root: Hash,
    /// The node over all headers before it, of which that root is the hash and whose count is the height. None for
    /// genesis; from others it may be missing, as older nodes did not send it.
    pub range: Option<RangeNode>,
    /// The way from a leaf to the root over all accounts.
    pub proof: AccountProof,
}

/// Why an anchored proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnchoredProofError {
    /// The proof has a fault of its own.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The proof and the chain root do not lead to what the header commits to.
    #[error("the proof leads to commitment {found}, the header has {expected}")]
    WrongCommitment {
        /// Where it leads.
        found: Hash,
        /// What the header says.
        expected: Hash,
    },
    /// The range is not the one that the chain root is the hash of.
    #[error("the range's root is {found}, expected {expected}")]
    WrongRange {
        /// Hash of the range.
        found: Hash,
        /// The chain root.
        expected: Hash,
    },
    /// The height is not the number of headers before.
    #[error("{found} headers stand before a header at height {expected}")]
    WrongHeight {
        /// Headers before it.
        found: u64,
        /// The height.
        expected: Height,
    },
    /// Another header than the one that is trusted.
    #[error("the proof is for header {found}, expected {expected}")]
    WrongHeader {
        /// The header.
        found: BlockId,
        /// The one trusted.
        expected: BlockId,
    },
}

impl AnchoredProofError {
    /// Id of the rule in SPEC.md.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Proof(error) => error.rule(),
            Self::WrongCommitment { .. } => "R-PRF-05",
            Self::WrongRange { .. } | Self::WrongHeight { .. } => "R-PRF-06",
            Self::WrongHeader { .. } => "R-PRF-07",
        }
    }
}

impl AnchoredProof {
    /// The account at `address` in the state that the header commits to; none if it is proven absent.
    ///
    /// # Errors
    /// If the proof has a fault or leads to another commitment.
    pub fn verify(&self, address: &Address) -> Result<Option<Account>, AnchoredProofError> {
        let accounts_root = self.proof.root(address)?;
        let (found, expected) = (commitment(&accounts_root, &self.chain_root), self.header.commitment);
        if found != expected {
            return Err(AnchoredProofError::WrongCommitment { found, expected });
        }
        if let Some(range) = &self.range {
            self.check_height(range)?;
        }
        Ok(self.proof.verify(&accounts_root, address)?)
    }

    /// As [`AnchoredProof::verify`], for a reader that trusts the header `tip`: the height must be proven too. Nothing of
    /// such a proof can be changed without being noticed.
    ///
    /// # Errors
    /// As [`AnchoredProof::verify`]; if the header is another one; if the height is not proven.
    pub fn verify_under(&self, address: &Address, tip: &BlockId) -> Result<Option<Account>, AnchoredProofError> {
        let found = self.header.id();
        if found != *tip {
            return Err(AnchoredProofError::WrongHeader { found, expected: *tip });
        }
        // Only genesis has no headers before it.
        if self.range.is_none() && (self.height != Height::GENESIS || self.chain_root != Hash::ZERO) {
            return Err(AnchoredProofError::WrongHeight { found: 0, expected: self.height });
        }
        self.verify(address)
    }

    fn check_height(&self, range: &RangeNode) -> Result<(), AnchoredProofError> {
        let (found, expected) = (range.chain_root(), self.chain_root);
        if found != expected {
            return Err(AnchoredProofError::WrongRange { found, expected });
        }
        if range.count != self.height.get() {
            return Err(AnchoredProofError::WrongHeight { found: range.count, expected: self.height });
        }
        Ok(())
    }
}

impl From<&AnchoredProof> for v1::AccountProof {
    fn from(anchored: &AnchoredProof) -> Self {
        let leaf = anchored.proof.leaf.as_ref();
        Self {
            header_bytes: Bytes::copy_from_slice(&anchored.header.to_bytes()),
            height: anchored.height.get(),
            chain_root: field::bytes32(anchored.chain_root.as_bytes()),
            leaf_address: leaf.map(|(address, _)| field::bytes32(address.as_bytes())).unwrap_or_default(),
            leaf_account: leaf.map(|(_, account)| account.into()),
            steps: anchored.proof.steps.iter().map(v1::AccountProofStep::from).collect(),
            range_bytes: anchored.range.map(|range| range.to_canonical().into()).unwrap_or_default(),
        }
    }
}

impl From<&ProofStep> for v1::AccountProofStep {
    fn from(step: &ProofStep) -> Self {
        Self { bit: step.bit.into(), sibling: field::bytes32(step.sibling.as_bytes()) }
    }
}

impl TryFrom<v1::AccountProofStep> for ProofStep {
    type Error = WireError;

    fn try_from(message: v1::AccountProofStep) -> Result<Self, WireError> {
        let bit = u8::try_from(message.bit).map_err(|_| {
            WireError::new("bit", WireFault::OutOfRange { min: 0, max: 255, found: message.bit.into() })
        })?;
        Ok(Self { bit, sibling: field::hash("sibling", &message.sibling)? })
    }
}

impl TryFrom<v1::AccountProof> for AnchoredProof {
    type Error = WireError;

    fn try_from(message: v1::AccountProof) -> Result<Self, WireError> {
        const MAX_STEPS: usize = 256;
        let found = message.steps.len();
        if found > MAX_STEPS {
            let fault = WireFault::Count { unit: "steps", min: 0, max: MAX_STEPS, found };
            return Err(WireError::new("steps", fault));
        }
        let leaf = match (message.leaf_address.is_empty(), message.leaf_account) {
            (true, None) => None,
            (true, Some(_)) => return Err(WireError::missing("leaf_address")),
            (false, account) => {
                Some((field::hash("leaf_address", &message.leaf_address)?, field::required("leaf_account", account)?))
            }
        };
        let steps = message
            .steps
            .into_iter()
            .enumerate()
            .map(|(at, step)| ProofStep::try_from(step).map_err(|error| error.within_item("steps", at)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            header: field::header("header_bytes", &message.header_bytes)?,
            height: Height::new(message.height),
            chain_root: field::hash("chain_root", &message.chain_root)?,
            range: match message.range_bytes.is_empty() {
                true => None,
                false => Some(field::range_node("range_bytes", &message.range_bytes)?),
            },
            proof: AccountProof { leaf, steps },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Mites,
        account::accounts_root,
        wire::samples::{account_proof, hash, header, range_node},
    };

    fn anchored() -> impl Strategy<Value = AnchoredProof> {
        let range = proptest::option::of(range_node());
        (header(), any::<u64>(), hash(), range, account_proof()).prop_map(
            |(header, height, chain_root, range, proof)| AnchoredProof {
                header,
                height: Height::new(height),
                chain_root,
                range,
                proof,
            },
        )
    }

    proptest! {
        #[test]
        fn a_proof_survives_the_wire(anchored in anchored()) {
            prop_assert_eq!(AnchoredProof::try_from(v1::AccountProof::from(&anchored)), Ok(anchored));
        }

        #[test]
        fn a_proof_made_up_of_noise_proves_nothing(anchored in anchored(), address in any::<[u8; 32]>()) {
            prop_assert!(anchored.verify(&Address::from_bytes(address)).is_err());
        }
    }

    /// A state of two accounts under a header, and the proof for the one at `address` of 0s or 0x80s.
    fn two_accounts() -> (Address, Account, AnchoredProof) {
        let [left, right] = [0_u8, 0x80].map(|byte| Address::from_bytes([byte; 32]));
        let [poor, rich] = [1, 1_000].map(|mites| Account::with_balance(Mites::new(mites)));
        let chain_root = Hash::from_bytes([5; 32]);
        let mut header = crate::params::Network::Dev.params().genesis().header;
        header.commitment = commitment(&accounts_root(&[(left, poor), (right, rich)]), &chain_root);
        let steps = vec![ProofStep { bit: 0, sibling: poor.leaf_hash(&left) }];
        let proof = AccountProof { leaf: Some((right, rich)), steps };
        (right, rich, AnchoredProof { header, height: Height::new(3), chain_root, range: None, proof })
    }

    #[test]
    fn presence_and_absence_are_read_off_the_header() {
        let (address, account, anchored) = two_accounts();
        assert_eq!(anchored.verify(&address), Ok(Some(account)));
        assert_eq!(anchored.verify(&Address::from_bytes([0x81; 32])), Ok(None));
    }

    #[test]
    fn a_changed_balance_or_chain_root_is_found() {
        let (address, _, good) = two_accounts();
        let mut forged = good.clone();
        forged.proof.leaf.as_mut().unwrap().1.balance = Mites::new(1_001);
        assert!(matches!(forged.verify(&address), Err(AnchoredProofError::WrongCommitment { .. })));
        let forged = AnchoredProof { chain_root: Hash::ZERO, ..good };
        assert!(matches!(forged.verify(&address), Err(AnchoredProofError::WrongCommitment { .. })));
    }

    #[test]
    fn every_bad_field_is_named_with_its_path() {
        let (_, _, anchored) = two_accounts();
        type Change = fn(&mut v1::AccountProof);
        let table: [(Change, &str); 10] = [
            (|m| m.range_bytes = vec![0; 71].into(), "range_bytes: expected 72 bytes, got 71"),
            (|m| m.header_bytes = vec![0; 117].into(), "header_bytes: expected 118 bytes, got 117"),
            (|m| m.header_bytes = vec![0; 118].into(), "header_bytes: header: version 0 is unknown, expected 1"),
            (|m| m.chain_root = Bytes::new(), "chain_root: expected 32 bytes, got 0"),
            (|m| m.leaf_address = vec![1; 31].into(), "leaf_address: expected 32 bytes, got 31"),
            (|m| m.leaf_address = Bytes::new(), "leaf_address: is required"),
            (|m| m.leaf_account = None, "leaf_account: is required"),
            (
                |m| m.leaf_account.as_mut().unwrap().history = Bytes::new(),
                "leaf_account.history: expected 32 bytes, got 0",
            ),
            (|m| m.steps[0].bit = 256, "steps[0].bit: expected 0 to 255, got 256"),
            (|m| m.steps = vec![m.steps[0].clone(); 257], "steps: expected 0 to 256 steps, got 257"),
        ];
        for (change, expected) in table {
            let mut message = v1::AccountProof::from(&anchored);
            change(&mut message);
            assert_eq!(AnchoredProof::try_from(message).unwrap_err().to_string(), expected);
        }
    }
}
