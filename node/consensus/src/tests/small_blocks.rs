//! Every small block there is, from a handful of transactions that get in each other's way, against the naive model.

use farthing::{Signature, SignedTransaction};

use super::{model::Model, reorgs::Branch};
use crate::fixtures::{ALLOCATED, address, block, coinbase, network, transfer};

/// Conflicts in every way: the same nonce twice, the same id under two signatures, nonces out of order, money and
/// accounts that only an earlier transaction of the block brings.
fn candidates() -> Vec<SignedTransaction> {
    let first = transfer(0, 0, 0, &[(address(1), 10)]);
    let other = Signature::from_bytes(&[8; 256]).unwrap();
    let resigned = SignedTransaction::new(first.transaction().clone(), other).unwrap();
    vec![
        first,
        resigned,
        transfer(0, 0, 100, &[(address(50), 40)]),
        transfer(0, 1, 5, &[(address(1), 10)]),
        transfer(0, 1, 0, &[(address(50), 1)]),
        transfer(1, 0, 0, &[(address(0), ALLOCATED)]),
        transfer(1, 0, 100, &[(address(50), ALLOCATED - 95)]),
        transfer(50, 0, 0, &[(address(50), 1), (address(1), 39)]),
    ]
}

/// Duplicate spend and nonce reuse (CVE-2018-17144, CVE-2012-1909, GHSA-hhm7).
#[test]
fn every_block_of_up_to_four_transactions_gets_the_models_verdict_and_root() {
    let params = network(|fields| fields.max_openings = 1);
    let (candidates, model) = (candidates(), Model::genesis(&params));
    let mut branch = Branch::genesis(&params);
    let (mut valid, mut invalid) = (0, 0);
    for length in 0..=4_u32 {
        for number in 0..candidates.len().pow(length) {
            let mut rest = number;
            let mut transactions = Vec::new();
            for _ in 0..length {
                transactions.push(candidates[rest % candidates.len()].clone());
                rest /= candidates.len();
            }
            // The reward that is right if all are valid; if one is not, that is found first.
            let mut open = model.open();
            let _ = transactions.iter().try_for_each(|tx| open.pay(&params, tx));
            let coinbase = coinbase(1, u64::try_from(open.reward(&params)).unwrap());
            let expected = model.connect(&params, &coinbase, &transactions);
            let found = branch.connect(&block(coinbase, transactions));
            match (expected, found) {
                (Ok(expected), Ok(_)) => {
                    assert_eq!(branch.state.root().to_bytes(), expected.root(), "block {number} of {length}");
                    branch.undo();
                    valid += 1;
                }
                (Err(rule), Err(error)) => {
                    assert_eq!(error.rule(), rule, "block {number} of {length}: {error}");
                    invalid += 1;
                }
                (expected, found) => panic!("block {number} of {length}: {expected:?} but {found:?}"),
            }
            assert_eq!(branch.state.root().to_bytes(), model.root());
        }
    }
    assert_eq!(valid + invalid, 1 + 8 + 64 + 512 + 4_096);
    assert!(valid > 30, "only {valid} valid blocks");
}
