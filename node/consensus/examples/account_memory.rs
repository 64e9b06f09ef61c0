//! Measures what accounts cost in memory and time: `cargo run --release -p farthing-consensus --example account_memory`
//! with the number of accounts, one million if none is given.
//!
//! Resident memory is the kernel's figure, so what the allocator adds is counted.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring program: it prints and reads the clock"
)]

use std::time::Instant;

use farthing::{Account, Address, Mites, hash::sha256};
use farthing_consensus::{AccountTree, Entry};

/// As large as what the node keeps beside an account.
type Meta = [u64; 2];

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

fn address(n: u64) -> Address {
    Address::from_bytes(sha256(&[&n.to_le_bytes()]))
}

fn entry(n: u64) -> Entry<Meta> {
    Entry { account: Account::with_balance(Mites::new(n)), meta: [n; 2] }
}

fn main() {
    let count: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let mut sorted: Vec<(Address, Entry<Meta>)> = (0..count).map(|n| (address(n), entry(n))).collect();
    sorted.sort_by_key(|(address, _)| *address);

    let (before, start) = (resident_bytes(), Instant::now());
    let mut tree = AccountTree::from_sorted(sorted.iter().map(|(address, entry)| (*address, *entry))).expect("sorted");
    println!("{count} accounts built from sorted in {:.0?}", start.elapsed());
    let start = Instant::now();
    let root = tree.root();
    println!("root {root} in {:.0?}", start.elapsed());
    let bytes = resident_bytes().saturating_sub(before);
    println!("{:.1} MB resident, {} bytes an account", bytes as f64 / 1e6, bytes / count.max(1));

    // A block's worth: every transfer touches its sender and one receiver.
    for transfers in [100, 1_000, 3_000] {
        let (snapshot, start) = (tree.clone(), Instant::now());
        for n in 0..2 * transfers {
            let n = n * 7_919 % count.max(1);
            tree.insert(address(n), entry(n + 1));
        }
        let changed = start.elapsed();
        let _ = tree.root();
        let total = start.elapsed();
        let each = total.as_nanos() / u128::from(transfers);
        println!("{transfers} transfers: changed in {changed:.0?}, with root {total:.0?}, {each} ns a transfer");
        drop(snapshot);
    }
}
