//! Chain proofs both ways.

use prost::bytes::Bytes;

use super::{WireError, field, v1};
use crate::{Header, chain_proof::ChainProof, codec::Canonical as _};

/// Most headers of a proof: two for each of the 25 samples of 64 halvings, and the last ones.
const MAX_HEADERS: usize = 4_096;
/// Most nodes: two for each header and level of a range of 2^64 headers would be more than any proof has.
const MAX_NODES: usize = 65_536;

impl From<&ChainProof> for v1::ChainProof {
    fn from(proof: &ChainProof) -> Self {
        let header = |(height, header): &(u64, Header)| v1::ChainProofHeader {
            height: *height,
            header_bytes: Bytes::copy_from_slice(&header.to_bytes()),
        };
        Self {
            tip_header_bytes: Bytes::copy_from_slice(&proof.tip.to_bytes()),
            accounts_root: field::bytes32(proof.accounts_root.as_bytes()),
            tip_height: proof.count,
            headers: proof.shown.iter().map(header).collect(),
            nodes_bytes: proof.nodes.iter().map(|node| node.to_canonical().into()).collect(),
        }
    }
}

impl TryFrom<v1::ChainProof> for ChainProof {
    type Error = WireError;

    fn try_from(message: v1::ChainProof) -> Result<Self, WireError> {
        let header =
            |shown: v1::ChainProofHeader| Ok((shown.height, field::header("header_bytes", &shown.header_bytes)?));
        Ok(Self {
            tip: field::header("tip_header_bytes", &message.tip_header_bytes)?,
            accounts_root: field::hash("accounts_root", &message.accounts_root)?,
            count: message.tip_height,
            shown: field::list("headers", MAX_HEADERS, message.headers, header)?,
            nodes: field::list("nodes_bytes", MAX_NODES, message.nodes_bytes, |bytes| field::range_node("", &bytes))?,
        })
    }
}
