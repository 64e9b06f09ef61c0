//! What every disk must do, run against the real one and the one in memory.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{Disk, MemDisk, RealDisk, read_whole, write_atomically};

/// A disk and a directory on it that the test may fill.
fn on_each_disk(test: impl Fn(&dyn Disk, &Path)) {
    let directory = tempfile::tempdir().unwrap();
    test(&RealDisk, directory.path());
    let memory = MemDisk::new();
    let root = PathBuf::from("/data");
    memory.create_dir_all(&root).unwrap();
    test(&memory, &root);
}

fn names(disk: &dyn Disk, path: &Path) -> Vec<String> {
    disk.list(path).unwrap().iter().map(|entry| entry.name().to_str().unwrap().to_owned()).collect()
}

#[test]
fn bytes_are_read_back_where_they_were_written() {
    on_each_disk(|disk, root| {
        let file = disk.create(&root.join("a")).unwrap();
        assert!(file.is_empty().unwrap());
        assert_eq!(file.append(b"hello").unwrap(), 0);
        assert_eq!(file.append(b" world").unwrap(), 5);
        file.write_all_at(0, b"J").unwrap();
        file.sync_data().unwrap();
        let again = disk.open(&root.join("a")).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(again.read_at(1, &mut buffer).unwrap(), 10);
        assert_eq!(&buffer[..10], b"ello world");
        assert_eq!(again.read_at(11, &mut buffer).unwrap(), 0);
        assert_eq!(again.read_at(1 << 40, &mut buffer).unwrap(), 0);
        assert_eq!(again.read_exact_at(6, &mut buffer).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(read_whole(disk, &root.join("a"), 11).unwrap(), b"Jello world");
        assert_eq!(read_whole(disk, &root.join("a"), 10).unwrap_err().kind(), ErrorKind::FileTooLarge);
    });
}

#[test]
fn a_gap_and_an_extension_read_as_zeros_and_a_cut_stays_cut() {
    on_each_disk(|disk, root| {
        let file = disk.create(&root.join("a")).unwrap();
        file.write_all_at(4, b"x").unwrap();
        file.set_len(7).unwrap();
        assert_eq!(read_whole(disk, &root.join("a"), 100).unwrap(), b"\0\0\0\0x\0\0");
        file.set_len(2).unwrap();
        file.set_len(5).unwrap();
        assert_eq!(read_whole(disk, &root.join("a"), 100).unwrap(), b"\0\0\0\0\0");
        assert_eq!(file.len().unwrap(), 5);
    });
}

#[test]
fn creation_is_exclusive_and_needs_its_directory() {
    on_each_disk(|disk, root| {
        disk.create(&root.join("a")).unwrap();
        assert_eq!(disk.create(&root.join("a")).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(disk.create(&root.join("none/a")).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(disk.open(&root.join("b")).unwrap_err().kind(), ErrorKind::NotFound);
        disk.create_dir_all(&root.join("x/y/z")).unwrap();
        disk.create_dir_all(&root.join("x/y/z")).unwrap();
        disk.create(&root.join("x/y/z/f")).unwrap();
        assert_eq!(disk.create_dir_all(&root.join("a")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    });
}

#[test]
fn a_file_opened_for_reading_cannot_be_written() {
    on_each_disk(|disk, root| {
        disk.create(&root.join("a")).unwrap().append(b"x").unwrap();
        let file = disk.open_read(&root.join("a")).unwrap();
        file.append(b"y").unwrap_err();
        file.set_len(0).unwrap_err();
        file.sync_data().unwrap();
        assert_eq!(read_whole(disk, &root.join("a"), 9).unwrap(), b"x");
        assert_eq!(disk.open_read(&root.join("b")).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_listing_is_sorted_and_tells_files_from_directories() {
    on_each_disk(|disk, root| {
        disk.create(&root.join("b")).unwrap().append(b"123").unwrap();
        disk.create_dir_all(&root.join("c/inner")).unwrap();
        disk.create(&root.join("a")).unwrap();
        assert_eq!(names(disk, root), ["a", "b", "c"]);
        let entries = disk.list(root).unwrap();
        assert_eq!(
            entries.iter().map(|e| (e.is_dir(), e.file_len())).collect::<Vec<_>>(),
            [(false, 0), (false, 3), (true, 0)]
        );
        assert_eq!(disk.list(&root.join("none")).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(disk.exists(&root.join("c")).unwrap());
        assert!(!disk.exists(&root.join("d")).unwrap());
        assert!(disk.free_space(root).unwrap() > 0);
        assert_eq!(disk.free_space(&root.join("none")).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_rename_replaces_a_file_and_carries_a_directory() {
    on_each_disk(|disk, root| {
        let held = disk.create(&root.join("new")).unwrap();
        held.append(b"new").unwrap();
        disk.create(&root.join("old")).unwrap().append(b"old").unwrap();
        disk.rename(&root.join("new"), &root.join("old")).unwrap();
        assert_eq!(read_whole(disk, &root.join("old"), 9).unwrap(), b"new");
        held.append(b"er").unwrap();
        assert_eq!(read_whole(disk, &root.join("old"), 9).unwrap(), b"newer");
        disk.create_dir_all(&root.join("d/e")).unwrap();
        disk.create(&root.join("d/e/f")).unwrap();
        disk.rename(&root.join("d"), &root.join("g")).unwrap();
        assert!(disk.exists(&root.join("g/e/f")).unwrap());
        assert_eq!(names(disk, root), ["g", "old"]);
        assert_eq!(disk.rename(&root.join("none"), &root.join("x")).unwrap_err().kind(), ErrorKind::NotFound);
        disk.sync_dir(root).unwrap();
    });
}

#[test]
fn what_is_removed_is_gone() {
    on_each_disk(|disk, root| {
        disk.create(&root.join("a")).unwrap();
        disk.remove(&root.join("a")).unwrap();
        assert_eq!(disk.remove(&root.join("a")).unwrap_err().kind(), ErrorKind::NotFound);
        disk.create_dir_all(&root.join("d/e")).unwrap();
        disk.create(&root.join("d/e/f")).unwrap();
        disk.remove_dir_all(&root.join("d")).unwrap();
        assert!(names(disk, root).is_empty());
        assert_eq!(disk.remove_dir_all(&root.join("d")).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(disk.sync_dir(&root.join("d")).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_lock_is_held_once_and_ends_with_its_guard() {
    on_each_disk(|disk, root| {
        let guard = disk.try_lock(&root.join("lock")).unwrap();
        assert_eq!(disk.try_lock(&root.join("lock")).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(guard);
        let _guard = disk.try_lock(&root.join("lock")).unwrap();
        assert!(disk.exists(&root.join("lock")).unwrap());
    });
}

#[test]
fn an_atomic_write_replaces_the_whole_file_and_leaves_nothing_else() {
    on_each_disk(|disk, root| {
        let path = root.join("ready.json");
        disk.create(&root.join("ready.json.tmp")).unwrap().append(b"left by a crash").unwrap();
        write_atomically(disk, &path, b"a longer first version").unwrap();
        write_atomically(disk, &path, b"second").unwrap();
        assert_eq!(read_whole(disk, &path, 99).unwrap(), b"second");
        assert_eq!(names(disk, root), ["ready.json"]);
    });
}
