//! Account histories read backwards.

use farthing::{Address, EntryId, Hash, Height};

use super::take;
use crate::{
    chain::{AccountEntry, EntryCause, EntryCursor},
    testing::{ALICE, BOB, TestChain, dev, mine},
};

fn check(entries: &[AccountEntry], head: Hash, count: u64) {
    let mut history = Hash::ZERO;
    for (n, entry) in entries.iter().rev().enumerate() {
        history = farthing::account::history_link(&history, entry.id, entry.height);
        assert_eq!((entry.history, entry.entry), (history, n as u64 + 1));
    }
    assert_eq!((history, entries.len() as u64), (head, count));
}

#[tokio::test]
async fn a_history_walks_back_to_nothing_and_pages_join_without_gaps() {
    let test = TestChain::start();
    let miner = Address::from_bytes([1; 32]);
    for n in 0..4 {
        let transfers = vec![ALICE.pay(2 * n, BOB.address(), 1), ALICE.pay(2 * n + 1, miner, 1)];
        let block = mine(&dev(), &test.chain.view(), transfers, 1);
        take(&test, &block).await.unwrap();
        let empty = mine(&dev(), &test.chain.view(), Vec::new(), 7);
        take(&test, &empty).await.unwrap();
    }
    let view = test.chain.view();
    for address in [ALICE.address(), BOB.address(), miner] {
        let account = view.account(&address).unwrap();
        let (all, tip) = test.chain.account_entries(address, None, 100).await.unwrap();
        assert_eq!(tip, view.tip);
        check(&all, account.history, account.entries);
        let mut paged: Vec<AccountEntry> = Vec::new();
        loop {
            let before = paged.last().map(|last| EntryCursor { entry: last.entry, height: last.height });
            let (page, _) = test.chain.account_entries(address, before, 3).await.unwrap();
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        let ids = |entries: &[AccountEntry]| entries.iter().map(|e| e.id).collect::<Vec<EntryId>>();
        assert_eq!(ids(&paged), ids(&all));
    }
    let (mined, _) = test.chain.account_entries(miner, None, 1).await.unwrap();
    assert!(matches!(mined[0].cause, EntryCause::Coinbase(_)));
    assert_eq!(mined[0].height, Height::new(7));
}

#[tokio::test]
async fn an_account_without_history_has_an_empty_list() {
    let test = TestChain::start();
    assert!(test.chain.account_entries(ALICE.address(), None, 10).await.unwrap().0.is_empty());
    let stranger = Address::from_bytes([9; 32]);
    assert!(test.chain.account_entries(stranger, None, 10).await.unwrap().0.is_empty());
}
