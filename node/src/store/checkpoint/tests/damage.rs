//! No damage passes: the next older checkpoint is taken.

use std::mem::discriminant;

use farthing::Network;

use super::*;
use crate::{
    env::disk::read_whole,
    store::checkpoint::{
        frame::{ChunkWriter, Kind},
        write::preamble,
    },
};

/// What a forger changes.
type Accounts = Vec<(Address, Entry<AccountMeta>)>;

/// Two checkpoints; returns the ledger of the older one, and the path and size of the newer.
fn two(disk: &MemDisk, params: &Params) -> (Snapshot, std::path::PathBuf, u64) {
    let older = snapshot(params, 3, 40);
    put(disk, params, &older).unwrap();
    let newer = put(disk, params, &snapshot(params, 6, 120)).unwrap();
    (older, directory().join(newer.name.to_string()), newer.bytes)
}

fn assert_older_is_taken(disk: &MemDisk, params: &Params, older: &Snapshot, what: &str) -> Defect {
    let Search { found, mut rejected } = search(disk, params);
    assert_eq!(rejected.len(), 1, "{what}");
    assert_same(&found.unwrap().view, &older.view);
    rejected.remove(0).1
}

#[test]
fn every_flipped_bit_is_seen_wherever_it_is() {
    let (disk, params) = (disk(), dev());
    let (older, path, size) = two(&disk, &params);
    assert!(size > 20_000, "{size}");
    let everywhere = (0..size).step_by(997);
    for offset in (0..400).chain(everywhere).chain(size - 60..size) {
        let mask = 1 << (offset % 8);
        disk.corrupt(&path, offset, mask).unwrap();
        assert_older_is_taken(&disk, &params, &older, &format!("byte {offset}"));
        disk.corrupt(&path, offset, mask).unwrap();
    }
    assert!(search(&disk, &params).rejected.is_empty());
}

#[test]
fn a_cut_or_a_tail_is_seen_wherever_it_is() {
    let (disk, params) = (disk(), dev());
    let (older, path, size) = two(&disk, &params);
    let whole = read_whole(&disk, &path, size).unwrap();
    let file = disk.open(&path).unwrap();
    let cuts: Vec<_> = (0..size).step_by(997).chain(size - 40..size).collect();
    for cut in cuts.into_iter().rev() {
        file.set_len(cut).unwrap();
        assert_older_is_taken(&disk, &params, &older, &format!("cut at {cut}"));
    }
    file.write_all_at(0, &whole).unwrap();
    assert!(search(&disk, &params).rejected.is_empty());
    file.append(&[0]).unwrap();
    assert!(matches!(assert_older_is_taken(&disk, &params, &older, "tail"), Defect::BehindTheEnd(1)));
}

#[test]
fn sectors_of_zeros_and_chunks_in_another_order_are_seen() {
    let (disk, params) = (disk(), dev());
    let (older, path, size) = two(&disk, &params);
    let whole = read_whole(&disk, &path, size).unwrap();
    let file = disk.open(&path).unwrap();
    for sector in (0..size - 512).step_by(512) {
        file.write_all_at(sector, &[0; 512]).unwrap();
        assert_older_is_taken(&disk, &params, &older, &format!("sector at {sector}"));
        file.write_all_at(0, &whole).unwrap();
    }
    // Chunk 1 is the head; all but the last chunk of accounts fit 4 KiB and an account more.
    let chunk = |at: usize| at + 9 + u32::from_le_bytes(whole[at + 1..at + 5].try_into().unwrap()) as usize;
    let head = chunk(42);
    let (second, third) = (chunk(head), chunk(chunk(head)));
    let swapped = [&whole[..head], &whole[second..third], &whole[head..second], &whole[third..]].concat();
    file.write_all_at(0, &swapped).unwrap();
    let defect = assert_older_is_taken(&disk, &params, &older, "swapped");
    assert!(matches!(defect, Defect::Chunk(at) if at == head as u64), "{defect:?}");
    let without = [&whole[..head], &whole[second..]].concat();
    file.set_len(0).unwrap();
    file.write_all_at(0, &without).unwrap();
    assert_older_is_taken(&disk, &params, &older, "without a chunk");
}

#[test]
fn the_drive_refusing_to_read_costs_one_checkpoint_and_not_the_start() {
    use crate::env::disk::{Fault, FaultError, FaultOp};
    let (disk, params) = (disk(), dev());
    let (older, ..) = two(&disk, &params);
    for nth in [1, 2, 5, 9] {
        disk.inject(Fault { op: FaultOp::Read, nth, error: FaultError::Io, lasting: false });
        assert!(matches!(assert_older_is_taken(&disk, &params, &older, "unreadable"), Defect::Io(_)));
    }
}

/// A file with good checksums over anything: what a mistake of ours, or a stranger, could make.
fn forge(disk: &MemDisk, params: &Params, head: &Head, records: &[Vec<u8>], end: [u64; 2]) -> Defect {
    let name = CheckpointName::of(&head.tip);
    let path = directory().join(name.to_string());
    if disk.exists(&path).unwrap() {
        disk.remove(&path).unwrap();
    }
    let mut chunks = ChunkWriter::begin(disk.create(&path).unwrap(), &preamble(params.genesis_id())).unwrap();
    head.encode(chunks.payload());
    chunks.flush(Kind::Head).unwrap();
    chunks.payload().extend(records.concat());
    chunks.flush(Kind::Accounts).unwrap();
    let end = [end[0].to_le_bytes(), chunks.written().wrapping_add(end[1]).to_le_bytes()].concat();
    chunks.payload().extend(end);
    chunks.flush(Kind::End).unwrap();
    load(disk, directory(), name, params, &|_| true).map(|loaded| loaded.name).unwrap_err()
}

/// An account's record in a file.
fn record(address: &Address, entry: &Entry<AccountMeta>, spki: &[u8]) -> Vec<u8> {
    let mut out = address.to_canonical();
    entry.account.encode(&mut out);
    entry.meta.encode(&mut out);
    out.extend((spki.len() as u16).to_le_bytes());
    out.extend(spki);
    out
}

#[test]
fn good_checksums_do_not_help_what_does_not_certify_itself() {
    let (disk, params) = (disk(), dev());
    let good = snapshot(&params, 4, 20);
    let head = Head::of(&good);
    let spki = |address: &Address| KEYS.iter().find(|(a, _)| a == address).map(|(_, key)| key.as_spki().to_vec());
    let entries: Vec<_> = good.view.accounts.iter().map(|(address, entry)| (*address, *entry)).collect();
    let make = |entries: &[(Address, Entry<AccountMeta>)]| -> Vec<_> {
        entries.iter().map(|(a, entry)| record(a, entry, &spki(a).unwrap_or_default())).collect()
    };
    let n = entries.len() as u64;
    let with = |change: &dyn Fn(&mut Accounts)| {
        let mut entries = entries.clone();
        change(&mut entries);
        forge(&disk, &params, &head, &make(&entries), [entries.len() as u64, 0])
    };
    let sender = entries.iter().position(|(_, entry)| entry.account.next_nonce > 0).unwrap();
    let idle = entries.iter().position(|(_, entry)| entry.account.next_nonce == 0).unwrap();
    let one = |found: Defect, expected: Defect| {
        assert_eq!(discriminant(&found), discriminant(&expected), "{found:?}, expected {expected:?}");
    };
    let disagrees = || Defect::Disagrees { what: "", found: 0, expected: 0 };
    let presence = || Defect::KeyPresence { address: Address::ZERO, next_nonce: 0, key: false, place: false };

    one(
        with(&|entries| entries.swap(0, 1)),
        Defect::Order(AccountTree::from_sorted([entries[0], entries[0]]).unwrap_err()),
    );
    one(
        with(&|entries| {
            entries.pop();
        }),
        disagrees(),
    );
    one(
        with(&|entries| entries[0].1.account.balance = Mites::new(1)),
        Defect::Supply { found: None, expected: Mites::ZERO },
    );
    one(with(&|entries| entries[0].1.account.entries += 1), Defect::Commitment(head.tip.id()));
    one(with(&|entries| entries[0].1.meta.last_touch = Height::new(5)), disagrees());
    one(with(&|entries| entries[sender].1.meta.key = None), presence());
    one(with(&|entries| entries[idle].1.meta.key = LogPlace::new(0, 1)), presence());
    one(with(&|entries| entries[sender].1.account.next_nonce = 0), presence());
    one(
        with(&|entries| {
            let mites = |entry: &mut Entry<AccountMeta>, more: bool| {
                let now = entry.account.balance.get();
                entry.account.balance = Mites::new(if more { now + 1 } else { now - 1 });
            };
            mites(&mut entries[0].1, true);
            mites(&mut entries[1].1, false);
        }),
        Defect::Commitment(head.tip.id()),
    );

    let mut records = make(&entries);
    records[sender] = record(&entries[sender].0, &entries[sender].1, KEYS[199].1.as_spki());
    let other = Defect::OtherKey { address: Address::ZERO, found: Address::ZERO };
    one(forge(&disk, &params, &head, &records, [n, 0]), other);
    records[sender] = record(&entries[sender].0, &entries[sender].1, &[1; 294]);
    let source = PublicKey::from_spki(&[]).unwrap_err();
    one(forge(&disk, &params, &head, &records, [n, 0]), Defect::Key { address: Address::ZERO, source });
    let torn = || Defect::Decode { what: "", source: DecodeError::TrailingBytes(0) };
    records[sender] = record(&entries[sender].0, &entries[sender].1, &[1; 551]);
    one(forge(&disk, &params, &head, &records, [n, 0]), torn());
    records[sender].truncate(50);
    one(forge(&disk, &params, &head, &records[..=sender], [n, 0]), torn());

    let records = make(&entries);
    one(forge(&disk, &params, &head, &records, [n + 1, 0]), disagrees());
    one(forge(&disk, &params, &head, &records, [n, 1]), disagrees());
}

#[test]
fn a_head_whose_numbers_do_not_add_up_is_refused() {
    let (disk, params) = (disk(), dev());
    let good = snapshot(&params, 4, 20);
    let forged = |change: &dyn Fn(&mut Head)| {
        let mut head = Head::of(&good);
        change(&mut head);
        forge(&disk, &params, &head, &[], [0, 0])
    };
    let tip = good.view.tip;
    let higher = forged(&|head| {
        head.tip = HeaderContext::from_stored(*tip.header(), Height::new(5), tip.total_work());
    });
    assert!(
        matches!(higher, Defect::Disagrees { what: "headers before the tip", found: 4, expected: 5 }),
        "{higher:?}"
    );
    let heavier = forged(&|head| {
        head.tip = HeaderContext::from_stored(*tip.header(), tip.height(), Work::new(tip.total_work().get() + 1));
    });
    assert!(matches!(heavier, Defect::TotalWork { .. }), "{heavier:?}");
    let workless = forged(&|head| {
        let header = Header { bits: farthing::Bits::from_compact(0), ..*tip.header() };
        head.tip = HeaderContext::from_stored(header, tip.height(), tip.total_work());
    });
    assert!(matches!(workless, Defect::NoWork(_)), "{workless:?}");
    let coinbase = Arc::new(Coinbase { height: Height::new(4), to: Address::ZERO, amount: Mites::ZERO, tag: vec![] });
    let waiting = forged(&|head| head.immature.push_back(Arc::clone(&coinbase)));
    assert!(matches!(waiting, Defect::Disagrees { found: 1, expected: 0, .. }), "{waiting:?}");
}

#[test]
fn another_networks_another_versions_and_a_renamed_file_are_refused_by_name() {
    let (disk, params) = (disk(), dev());
    let written = put(&disk, &params, &snapshot(&params, 4, 20)).unwrap();
    let path = directory().join(written.name.to_string());
    let other = load(&disk, directory(), written.name, Network::Test.params(), &|_| true).unwrap_err();
    assert!(matches!(other, Defect::OtherNetwork { found, .. } if found == *params.genesis_id()), "{other:?}");
    let renamed = CheckpointName::new(Height::new(5), &params.genesis_id().to_owned());
    disk.rename(&path, &directory().join(renamed.to_string())).unwrap();
    let found = load(&disk, directory(), renamed, &params, &|_| true).unwrap_err();
    assert!(matches!(found, Defect::Name { found } if found == written.name), "{found:?}");
    disk.corrupt(&directory().join(renamed.to_string()), 8, 2).unwrap();
    let newer = load(&disk, directory(), renamed, &params, &|_| true).unwrap_err();
    assert_eq!(newer.to_string(), "version 3 is unknown, expected 1");
}
