//! What a long run holds in memory: it may grow with the blocks of the chain, and with nothing else.

use std::{fs, time::Duration};

use crate::hosts::Hosts;

/// Simulated time between two looks.
const EVERY: Duration = Duration::from_secs(5 * 60);
/// Bytes that a node holds for each block: the index, which here is in memory.
const FOR_EACH_BLOCK: u64 = 2 << 10;
/// What may come and go.
const PLAY: u64 = 48 << 20;

/// Looks now and then.
#[derive(Default)]
pub(crate) struct Memory {
    due: Duration,
    first: Option<Held>,
}

/// Bytes at one time.
#[derive(Clone, Copy)]
struct Held {
    /// Resident memory but for that of the simulated disks.
    nodes: u64,
    /// Blocks of all nodes.
    blocks: u64,
}

impl Memory {
    /// Prints what is held if it is time, and holds it against what was held at first.
    pub(crate) fn look(&mut self, hosts: &Hosts) {
        let now = hosts.time.now();
        if now < self.due {
            return;
        }
        self.due = now + EVERY;
        let disks = hosts.bytes_of_disks();
        let held = Held { nodes: resident().saturating_sub(disks), blocks: hosts.blocks() };
        let (seconds, nodes, disks, blocks) = (now.as_secs(), held.nodes >> 20, disks >> 20, held.blocks);
        println!("{seconds:>5} s: {nodes} MiB in all nodes with {blocks} blocks, {disks} MiB for their disks");
        if now < EVERY {
            // Nothing has happened yet, and no cache has anything in it.
            return;
        }
        let first = *self.first.get_or_insert(held);
        let grown = held.blocks.saturating_sub(first.blocks);
        if held.nodes > first.nodes + FOR_EACH_BLOCK * grown + PLAY {
            hosts.fail(format!("{nodes} MiB are held for {blocks} blocks"));
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
