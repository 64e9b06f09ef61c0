//! Chains mined against the schedule: liars about time, and hash rates that come and go. Same seed, same chain.

use farthing::{Header, TimeMs, limits::MAX_FUTURE_MS};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};

use super::*;
use crate::fixtures::network;

const SPACING: u64 = 10_000;
const GENESIS_TIME: u64 = 1_796_083_200_000;

/// Main's schedule with two bytes of room above genesis's target.
fn params() -> Params {
    network(|fields| {
        fields.retarget = Retarget::Asert;
        fields.genesis_bits = Bits::from_compact(0x1b0f_ffff);
        fields.limit_bits = Bits::from_compact(0x1d0f_ffff);
        fields.target_spacing_ms = SPACING;
        fields.genesis_time = TimeMs::new(GENESIS_TIME);
    })
}

/// How a block finds its stamp; the rules allow anything after the parent's and at most a minute ahead.
#[derive(Debug, Clone, Copy)]
enum Stamp {
    Honest,
    Latest,
    Earliest,
    Anywhere,
}

/// A chain being mined: `now` is true time, the tip's stamp is what its miner said.
struct Simulation {
    params: Params,
    tip: HeaderContext,
    now: f64,
    rng: ChaCha8Rng,
}

impl Simulation {
    fn new() -> Self {
        let params = params();
        Self {
            tip: HeaderContext::genesis(&params),
            now: GENESIS_TIME as f64,
            rng: ChaCha8Rng::seed_from_u64(1),
            params,
        }
    }

    /// A number from 0 (inclusive) to 1.
    fn uniform(&mut self) -> f64 {
        f64::from(self.rng.next_u32()) / 4_294_967_296.0
    }

    /// Mines one block with `rate` times the hash rate that genesis's target is made for, in `luck` times the expected
    /// time. Returns that time in milliseconds.
    fn mine(&mut self, rate: f64, luck: f64, stamp: Stamp) -> f64 {
        let bits = required_bits(&self.params, &self.tip);
        let genesis_work = self.params.genesis_bits.target().unwrap().work().unwrap().get() as f64;
        let work = bits.target().unwrap().work().unwrap().get() as f64;
        let took = SPACING as f64 * work / genesis_work / rate * luck;
        self.now += took;
        let (earliest, latest) = (self.tip.time().get() + 1, self.now as u64 + MAX_FUTURE_MS);
        let anywhere = earliest + self.rng.next_u64() % (latest.saturating_sub(earliest) + 1);
        let time = match stamp {
            Stamp::Honest => self.now as u64,
            Stamp::Latest => latest,
            Stamp::Earliest => earliest,
            Stamp::Anywhere => anywhere,
        };
        let header = Header { time: TimeMs::new(time.max(earliest)), bits, ..*self.tip.header() };
        assert!(header.time.get() <= latest, "the simulation broke the future bound itself");
        self.tip = HeaderContext::from_stored(header, self.tip.height().next(), self.tip.total_work());
        took
    }

    /// Exponentially distributed with mean 1: how lucky a search is.
    fn luck(&mut self) -> f64 {
        -(1.0 - self.uniform()).ln()
    }
}

/// True times of all blocks when a share of the hash rate stamps its blocks as it likes.
fn times(attackers_share: f64, lie: Stamp) -> Vec<f64> {
    let mut simulation = Simulation::new();
    (0..20_000)
        .map(|_| {
            let luck = simulation.luck();
            let stamp = if simulation.uniform() < attackers_share { lie } else { Stamp::Honest };
            simulation.mine(1.0, luck, stamp);
            simulation.now
        })
        .collect()
}

/// Timewarp (BIP 54, Verge 2018), time-jacking. With the same luck, no block of 20,000 is found more than a minute
/// earlier than if all had been honest, whatever share lies and however: six blocks in all, not a higher rate.
#[test]
fn lies_about_time_gain_a_minute_once_and_no_more() {
    let honest = times(0.0, Stamp::Honest);
    for share in [0.3, 0.51, 1.0] {
        for lie in [Stamp::Latest, Stamp::Anywhere] {
            let gains: Vec<f64> = honest.iter().zip(times(share, lie)).map(|(honest, lied)| honest - lied).collect();
            let most = gains.iter().copied().fold(f64::MIN, f64::max);
            assert!(most <= MAX_FUTURE_MS as f64 + 100.0, "{lie:?} by {share}: {most} ms");
            if share == 1.0 && matches!(lie, Stamp::Latest) {
                // The bound is met: the simulation does measure what it claims to.
                assert!(most > 0.9 * MAX_FUTURE_MS as f64, "{most} ms");
            }
        }
    }
}

/// The opposite lie makes blocks harder, as if the chain were ahead of schedule. A share of 51 % costs the network a
/// bounded delay and not its rate.
#[test]
fn stamps_from_the_past_delay_the_chain_once_and_no_more() {
    let honest = times(0.0, Stamp::Honest);
    for share in [0.3, 0.51] {
        let late = |at: usize| times(share, Stamp::Earliest)[at] - honest[at];
        assert!(late(19_999) < 60_000.0, "{share}: {} ms", late(19_999));
        assert!(late(9_999) < 60_000.0, "{share}: {} ms", late(9_999));
    }
}

/// Blocks until the interval stays within 5 % of the target for good, after the hash rate changed by a factor.
fn blocks_to_settle(rate: f64) -> usize {
    let mut simulation = Simulation::new();
    let intervals: Vec<f64> = (0..20_000).map(|_| simulation.mine(rate, 1.0, Stamp::Honest)).collect();
    let off = |interval: &f64| (interval / SPACING as f64 - 1.0).abs() > 0.05;
    intervals.iter().rposition(off).map_or(0, |last| last + 1)
}

#[test]
fn ten_times_the_hash_rate_settles_within_4000_blocks_and_a_tenth_within_2000() {
    let (more, less) = (blocks_to_settle(10.0), blocks_to_settle(0.1));
    assert!((1_000..4_000).contains(&more), "{more} blocks");
    assert!((100..2_000).contains(&less), "{less} blocks");
}

/// Without luck in play the interval approaches the target from one side: nothing swings.
#[test]
fn the_interval_approaches_its_target_without_overshooting() {
    for (rate, below) in [(10.0, true), (0.1, false)] {
        let mut simulation = Simulation::new();
        let mut last = simulation.mine(rate, 1.0, Stamp::Honest);
        for block in 0..10_000 {
            let interval = simulation.mine(rate, 1.0, Stamp::Honest);
            // Compact targets have 16 bits or more; their truncation is worth a ten-thousandth.
            let slack = SPACING as f64 * 1e-3;
            let between = if below {
                interval >= last - slack && interval <= SPACING as f64 + slack
            } else {
                interval <= last + slack && interval >= SPACING as f64 - slack
            };
            assert!(between, "rate {rate}, block {block}: {last} then {interval}");
            last = interval;
        }
    }
}

/// Miners that come for easy blocks and leave: each cycle is like the one before, and the mean holds.
#[test]
fn a_hash_rate_that_goes_on_and_off_keeps_the_mean_and_does_not_swell() {
    let mut simulation = Simulation::new();
    let cycle = |simulation: &mut Simulation| -> (f64, f64) {
        let start = simulation.now;
        let mut longest = 0.0_f64;
        for block in 0..200 {
            let rate = if block < 100 { 10.0 } else { 1.0 };
            longest = longest.max(simulation.mine(rate, 1.0, Stamp::Honest));
        }
        (simulation.now - start, longest)
    };
    for _ in 0..40 {
        cycle(&mut simulation);
    }
    let (settled, longest) = cycle(&mut simulation);
    assert!((settled / (200.0 * SPACING as f64) - 1.0).abs() < 0.01, "{settled} ms for 200 blocks");
    for _ in 0..40 {
        let (took, worst) = cycle(&mut simulation);
        assert!((took / settled - 1.0).abs() < 0.01 && worst <= longest * 1.01, "{took}, {worst}");
    }
    assert!(longest < 10.0 * SPACING as f64, "{longest} ms");
}

/// An hour without any miner, on main's own limit: blocks become easier up to the limit and come back.
#[test]
fn a_dead_hour_is_made_up_for_and_forgotten() {
    let mut simulation = Simulation::new();
    for _ in 0..1_000 {
        simulation.mine(1.0, 1.0, Stamp::Honest);
    }
    simulation.now += 3_600_000.0;
    let first = simulation.mine(1.0, 1.0, Stamp::Honest);
    assert!((first / SPACING as f64 - 1.0).abs() < 0.01, "the first block is as hard as ever: {first} ms");
    let second = simulation.mine(1.0, 1.0, Stamp::Honest);
    assert!((second / SPACING as f64 - 0.5).abs() < 0.01, "a half-life late, half the work: {second} ms");
    let later = (0..3_000).map(|_| simulation.mine(1.0, 1.0, Stamp::Honest)).last().unwrap();
    assert!((later / SPACING as f64 - 1.0).abs() < 0.01, "{later} ms");
    // Back on the schedule: the 360 blocks that the hour missed have been mined.
    let scheduled = (GENESIS_TIME + SPACING * simulation.tip.height().get()) as f64;
    assert!((simulation.now - scheduled).abs() < 60_000.0, "{} ms behind", simulation.now - scheduled);
}
