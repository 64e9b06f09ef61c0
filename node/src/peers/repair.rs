//! Fetching good copies of blocks whose records on this node's disk are damaged, by id, from whoever has them.

use std::{sync::Arc, time::Duration};

use farthing::BlockId;
use tokio::time::{sleep, timeout};

use super::{
    blame::Misdeed,
    network::Inner,
    remote::PullError,
    session::{Session, lock},
};
use crate::chain::{BlockRejection, ChainError, Origin};

/// How often the chain is asked for damaged blocks. New sessions are asked at once.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Starts to look after damaged blocks.
pub(super) fn start(inner: &Arc<Inner>) {
    let repairer = Arc::clone(inner);
    inner.spawn("peers: repair", async move { run(&repairer).await });
}

async fn run(inner: &Inner) {
    loop {
        let changed = inner.changed.notified();
        // A block that is healed may bring to light that one above it is damaged too.
        while heal(inner).await {}
        let _ = timeout(LOOK_EVERY, changed).await;
    }
}

/// Tries every damaged block once. True if one at least was healed.
async fn heal(inner: &Inner) -> bool {
    // A store that fails stops the node by itself.
    let damaged = inner.chain.damaged().await.unwrap_or_default();
    let mut any = false;
    for id in damaged {
        let sessions: Vec<_> = lock(&inner.state).sessions.all().cloned().collect();
        for session in sessions {
            match fetch(inner, &session, id).await {
                Ok(true) => {
                    any = true;
                    break;
                }
                Ok(false) => {}
                Err(PullError::Misdeed(misdeed)) => inner.blame(&session, &misdeed),
                Err(error) => tracing::debug!(peer = %session.who.address, %id, %error, "no copy of a damaged block"),
            }
        }
    }
    any
}

/// Asks one peer for one block. False if it does not have it.
async fn fetch(inner: &Inner, session: &Session, id: BlockId) -> Result<bool, PullError> {
    let mut blocks = inner.patience.bodies(session.remote.blocks(&[id])).await?;
    let next = inner.patience.body(blocks.next(inner.max_block_bytes(), inner.env.compute())).await?;
    let Some(block) = next else { return Ok(false) };
    match inner.chain.submit_block(block, Origin::Peer(session.id)).await {
        Ok(_) => Ok(true),
        // Its branch is not wanted any longer, damaged or not.
        Err(BlockRejection::BelowFinal { .. }) => Ok(true),
        Err(BlockRejection::Chain(error)) => {
            if !matches!(error, ChainError::Stopping) {
                tracing::warn!(%id, %error, "a good copy of a damaged block was not taken");
                sleep(LOOK_EVERY).await;
            }
            Ok(false)
        }
        Err(error) => Err(Misdeed::InvalidBlock(error.to_string()).into()),
    }
}
