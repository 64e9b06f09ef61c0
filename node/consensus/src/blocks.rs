//! Block rules that need no chain: what a body shows together with its header \[SPEC section 5\].

use std::collections::BTreeSet;

use farthing::{Block, BlockId, Hash, Header, Params, TxId, header, limits::MAX_COINBASE_TAG_BYTES};

use crate::error::BlockError;

/// A block whose body is the header's own and keeps every context-free rule. Its header's rules, its signatures and
/// its execution are separate questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedBlock {
    block: Block,
    id: BlockId,
    tx_ids: Vec<TxId>,
}

impl CheckedBlock {
    /// The block.
    #[must_use]
    pub const fn block(&self) -> &Block {
        &self.block
    }

    /// Id of its header.
    #[must_use]
    pub const fn id(&self) -> BlockId {
        self.id
    }

    /// Ids of its transactions, in order.
    #[must_use]
    pub fn tx_ids(&self) -> &[TxId] {
        &self.tx_ids
    }

    /// The block and the ids of its transactions.
    #[must_use]
    pub fn into_parts(self) -> (Block, Vec<TxId>) {
        (self.block, self.tx_ids)
    }
}

/// Checks a body against its header and the network's limits. Size first, then whether the header commits to this body
/// at all: only faults found after that are the block's own \[R-FRK-03\].
///
/// # Errors
/// The first rule broken.
pub fn check_block(params: &Params, block: &Block) -> Result<CheckedBlock, BlockError> {
    check_block_owned(params, block.clone())
}

/// As [`check_block`], for a caller that has no further use for the block as it is.
///
/// # Errors
/// The first rule broken.
pub fn check_block_owned(params: &Params, block: Block) -> Result<CheckedBlock, BlockError> {
    check_size(params, &block)?;
    check_tag(&block)?;
    check_tx_root(&block)?;
    check_signature_units(params, &block)?;
    let tx_ids: Vec<TxId> = block.transactions.iter().map(|tx| tx.transaction().id(params.genesis_id())).collect();
    check_duplicates(&tx_ids)?;
    Ok(CheckedBlock { id: block.id(), block, tx_ids })
}

/// Checks that a header commits to the accounts after its block and the chain before it \[R-BLK-05\].
///
/// # Errors
/// [`BlockError::WrongCommitment`].
pub fn check_commitment(header: &Header, accounts_root: &Hash, chain_root: &Hash) -> Result<(), BlockError> {
    let expected = header::commitment(accounts_root, chain_root);
    if header.commitment == expected {
        Ok(())
    } else {
        Err(BlockError::WrongCommitment { found: header.commitment, expected })
    }
}

/// R-BLK-01.
fn check_size(params: &Params, block: &Block) -> Result<(), BlockError> {
    let (size, max) = (block.size_bytes(), params.max_block_bytes);
    if usize::try_from(max).is_ok_and(|max| size > max) { Err(BlockError::TooLarge { size, max }) } else { Ok(()) }
}

/// R-CB-01.
const fn check_tag(block: &Block) -> Result<(), BlockError> {
    let size = block.coinbase.tag.len();
    if size > MAX_COINBASE_TAG_BYTES { Err(BlockError::TagTooLong(size)) } else { Ok(()) }
}

/// R-BLK-02.
fn check_tx_root(block: &Block) -> Result<(), BlockError> {
    let (found, expected) = (block.tx_root(), block.header.tx_root);
    if found == expected { Ok(()) } else { Err(BlockError::WrongTxRoot { found, expected }) }
}

/// R-BLK-03.
fn check_signature_units(params: &Params, block: &Block) -> Result<(), BlockError> {
    let (found, max) = (block.signature_units(), params.max_signature_units);
    if found > u64::from(max) { Err(BlockError::TooManySignatureUnits { found, max }) } else { Ok(()) }
}

/// R-BLK-04.
fn check_duplicates(tx_ids: &[TxId]) -> Result<(), BlockError> {
    let mut seen = BTreeSet::new();
    match tx_ids.iter().find(|id| !seen.insert(**id)) {
        Some(twice) => Err(BlockError::DuplicateTransaction(*twice)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use farthing::{SignedTransaction, codec::Canonical as _};

    use super::*;
    use crate::fixtures::{address, block, coinbase, network, transfer};

    fn transfers(count: u64) -> Vec<SignedTransaction> {
        (0..count).map(|nonce| transfer(0, nonce, 1, &[(address(1), 1)])).collect()
    }

    #[test]
    fn a_good_body_gives_its_id_and_its_transactions_ids() {
        let params = network(|_| ());
        let block = block(coinbase(1, 5_000), transfers(3));
        let checked = check_block(&params, &block).unwrap();
        assert_eq!((checked.id(), checked.block()), (block.id(), &block));
        let ids: Vec<_> = block.transactions.iter().map(|tx| tx.transaction().id(params.genesis_id())).collect();
        assert_eq!(checked.tx_ids(), ids);
        assert_eq!(checked.into_parts(), (block, ids));
    }

    #[test]
    fn a_block_may_be_as_large_as_the_limit_and_no_larger() {
        let block = block(coinbase(1, 5_000), transfers(20));
        let size = block.to_canonical().len();
        let limited = |max: usize| network(|fields| fields.max_block_bytes = u32::try_from(max).unwrap());
        assert!(check_block(&limited(size), &block).is_ok());
        let error = check_block(&limited(size - 1), &block).unwrap_err();
        assert_eq!(error, BlockError::TooLarge { size, max: u32::try_from(size - 1).unwrap() });
        assert!(!error.condemns_id());
    }

    #[test]
    fn a_coinbase_tag_has_at_most_64_bytes() {
        let params = network(|_| ());
        let tagged = |bytes| farthing::Coinbase { tag: vec![0; bytes], ..coinbase(1, 5_000) };
        assert!(check_block(&params, &block(tagged(64), Vec::new())).is_ok());
        let error = check_block(&params, &block(tagged(65), Vec::new())).unwrap_err();
        assert_eq!(error, BlockError::TagTooLong(65));
    }

    /// Mutated body poisoning (CVE-2024-52921): the id stays good, the next body is tried.
    #[test]
    fn another_body_is_refused_and_condemns_nothing() {
        let params = network(|_| ());
        let good = block(coinbase(1, 5_000), transfers(3));
        let mut bodies = vec![good.clone(), good.clone(), good.clone(), good.clone()];
        bodies[0].transactions.pop();
        bodies[1].transactions.swap(0, 2);
        bodies[2].coinbase.tag.push(1);
        // Merkle duplication (CVE-2012-2459).
        bodies[3].transactions.extend(transfers(3).pop());
        for body in bodies {
            let error = check_block(&params, &body).unwrap_err();
            let expected = BlockError::WrongTxRoot { found: body.tx_root(), expected: good.header.tx_root };
            assert_eq!(error, expected);
            assert!(!error.condemns_id() && error.blames_sender());
        }
        assert!(check_block(&params, &good).is_ok());
    }

    #[test]
    fn signature_units_are_bounded() {
        let params = network(|fields| fields.max_signature_units = 5);
        assert!(check_block(&params, &block(coinbase(1, 5_000), transfers(5))).is_ok());
        let error = check_block(&params, &block(coinbase(1, 5_000), transfers(6))).unwrap_err();
        assert_eq!(error, BlockError::TooManySignatureUnits { found: 6, max: 5 });
        assert!(error.condemns_id());
    }

    /// Duplicate transactions (CVE-2018-17144, CVE-2012-1909), also under another signature, which the id leaves open.
    #[test]
    fn one_transaction_id_twice_is_refused() {
        let params = network(|_| ());
        let tx = transfer(0, 0, 1, &[(address(1), 1)]);
        let id = tx.transaction().id(params.genesis_id());
        let other = farthing::Signature::from_bytes(&[8; 256]).unwrap();
        let resigned = SignedTransaction::new(tx.transaction().clone(), other).unwrap();
        for twin in [tx.clone(), resigned] {
            let error = check_block(&params, &block(coinbase(1, 5_000), vec![tx.clone(), twin])).unwrap_err();
            assert_eq!(error, BlockError::DuplicateTransaction(id));
            assert!(error.condemns_id());
        }
    }

    #[test]
    fn a_header_commits_to_its_state_and_its_past() {
        let [accounts, chain, other] = [[1; 32], [2; 32], [3; 32]].map(Hash::from_bytes);
        let mut header = block(coinbase(1, 5_000), Vec::new()).header;
        header.commitment = header::commitment(&accounts, &chain);
        assert_eq!(check_commitment(&header, &accounts, &chain), Ok(()));
        for (accounts, chain) in [(other, chain), (accounts, other), (chain, accounts)] {
            let error = check_commitment(&header, &accounts, &chain).unwrap_err();
            assert!(matches!(error, BlockError::WrongCommitment { found, .. } if found == header.commitment));
            assert!(error.condemns_id());
        }
    }
}
