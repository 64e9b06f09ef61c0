//! Checkpoints written, damaged, torn and found again.

mod background;
mod damage;
mod faults;
mod pieces;
mod round_trip;

use std::{
    path::Path,
    sync::{Arc, LazyLock},
};

use farthing::{
    Account, Address, Block, Coinbase, Hash, Header, Height, Mites, Params, PublicKey, RangePeaks, TimeMs,
    hash::sha256, header::commitment,
};
use farthing_consensus::{AccountTree, Entry, HeaderContext};

use super::*;
use crate::{
    env::{Disk, MemDisk},
    ledger::range_leaf,
    store::AccountMeta,
    testing::{dev, solve},
};

const DIRECTORY: &str = "/data/checkpoints";

fn directory() -> &'static Path {
    Path::new(DIRECTORY)
}

/// A disk with the directory on it.
fn disk() -> MemDisk {
    let disk = MemDisk::new();
    disk.create_dir_all(Path::new("/data")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    create_directory(&disk, directory()).unwrap();
    disk
}

/// Well-formed keys that nobody can sign with, each with the account that it hashes to.
static KEYS: LazyLock<Vec<(Address, PublicKey)>> = LazyLock::new(|| {
    let spki = crate::testing::ALICE.public.as_spki().to_vec();
    let keys = (0..200_u64).map(|n| {
        let mut spki = spki.clone();
        for (at, byte) in spki[40..280].iter_mut().enumerate() {
            *byte = sha256(&[&n.to_le_bytes(), &[at as u8 / 32]])[at % 32];
        }
        let key = PublicKey::from_spki(&spki).unwrap();
        (key.address(), key)
    });
    keys.collect()
});

/// The block log of these tests: offset n holds key n - 1.
fn key_of(place: LogPlace, _: &Address) -> Result<PublicKey, StoreError> {
    Ok(KEYS[place.offset() as usize - 1].1.clone())
}

/// A ledger at a height, of accounts of which every other one has sent.
fn snapshot(params: &Params, height: u64, accounts: u64) -> Snapshot {
    let mut tree = AccountTree::new();
    for n in 0..accounts {
        let (address, key, sent) = match n % 2 {
            0 => (Address::from_bytes(sha256(&[b"idle", &n.to_le_bytes()])), None, 0),
            _ => {
                let index = n as usize / 2 % KEYS.len();
                (KEYS[index].0, LogPlace::new(3, index as u32 + 1), n)
            }
        };
        let account = Account {
            balance: Mites::new(1_000 + n),
            next_nonce: sent,
            entries: n + 1,
            history: Hash::from_bytes([n as u8; 32]),
        };
        let meta = AccountMeta { key, last_touch: Height::new(n % (height + 1)) };
        tree.insert(address, Entry { account, meta });
    }
    over(params, height, tree)
}

/// A ledger of these accounts at a height, with a header that commits to them.
fn over(params: &Params, height: u64, accounts: AccountTree<AccountMeta>) -> Snapshot {
    let mut before = RangePeaks::default();
    let mut parent = HeaderContext::genesis(params);
    for at in 1..=height {
        before.append(range_leaf(&parent)).unwrap();
        let header = Header { previous: parent.id(), time: TimeMs::new(at), ..*parent.header() };
        parent = extend(&parent, header);
    }
    let header = Header {
        commitment: commitment(&accounts.root(), &before.chain_root().unwrap()),
        time: TimeMs::new(height),
        ..*parent.header()
    };
    let waiting = (height + 1 - height.min(params.reward_delay))..=height;
    let immature: VecDeque<_> = waiting
        .map(|height| Coinbase {
            height: Height::new(height),
            to: Address::ZERO,
            amount: Mites::new(height),
            tag: b"tag".to_vec(),
        })
        .map(Arc::new)
        .collect();
    let block = Block {
        header,
        coinbase: Coinbase { height: Height::GENESIS, to: Address::ZERO, amount: Mites::ZERO, tag: vec![] },
        transactions: vec![],
    };
    let header = solve(block).header;
    let work = before.peaks().iter().fold(Work::ZERO, |sum, peak| sum.checked_add(peak.work).unwrap());
    let tip =
        HeaderContext::from_stored(header, Height::new(height), work.checked_add(parent.work().unwrap()).unwrap());
    let mut range = before.clone();
    range.append(range_leaf(&tip)).unwrap();
    let balances = accounts.iter().map(|(_, entry)| entry.account.balance);
    let supply = Mites::checked_sum(balances.chain(immature.iter().map(|coinbase| coinbase.amount))).unwrap();
    let view = Arc::new(ChainView { tip, accounts, range, supply, immature });
    Snapshot { view, before, synced_to: LogPlace::new(7, 4_096) }
}

fn extend(parent: &HeaderContext, header: Header) -> HeaderContext {
    let work = parent.total_work().checked_add(parent.work().unwrap()).unwrap();
    HeaderContext::from_stored(header, parent.height().next(), work)
}

/// Small chunks, so that a small file has many.
const LIMITS: Limits = Limits { reserve_bytes: 0, chunk_bytes: 4_096 };

fn put(disk: &dyn Disk, params: &Params, snapshot: &Snapshot) -> Result<Written, CheckpointError> {
    write(disk, directory(), params, snapshot, &key_of, LIMITS, &|| false)
}

fn search(disk: &dyn Disk, params: &Params) -> Search {
    newest_good(disk, directory(), params, &|_| true).unwrap()
}

/// Everything that a view holds.
fn assert_same(found: &ChainView, expected: &ChainView) {
    assert_eq!(found.tip, expected.tip);
    assert_eq!(found.range, expected.range);
    assert_eq!(found.supply, expected.supply);
    assert_eq!(found.immature, expected.immature);
    assert!(found.accounts.iter().eq(expected.accounts.iter()));
    assert_eq!(found.accounts.root(), expected.accounts.root());
}

fn files(disk: &dyn Disk) -> Vec<String> {
    disk.list(directory()).unwrap().iter().map(|entry| entry.name().to_str().unwrap().to_owned()).collect()
}
