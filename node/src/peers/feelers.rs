//! Feelers: short connections, now and then, to addresses that this node knows by hearsay only, or whose place in the
//! book another address claims. They keep the book's tried addresses many and alive, so that a restart finds good ones.

use std::{net::SocketAddr, sync::Arc};

use tokio::time::sleep;

use super::{client::DialError, handshake::Refusal, network::Inner, outbound::LONG_REST, run, session::lock};

/// Starts to probe addresses, one at a time.
pub(super) fn start(inner: &Arc<Inner>) {
    let feeler = Arc::clone(inner);
    inner.spawn("peers: feelers", async move {
        loop {
            // Spread, so that nobody can tell when the next one comes.
            let pause = feeler.config.feeler_interval.mul_f64(0.5 + feeler.env.random().fraction());
            sleep(pause).await;
            if let Some(address) = choose(&feeler) {
                feel(&feeler, address).await;
            }
        }
    });
}

/// An address to probe, marked as such.
fn choose(inner: &Inner) -> Option<SocketAddr> {
    let (now, wall) = (inner.elapsed(), inner.env.clock().now());
    let mut state = lock(&inner.state);
    let state = &mut *state;
    // Whom there is a session with need not be asked.
    let contested = state.book.contested().filter(|address| state.sessions.has(*address, now));
    let contested: Vec<SocketAddr> = contested.collect();
    for address in contested {
        state.book.connected(address, wall);
    }
    let allowed = |address: &SocketAddr| state.is_free(*address, now, wall);
    let address = state.book.pick_to_probe(&**inner.env.random(), now, allowed)?;
    state.probing = Some(address);
    Some(address)
}

async fn feel(inner: &Arc<Inner>, address: SocketAddr) {
    let outcome = run::probe(inner, address).await;
    let (now, wall, jitter) = (inner.elapsed(), inner.env.clock().now(), inner.env.random().fraction());
    let mut state = lock(&inner.state);
    state.probing = None;
    match &outcome {
        Ok(()) => state.book.connected(address, wall),
        Err(DialError::Refused(refusal)) if refusal.is_lasting() => state.rest(address, now, LONG_REST),
        // It is there, but whether it is a node of this network was not said.
        Err(DialError::Refused(Refusal::Banned(_) | Refusal::Full(_) | Refusal::FullForNetwork(_))) => {
            state.rest(address, now, LONG_REST);
        }
        Err(_) => state.book.failed(address, now, jitter),
    }
    drop(state);
    match outcome {
        Ok(()) => tracing::debug!(peer = %address, "an address was probed and answers"),
        Err(error) => tracing::debug!(peer = %address, %error, "an address was probed in vain"),
    }
    inner.changed.notify_waiters();
}
