//! Randomness: the system's, or a repeatable stream.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use rand_chacha::ChaCha20Rng;
#[expect(clippy::disallowed_types, reason = "this is where randomness enters")]
use rand_core::OsRng;
use rand_core::{RngCore as _, SeedableRng as _};

/// A source of random bytes.
pub trait Random: fmt::Debug + Send + Sync {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]);
}

impl dyn Random + '_ {
    /// A random array.
    pub fn array<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A random number.
    pub fn number(&self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A number below `bound`, each equally likely; 0 if `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // Numbers beyond the last whole multiple of the bound would favour small results.
        let rest = (u64::MAX % bound + 1) % bound;
        loop {
            let number = self.number();
            if number <= u64::MAX - rest {
                return number % bound;
            }
        }
    }

    /// A number in [0, 1).
    pub fn fraction(&self) -> f64 {
        const BITS: u32 = f64::MANTISSA_DIGITS;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let (number, range) = ((self.number() >> (u64::BITS - BITS)) as f64, (1_u64 << BITS) as f64);
        number / range
    }

    /// Brings the items into random order.
    pub fn shuffle<T>(&self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).expect("below an index");
            items.swap(last, other);
        }
    }

    /// Leaves so many of the items, any with the same chance. Draws once, however many there are.
    pub fn pick_some<T>(&self, items: &mut Vec<T>, most: usize) {
        let stream = SeededRandom(Mutex::new(ChaCha20Rng::from_seed(self.array())));
        let stream: &dyn Random = &stream;
        for at in 0..most.min(items.len()) {
            let rest = items.len() - at;
            let other = usize::try_from(stream.below(rest as u64)).expect("below a length");
            items.swap(at, at + other);
        }
        items.truncate(most);
    }
}

/// The system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[allow(clippy::disallowed_types, reason = "this is where randomness enters")]
    fn fill(&self, buffer: &mut [u8]) {
        OsRng.fill_bytes(buffer);
    }
}

/// The same bytes from the same seed.
#[derive(Debug)]
pub struct SeededRandom(Mutex<ChaCha20Rng>);

impl SeededRandom {
    /// Starts the stream of this seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(ChaCha20Rng::seed_from_u64(seed)))
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(buffer);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_seed_repeats_its_bytes_and_another_seed_does_not() {
        let bytes = |seed| <dyn Random>::array::<32>(&SeededRandom::new(seed));
        assert_eq!(bytes(1), bytes(1));
        assert_ne!(bytes(1), bytes(2));
        assert_ne!(<dyn Random>::array::<32>(&SystemRandom), [0; 32]);
    }

    #[test]
    fn numbers_below_a_bound_hit_every_value_about_equally_often() {
        let random: &dyn Random = &SeededRandom::new(7);
        let mut counts = [0_u32; 5];
        for _ in 0..5_000 {
            counts[usize::try_from(random.below(5)).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
        assert!((0..100).map(|_| random.fraction()).all(|fraction| (0.0..1.0).contains(&fraction)));
    }

    /// Counts how often it is drawn from.
    #[derive(Debug)]
    struct Counted(SeededRandom, AtomicUsize);

    impl Random for Counted {
        fn fill(&self, buffer: &mut [u8]) {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.fill(buffer);
        }
    }

    #[test]
    fn a_pick_of_some_takes_each_about_equally_often_and_none_twice_and_draws_once() {
        let random = Counted(SeededRandom::new(7), AtomicUsize::new(0));
        let mut counts = [0_u32; 20];
        for _ in 0..2_000 {
            let mut items: Vec<usize> = (0..20).collect();
            (&random as &dyn Random).pick_some(&mut items, 5);
            items.sort_unstable();
            items.dedup();
            assert_eq!(items.len(), 5);
            items.into_iter().for_each(|item| counts[item] += 1);
        }
        assert!(counts.iter().all(|count| (420..580).contains(count)), "{counts:?}");
        assert_eq!(random.1.load(Ordering::Relaxed), 2_000);
        let mut few = vec![1, 2];
        (&random as &dyn Random).pick_some(&mut few, 5);
        assert_eq!(few.len(), 2);
    }

    #[test]
    fn a_shuffle_keeps_every_item_and_changes_the_order() {
        let random: &dyn Random = &SeededRandom::new(7);
        let sorted: Vec<u32> = (0..50).collect();
        let mut items = sorted.clone();
        random.shuffle(&mut items);
        assert_ne!(items, sorted);
        items.sort_unstable();
        assert_eq!(items, sorted);
    }
}
