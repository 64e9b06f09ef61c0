//! Searching a nonce: the header's first 64 bytes are hashed once, each attempt costs two compressions.

use std::sync::atomic::{AtomicBool, Ordering};

use farthing::{Header, Target, header::HEADER_BYTES};
use sha2::{compress256, digest::generic_array::GenericArray};

/// Bytes of one SHA-256 block.
const BLOCK: usize = 64;
/// Where the nonce stands in the header's second block.
const NONCE_AT: usize = HEADER_BYTES - 8 - BLOCK;
/// How many attempts pass between two looks at whether to go on: a fraction of a millisecond.
const ATTEMPTS_PER_LOOK: u64 = 4_096;
/// SHA-256's initial state (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A header prepared for many attempts. SHA-NI is used where the CPU has it; `sha2` finds out.
#[derive(Debug, Clone)]
pub struct Search {
    /// State after the first 64 bytes.
    midstate: [u32; 8],
    /// The rest of the header, padded to a block.
    second: [u8; BLOCK],
    /// The block of the second hash: the first one's digest, padded.
    outer: [u8; BLOCK],
    target: Target,
    /// The target's most significant 64 bits: nearly every attempt fails already there.
    target_top: u64,
}

impl Search {
    /// Prepares a header; its nonce is ignored.
    #[must_use]
    pub fn new(header: &Header, target: Target) -> Self {
        let bytes = header.to_bytes();
        let (first, rest) = bytes.split_at(BLOCK);
        let mut midstate = INITIAL;
        compress256(&mut midstate, &[*GenericArray::from_slice(first)]);
        let mut second = [0; BLOCK];
        second[..rest.len()].copy_from_slice(rest);
        pad(&mut second, rest.len(), HEADER_BYTES);
        let mut outer = [0; BLOCK];
        pad(&mut outer, 32, 32);
        let target_top = (target.value() >> 192_usize).to::<u64>();
        Self { midstate, second, outer, target, target_top }
    }

    /// Whether this nonce does the work.
    #[must_use]
    pub fn attempt(&mut self, nonce: u64) -> bool {
        self.second[NONCE_AT..NONCE_AT + 8].copy_from_slice(&nonce.to_le_bytes());
        let mut inner = self.midstate;
        compress256(&mut inner, &[*GenericArray::from_slice(&self.second)]);
        write_digest(&mut self.outer, &inner);
        let mut id = INITIAL;
        compress256(&mut id, &[*GenericArray::from_slice(&self.outer)]);
        let top = u64::from(id[0]) << 32 | u64::from(id[1]);
        top <= self.target_top && self.is_met(&id)
    }

    /// Tries nonces from `first` on until one does the work or `cancelled` is set; none then.
    #[must_use]
    pub fn run(&mut self, first: u64, cancelled: &AtomicBool) -> Option<u64> {
        let mut nonce = first;
        while !cancelled.load(Ordering::Relaxed) {
            for _ in 0..ATTEMPTS_PER_LOOK {
                if self.attempt(nonce) {
                    return Some(nonce);
                }
                nonce = nonce.wrapping_add(1);
            }
        }
        None
    }

    #[cold]
    fn is_met(&self, id: &[u32; 8]) -> bool {
        let mut bytes = [0; BLOCK];
        write_digest(&mut bytes, id);
        let id = farthing::BlockId::try_from(&bytes[..32]).expect("32 bytes");
        self.target.is_met_by(&id)
    }
}

/// Ends a message of `length` bytes of which `used` stand in this block (FIPS 180-4, 5.1.1).
fn pad(block: &mut [u8; BLOCK], used: usize, length: usize) {
    block[used] = 0x80;
    block[BLOCK - 8..].copy_from_slice(&(length as u64 * 8).to_be_bytes());
}

fn write_digest(block: &mut [u8; BLOCK], state: &[u32; 8]) {
    for (bytes, word) in block.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use farthing::{Bits, BlockId, Hash, TimeMs};
    use proptest::prelude::*;

    use super::*;

    fn header(seed: [u8; 32], time: u64, bits: Bits) -> Header {
        let hash = |n: u8| Hash::from_bytes(seed.map(|byte| byte ^ n));
        let previous = BlockId::from_bytes(seed);
        Header { previous, commitment: hash(1), tx_root: hash(2), time: TimeMs::new(time), bits, nonce: 0 }
    }

    proptest! {
        #[test]
        fn an_attempt_says_what_the_headers_id_says(seed: [u8; 32], time: u64, nonces in prop::collection::vec(any::<u64>(), 16)) {
            // About every fourth id is within this target, and the rest is close to it or not.
            let bits = Bits::from_compact(0x203f_ffff);
            let mut header = header(seed, time, bits);
            let mut search = Search::new(&header, bits.target().unwrap());
            for nonce in nonces {
                header.nonce = nonce;
                prop_assert_eq!(search.attempt(nonce), header.has_work());
            }
        }
    }

    #[test]
    fn an_id_that_equals_the_target_does_the_work_and_one_above_does_not() {
        let bits = Bits::from_compact(0x207f_ffff);
        let header = header([3; 32], 5, bits);
        let id = ruint::aliases::U256::from_be_bytes(header.id().to_bytes());
        let exact = |value| Search::new(&header, Target::new(value).unwrap()).attempt(0);
        assert!(exact(id));
        assert!(!exact(id - ruint::aliases::U256::ONE));
    }

    #[test]
    fn a_search_finds_the_first_nonce_and_stops_when_it_is_told() {
        let bits = Bits::from_compact(0x1f00_ffff);
        let mut header = header([9; 32], 77, bits);
        let go = AtomicBool::new(false);
        let nonce = Search::new(&header, bits.target().unwrap()).run(0, &go).unwrap();
        header.nonce = nonce;
        assert!(header.has_work());
        assert!((0..nonce).all(|earlier| !Header { nonce: earlier, ..header }.has_work()));
        let hardest = Search::new(&header, Target::HARDEST).run(0, &AtomicBool::new(true));
        assert_eq!(hardest, None);
    }
}
