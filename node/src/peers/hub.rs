//! Takes the news of this node, a new tip or new transactions, to all sessions.

use std::sync::Arc;

use farthing::{BlockId, Header};
use farthing_consensus::HeaderContext;
use tokio::sync::broadcast::error::RecvError;

use super::{
    convert::Tip,
    limits::MAX_TIP_HEADERS,
    network::Inner,
    session::{Session, lock},
};
use crate::{
    chain::{ChainError, ChainView},
    mempool::Source,
};

/// Starts to listen to the chain and the mempool.
pub(super) fn start(inner: &Arc<Inner>) {
    let chain = Arc::clone(inner);
    inner.spawn("peers: tips", async move { follow_chain(&chain).await });
    let pool = Arc::clone(inner);
    inner.spawn("peers: transactions", async move { follow_mempool(&pool).await });
}

/// A tip without its headers.
pub(super) fn tip_of(view: &ChainView) -> Tip {
    bare_tip(&view.tip)
}

fn bare_tip(context: &HeaderContext) -> Tip {
    Tip { height: context.height(), work: context.total_work(), id: context.id(), headers: vec![*context.header()] }
}

/// The newest headers of a branch, the lowest first; genesis, which everybody has, is left out.
async fn newest_headers(inner: &Inner, last: &HeaderContext) -> Result<Vec<Header>, ChainError> {
    let mut headers = vec![*last.header()];
    let mut height = last.height().get();
    while headers.len() < MAX_TIP_HEADERS && height > 1 {
        let Some(parent) = inner.chain.header(headers[headers.len() - 1].previous).await? else { break };
        headers.push(*parent.header());
        height -= 1;
    }
    headers.reverse();
    Ok(headers)
}

async fn announced_tip(inner: &Inner, context: &HeaderContext) -> Tip {
    match newest_headers(inner, context).await {
        Ok(headers) => Tip { headers, ..bare_tip(context) },
        // The last header alone does; whoever lacks its parent asks for more.
        Err(_) => bare_tip(context),
    }
}

async fn follow_chain(inner: &Inner) {
    let mut views = inner.chain.watch();
    loop {
        let tip = views.borrow_and_update().tip;
        inner.tips.send_replace(Arc::new(announced_tip(inner, &tip).await));
        inner.note_progress();
        if views.changed().await.is_err() {
            return;
        }
    }
}

/// A block of a branch with as much work as the best one came: others must hear of it, so that all can agree on one.
pub(super) async fn announce_tie(inner: &Inner, id: BlockId) {
    let Ok(Some(context)) = inner.chain.header(id).await else { return };
    if context.total_work() == inner.chain.view().tip.total_work() {
        inner.ties.send_replace(Some(Arc::new(announced_tip(inner, &context).await)));
    }
}

async fn follow_mempool(inner: &Inner) {
    let mut announcements = inner.mempool.subscribe();
    loop {
        match announcements.recv().await {
            Ok(announcement) => {
                for session in sessions(inner) {
                    let from_elsewhere =
                        announcement.transactions.iter().filter(|(_, source)| *source != Source::Peer(session.id));
                    session.offer(from_elsewhere.map(|(id, _)| *id));
                }
            }
            Err(RecvError::Lagged(_)) => {
                for session in sessions(inner) {
                    session.offer_whole_pool();
                }
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn sessions(inner: &Inner) -> Vec<Arc<Session>> {
    lock(&inner.state).sessions.all().cloned().collect()
}
