//! The least fee that would do, told in front of many transactions of the same account.

use farthing::Mites;

use super::{Fixture, Spend};
use crate::mempool::PoolLimits;

#[test]
fn the_least_fee_is_told_however_many_followers_must_go_one_by_one() {
    const FOLLOWERS: u64 = 400;
    let mut fixture = Fixture::new(PoolLimits::default());
    // Each that goes leaves less than it must be outbid by; only the first of them is worth so much that this ends.
    let dear = Spend { amount: 400_000_000, ..Spend::new(1, 1, 100_000) };
    let cheap = (2..=FOLLOWERS).map(|nonce| Spend { amount: 1, ..Spend::new(1, nonce, 100_000) });
    let later: Vec<Spend> = std::iter::once(dear).chain(cheap).collect();
    let spent: u64 = later.iter().map(|spend| spend.fee + spend.amount).sum();
    let first = Spend { amount: 1_000_000_000 - spent - 100_000, ..Spend::new(1, 0, 100_000) };
    for spend in std::iter::once(&first).chain(&later) {
        fixture.admit(spend).unwrap();
    }
    let outlook = |fee| {
        let spend = Spend { fee, ..first.clone() };
        fixture.pool.foresee(&spend.signed(), spend.id())
    };
    let bytes: usize = later.iter().chain([&first, &first]).map(|spend| spend.signed().size_bytes()).sum();
    let required = 100_000 * (FOLLOWERS + 1) + 100 * bytes as u64;
    assert_eq!(outlook(100_001).required, Mites::new(required));
    let enough = outlook(required);
    assert!(enough.before_signature.is_ok() && enough.behind_signature.is_ok());
    assert_eq!(enough.displaced.len() as u64, FOLLOWERS + 1);
    outlook(required - 1).before_signature.unwrap_err();
}
