//! The genesis block: its `previous` field commits to every parameter \[R-GEN\].

use super::ParamsFields;
use crate::{
    Account, Address, Block, BlockId, Coinbase, Hash, Header, Height, Mites, account::accounts_root,
    codec::Canonical as _, hash::sha256, header::commitment,
};

/// What the parameters' hash begins with.
const NETWORK_DOMAIN: &[u8] = b"farthing network\0";
/// Tag of every genesis coinbase.
const GENESIS_TAG: &[u8] = b"farthing genesis";

/// Makes the block from checked parameters.
pub(super) fn block(fields: &ParamsFields) -> Block {
    let accounts: Vec<(Address, Account)> =
        fields.allocations.iter().map(|a| (a.address, Account::with_balance(a.amount))).collect();
    let coinbase =
        Coinbase { height: Height::GENESIS, to: Address::ZERO, amount: Mites::ZERO, tag: GENESIS_TAG.to_vec() };
    let mut block = Block {
        header: Header {
            previous: BlockId::from_bytes(sha256(&[NETWORK_DOMAIN, &fields.to_canonical()])),
            commitment: commitment(&accounts_root(&accounts), &Hash::ZERO),
            tx_root: Hash::ZERO,
            time: fields.genesis_time,
            bits: fields.genesis_bits,
            nonce: 0,
        },
        coinbase,
        transactions: Vec::new(),
    };
    block.header.tx_root = block.tx_root();
    block
}
