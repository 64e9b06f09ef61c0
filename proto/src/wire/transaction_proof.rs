//! Transaction proofs both ways.

use prost::bytes::Bytes;

use super::{WireError, canonical_transaction, field, v1};
use crate::{
    codec::Canonical as _,
    merkle::TxPath,
    range::AncestryProof,
    transaction_proof::{Anchor, TransactionProof},
};

/// Most hashes of a path: a block has fewer than 2^32 leaves.
const MAX_PATH: usize = 32;
/// Most nodes of an ancestry: a chain has fewer than 2^64 headers.
const MAX_ANCESTRY: usize = 64;

impl From<&TransactionProof> for v1::TransactionProof {
    fn from(proof: &TransactionProof) -> Self {
        Self {
            transaction_bytes: proof.signed.to_canonical().into(),
            header_bytes: Bytes::copy_from_slice(&proof.header.to_bytes()),
            path: Some((&proof.path).into()),
            anchor: Some(match &proof.anchor {
                Anchor::Tip { accounts_root, range } => v1::transaction_proof::Anchor::Tip(v1::TipAnchor {
                    accounts_root: field::bytes32(accounts_root.as_bytes()),
                    range_bytes: range.to_canonical().into(),
                }),
                Anchor::Ancestor { tip, accounts_root, ancestry } => {
                    v1::transaction_proof::Anchor::Ancestor(v1::AncestorAnchor {
                        tip_header_bytes: Bytes::copy_from_slice(&tip.to_bytes()),
                        accounts_root: field::bytes32(accounts_root.as_bytes()),
                        height: ancestry.index,
                        tip_height: ancestry.count,
                        siblings_bytes: ancestry.siblings.iter().map(|node| node.to_canonical().into()).collect(),
                    })
                }
            }),
        }
    }
}

impl From<&TxPath> for v1::TransactionPath {
    fn from(path: &TxPath) -> Self {
        let siblings = path.siblings.iter().map(|hash| field::bytes32(hash.as_bytes())).collect();
        Self { index: path.index, count: path.count, siblings }
    }
}

impl TryFrom<v1::TransactionPath> for TxPath {
    type Error = WireError;

    fn try_from(message: v1::TransactionPath) -> Result<Self, WireError> {
        let siblings = field::list("siblings", MAX_PATH, message.siblings, |bytes| field::hash("", &bytes))?;
        Ok(Self { index: message.index, count: message.count, siblings })
    }
}

impl TryFrom<v1::TransactionProof> for TransactionProof {
    type Error = WireError;

    fn try_from(message: v1::TransactionProof) -> Result<Self, WireError> {
        use v1::transaction_proof::Anchor as Form;
        Ok(Self {
            signed: canonical_transaction(&message.transaction_bytes)
                .map_err(|error| error.within("transaction_bytes"))?,
            header: field::header("header_bytes", &message.header_bytes)?,
            path: field::required("path", message.path)?,
            anchor: match message.anchor.ok_or_else(|| WireError::missing("anchor"))? {
                Form::Tip(anchor) => tip_anchor(&anchor).map_err(|error| error.within("tip"))?,
                Form::Ancestor(anchor) => ancestor_anchor(anchor).map_err(|error| error.within("ancestor"))?,
            },
        })
    }
}

fn tip_anchor(message: &v1::TipAnchor) -> Result<Anchor, WireError> {
    Ok(Anchor::Tip {
        accounts_root: field::hash("accounts_root", &message.accounts_root)?,
        range: field::range_node("range_bytes", &message.range_bytes)?,
    })
}

fn ancestor_anchor(message: v1::AncestorAnchor) -> Result<Anchor, WireError> {
    let siblings =
        field::list("siblings_bytes", MAX_ANCESTRY, message.siblings_bytes, |bytes| field::range_node("", &bytes))?;
    Ok(Anchor::Ancestor {
        tip: field::header("tip_header_bytes", &message.tip_header_bytes)?,
        accounts_root: field::hash("accounts_root", &message.accounts_root)?,
        ancestry: AncestryProof { index: message.height, count: message.tip_height, siblings },
    })
}
