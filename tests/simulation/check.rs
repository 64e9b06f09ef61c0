//! What must be so when the trouble is over.

use farthing::{Height, Params, TimeMs, TxId};
use farthing_consensus::{HeaderContext, check_block, check_header, check_signature};
use farthing_node::{
    chain::{Chain, ChainError, ChainView},
    mempool::PoolStatus,
};
use futures_util::FutureExt as _;

use crate::{
    hosts::{Handles, Hosts},
    wallet::Acknowledged,
};

/// A time behind every block's: here only rules are checked that do not depend on the clock.
const LONG_AFTER: TimeMs = TimeMs::new(2_000_000_000_000);

/// How far a block may be ahead of a node's clock.
const MOST_AHEAD_MS: u32 = 60_000;

/// A network is quick below this time between two blocks of one miner.
const QUICK_MS: u64 = 1_000;
/// On a quick network, blocks below a tip that may still be undone.
const UNSETTLED: u64 = 10;

/// Whether blocks come faster than they travel.
pub(crate) fn is_quick(params: &Params) -> bool {
    params.target_spacing_ms < QUICK_MS
}

/// Whether all nodes are of one mind, and every transfer was taken by somebody and is accounted for everywhere.
pub(crate) fn settled(hosts: &Hosts, least_height: u64) -> Result<(), String> {
    let mut nodes = Vec::new();
    for at in 0..hosts.len() {
        nodes.push(hosts.handles(at).ok_or_else(|| format!("node {at} is not running"))?);
    }
    let tips: Vec<_> = nodes.iter().map(|node| node.chain.view().tip).collect();
    let ahead = nodes_ahead(hosts, &tips)?;
    let in_time: Vec<usize> = (0..tips.len()).filter(|at| !ahead.contains(at)).collect();
    let common = tips[in_time[0]];
    hosts.trace.borrow_mut().most("nodes left on a branch of the future", ahead.len() as u64);
    if is_quick(&hosts.params) {
        follow_one_chain(&nodes, &in_time)?;
    } else if in_time.iter().any(|at| tips[*at].id() != common.id()) {
        let shown = |at: usize, tip: &HeaderContext| {
            let behind = tip.time().get().saturating_sub(nodes_time(hosts, at).get());
            let peers = nodes[at].network.peers().len();
            format!("\n    node {at}: {} {}, {behind} ms from the future, {peers} peers", tip.height(), tip.id())
        };
        return Err(format!(
            "tips differ:{}",
            tips.iter().enumerate().map(|(at, tip)| shown(at, tip)).collect::<String>()
        ));
    }
    if common.height().get() < least_height {
        return Err(format!("all are at height {}", common.height()));
    }
    let ledger = hosts.ledger.borrow();
    if ledger.open > 0 {
        return Err(format!("{} transfers were not taken by any node", ledger.open));
    }
    for taken in ledger.acknowledged.iter().filter(|taken| !taken.has_lost) {
        if taken.is_contested || ahead.contains(&taken.by) {
            // It may have lost, or wait for one that others have mined, and need not be known to others.
            match accounted_for(&nodes[taken.by], &taken.id) {
                Err(Unaccounted::Waits) if ahead.contains(&taken.by) => {}
                Err(why) => return Err(format!("{taken}: it {why}")),
                Ok(_) => {}
            }
            continue;
        }
        // What is mined by others need not be known to who is ahead.
        for at in &in_time {
            match accounted_for(&nodes[*at], &taken.id) {
                Ok(true) => {}
                Ok(false) => return Err(format!("{taken} is not mined on the chain of node {at}")),
                Err(why) => return Err(format!("{taken}: node {at} {why}")),
            }
        }
    }
    Ok(())
}

/// The nodes that may stay on a branch of their own: they made it, or took it, when their clock was hours fast, nobody else
/// may take it yet, and they will not give it up for less work.
fn nodes_ahead(hosts: &Hosts, tips: &[HeaderContext]) -> Result<Vec<usize>, String> {
    let is_ahead = |at: &usize| tips[*at].time() > nodes_time(hosts, *at).saturating_add(MOST_AHEAD_MS.into());
    let (ahead, in_time): (Vec<usize>, Vec<usize>) = (0..tips.len()).partition(is_ahead);
    let others =
        in_time.iter().map(|at| tips[*at].total_work()).max().ok_or("every node is on a branch of the future")?;
    for at in &ahead {
        if hosts.host(*at).clock.fastest_ms() <= MOST_AHEAD_MS.into() {
            return Err(format!("node {at} took a branch of the future, and its clock never was there"));
        }
        if tips[*at].total_work() < others {
            return Err(format!("node {at} stays on a branch of the future that has less work than the others'"));
        }
    }
    Ok(ahead)
}

/// Where blocks come faster than they travel no two nodes need ever be at the same tip: they are on one chain if all
/// have the same block a little way below the lowest tip, and no tip is much higher.
fn follow_one_chain(nodes: &[Handles], in_time: &[usize]) -> Result<(), String> {
    let heights = in_time.iter().map(|at| nodes[*at].chain.view().tip.height().get());
    let (lowest, highest) = (heights.clone().min().unwrap_or_default(), heights.max().unwrap_or_default());
    if highest - lowest > UNSETTLED {
        return Err(format!("tips are between {lowest} and {highest}"));
    }
    let settled = Height::new(lowest.saturating_sub(UNSETTLED));
    let blocks = in_time.iter().map(|at| now(nodes[*at].chain.best_at(settled)).map_err(|error| error.to_string()));
    let blocks = blocks.collect::<Result<Vec<_>, _>>()?;
    if blocks.iter().any(|block| *block != blocks[0]) {
        return Err(format!("tips are between {lowest} and {highest}, and blocks differ at {settled}: {blocks:?}"));
    }
    Ok(())
}

fn nodes_time(hosts: &Hosts, at: usize) -> TimeMs {
    farthing_node::env::Clock::now(&hosts.host(at).clock)
}

/// Why a node cannot say what became of a transfer.
#[derive(Debug, thiserror::Error)]
enum Unaccounted {
    #[error("keeps it waiting for an earlier one")]
    Waits,
    #[error("does not know it")]
    Unknown,
    #[error("cannot tell: {0}")]
    Fails(#[from] ChainError),
}

/// Mined, which is true, or pending, or gone for a reason that is remembered.
fn accounted_for(node: &Handles, id: &TxId) -> Result<bool, Unaccounted> {
    if now(node.chain.locate(*id))?.is_some() {
        return Ok(true);
    }
    match node.mempool.status(id) {
        Some(PoolStatus::Pending | PoolStatus::Dropped { .. }) => Ok(false),
        Some(PoolStatus::Queued) => Err(Unaccounted::Waits),
        None => Err(Unaccounted::Unknown),
    }
}

/// The ledger computed anew from the blocks of the common tip, and bounds of what every node holds.
pub(crate) fn at_the_end(hosts: &Hosts, liars: usize) -> Result<(), String> {
    let nodes: Vec<_> = (0..hosts.len()).filter_map(|at| hosts.handles(at)).collect();
    let tips: Vec<_> = nodes.iter().map(|node| node.chain.view().tip).collect();
    let ahead = nodes_ahead(hosts, &tips)?;
    let first = (0..nodes.len()).find(|at| !ahead.contains(at)).map(|at| &nodes[at]).ok_or("no node is in time")?;
    let (held, made) = (first.chain.view(), rebuild(&first.chain)?);
    if held.accounts.root() != made.accounts.root() || held.range != made.range || held.supply != made.supply {
        return Err(format!("the ledger at {} is not what its blocks give", held.tip.id()));
    }
    let mut mined = 0;
    for Acknowledged { id, .. } in &hosts.ledger.borrow().acknowledged {
        mined += u64::from(now(first.chain.locate(*id)).map_err(|error| error.to_string())?.is_some());
    }
    let mut trace = hosts.trace.borrow_mut();
    trace.add("transfers mined in the end", mined);
    trace.add("blocks of the final chain", held.tip.height().get());
    drop(trace);
    for (at, node) in nodes.iter().enumerate() {
        let peers = node.network.peers().len();
        // Whoever lost power has left a session behind that has not yet been missed.
        if peers > 2 * (hosts.len() - 1 + liars) {
            return Err(format!("node {at} has {peers} sessions with {} others", hosts.len() - 1));
        }
    }
    Ok(())
}

/// Computes the ledger from the blocks of a node's best chain, every rule and signature checked.
fn rebuild(chain: &Chain) -> Result<ChainView, String> {
    let params = chain.params();
    let tip = chain.view().tip.height();
    let mut view = ChainView::genesis(params);
    for height in 1..=tip.get() {
        let shown = |error: &dyn std::fmt::Display| format!("block {height}: {error}");
        let id =
            now(chain.best_at(Height::new(height))).map_err(|error| shown(&error))?.ok_or("a height is missing")?;
        let block = now(chain.block(id)).map_err(|error| shown(&error))?.ok_or("a block is missing")?;
        let context = check_header(params, &view.tip, &block.header, LONG_AFTER).map_err(|error| shown(&error))?;
        let checked = check_block(params, &block).map_err(|error| shown(&error))?;
        for signed in &block.transactions {
            let key = now(chain.verifying_key(signed.transaction().sender_address())).map_err(|error| shown(&error))?;
            check_signature(params, signed, &key.ok_or("a key is missing")?).map_err(|error| shown(&error))?;
        }
        view = view.apply(params, &checked, &context).map_err(|error| shown(&error))?.view;
    }
    Ok(view)
}

/// The answer of something that, in a simulation, never waits.
fn now<T>(asked: impl Future<Output = T>) -> T {
    asked.now_or_never().expect("where all work is done in place, reading does not wait")
}
