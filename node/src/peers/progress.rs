//! How far fetching has come: for people who wait, in the log and in the API. What peers merely claim is called so.

use std::{sync::Arc, time::Duration};

use farthing::Height;
use tokio::time::timeout;

use super::{network::Inner, session::lock};
use crate::{
    chain::Phase,
    network_view::{SyncPhase, SyncProgress},
};

/// How often the log says how far it is.
const EVERY: Duration = Duration::from_secs(5);

/// Starts to watch.
pub(super) fn start(inner: &Arc<Inner>) {
    let watcher = Arc::clone(inner);
    inner.spawn("peers: progress", async move { watch(&watcher).await });
}

async fn watch(inner: &Inner) {
    let mut syncing = inner.watch_syncing();
    loop {
        inner.progress.send_replace(None);
        if syncing.wait_for(|syncing| *syncing).await.is_err() {
            return;
        }
        let mut before = (inner.elapsed(), inner.chain.view().tip.height());
        show(inner, None);
        // Until it is over, or for as long as the next line is due.
        while let Err(_elapsed) = timeout(EVERY, syncing.wait_for(|syncing| !*syncing)).await {
            let now = (inner.elapsed(), inner.chain.view().tip.height());
            show(inner, rate(before, now));
            before = now;
        }
        tracing::info!(height = %inner.chain.view().tip.height(), "all blocks that peers have are here");
    }
}

/// Blocks a second between two looks.
fn rate(before: (Duration, Height), now: (Duration, Height)) -> Option<f64> {
    let seconds = now.0.saturating_sub(before.0).as_secs_f64();
    (seconds > 0.0).then(|| now.1.distance_from(before.1) as f64 / seconds)
}

fn show(inner: &Inner, blocks_per_second: Option<f64>) {
    let claimed = lock(&inner.state).sessions.all().map(|session| session.tip().height).max();
    let bootstrap = inner.begin.as_ref().map(|begin| &begin.bootstrap).filter(|b| b.phase() != Phase::Blocks);
    let tip = inner.chain.view().tip.height();
    let (phase, pieces, best) = match bootstrap {
        Some(bootstrap) if bootstrap.phase() == Phase::Headers => {
            (SyncPhase::Headers, None, bootstrap.best_header().height())
        }
        Some(bootstrap) => (SyncPhase::Checkpoint, bootstrap.pieces(), bootstrap.best_header().height()),
        None => (SyncPhase::Blocks, None, inner.chain.best_header().height()),
    };
    let height = if bootstrap.is_some() { best } else { tip };
    let target = claimed.map_or(best, |claimed| claimed.max(best)).max(height);
    let progress = SyncProgress { phase, pieces, height, target, blocks_per_second };
    inner.progress.send_replace(Some(progress));
    let remaining_s = progress.remaining_ms().map(|remaining| remaining / 1_000);
    tracing::info!(
        %height, %target, percent = %format_args!("{:.1}", progress.percent()),
        blocks_per_second = blocks_per_second.map(|rate| rate.round()), remaining_s,
        "{}", match phase {
            SyncPhase::Headers => "fetching headers",
            SyncPhase::Checkpoint => "fetching a checkpoint",
            SyncPhase::Blocks => "fetching blocks",
        }
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_percent_rate_and_time_left() {
        let second = Duration::from_secs;
        let rate = rate((second(10), Height::new(100)), (second(20), Height::new(600)));
        assert_eq!(rate, Some(50.0));
        let progress = SyncProgress {
            phase: SyncPhase::Blocks,
            pieces: None,
            height: Height::new(600),
            target: Height::new(1_600),
            blocks_per_second: rate,
        };
        assert_eq!(progress.percent(), 37.5);
        assert_eq!(progress.remaining_ms(), Some(20_000));
        let stuck = SyncProgress { blocks_per_second: Some(0.0), ..progress };
        assert_eq!(stuck.remaining_ms(), None);
        let checkpoint = SyncProgress { phase: SyncPhase::Checkpoint, pieces: Some((3, 4)), ..progress };
        assert_eq!(checkpoint.percent(), 75.0);
        let absurd = SyncProgress { target: Height::new(u64::MAX), blocks_per_second: Some(1e-9), ..progress };
        assert_eq!(absurd.remaining_ms(), None, "what does not fit is not told");
    }

    #[test]
    fn two_looks_at_one_moment_and_a_tip_that_went_back_are_no_division_by_zero() {
        let at = Duration::from_secs(1);
        assert_eq!(rate((at, Height::new(1)), (at, Height::new(9))), None);
        assert_eq!(rate((at, Height::new(9)), (at * 2, Height::new(1))), Some(0.0));
    }
}
