//! Simulates an attacker who tries to surround a node with its own addresses, and prints the chance that it does.
//!
//! `cargo run --release -p farthing-node --example eclipse -- [seed] [restarts] [victims] [attacker groups]`: seed 1, 1,000
//! restarts of one victim, 8 groups unless said otherwise. The same seed prints the same figures.

use std::{error::Error, io::Write as _};

use farthing_node::peers::eclipse::{Setting, simulate};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse::<u64>());
    let (seed, restarts, victims) = (next(1)?, next(1_000)?, next(1)?);
    let attacker_groups = usize::try_from(next(8)?)?;
    let mut out = std::io::stdout().lock();
    for anchors in [true, false] {
        let setting = Setting { seed, restarts, victims, attacker_groups, anchors, ..Setting::default() };
        let outcome = simulate(&setting);
        writeln!(out, "{setting:?}")?;
        writeln!(out, "  restarts                         {}", outcome.restarts)?;
        writeln!(out, "  surrounded after                 {} ({:.4} %)", outcome.surrounded, 100.0 * outcome.chance())?;
        writeln!(out, "  hostile peers, mean of {:>9}  {:.3}", outcome.peers, outcome.mean_hostile())?;
        writeln!(out, "  hostile peers: times             {:?}", outcome.hostile_peers)?;
        let (hostile, all) = outcome.hostile_in_book;
        writeln!(out, "  book at the end                  {hostile} hostile of {all}")?;
    }
    Ok(())
}
