//! Keeps a session with a node that the operator named, for ever.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use super::{backoff::Backoff, client::DialError, handshake::Refusal, network::Inner, run, session::lock};
use crate::config::HostPort;

/// How often a session that the other side began is looked after.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// A session that lasted this long makes the next attempt a first one.
const LASTING: Duration = Duration::from_secs(10);

/// Starts to keep a session with this node.
pub(super) fn start(inner: &Arc<Inner>, target: HostPort) {
    let keeper = Arc::clone(inner);
    inner.spawn(format!("peers: connect {target}"), async move { keep(&keeper, &target).await });
}

async fn keep(inner: &Arc<Inner>, target: &HostPort) {
    let mut backoff = Backoff::for_kept_peers();
    let mut last_error = String::new();
    loop {
        if is_connected(inner, target).await {
            backoff.reset();
            let _ = timeout(LOOK_AGAIN, inner.changed.notified()).await;
            continue;
        }
        let began = inner.elapsed();
        match run::outbound(inner, target.host(), target.port()).await {
            Ok(()) => last_error.clear(),
            Err(DialError::Refused(Refusal::Itself)) => {
                tracing::warn!(%target, "this is the node itself; not connecting");
                return;
            }
            // The other side began a session meanwhile; it will be seen above once it is followed.
            Err(DialError::Refused(Refusal::Duplicate)) => {}
            Err(error) => {
                // Once for each cause, not once for each attempt.
                let text = error.to_string();
                if text != last_error {
                    tracing::warn!(%target, error = %text, "cannot connect to a peer; trying again and again");
                    last_error = text;
                }
            }
        }
        if inner.elapsed().saturating_sub(began) >= LASTING {
            backoff.reset();
        }
        sleep(backoff.next(inner.env.random().fraction())).await;
    }
}

async fn is_connected(inner: &Inner, target: &HostPort) -> bool {
    let addresses = inner.env.net().resolve(target.host(), target.port()).await.unwrap_or_default();
    let state = lock(&inner.state);
    addresses.iter().any(|address: &SocketAddr| state.sessions.has(*address))
}
