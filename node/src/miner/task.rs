//! The miner's task: one attempt after the other, each given up at a new tip or for a better template.

use std::{convert::Infallible, io, num::NonZeroUsize, sync::Arc, time::Duration};

use farthing::{Block, BlockId, Params};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Policy, Reward, TemplateError,
    policy::{Ready, hesitation},
    template::{self, Template},
    threads::Searchers,
};
use crate::{
    chain::{BlockRejection, Chain, ChainView, Origin},
    env::Env,
    mempool::{Mempool, PoolStats},
    tasks::Tasks,
};

/// Requests to mine that may wait.
const REQUESTS: usize = 16;
/// How old a template gets before more fees in the pool are worth a new one.
pub(crate) const REFRESH_AFTER: Duration = Duration::from_secs(2);
/// How old it gets at all: its time should stay about right.
pub(crate) const RENEW_AFTER: Duration = Duration::from_secs(30);
/// How long the pool may take to follow a new tip before mining goes on without it.
const POOL_FOLLOWS_WITHIN: Duration = Duration::from_secs(1);
/// Pause after a block was refused, so that a fault does not spin.
const PAUSE: Duration = Duration::from_secs(1);

/// Why no block was mined on request.
#[derive(Debug, thiserror::Error)]
pub enum MineError {
    /// No template can be made.
    #[error("no block can be made")]
    Template(#[from] TemplateError),
    /// The chain refused the block.
    #[error("the chain refused the block")]
    Refused(#[from] BlockRejection),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

/// Access to the miner. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Miner {
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
struct Request {
    count: usize,
    reward: Reward,
    answer: oneshot::Sender<Result<Vec<BlockId>, MineError>>,
}

impl Miner {
    /// Mines so many blocks at once, without hesitation and whether transfers wait or not. For tests and operators of
    /// private networks. Dropping the future ends the mining behind the block at hand.
    ///
    /// # Errors
    /// The first that fails; those before it are on the chain.
    pub async fn mine_blocks(&self, count: usize, reward: Reward) -> Result<Vec<BlockId>, MineError> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request { count, reward, answer }).await.map_err(|_| MineError::Stopping)?;
        answered.await.map_err(|_| MineError::Stopping)?
    }
}

/// Starts the miner: by a policy, and on request. Without a policy only on request.
///
/// # Errors
/// When the system refuses a thread.
pub fn start(
    tasks: &Tasks,
    env: Env,
    chain: Chain,
    mempool: Mempool,
    policy: Option<Policy>,
    threads: NonZeroUsize,
) -> io::Result<Miner> {
    let (requests, inbox) = mpsc::channel(REQUESTS);
    let searchers = Searchers::start(tasks, env.clone(), threads)?;
    if let Some(policy) = &policy {
        let to = chain.params().prefix.format(&policy.reward.to);
        tracing::info!(%to, threads = searchers.threads(), when = policy.when, "mining");
    }
    let task = Task { env, chain, mempool, policy, searchers };
    tasks.spawn("miner", task.run(inbox, tasks.token().clone()));
    Ok(Miner { requests })
}

struct Task {
    env: Env,
    chain: Chain,
    mempool: Mempool,
    policy: Option<Policy>,
    searchers: Searchers,
}

impl Task {
    async fn run(self, mut inbox: mpsc::Receiver<Request>, token: CancellationToken) -> Result<(), Infallible> {
        loop {
            tokio::select! {
                biased;
                () = token.cancelled() => return Ok(()),
                Some(Request { count, reward, mut answer }) = inbox.recv() => {
                    let work = self.serve(count, &reward);
                    let outcome = tokio::select! {
                        biased;
                        () = token.cancelled() => return Ok(()),
                        // Whoever stopped waiting does not want the blocks that are left.
                        () = answer.closed() => continue,
                        outcome = work => outcome,
                    };
                    let _ = answer.send(outcome);
                }
                outcome = self.by_policy() => match outcome {
                    Ok(()) => {}
                    Err(MineError::Stopping) => return Ok(()),
                    Err(error) => {
                        tracing::error!(error = %crate::tasks::Chain(&error), "mining failed; trying again in a second");
                        sleep(PAUSE).await;
                    }
                },
            }
        }
    }

    async fn serve(&self, count: usize, reward: &Reward) -> Result<Vec<BlockId>, MineError> {
        self.chain.begun().await;
        let mut mined = Vec::new();
        while mined.len() < count {
            let mut tips = self.chain.watch();
            let view = Arc::clone(&tips.borrow_and_update());
            pool_follows(&self.mempool, &view).await;
            let template = self.template(&view, reward, usize::MAX).await?;
            tokio::select! {
                biased;
                // Somebody else's block: begin again on top of it.
                changed = tips.changed() => changed.map_err(|_| MineError::Stopping)?,
                block = self.solve(template) => {
                    let id = block.id();
                    self.submit(block).await?;
                    mined.push(id);
                }
            }
        }
        Ok(mined)
    }

    /// One attempt as the policy wants it: until a block is mined, or the tip changes.
    async fn by_policy(&self) -> Result<(), MineError> {
        let Some(policy) = &self.policy else { return std::future::pending().await };
        self.chain.begun().await;
        let mut tips = self.chain.watch();
        let view = Arc::clone(&tips.borrow_and_update());
        let block = tokio::select! {
            biased;
            changed = tips.changed() => return changed.map_err(|_| MineError::Stopping),
            block = self.attempt(policy, &view) => block?,
        };
        self.submit(block).await
    }

    /// Waits until there is reason to mine on this view, then searches, with better templates now and then.
    async fn attempt(&self, policy: &Policy, view: &Arc<ChainView>) -> Result<Block, MineError> {
        let mut stats = self.mempool.watch();
        pool_follows(&self.mempool, view).await;
        loop {
            self.is_ready(policy, &mut stats).await?;
            if let Some(wait) = hesitation(self.chain.params(), &**self.env.random()) {
                sleep(wait).await;
            }
            let seen = *stats.borrow_and_update();
            let template = self.template(view, &policy.reward, policy.count()).await?;
            if policy.when > 0 && template.block.transactions.is_empty() {
                // What waited has gone; wait for others.
                stats.changed().await.map_err(|_| MineError::Stopping)?;
                continue;
            }
            tokio::select! {
                biased;
                block = self.solve(template) => return Ok(block),
                () = outdated(&mut stats, seen) => {}
            }
        }
    }

    /// Waits until the policy wants a block.
    async fn is_ready(&self, policy: &Policy, stats: &mut watch::Receiver<PoolStats>) -> Result<(), MineError> {
        loop {
            let now = self.env.clock().now();
            let ready = policy.ready(&stats.borrow_and_update(), now);
            let changed = stats.changed();
            match ready {
                Ready::Now => return Ok(()),
                Ready::OnChange => changed.await.map_err(|_| MineError::Stopping)?,
                Ready::After(left) => {
                    // When the time is over or the pool has changed, look again.
                    if let Ok(Err(_)) = timeout(left, changed).await {
                        return Err(MineError::Stopping);
                    }
                }
            }
        }
    }

    async fn template(&self, view: &Arc<ChainView>, reward: &Reward, count: usize) -> Result<Template, MineError> {
        Ok(prepare(&self.env, self.chain.params(), &self.mempool, view, reward, count).await?)
    }

    async fn solve(&self, template: Template) -> Block {
        let Template { mut block, target } = template;
        block.header = self.searchers.search(block.header, target).await;
        block
    }

    async fn submit(&self, block: Block) -> Result<(), MineError> {
        let (id, height, transfers) = (block.id(), block.coinbase.height, block.transactions.len());
        self.chain.submit_block(block, Origin::Mined).await.map_err(|rejection| match rejection {
            BlockRejection::Chain(crate::chain::ChainError::Stopping) => MineError::Stopping,
            other => MineError::Refused(other),
        })?;
        tracing::info!(%height, %id, transfers, "mined a block");
        Ok(())
    }
}

/// Lets the pool take note of the tip first, so that a template holds what it should.
pub(crate) async fn pool_follows(mempool: &Mempool, view: &ChainView) {
    let mut stats = mempool.watch();
    let height = view.tip.height();
    let follows = stats.wait_for(|stats| stats.height >= height);
    if timeout(POOL_FOLLOWS_WITHIN, follows).await.is_err() {
        tracing::warn!(%height, "the mempool is behind the chain; mining without what it knows");
    }
}

/// Makes a template on a view of what the pool would put into it, off the async threads.
pub(crate) async fn prepare(
    env: &Env,
    params: &Arc<Params>,
    mempool: &Mempool,
    view: &Arc<ChainView>,
    reward: &Reward,
    count: usize,
) -> Result<Template, TemplateError> {
    let params = Arc::clone(params);
    let (view, mempool, reward) = (Arc::clone(view), mempool.clone(), reward.clone());
    let now = env.clock().now();
    let make = move || {
        let chosen = mempool.select(&template::limits(&params, &view, &reward, count));
        template::build(&params, &view, &chosen, &reward, now)
    };
    env.compute().run(make).await
}

/// Waits until a template made when the pool was as `seen` is no longer good enough.
async fn outdated(stats: &mut watch::Receiver<PoolStats>, seen: PoolStats) {
    sleep(REFRESH_AFTER).await;
    let better = stats.wait_for(|now| now.net_fees > seen.net_fees);
    // Renewed in any case after a while; also if nobody publishes any more, which ends the task elsewhere.
    let _ = timeout(RENEW_AFTER.saturating_sub(REFRESH_AFTER), better).await;
}
