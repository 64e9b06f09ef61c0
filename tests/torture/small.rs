//! A small run. The full one: `cargo run --release --example torture -- --subscribers 1000 --kills 20 --seed 1`.
//!
//! `FARTHING_SEED` repeats the plan of an earlier run.

use std::{
    env,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{Settings, run};

fn seed() -> u64 {
    match env::var("FARTHING_SEED") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("FARTHING_SEED={text} is no number")),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos().into()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_readers_over_three_kills_and_reorganisations_end_with_exactly_what_the_nodes_hold() {
    let seed = seed();
    eprintln!("FARTHING_SEED={seed} repeats the plan");
    let settings = Settings {
        seed,
        subscribers: 60,
        kills: 3,
        blocks: 40,
        burst: 150,
        depth: 20,
        long_pauses: false,
        patience: Duration::from_secs(120),
        verbose: false,
    };
    let figures = run(&settings).await;
    assert!(figures.wrong.is_empty() && figures.equal == settings.subscribers, "seed {seed}: {figures}");
    // What the readers were put through did happen.
    assert_eq!((figures.kills, figures.deepest), (settings.kills, settings.depth), "{figures}");
    assert!(figures.shorter > 0 && figures.shorter < figures.reorganisations, "{figures}");
    for happened in ["blocks undone", "streams that broke", "cursors used on the other node than gave them"] {
        assert!(figures.count(happened) > 0, "no {happened}: {figures}");
    }
}
