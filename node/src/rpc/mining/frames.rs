//! The frames of one miner: a template at each new tip, for better fees, and after a while in any case.
//!
//! Each is asked for when the miner has taken the one before; nothing is queued for one that does not read.

use std::sync::Arc;

use bytes::Bytes;
use farthing::{
    BlockId,
    wire::{v1, v1::get_block_template_response::Event},
};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep_until},
};

use super::templates::{KEPT_FOR, Made, Makers, Network, Templates};
use crate::{
    chain::ChainView,
    mempool::PoolStats,
    miner::{self, REFRESH_AFTER, RENEW_AFTER, Reward, TemplateError},
    rpc::{
        ApiError, Deps, Reason,
        stream::{Next, Source, Told},
    },
};

/// What makes the frames of one miner.
pub(super) struct TemplateFrames {
    deps: Deps,
    templates: Arc<Templates>,
    makers: Makers,
    reward: Reward,
    /// Whose templates they are.
    network: Network,
    tips: watch::Receiver<Arc<ChainView>>,
    pool: watch::Receiver<PoolStats>,
    syncing: watch::Receiver<bool>,
    last: Option<Given>,
    /// The next template, while it is made.
    making: Option<oneshot::Receiver<Result<Made, TemplateError>>>,
}

/// What the last template was made of, and when.
#[derive(Debug, Clone, Copy)]
struct Given {
    tip: BlockId,
    seen: PoolStats,
    at: Instant,
}

impl TemplateFrames {
    /// # Errors
    /// `SYNCING`: a template on an old tip is worth nothing.
    pub(super) fn start(
        deps: Deps,
        (templates, makers): (Arc<Templates>, Makers),
        reward: Reward,
        network: Network,
    ) -> Result<Self, ApiError> {
        let syncing = deps.network.syncing();
        if *syncing.borrow() {
            let message = "the node is fetching blocks: what is mined on its tip would be worth nothing";
            return Err(ApiError::new(Reason::Syncing, message));
        }
        let (tips, pool) = (deps.chain.watch(), deps.mempool.watch());
        Ok(Self { deps, templates, makers, reward, network, tips, pool, syncing, last: None, making: None })
    }

    /// Waits until another template is due; false if there will be none any more. Cancel safe.
    async fn due(&mut self) -> bool {
        self.deps.chain.begun().await;
        let Some(Given { tip, seen, at }) = self.last else { return true };
        let pool = &mut self.pool;
        let better = async {
            sleep_until(at + REFRESH_AFTER).await;
            pool.wait_for(|now| now.net_fees > seen.net_fees).await.is_ok()
        };
        let lives = tokio::select! {
            biased;
            changed = self.tips.wait_for(|view| view.tip.id() != tip) => changed.is_ok(),
            lives = better => lives,
            () = sleep_until(at + RENEW_AFTER) => true,
        };
        // Far behind the others, the next template is for when it has caught up.
        lives && self.syncing.wait_for(|syncing| !syncing).await.is_ok()
    }

    fn tell(&mut self, made: Made) -> v1::BlockTemplate {
        let Made { view, seen, template } = made;
        self.last = Some(Given { tip: view.tip.id(), seen, at: Instant::now() });
        let Deps { env, chain, .. } = &self.deps;
        let (id, template) = self.templates.keep(self.network, template, env.clock().elapsed());
        let (block, height) = (&template.block, view.tip.height().next());
        let fees = block.coinbase.amount.checked_sub(chain.params().subsidy(height)).unwrap_or_default();
        let hesitate = miner::hesitation(chain.params(), &**env.random()).unwrap_or_default();
        let kept_ms = u64::try_from(KEPT_FOR.as_millis()).unwrap_or(u64::MAX);
        v1::BlockTemplate {
            template_id: id.to_bytes().to_vec().into(),
            height: height.get(),
            previous_block_id: block.header.previous.to_bytes().to_vec().into(),
            previous_block_id_hex: block.header.previous.to_string(),
            header_bytes: block.header.to_bytes().to_vec().into(),
            target: template.target.value().to_be_bytes::<32>().to_vec().into(),
            bits: block.header.bits.to_compact(),
            min_time_ms: view.tip.time().saturating_add(1).get(),
            fees_mites: fees.get(),
            reward_mites: template.reward().get(),
            transaction_count: u32::try_from(block.transactions.len()).unwrap_or(u32::MAX),
            expires_ms: env.clock().now().saturating_add(kept_ms).get(),
            hesitate_ms: u64::try_from(hesitate.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Source for TemplateFrames {
    type Event = Made;
    type Frame = v1::GetBlockTemplateResponse;

    async fn next(&mut self) -> Result<Next<Made>, ApiError> {
        loop {
            if let Some(making) = &mut self.making {
                let made = making.await;
                self.making = None;
                let Ok(made) = made else { return Next::of_lost_task(self.deps.tasks.token()) };
                return made.map(Next::Tell).map_err(|error| {
                    tracing::error!(error = %crate::tasks::Chain(&error), "no template can be made");
                    ApiError::new(Reason::Internal, "a fault of the node itself; its log says more")
                });
            }
            if !self.due().await {
                return Ok(Next::Stopping);
            }
            self.making = Some(self.makers.start(&self.deps, &self.reward, self.network));
        }
    }

    async fn frame(&mut self, told: Told<Made>) -> Result<v1::GetBlockTemplateResponse, ApiError> {
        let event = match told {
            Told::Event(made) => Event::Template(self.tell(made)),
            Told::Progress => Event::Progress(v1::Progress {}),
            Told::Draining => Event::Draining(v1::Draining {}),
        };
        Ok(v1::GetBlockTemplateResponse { event: Some(event) })
    }

    /// None: whoever comes again gets the newest template.
    fn cursor(&self) -> Bytes {
        Bytes::new()
    }
}
