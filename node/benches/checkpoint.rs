//! Measures what a checkpoint costs: `cargo bench -p farthing-node --bench checkpoint -- [accounts]`, one million if no
//! number is given. Once with no account's key and once with all of them (the worst case: every account has sent).
//!
//! Keys come from a file beside the checkpoint, one read each in no order, as from the block log. Resident memory is
//! the kernel's figure. The page cache is warm.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring program: it prints, reads the clock and makes a directory to measure in"
)]

use std::{collections::VecDeque, path::Path, sync::Arc, time::Instant};

use farthing::{
    Account, Address, Hash, Header, Height, Mites, Network, Params, PublicKey, RangePeaks, TimeMs, header::commitment,
};
use farthing_consensus::{AccountTree, Entry, HeaderContext};
use farthing_node::{
    env::{Disk as _, DiskFile, RealDisk},
    ledger::{ChainView, range_leaf},
    store::{
        AccountMeta, LogPlace,
        checkpoint::{Limits, Snapshot, list, load, write},
    },
};

const SPKI_BYTES: usize = 294;

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// A well-formed key of 2048 bits that nobody can sign with.
fn spki(n: u64) -> [u8; SPKI_BYTES] {
    let mut out = [0; SPKI_BYTES];
    let prefix = "30820122300d06092a864886f70d01010105000382010f003082010a0282010100";
    hex::decode_to_slice(prefix, &mut out[..33]).expect("33 bytes");
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    for chunk in out[33..289].chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        chunk.copy_from_slice(&state.to_le_bytes());
    }
    out[33] |= 0x80;
    out[288] |= 1;
    out[289..].copy_from_slice(&[0x02, 0x03, 0x01, 0x00, 0x01]);
    out
}

fn key_at(file: &dyn DiskFile, place: LogPlace) -> PublicKey {
    let mut bytes = [0; SPKI_BYTES];
    let at = u64::from(place.offset() - 1) * SPKI_BYTES as u64;
    file.read_exact_at(at, &mut bytes).expect("the key is in the file");
    PublicKey::from_spki(&bytes).expect("a well-formed key")
}

/// A ledger at height 1 that its header commits to.
fn snapshot(params: &Params, mut entries: Vec<(Address, Entry<AccountMeta>)>) -> Snapshot {
    entries.sort_by_key(|(address, _)| *address);
    let accounts = AccountTree::from_sorted(entries).expect("sorted");
    let genesis = HeaderContext::genesis(params);
    let mut before = RangePeaks::default();
    before.append(range_leaf(&genesis)).expect("one header");
    let commitment = commitment(&accounts.root(), &before.chain_root().expect("one header"));
    let header = Header { previous: genesis.id(), commitment, time: TimeMs::new(1), ..*genesis.header() };
    let work = genesis.total_work().checked_add(genesis.work().expect("genesis has work")).expect("small");
    let tip = HeaderContext::from_stored(header, Height::new(1), work);
    let mut range = before.clone();
    range.append(range_leaf(&tip)).expect("two headers");
    let supply = Mites::checked_sum(accounts.iter().map(|(_, entry)| entry.account.balance)).expect("small");
    let view = ChainView { tip, accounts, range, supply, immature: VecDeque::new() };
    Snapshot { view: Arc::new(view), before, synced_to: None }
}

/// As many accounts as asked for, and the place of their keys.
fn make(directory: &Path, count: u64, with_keys: bool) -> (Snapshot, Arc<dyn DiskFile>) {
    let keys = RealDisk.create(&directory.join("keys")).expect("a new file");
    let (mut entries, mut bytes) = (Vec::new(), Vec::new());
    for n in 0..count {
        let key = PublicKey::from_spki(&spki(n)).expect("a well-formed key");
        let sent = u64::from(with_keys);
        let account = Account { balance: Mites::new(n), next_nonce: sent, entries: 1, history: Hash::ZERO };
        let place = u32::try_from(n + 1).ok().and_then(|offset| LogPlace::new(0, offset));
        let meta = AccountMeta { key: place.filter(|_| with_keys), last_touch: Height::new(1) };
        entries.push((key.address(), Entry { account, meta }));
        if with_keys {
            bytes.extend_from_slice(key.as_spki());
        }
    }
    keys.write_all_at(0, &bytes).expect("room for the keys");
    (snapshot(Network::Dev.params(), entries), keys)
}

fn measure_write(directory: &Path, count: u64, with_keys: bool) {
    let (snapshot, keys) = make(directory, count, with_keys);
    let (before, start) = (resident_bytes(), Instant::now());
    let key_of = |place: LogPlace, _: &Address| Ok(key_at(&*keys, place));
    let params = Network::Dev.params();
    let written = write(&RealDisk, directory, params, &snapshot, &key_of, Limits::leaving(0), &|| false)
        .expect("a checkpoint is written");
    let took = start.elapsed().as_secs_f64();
    let grown = resident_bytes().saturating_sub(before) / 1000;
    let each = written.bytes as f64 / count.max(1) as f64;
    println!("{count} accounts, {} with a key", if with_keys { count } else { 0 });
    println!("  write: {took:.2} s, {each:.0} bytes of file an account, {grown} kB more resident");
}

fn measure_read(directory: &Path) {
    let name = list(&RealDisk, directory).expect("a directory").first().copied().expect("a checkpoint");
    let (before, start) = (resident_bytes(), Instant::now());
    let loaded = load(&RealDisk, directory, name, Network::Dev.params(), &|_| true).expect("a good checkpoint");
    let took = start.elapsed().as_secs_f64();
    let each = resident_bytes().saturating_sub(before) / (loaded.view.accounts.len() as u64).max(1);
    println!("  read:  {took:.2} s, {each} bytes more resident an account");
}

/// Each measurement has a process of its own: what one leaves to the allocator would hide what the other takes.
fn part(part: &str, count: u64, directory: &Path) {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = std::process::Command::new(program);
    let status = command.args(["--part", part, &count.to_string()]).arg(directory).status();
    assert!(status.is_ok_and(|status| status.success()), "measuring {part} failed");
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, part, count, directory] = &arguments[..]
        && flag == "--part"
    {
        let (count, directory) = (count.parse().expect("a number"), Path::new(directory));
        match part.as_str() {
            "read" => measure_read(directory),
            part => measure_write(directory, count, part == "write-keys"),
        }
        return;
    }
    // `cargo test --benches` runs this too, to see that it works; only `cargo bench` says `--bench`.
    let default = if arguments.iter().any(|text| text == "--bench") { 1_000_000 } else { 1_000 };
    let count = arguments.iter().find_map(|text| text.parse().ok()).unwrap_or(default);
    for write in ["write-plain", "write-keys"] {
        let directory = tempfile::tempdir().expect("a directory");
        part(write, count, directory.path());
        part("read", count, directory.path());
    }
}
