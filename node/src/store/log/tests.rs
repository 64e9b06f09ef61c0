//! Tests of the log by itself: its end after crashes, its damage, its rolling.

use std::{path::Path, sync::Arc};

use farthing::{BlockId, Height, Network};

use super::*;
use crate::env::{MemDisk, SeededRandom, disk::Survivors};

const DIRECTORY: &str = "/blocks";

fn open(disk: &MemDisk, segment_bytes: u32) -> Log {
    let options = LogOptions { segment_bytes, reserve_bytes: 0 };
    let network = NetworkName::of(Network::Dev.params());
    crate::store::open::make_durable(disk, Path::new(DIRECTORY)).unwrap();
    let (disk, random) = (Arc::new(disk.clone()), Arc::new(SeededRandom::new(1)));
    Log::open(disk, random, Path::new(DIRECTORY), network, options, Arc::default()).unwrap()
}

fn id(n: u8) -> BlockId {
    BlockId::from_bytes([n; 32])
}

fn batch(n: u8) -> Vec<NewRecord> {
    let record = |kind, contents| NewRecord { kind, height: Height::new(n.into()), id: id(n), contents };
    vec![record(Kind::Block, vec![n; 600]), record(Kind::Tip, Vec::new())]
}

/// Ids of the blocks of all batches, and whether each batch is whole.
fn scan(log: &Log) -> (Vec<(u8, bool)>, LogPosition) {
    let mut found = Vec::new();
    let end = log
        .scan(LogPosition::START, LogPosition::START, &mut |batch| {
            let first = batch.records.first().map_or(0, |record| record.header.id.as_bytes()[0]);
            found.push((first, batch.is_whole()));
            Ok(())
        })
        .unwrap();
    (found, end)
}

#[test]
fn batches_roll_over_segments_and_are_found_again_in_order() {
    let disk = MemDisk::new();
    let log = open(&disk, 2_000);
    assert_eq!(scan(&log).0, []);
    let places: Vec<_> = (1..=5).map(|n| log.append(&batch(n)).unwrap().places[0]).collect();
    assert!(places.last().unwrap().segment() >= 2);
    for (place, n) in places.iter().zip(1..) {
        assert_eq!(log.read(Kind::Block, &id(n), *place).unwrap(), [n; 600]);
    }
    assert!(log.read(Kind::Block, &id(9), places[0]).is_err());
    let log = open(&disk, 2_000);
    let (found, end) = scan(&log);
    assert_eq!(found, [(1, true), (2, true), (3, true), (4, true), (5, true)]);
    assert_eq!(end.batch, 6);
    log.append(&batch(6)).unwrap();
    assert_eq!(scan(&open(&disk, 2_000)).0.len(), 6);
}

#[test]
fn a_batch_larger_than_a_segment_gets_one_of_its_own() {
    let disk = MemDisk::new();
    let log = open(&disk, 500);
    scan(&log);
    for n in 1..=3 {
        assert_eq!(log.append(&batch(n)).unwrap().end.segment, u32::from(n) - 1);
    }
    assert_eq!(scan(&open(&disk, 500)).0.len(), 3);
}

#[test]
fn a_torn_tail_is_cut_to_the_last_whole_batch() {
    for seed in 0..200 {
        let disk = MemDisk::new();
        let log = open(&disk, 100_000);
        scan(&log);
        log.append(&batch(1)).unwrap();
        disk.inject(crate::env::disk::Fault {
            op: crate::env::disk::FaultOp::Sync,
            nth: 1,
            error: crate::env::disk::FaultError::Io,
            lasting: false,
        });
        // The write is there, its sync is not: put it back into the cache as written and not synced.
        log.append(&batch(2)).unwrap_err();
        let path = Path::new(DIRECTORY).join("000000.log");
        let bytes = crate::env::disk::read_whole(&disk, &path, 1 << 20).unwrap();
        disk.open(&path).unwrap().write_all_at(0, &bytes).unwrap();
        disk.crash(Survivors::AnySectors, seed);
        let log = open(&disk, 100_000);
        let (found, end) = scan(&log);
        assert!(found == [(1, true)] || found == [(1, true), (2, true)], "seed {seed}: {found:?}");
        let appended = log.append(&batch(3)).unwrap();
        assert_eq!(appended.end.batch, end.batch + 1);
        let (again, _) = scan(&open(&disk, 100_000));
        assert_eq!(again.last(), Some(&(3, true)));
    }
}

#[test]
fn damage_inside_is_reported_and_never_cut() {
    let len = {
        let disk = MemDisk::new();
        let log = open(&disk, 100_000);
        scan(&log);
        (1..=4).map(|n| log.append(&batch(n)).unwrap().end.offset).last().unwrap()
    };
    for at in (256..len).step_by(13) {
        let disk = MemDisk::new();
        let log = open(&disk, 100_000);
        scan(&log);
        let ends: Vec<u32> = (1..=4).map(|n| log.append(&batch(n)).unwrap().end.offset).collect();
        disk.corrupt(&Path::new(DIRECTORY).join("000000.log"), at.into(), 0x80).unwrap();
        let damaged = ends.iter().position(|end| at < *end).unwrap();
        let (found, end) = scan(&open(&disk, 100_000));
        if damaged == 3 {
            assert_eq!((found.len(), end.offset), (3, ends[2]), "byte {at}: the last batch looks torn");
        } else {
            let whole: Vec<bool> = found.iter().map(|(_, whole)| *whole).collect();
            let expected: Vec<bool> = (0..4).map(|n| n != damaged).collect();
            assert_eq!(whole, expected, "byte {at}");
            assert_eq!(end.offset, ends[3]);
        }
    }
}

#[test]
fn what_a_marker_says_was_synced_is_damage_even_at_the_very_end() {
    let disk = MemDisk::new();
    let log = open(&disk, 100_000);
    scan(&log);
    let first = log.append(&batch(1)).unwrap();
    let second = log.append(&batch(2)).unwrap();
    disk.corrupt(&Path::new(DIRECTORY).join("000000.log"), u64::from(first.end.offset) + 200, 1).unwrap();
    let log = open(&disk, 100_000);
    let mut whole = Vec::new();
    let end = log.scan(LogPosition::START, second.end, &mut |batch| {
        whole.push(batch.is_whole());
        Ok(())
    });
    assert_eq!((whole, end.unwrap()), (vec![true, false], second.end));
}

#[test]
fn a_record_in_a_strangers_bytes_is_not_taken_for_one() {
    let disk = MemDisk::new();
    let log = open(&disk, 100_000);
    scan(&log);
    let mut forged = record::Batch::new(Salt(*b"whatever"), 7);
    forged.push(Kind::Tip, Height::new(1), &id(66), &[]);
    let contents = forged.finish();
    let record = NewRecord { kind: Kind::Block, height: Height::new(1), id: id(1), contents };
    let start = log.append(&[record]).unwrap().places[0].offset() - RECORD_HEADER as u32;
    log.append(&batch(2)).unwrap();
    disk.corrupt(&Path::new(DIRECTORY).join("000000.log"), start.into(), 1).unwrap();
    let mut tips = Vec::new();
    let log = open(&disk, 100_000);
    let scanned = log.scan(LogPosition::START, LogPosition::START, &mut |batch| {
        tips.extend(batch.records.iter().filter(|r| r.header.kind == Kind::Tip).map(|r| r.header.id));
        Ok(())
    });
    scanned.unwrap();
    assert_eq!(tips, [id(2)]);
}
