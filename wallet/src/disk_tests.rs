//! Modes, links and overwriting.

use std::{
    fs::Permissions,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn leftovers(folder: &Path) -> Vec<OsString> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

#[test]
fn a_new_file_has_mode_0600_and_is_never_overwritten() {
    let folder = folder();
    let path = folder.path().join("a.pem");
    create_private(&path, b"one").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    assert!(create_private(&path, b"two").unwrap_err().is_exists());
    assert_eq!(fs::read(&path).unwrap(), b"one");
    assert_eq!(leftovers(folder.path()), ["a.pem"]);
}

#[test]
fn a_new_file_is_not_written_through_a_link() {
    let folder = folder();
    let target = folder.path().join("elsewhere");
    let path = folder.path().join("a.pem");
    symlink(&target, &path).unwrap();
    assert!(create_private(&path, b"one").unwrap_err().is_exists());
    assert!(!target.exists());
}

#[test]
fn a_link_is_not_read_through() {
    let folder = folder();
    let target = folder.path().join("elsewhere");
    let path = folder.path().join("a.pem");
    create_private(&target, b"one").unwrap();
    symlink(&target, &path).unwrap();
    assert_eq!(read_private(&path, 10).unwrap_err().code(), "FILE_IS_LINK");
}

#[test]
fn a_file_that_others_may_read_is_refused_with_the_command_that_mends_it() {
    let folder = folder();
    let path = folder.path().join("a.pem");
    create_private(&path, b"one").unwrap();
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = read_private(&path, 10).unwrap_err();
        assert_eq!(error.code(), "FILE_MODE", "{mode:o}");
        assert_eq!(error.tries(), [format!("chmod 600 '{}'", path.display())]);
    }
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    assert_eq!(read_private(&path, 10).unwrap().as_slice(), b"one");
}

#[test]
fn a_folder_is_made_private_and_checked() {
    let folder = folder();
    let path = folder.path().join("x/y");
    make_folder(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
    check_folder(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(check_folder(&path).unwrap_err().tries(), [format!("chmod 700 '{}'", path.display())]);
}

#[test]
fn replacing_leaves_the_new_bytes_and_nothing_else() {
    let folder = folder();
    let path = folder.path().join("contacts.toml");
    replace_private(&path, b"one").unwrap();
    replace_private(&path, b"two").unwrap();
    assert_eq!(read_private(&path, 10).unwrap().as_slice(), b"two");
    assert_eq!(leftovers(folder.path()), ["contacts.toml"]);
}

#[test]
fn reading_stops_at_the_bound() {
    let folder = folder();
    let path = folder.path().join("a");
    create_private(&path, b"12345").unwrap();
    assert_eq!(read_private(&path, 5).unwrap().len(), 5);
    assert_eq!(read_private(&path, 4).unwrap_err().code(), "FILE_TOO_LONG");
    assert!(read_private(&folder.path().join("b"), 4).unwrap_err().is_missing());
}

#[test]
fn a_named_pipe_in_place_of_a_file_does_not_hang_the_wallet() {
    let folder = folder();
    let path = folder.path().join("a.pem");
    let status = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(status.success());
    assert_eq!(read_private(&path, 10).unwrap_err().code(), "FILE_KIND");
}

#[test]
fn a_lock_that_another_holds_is_told_once_and_waited_for_so_long() {
    let folder = folder();
    let path = folder.path().join("lock");
    let mut told = 0;
    let held = lock(&path, Duration::ZERO, &mut || told += 1).unwrap();
    let error = lock(&path, Duration::ZERO, &mut || unreachable!("there is no patience")).unwrap_err();
    assert_eq!((error.code(), error.tries().len()), ("WALLET_BUSY", 1));
    // The other one ends as soon as it is known that somebody waits.
    let mut held = Some(held);
    let got = lock(&path, Duration::from_secs(60), &mut || {
        told += 1;
        held = None;
    });
    got.unwrap();
    assert_eq!(told, 1);
}

#[test]
fn only_a_plain_file_has_a_loose_mode() {
    let folder = folder();
    let path = folder.path().join("a");
    create_private(&path, b"one").unwrap();
    assert_eq!(loose_mode(&path), None);
    fs::set_permissions(&path, Permissions::from_mode(0o604)).unwrap();
    assert_eq!(loose_mode(&path), Some(0o604));
    assert_eq!(loose_mode(folder.path()), None);
    assert_eq!(loose_mode(Path::new("/dev/null")), None);
}
