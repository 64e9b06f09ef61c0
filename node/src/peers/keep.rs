//! Keeps a session with a node that the operator named, for ever.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    backoff::Backoff, client::DialError, handshake::Refusal, network::Inner, outbound::LONG_REST, run, session::lock,
};
use crate::config::HostPort;

/// How often a session that the other side began is looked after.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// A session that lasted this long makes the next attempt a first one.
const LASTING: Duration = Duration::from_secs(10);
/// How long a name may take to be resolved.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(5);

/// So much of an error is remembered.
const MAX_ERROR_CHARS: usize = 300;

/// Nodes that a session is kept with, by the address as it was given.
#[derive(Debug, Default)]
pub(super) struct KeptPeers(BTreeMap<String, Kept>);

#[derive(Debug)]
struct Kept {
    unwanted: CancellationToken,
    /// Why the last attempt led to no session.
    last_error: Option<String>,
}

impl KeptPeers {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn has(&self, target: &HostPort) -> bool {
        self.0.contains_key(&target.to_string())
    }

    /// Each with the reason for which there is no session, if there was an attempt.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(target, kept)| (target.as_str(), kept.last_error.as_deref()))
    }

    /// Keeps none with this node any longer, and ends the one that was begun for it; false if none was kept.
    pub(super) fn remove(&mut self, target: &HostPort) -> bool {
        self.0.remove(&target.to_string()).is_some_and(|kept| {
            kept.unwanted.cancel();
            true
        })
    }

    fn note(&mut self, target: &HostPort, error: Option<&str>) {
        if let Some(kept) = self.0.get_mut(&target.to_string()) {
            // Partly the other node's words.
            kept.last_error = error.map(|text| text.chars().take(MAX_ERROR_CHARS).collect());
        }
    }
}

/// Starts to keep a session with this node, unless one is kept already.
pub(super) fn start(inner: &Arc<Inner>, target: HostPort) {
    let unwanted = CancellationToken::new();
    {
        let mut kept = lock(&inner.kept);
        if kept.has(&target) {
            return;
        }
        kept.0.insert(target.to_string(), Kept { unwanted: unwanted.clone(), last_error: None });
    }
    let keeper = Arc::clone(inner);
    inner.spawn(format!("peers: connect {target}"), async move { keep(&keeper, &target, &unwanted).await });
}

async fn keep(inner: &Arc<Inner>, target: &HostPort, unwanted: &CancellationToken) {
    let mut backoff = Backoff::for_kept_peers();
    let mut last_error = String::new();
    let mut addresses = Addresses::default();
    while !unwanted.is_cancelled() {
        addresses.update(inner, target).await;
        if addresses.have_session(inner) {
            backoff.reset();
            last_error.clear();
            lock(&inner.kept).note(target, None);
            let changed = timeout(LOOK_AGAIN, inner.changed.notified());
            unwanted.run_until_cancelled(changed).await;
            continue;
        }
        let began = inner.elapsed();
        let begun = || lock(&inner.kept).note(target, None);
        let outcome = run::outbound_until(inner, target.host(), target.port(), unwanted, begun).await;
        let mut rest = None;
        match outcome {
            Ok(()) => last_error.clear(),
            // The other side began a session meanwhile.
            Err(DialError::Refused(Refusal::Duplicate)) if addresses.have_session(inner) => {}
            Err(error) => {
                if matches!(error, DialError::Refused(Refusal::Itself)) {
                    // So it will be for as long as the name leads here, or whoever is there repeats this node's id.
                    rest = Some(LONG_REST);
                }
                // Once for each cause, not once for each attempt.
                let text = error.to_string();
                if text != last_error {
                    tracing::warn!(%target, error = %text, "cannot connect to a peer; trying again and again");
                    lock(&inner.kept).note(target, Some(&text));
                    last_error = text;
                }
            }
        }
        if inner.elapsed().saturating_sub(began) >= LASTING {
            backoff.reset();
        }
        let pause = backoff.next(inner.env.random().fraction());
        unwanted.run_until_cancelled(sleep(rest.unwrap_or(pause))).await;
    }
}

/// Where a name leads, asked no more often than every [`LOOK_AGAIN`]: strangers decide how often there is a reason to.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    found: Vec<SocketAddr>,
    asked_at: Option<Duration>,
}

impl Addresses {
    pub(super) async fn update(&mut self, inner: &Inner, target: &HostPort) {
        let now = inner.elapsed();
        if self.asked_at.is_some_and(|asked_at| now.saturating_sub(asked_at) < LOOK_AGAIN) {
            return;
        }
        self.asked_at = Some(now);
        let found = timeout(RESOLVE_DEADLINE, inner.env.net().resolve(target.host(), target.port())).await;
        // Where there is no answer, the one before counts.
        if let Ok(Ok(found)) = found {
            self.found = found;
        }
    }

    pub(super) fn have_session(&self, inner: &Inner) -> bool {
        let now = inner.elapsed();
        let state = lock(&inner.state);
        self.found.iter().any(|address| state.sessions.has(*address, now))
    }
}
