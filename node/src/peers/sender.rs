//! Announces this node's news to one peer: tips at once, transactions in small batches.

use std::sync::Arc;

use farthing::wire::peer as wire;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    compact,
    convert::{Tip, wire_ids_to_wire},
    limits::{ANNOUNCE_BATCH, ANNOUNCE_INTERVAL, MAX_WIRE_IDS, PING_INTERVAL, POOL_PART},
    network::Inner,
    remote::PullError,
    session::Session,
};

/// What is to be done next.
enum News {
    Tip,
    Tie,
    Transactions,
    Ping,
}

/// Announces for as long as the session lasts.
pub(super) async fn run(inner: &Inner, session: &Session) {
    if let Err(error) = announce(inner, session).await {
        tracing::debug!(peer = %session.who.address, %error, "nothing can be announced any more");
    }
}

async fn announce(inner: &Inner, session: &Session) -> Result<(), PullError> {
    let (mut tips, mut ties) = (inner.tips.subscribe(), inner.ties.subscribe());
    // The hello told of the tip as it was then.
    tips.mark_changed();
    ties.mark_changed();
    let mut flush_at: Option<Instant> = None;
    let mut ping_at = Instant::now() + PING_INTERVAL;
    loop {
        match next(session, &mut tips, &mut ties, &mut flush_at, ping_at).await? {
            News::Tip => {
                let tip = Arc::clone(&tips.borrow_and_update());
                announce_tip(inner, session, &tip).await?;
            }
            News::Tie => {
                let tie = ties.borrow_and_update().clone();
                let work = inner.chain.view().tip.total_work();
                // Once decided it is no news.
                if let Some(tie) = tie.filter(|tie| tie.work == work) {
                    announce_tip(inner, session, &tie).await?;
                }
            }
            News::Transactions => {
                flush_at = None;
                if let Some(from) = session.take_pool() {
                    let (ids, rest) = inner.mempool.arrived(from, POOL_PART);
                    session.offer_pool(ids, rest);
                }
                let ids = session.take_outgoing(MAX_WIRE_IDS);
                if ids.is_empty() {
                    continue;
                }
                session.remote.announce(None, Some(wire_ids_to_wire(&ids))).await?;
            }
            News::Ping => {
                if let Some(caller) = session.remote.caller() {
                    caller.tell(wire::follow_response::Event::Ping(wire::Ping {})).await?;
                }
            }
        }
        ping_at = Instant::now() + PING_INTERVAL;
    }
}

async fn next(
    session: &Session,
    tips: &mut watch::Receiver<Arc<Tip>>,
    ties: &mut watch::Receiver<Option<Arc<Tip>>>,
    flush_at: &mut Option<Instant>,
    ping_at: Instant,
) -> Result<News, PullError> {
    let over = |_| PullError::Ended("the node is stopping".to_owned());
    loop {
        let flush = *flush_at;
        tokio::select! {
            biased;
            changed = tips.changed() => return changed.map(|()| News::Tip).map_err(over),
            changed = ties.changed() => return changed.map(|()| News::Tie).map_err(over),
            () = sleep_until(flush.unwrap_or(ping_at)), if flush.is_some() => return Ok(News::Transactions),
            () = session.outgoing_ready() => {
                if session.outgoing_len() >= ANNOUNCE_BATCH {
                    return Ok(News::Transactions);
                }
                flush_at.get_or_insert_with(|| Instant::now() + ANNOUNCE_INTERVAL);
            }
            () = sleep_until(ping_at) => return Ok(News::Ping),
        }
    }
}

/// Announces a tip, unless the peer announced it itself: nothing is echoed.
async fn announce_tip(inner: &Inner, session: &Session, tip: &Tip) -> Result<(), PullError> {
    if session.announced(tip.id) {
        return Ok(());
    }
    let compact = compact::push(inner, session, tip.id).await;
    session.remote.announce(Some(wire::Tip { compact, ..tip.to_wire() }), None).await
}
