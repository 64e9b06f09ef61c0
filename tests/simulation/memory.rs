//! What a long run holds in memory: it may grow with what the simulated disks hold, and with nothing else.

use std::{fs, time::Duration};

use crate::hosts::Hosts;

/// Simulated time between two looks.
const EVERY: Duration = Duration::from_secs(5 * 60);
/// Bytes that are held for each byte on a simulated disk: it is there twice, as the page cache and as the drive, in vectors
/// that have grown, and the index is made of it.
const FOR_EACH_BYTE: u64 = 6;
/// What may come and go.
const PLAY: u64 = 48 << 20;

/// Looks now and then.
#[derive(Default)]
pub(crate) struct Memory {
    due: Duration,
    first: Option<Held>,
}

/// Bytes held at one time.
#[derive(Clone, Copy)]
struct Held {
    resident: u64,
    on_disks: u64,
}

impl Memory {
    /// Prints what is held if it is time, and holds it against what was held at first.
    pub(crate) fn look(&mut self, hosts: &Hosts) {
        let now = hosts.time.now();
        if now < self.due {
            return;
        }
        self.due = now + EVERY;
        let held = Held { resident: resident(), on_disks: hosts.bytes_on_disks() };
        let (resident, on_disks) = (held.resident >> 20, held.on_disks >> 10);
        println!("{:>5} s: {resident} MiB resident, {on_disks} KiB on the disks", now.as_secs());
        if now < EVERY {
            // Nothing has happened yet, and no cache has anything in it.
            return;
        }
        let first = *self.first.get_or_insert(held);
        let grown = held.on_disks.saturating_sub(first.on_disks);
        if held.resident > first.resident + FOR_EACH_BYTE * grown + PLAY {
            hosts.fail(format!("{resident} MiB are resident, and only {on_disks} KiB on the disks"));
        }
    }
}

/// Resident memory of this process in bytes; 0 where it cannot be told.
fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or_default() << 10
}
