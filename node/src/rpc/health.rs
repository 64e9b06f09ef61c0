//! Health of the public services: not serving while the node syncs or drains.

use std::convert::Infallible;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::{HealthReporter, health_reporter},
};

use super::Deps;

/// The whole listener, and its services by name.
const SERVICES: [&str; 3] = ["", "farthing.v1.LedgerService", "farthing.v1.MiningService"];

/// The health service, its first status set, and the task that keeps it true.
pub(super) async fn start(deps: &Deps) -> HealthServer<impl Health> {
    let (reporter, server) = health_reporter();
    let syncing = deps.network.syncing();
    set(&reporter, status(*syncing.borrow())).await;
    deps.tasks.spawn("rpc-health", keep(reporter, syncing, deps.tasks.token().clone()));
    server
}

async fn keep(
    mut reporter: HealthReporter,
    mut syncing: watch::Receiver<bool>,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    loop {
        let now = *syncing.borrow_and_update();
        set(&reporter, status(now)).await;
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            changed = syncing.changed() => if changed.is_err() {
                // Nobody will change it any more; only the stop is left to tell.
                stop.cancelled().await;
                break;
            },
        }
    }
    set(&reporter, ServingStatus::NotServing).await;
    // Ends the streams of those who watch, behind their last news: they would hold up the drain.
    for service in SERVICES {
        reporter.clear_service_status(service).await;
    }
    Ok(())
}

const fn status(syncing: bool) -> ServingStatus {
    if syncing { ServingStatus::NotServing } else { ServingStatus::Serving }
}

async fn set(reporter: &HealthReporter, status: ServingStatus) {
    for service in SERVICES {
        reporter.set_service_status(service, status).await;
    }
}
