//! The frames of one miner: a template at each new tip, for better fees, and after a while in any case.
//!
//! Each is made when the miner has taken the one before; nothing is queued for one that does not read.

use std::{sync::Arc, time::Duration};

use farthing::wire::v1;
use futures_util::{Stream, stream};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tonic::Status;

use super::templates::{KEPT_FOR, Makers, Templates};
use crate::{
    chain::ChainView,
    mempool::PoolStats,
    miner::{self, REFRESH_AFTER, RENEW_AFTER, Reward, Template},
    rpc::{ApiError, Deps, Reason},
};

/// A quiet stream shows that it lives this often; the API promises 15 s.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

use v1::get_block_template_response::Event;

/// What makes the frames of one miner.
pub(super) struct TemplateFrames {
    deps: Deps,
    templates: Arc<Templates>,
    makers: Makers,
    reward: Reward,
    leave_by: Option<Instant>,
    tips: watch::Receiver<Arc<ChainView>>,
    pool: watch::Receiver<PoolStats>,
    syncing: watch::Receiver<bool>,
    /// What the last template was made of, and when.
    last: Option<(PoolStats, Instant)>,
    phase: Phase,
}

enum Phase {
    Giving,
    /// The last frame said so; the status that ends the stream is next.
    Drained(ApiError),
    Ended,
}

impl TemplateFrames {
    /// # Errors
    /// `SYNCING`: a template on an old tip is worth nothing.
    pub(super) fn start(
        deps: Deps,
        (templates, makers): (Arc<Templates>, Makers),
        reward: Reward,
        leave_by: Option<Instant>,
    ) -> Result<Self, ApiError> {
        let syncing = deps.network.syncing();
        if *syncing.borrow() {
            let message = "the node is fetching blocks: what is mined on its tip would be worth nothing";
            return Err(ApiError::new(Reason::Syncing, message));
        }
        let (tips, pool) = (deps.chain.watch(), deps.mempool.watch());
        Ok(Self { deps, templates, makers, reward, leave_by, tips, pool, syncing, last: None, phase: Phase::Giving })
    }

    pub(super) fn into_stream(self) -> impl Stream<Item = Result<v1::GetBlockTemplateResponse, Status>> + Send {
        stream::unfold(self, |mut frames| async move { frames.next().await.map(|frame| (frame, frames)) })
    }

    async fn next(&mut self) -> Option<Result<v1::GetBlockTemplateResponse, Status>> {
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Giving => {}
            Phase::Drained(error) => return Some(Err(error.into())),
            Phase::Ended => return None,
        }
        let stop = self.deps.tasks.token().clone();
        let leave_by = self.leave_by;
        let leaving = async move {
            match leave_by {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            biased;
            () = stop.cancelled() => Err(ApiError::stopping()),
            () = leaving => Err(ApiError::connection_expired()),
            event = self.event() => event,
        };
        match event {
            Ok(event) => {
                self.phase = Phase::Giving;
                Some(Ok(frame(event)))
            }
            Err(why) => {
                self.phase = Phase::Drained(why);
                Some(Ok(frame(Event::Draining(v1::Draining {}))))
            }
        }
    }
}

impl TemplateFrames {
    /// Waits for a reason to say something. Cancel safe: what is made is kept only when it is told.
    async fn event(&mut self) -> Result<Event, ApiError> {
        self.deps.chain.begun().await;
        let heartbeat = Instant::now() + PROGRESS_EVERY;
        let Some((seen, made)) = self.last else { return self.template().await.map(Event::Template) };
        let pool = &mut self.pool;
        let better = async {
            sleep_until(made + REFRESH_AFTER).await;
            pool.wait_for(|now| now.net_fees > seen.net_fees).await.is_ok()
        };
        let lives = tokio::select! {
            biased;
            changed = self.tips.changed() => changed.is_ok(),
            lives = better => lives,
            () = sleep_until(made + RENEW_AFTER) => true,
            () = sleep_until(heartbeat) => return Ok(Event::Progress(v1::Progress {})),
        };
        // Far behind the others, the next template is for when it has caught up.
        let lives = lives
            && tokio::select! {
                biased;
                caught_up = self.syncing.wait_for(|syncing| !syncing) => caught_up.is_ok(),
                () = sleep_until(heartbeat) => return Ok(Event::Progress(v1::Progress {})),
            };
        if !lives {
            return Err(ApiError::stopping());
        }
        self.template().await.map(Event::Template)
    }

    async fn template(&mut self) -> Result<v1::BlockTemplate, ApiError> {
        let view = Arc::clone(&self.tips.borrow_and_update());
        let Deps { env, chain, mempool, .. } = &self.deps;
        let made = self.makers.one(async {
            miner::pool_follows(mempool, &view).await;
            let seen = *self.pool.borrow_and_update();
            let template = miner::prepare(env, chain.params(), mempool, &view, &self.reward, usize::MAX).await;
            template.map(|template| (seen, template))
        });
        let (seen, template) = made.await.map_err(|error| {
            tracing::error!(error = %crate::tasks::Chain(&error), "no template can be made");
            ApiError::new(Reason::Internal, "a fault of the node itself; its log says more")
        })?;
        self.last = Some((seen, Instant::now()));
        Ok(self.tell(&view, template))
    }

    fn tell(&self, view: &ChainView, template: Template) -> v1::BlockTemplate {
        let Deps { env, chain, .. } = &self.deps;
        let (id, template) = self.templates.keep(template, env.clock().elapsed());
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

fn frame(event: Event) -> v1::GetBlockTemplateResponse {
    v1::GetBlockTemplateResponse { event: Some(event) }
}
