//! What is written is read back; what must not be written is not.

use farthing::{
    Network,
    params::{ParamsFields, Retarget},
};
use farthing_consensus::check_block;

use super::*;
use crate::{
    store::error::StoreError,
    testing::{ALICE, BOB, mine},
};

/// The dev network, but coinbases wait for three blocks.
fn delayed() -> Params {
    let dev = Network::Dev.params();
    let fields = ParamsFields { reward_delay: 3, retarget: Retarget::None, ..(**dev).clone() };
    Params::new(fields).unwrap()
}

/// Views of real blocks, from genesis on, each with the range before its tip.
fn history(params: &Params, heights: usize) -> Vec<Snapshot> {
    let mut view = ChainView::genesis(params);
    let mut before = RangePeaks::default();
    let mut snapshots = Vec::new();
    for at in 0..=heights {
        snapshots.push(Snapshot { view: Arc::new(view.clone()), before, synced_to: None });
        let transactions = match at {
            0 => vec![ALICE.pay(0, BOB.address(), 5)],
            1 => vec![ALICE.pay(1, Address::from_bytes([9; 32]), 2), BOB.pay(0, ALICE.address(), 1)],
            _ => vec![],
        };
        let block = check_block(params, &mine(params, &view, transactions, 7)).unwrap();
        let header = block.block().header;
        let work = view.tip.total_work().checked_add(view.tip.work().unwrap()).unwrap();
        let context = HeaderContext::from_stored(header, view.tip.height().next(), work);
        let applied = view.apply(params, &block, &context).unwrap();
        before = view.range;
        view = applied.view;
        for new in applied.new_keys {
            view.set_key_place(&new.address, LogPlace::new(at as u32, 1 + new.transaction as u32).unwrap());
        }
    }
    snapshots
}

fn real_key(_: LogPlace, address: &Address) -> Result<PublicKey, StoreError> {
    let key = [&*ALICE, &*BOB].into_iter().find(|key| key.address() == *address).unwrap();
    Ok(key.public.clone())
}

#[test]
fn a_ledger_reads_back_whole_at_every_height_from_genesis() {
    for params in [(*dev()).clone(), delayed()] {
        let disk = disk();
        for snapshot in history(&params, 2) {
            let written = write(&disk, directory(), &params, &snapshot, &real_key, LIMITS, &|| false).unwrap();
            let size = disk.open(&directory().join(written.name.to_string())).unwrap().len().unwrap();
            assert_eq!((written.bytes, written.accounts), (size, snapshot.view.accounts.len() as u64));
            let Search { found, rejected } = search(&disk, &params);
            assert!(rejected.is_empty(), "{rejected:?}");
            let loaded = found.unwrap();
            assert_eq!(loaded.name, written.name);
            assert_same(&loaded.view, &snapshot.view);
            loaded.view.certify(&snapshot.before).unwrap();
        }
    }
}

#[test]
fn many_chunks_read_back_with_what_no_header_commits_to() {
    let (disk, params) = (disk(), dev());
    for (height, accounts) in [(1, 0), (5, 1), (8, 2), (63, 400)] {
        let snapshot = snapshot(&params, height, accounts);
        put(&disk, &params, &snapshot).unwrap();
        let loaded = search(&disk, &params).found.unwrap();
        assert_same(&loaded.view, &snapshot.view);
        assert_eq!(loaded.synced_to, snapshot.synced_to);
    }
}

#[test]
fn the_newest_on_the_best_chain_is_taken() {
    let (disk, params) = (disk(), dev());
    let [low, high] = [3, 9].map(|height| snapshot(&params, height, 10));
    put(&disk, &params, &high).unwrap();
    put(&disk, &params, &low).unwrap();
    assert_eq!(search(&disk, &params).found.unwrap().view.tip, high.view.tip);
    let other = newest_good(&disk, directory(), &params, &|tip| tip.id() != high.view.tip.id()).unwrap();
    assert_eq!(other.found.unwrap().view.tip, low.view.tip);
    assert!(matches!(&other.rejected[..], [(_, Defect::OffTheBestChain(id))] if *id == high.view.tip.id()));
    assert!(newest_good(&disk, directory(), &params, &|_| false).unwrap().found.is_none());
}

#[test]
fn without_a_directory_there_is_none() {
    let disk = MemDisk::new();
    assert!(search(&disk, &dev()).found.is_none());
    assert_eq!(clear_strays(&disk, directory()).unwrap(), 0);
}

#[test]
fn writing_the_same_one_again_changes_nothing() {
    let (disk, params) = (disk(), dev());
    let snapshot = snapshot(&params, 4, 30);
    assert_eq!(put(&disk, &params, &snapshot).unwrap(), put(&disk, &params, &snapshot).unwrap());
    assert_eq!(files(&disk).len(), 1);
    assert_same(&search(&disk, &params).found.unwrap().view, &snapshot.view);
}

#[test]
fn a_ledger_that_is_not_what_its_tip_commits_to_is_not_written() {
    let (disk, params) = (disk(), dev());
    let good = snapshot(&params, 4, 30);
    let mut view = (*good.view).clone();
    let (address, entry) = view.accounts.iter().next().map(|(address, entry)| (*address, *entry)).unwrap();
    let account = Account { balance: Mites::new(1), ..entry.account };
    view.accounts.insert(address, Entry { account, ..entry });
    let rich = put(&disk, &params, &Snapshot { view: Arc::new(view), ..good.clone() });
    assert!(matches!(rich, Err(CheckpointError::NotCertified { .. })));
    let other_range = put(&disk, &params, &Snapshot { before: RangePeaks::default(), ..good });
    assert!(matches!(other_range, Err(CheckpointError::NotCertified { .. })));
    assert!(files(&disk).is_empty());
}

#[test]
fn an_account_without_its_key_is_not_written() {
    let (disk, params) = (disk(), dev());
    let good = snapshot(&params, 4, 30);
    let sender = KEYS[0].0;
    let mut view = (*good.view).clone();
    let entry = *view.accounts.get(&sender).unwrap();
    view.accounts.insert(sender, Entry { meta: AccountMeta { key: None, ..entry.meta }, ..entry });
    let without = put(&disk, &params, &Snapshot { view: Arc::new(view), ..good.clone() });
    assert!(matches!(without, Err(CheckpointError::NoKeyPlace(address)) if address == sender));
    let other = |_: LogPlace, _: &Address| Ok(KEYS[199].1.clone());
    let other = write(&disk, directory(), &params, &good, &other, LIMITS, &|| false);
    assert!(matches!(other, Err(CheckpointError::OtherKey { found, .. }) if found == KEYS[199].0));
    let unreadable = |place: LogPlace, _: &Address| Err(StoreError::CorruptKey { place, reason: "torn".to_owned() });
    let unreadable = write(&disk, directory(), &params, &good, &unreadable, LIMITS, &|| false);
    assert!(matches!(unreadable, Err(CheckpointError::Key { .. })));
    assert!(files(&disk).is_empty());
}
