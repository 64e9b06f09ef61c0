//! What the disk in memory loses, tears and refuses.

use std::{collections::BTreeSet, io, path::Path, sync::Arc};

use super::{Disk, DiskFile, Fault, FaultError, FaultOp, MemDisk, Survivors, read_whole, write_atomically};

fn synced_file(disk: &MemDisk, path: &str, contents: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.create(Path::new(path)).unwrap();
    file.append(contents).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    file
}

fn contents(disk: &MemDisk, path: &str) -> Vec<u8> {
    read_whole(disk, Path::new(path), 1 << 20).unwrap()
}

fn next(op: FaultOp, error: FaultError) -> Fault {
    Fault { op, nth: 1, error, lasting: false }
}

#[test]
fn unsynced_bytes_and_names_are_lost_and_synced_ones_stay() {
    let disk = MemDisk::new();
    let file = synced_file(&disk, "/a", b"kept");
    file.append(b" lost").unwrap();
    disk.create(Path::new("/unsynced-name")).unwrap().sync_data().unwrap();
    disk.remove(Path::new("/a")).unwrap();
    disk.crash(Survivors::OnlySynced, 0);
    assert_eq!(contents(&disk, "/a"), b"kept");
    assert!(!disk.exists(Path::new("/unsynced-name")).unwrap());
}

#[test]
fn a_synced_name_in_an_unsynced_directory_is_lost() {
    let disk = MemDisk::new();
    let directory = Path::new("/d/e");
    disk.create_dir_all(directory).unwrap();
    disk.create(&directory.join("f")).unwrap();
    disk.sync_dir(directory).unwrap();
    disk.crash(Survivors::OnlySynced, 0);
    assert!(disk.list(Path::new("/")).unwrap().is_empty());
}

#[test]
fn a_rename_is_durable_only_after_its_directory_was_synced() {
    let disk = MemDisk::new();
    synced_file(&disk, "/a", b"old");
    synced_file(&disk, "/b", b"new");
    disk.rename(Path::new("/b"), Path::new("/a")).unwrap();
    assert_eq!(contents(&disk, "/a"), b"new");
    disk.crash(Survivors::OnlySynced, 0);
    assert_eq!(contents(&disk, "/a"), b"old");
    assert_eq!(contents(&disk, "/b"), b"new");
    disk.rename(Path::new("/b"), Path::new("/a")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk.crash(Survivors::OnlySynced, 0);
    assert_eq!(contents(&disk, "/a"), b"new");
    assert!(!disk.exists(Path::new("/b")).unwrap());
}

#[test]
fn a_handle_from_before_the_power_cut_is_dead() {
    let disk = MemDisk::new();
    let file = synced_file(&disk, "/a", b"x");
    let lock = disk.try_lock(Path::new("/lock")).unwrap();
    disk.crash(Survivors::OnlySynced, 0);
    file.append(b"y").unwrap_err();
    let _second = disk.try_lock(Path::new("/lock")).unwrap();
    drop(lock);
    disk.try_lock(Path::new("/lock")).unwrap_err();
}

#[test]
fn a_spared_prefix_is_whole_writes_and_then_torn_sectors() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let disk = MemDisk::new();
        let file = synced_file(&disk, "/a", b"");
        for value in 1..=4 {
            file.append(&[value; 1024]).unwrap();
        }
        disk.crash(Survivors::Prefix, seed);
        let after = contents(&disk, "/a");
        let sectors: Vec<u8> = after.chunks(512).map(|sector| sector[0]).collect();
        assert!(after.chunks(512).all(|sector| sector.iter().all(|byte| *byte == sector[0])), "a sector is atomic");
        let whole = sectors.iter().zip([1, 1, 2, 2, 3, 3, 4, 4]).take_while(|(a, b)| *a == b).count();
        assert!(sectors.len() <= whole / 2 * 2 + 2, "nothing behind the torn write: {sectors:?}");
        seen.insert(sectors);
    }
    assert!(seen.contains(&vec![]) && seen.contains(&vec![1, 1, 2, 2, 3, 3, 4, 4]), "both extremes occur: {seen:?}");
    assert!(seen.contains(&vec![1, 1, 0, 2]), "a tear in the middle occurs: {seen:?}");
}

#[test]
fn any_sectors_can_spare_a_later_write_without_an_earlier_one_and_a_seed_repeats_itself() {
    let run = |seed| {
        let disk = MemDisk::new();
        let file = synced_file(&disk, "/a", b"");
        file.append(&[1; 512]).unwrap();
        file.append(&[2; 512]).unwrap();
        disk.crash(Survivors::AnySectors, seed);
        contents(&disk, "/a").chunks(512).map(|sector| sector[0]).collect::<Vec<u8>>()
    };
    assert!((0..50).any(|seed| run(seed) == [0, 2]));
    assert!((0..50).all(|seed| run(seed) == run(seed)));
}

#[test]
fn the_nth_operation_fails_and_the_next_works() {
    let disk = MemDisk::new();
    let file = synced_file(&disk, "/a", b"");
    disk.inject(Fault { op: FaultOp::Write, nth: 2, error: FaultError::Io, lasting: false });
    file.append(b"1").unwrap();
    assert_eq!(file.append(b"2").unwrap_err().raw_os_error(), Some(5));
    file.append(b"3").unwrap();
    assert_eq!(contents(&disk, "/a"), b"13");
    disk.inject(next(FaultOp::Rename, FaultError::Io));
    disk.rename(Path::new("/a"), Path::new("/b")).unwrap_err();
    disk.rename(Path::new("/a"), Path::new("/b")).unwrap();
}

#[test]
fn a_full_disk_may_take_half_a_write() {
    let disk = MemDisk::new();
    let file = synced_file(&disk, "/a", b"");
    disk.inject(next(FaultOp::Write, FaultError::NoSpace));
    assert_eq!(file.append(b"12345678").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(contents(&disk, "/a"), b"1234");
}

#[test]
fn a_small_disk_is_full_until_something_is_removed() {
    let disk = MemDisk::new();
    disk.set_capacity(10);
    let file = synced_file(&disk, "/a", b"123456");
    assert_eq!(disk.free_space(Path::new("/")).unwrap(), 4);
    assert_eq!(file.append(b"12345").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.set_len(11).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.write_all_at(0, b"same size").unwrap();
    synced_file(&disk, "/b", b"1");
    disk.remove(Path::new("/a")).unwrap();
    synced_file(&disk, "/c", b"123456789");
}

#[test]
fn a_failed_sync_loses_the_bytes_although_the_next_sync_succeeds() {
    let disk = MemDisk::new();
    let file = synced_file(&disk, "/a", b"kept");
    file.append(b" lost").unwrap();
    disk.inject(next(FaultOp::Sync, FaultError::Io));
    file.sync_data().unwrap_err();
    assert_eq!(contents(&disk, "/a"), b"kept lost");
    file.sync_data().unwrap();
    disk.crash(Survivors::AnySectors, 1);
    assert_eq!(contents(&disk, "/a"), b"kept");
}

#[test]
fn an_atomic_write_is_old_or_new_after_a_cut_at_any_operation() {
    let cut_at = |nth: Option<u64>| {
        let disk = MemDisk::new();
        write_atomically(&disk, Path::new("/f"), &[1; 1500]).unwrap();
        let before = disk.changes();
        if let Some(nth) = nth {
            disk.inject(Fault { op: FaultOp::AnyChange, nth, error: FaultError::Io, lasting: true });
        }
        let done = write_atomically(&disk, Path::new("/f"), &[2; 1500]).is_ok();
        (disk.clone(), done, disk.changes() - before)
    };
    let (_, done, operations) = cut_at(None);
    assert!(done && operations == 5, "create, write, sync, rename, sync of the directory");
    for nth in 1..=operations {
        for seed in 0..20 {
            let (disk, done, _) = cut_at(Some(nth));
            assert!(!done);
            disk.crash(Survivors::AnySectors, seed);
            let found = contents(&disk, "/f");
            assert!(found == [1; 1500] || found == [2; 1500], "cut at {nth}, seed {seed}: {} bytes", found.len());
        }
    }
}

#[test]
fn a_flipped_bit_is_seen_by_readers_and_survives() {
    let disk = MemDisk::new();
    synced_file(&disk, "/a", b"abc");
    disk.corrupt(Path::new("/a"), 1, 1).unwrap();
    assert_eq!(contents(&disk, "/a"), b"acc");
    disk.crash(Survivors::OnlySynced, 0);
    assert_eq!(contents(&disk, "/a"), b"acc");
}

#[test]
fn a_killed_process_loses_its_handles_and_locks_and_a_later_power_cut_what_it_had_not_synced() {
    let disk = MemDisk::new();
    let file = synced_file(&disk, "/a", b"kept");
    file.append(b" written").unwrap();
    let _lock = disk.try_lock(Path::new("/lock")).unwrap();
    disk.kill();
    assert!(file.append(b" by the dead").is_err());
    assert_eq!(contents(&disk, "/a"), b"kept written");
    drop(disk.try_lock(Path::new("/lock")).unwrap());
    assert_eq!(disk.used(), 12);
    disk.crash(Survivors::OnlySynced, 0);
    assert_eq!(contents(&disk, "/a"), b"kept");
}
