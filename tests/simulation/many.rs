//! Many seeds on a few threads: a simulation lives on one thread, and several run beside one another.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use farthing_node::tasks::panic_message;

use crate::{
    memory::Memory,
    plan::Plan,
    run::{Outcome, run, run_watching},
    trace::Counts,
};

/// How long things go wrong in the run of a seed.
const CHAOS: Duration = Duration::from_secs(45);

/// What came of many seeds.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) counts: Counts,
    pub(crate) runs: u64,
    pub(crate) failed: Vec<Outcome>,
    pub(crate) simulated: Duration,
    pub(crate) took: Duration,
}

/// Runs the plan of a seed. A panic is a failure as any other.
pub(crate) fn run_seed(seed: u64, print: bool) -> Outcome {
    let plan = Plan::of(seed, CHAOS);
    catch_unwind(AssertUnwindSafe(|| run(&plan, print).0)).unwrap_or_else(|panic| Outcome {
        seed,
        digest: "panicked".to_owned(),
        counts: Counts::default(),
        failures: vec![format!("panicked: {}", panic_message(&*panic))],
        last_lines: Vec::new(),
        simulated: Duration::ZERO,
    })
}

/// One long run, with an eye on its memory.
pub(crate) fn soak(seed: u64, trouble: Duration, print: bool) -> Outcome {
    run_watching(&Plan::of(seed, trouble), print, Some(Memory::default())).0
}

/// Runs all seeds of a range, so many at a time; tells of each as it ends.
pub(crate) fn run_seeds(seeds: Range<u64>, threads: usize, tell: impl Fn(&Outcome) + Sync) -> Summary {
    let began = Instant::now();
    let (next, summary) = (AtomicU64::new(seeds.start), Mutex::new(Summary::default()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let outcome = run_seed(seed, false);
            tell(&outcome);
            let mut summary = summary.lock().expect("nobody panics with it");
            summary.runs += 1;
            summary.simulated += outcome.simulated;
            summary.counts.merge(&outcome.counts);
            if !outcome.failures.is_empty() {
                summary.failed.push(outcome);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut summary = summary.into_inner().expect("nobody panics with it");
    summary.took = began.elapsed();
    summary.failed.sort_by_key(|outcome| outcome.seed);
    summary
}

/// Events without which a simulation proves nothing.
const WANTED: [&str; 11] = [
    "kills",
    "power cuts",
    "drives failed while writing",
    "full disks",
    "stops",
    "cuts, one way each",
    "changes of latency",
    "jumps of a clock",
    "reorganisations",
    "lies told",
    "liars banned by a node",
];

impl Summary {
    /// Events that happened in fewer than one run of five.
    pub(crate) fn scarce(&self) -> Vec<&'static str> {
        WANTED.into_iter().filter(|what| self.counts.runs_with(what) < self.runs / 5).collect()
    }
}

/// What a failed run has to say, and how to see it again.
pub(crate) fn report(outcome: &Outcome) -> String {
    let (seed, failures, lines) = (outcome.seed, outcome.failures.join("\n"), outcome.last_lines.join("\n"));
    format!(
        "seed {seed} failed:\n{failures}\nthe end of its trace:\n{lines}\nto see all of it:\n    \
         cargo run --example simulate -- --seed {seed} --trace"
    )
}
