//! What can be looked at without asking anybody: settings, folder, keys, contacts, outbox, space.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use rustix::fs::Access;

use super::Check;
use crate::{
    config::{ConfigFile, Places, Settings},
    disk,
    keystore::{Holder, KeyEntry},
    lookalike,
    wallet::Wallet,
};

/// Fewer free bytes than this may not hold a transfer that must be written down before it is sent.
const MIN_FREE_BYTES: u64 = 16 * 1024 * 1024;

pub(super) fn settings(places: &Places) -> Vec<Check> {
    let path = &places.config;
    let shown = path.display();
    let mut checks = match ConfigFile::read(path) {
        Err(error) => vec![Check::failed("settings", error)],
        Ok(_) if !path.exists() => vec![Check::ok("settings", format_args!("defaults; there is no {shown}"))],
        Ok(_) => vec![Check::ok("settings", &shown)],
    };
    if let Ok(meta) = fs::metadata(path)
        && meta.mode() & 0o022 != 0
    {
        let what = format!("{shown} has mode {:04o}: other users can send you to another node", meta.mode() & 0o7777);
        checks.push(Check::bad("settings", what, format_args!("chmod 600 '{shown}'")));
    }
    let beside = places.root.join("config.toml");
    if beside != *path && beside.exists() {
        let what = format!("{} is not read, {shown} is", beside.display());
        checks.push(Check::remark("settings", what, format_args!("rm '{}'", beside.display())));
    }
    checks
}

pub(super) fn passphrase_file(file: &Path) -> Check {
    let shown = file.display();
    match (fs::metadata(file), disk::loose_mode(file)) {
        (Err(error), _) => {
            Check::bad("passphrase", format_args!("{shown} cannot be read ({error})"), format_args!("ls -l '{shown}'"))
        }
        (_, Some(mode)) => Check::bad(
            "passphrase",
            format_args!("{shown} has mode {mode:04o}: other users can read the passphrase"),
            format_args!("chmod 600 '{shown}'"),
        ),
        _ => Check::ok("passphrase", format_args!("{shown}, for its owner alone")),
    }
}

/// Free space where the folder is, or will be, and the right to use it.
pub(super) fn space(root: &Path) -> Check {
    let there = root.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    if !there.is_dir() {
        let what = format!("{} is not a folder, so that nothing can be kept in {}", there.display(), root.display());
        return Check::bad("space", what, "another --wallet-dir");
    }
    if let Err(error) = rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK) {
        let what = format!("nothing can be written in {} ({error})", there.display());
        return Check::bad("space", what, format_args!("ls -ld '{}', or another --wallet-dir", there.display()));
    }
    match rustix::fs::statvfs(there) {
        Err(error) => Check::bad("space", error, format_args!("df '{}'", there.display())),
        Ok(system) => {
            let free = system.f_bavail.saturating_mul(system.f_frsize);
            let mebibytes = free / (1024 * 1024);
            let what = format!("{mebibytes} MiB free for {}", root.display());
            if free < MIN_FREE_BYTES {
                Check::bad("space", what, "make room: what is sent is written down first")
            } else {
                Check::ok("space", what)
            }
        }
    }
}

pub(super) fn wallet(settings: &Settings, wallet: &Wallet) -> Vec<Check> {
    let home = wallet.home();
    let name = &settings.network().name;
    let folder = match disk::check_folder(home) {
        Err(error) if error.is_missing() => {
            let what = format!("there is no wallet for the network {name} in {} yet", settings.root().display());
            return vec![Check::remark("folder", what, "farthing-wallet init")];
        }
        Err(error) => Check::failed("folder", error),
        Ok(()) => Check::ok("folder", format_args!("{}, network {name}", home.display())),
    };
    let mut checks = vec![folder];
    checks.push(keys(wallet));
    checks.extend(contacts(wallet));
    checks.push(match wallet.outbox().list() {
        Err(error) => Check::failed("outbox", error),
        Ok(open) if open.is_empty() => Check::ok("outbox", "empty"),
        Ok(open) => Check::remark(
            "outbox",
            format_args!("transfers kept until they are six blocks deep: {}", open.len()),
            "farthing-wallet resubmit, which says where each stands",
        ),
    });
    checks
}

fn keys(wallet: &Wallet) -> Check {
    let keys = match wallet.keys().list() {
        Ok(keys) => keys,
        Err(error) => return Check::failed("keys", error),
    };
    let is_plain = |key: &&KeyEntry| !key.encrypted && key.holder == Holder::File;
    let plain: Vec<&str> = keys.iter().filter(is_plain).map(|key| key.name.as_str()).collect();
    if keys.is_empty() {
        return Check::remark("keys", "none yet", "farthing-wallet key new NAME");
    }
    if plain.is_empty() {
        return Check::ok("keys", format_args!("{}, all readable and encrypted", keys.len()));
    }
    let what = format!("{}, not encrypted: {}", keys.len(), plain.join(", "));
    if wallet.network().is_dev() {
        Check::ok("keys", format_args!("{what} (development network)"))
    } else {
        Check::bad("keys", what, "a new key with a passphrase, and the money sent there")
    }
}

fn contacts(wallet: &Wallet) -> Vec<Check> {
    let contacts = match wallet.contacts() {
        Ok(contacts) => contacts,
        Err(error) => return vec![Check::failed("contacts", error)],
    };
    let all: Vec<_> = contacts.iter().collect();
    let mut checks = vec![Check::ok("contacts", all.len())];
    for (index, (name, address)) in all.iter().enumerate() {
        let mut before = all.iter().take(index);
        if let Some((other, _)) = before.find(|(other, at)| at != address && lookalike::are_alike(other, name)) {
            let what = format!("{name} and {other} are easily taken for one another");
            checks.push(Check::remark(
                "contacts",
                what,
                format_args!("farthing-wallet contact rename {name} NEW_NAME"),
            ));
        }
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Verdict;

    #[test]
    fn a_place_where_nothing_can_be_kept_is_bad() {
        let folder = tempfile::tempdir().unwrap();
        assert_ne!(space(&folder.path().join("wallet")).what, "");
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let check = space(&file.join("wallet"));
        assert_eq!(check.verdict, Verdict::Bad);
        assert!(check.what.contains("not a folder"), "{}", check.what);
    }
}
