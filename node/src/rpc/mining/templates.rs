//! The templates that were given away, and how many may be made at a time.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use farthing::{BlockId, SignedTransaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{
    chain::ChainView,
    mempool::PoolStats,
    miner::{self, Reward, Template, TemplateError},
    rpc::Deps,
};

/// Where a miner calls from: its network; none for the own machine.
pub(super) type Network = Option<[u8; 8]>;

/// How long a template can be submitted by its id.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(120);
/// Most templates that are kept.
const MAX_KEPT: usize = 256;
/// Most canonical bytes of their transactions.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Most templates that are made at a time, whoever asks: each walks the pool and executes a block.
const AT_A_TIME: usize = 2;

/// Templates by id, which is the block's id with nonce 0: the oldest first.
#[derive(Debug, Default)]
pub(super) struct Templates(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    all: VecDeque<One>,
    bytes: usize,
}

#[derive(Debug)]
struct One {
    network: Network,
    id: BlockId,
    template: Arc<Template>,
    bytes: usize,
    until: Duration,
}

impl Kept {
    /// Drops the oldest template of the network that takes most of what is short. So whoever asks for many pushes out its
    /// own, and not those of a miner that asks for few.
    fn make_room(&mut self) {
        let mut shares: HashMap<Network, usize> = HashMap::new();
        for one in &self.all {
            *shares.entry(one.network).or_default() += if self.bytes > MAX_BYTES { one.bytes } else { 1 };
        }
        let Some(most) = shares.values().max() else { return };
        // The oldest, where several take as much.
        let oldest = self.all.iter().position(|one| shares.get(&one.network) == Some(most));
        if let Some(oldest) = oldest.and_then(|at| self.all.remove(at)) {
            self.bytes -= oldest.bytes;
        }
    }
}

impl Templates {
    /// Keeps a template for a while, by the steady clock. Room for it is made by the network that takes most.
    pub(super) fn keep(&self, network: Network, template: Template, now: Duration) -> (BlockId, Arc<Template>) {
        let (id, template) = (template.block.header.id(), Arc::new(template));
        let bytes = template.block.transactions.iter().map(SignedTransaction::size_bytes).sum();
        let mut kept = self.lock();
        while kept.all.front().is_some_and(|oldest| oldest.until <= now)
            && let Some(oldest) = kept.all.pop_front()
        {
            kept.bytes -= oldest.bytes;
        }
        kept.bytes += bytes;
        kept.all.push_back(One { network, id, template: Arc::clone(&template), bytes, until: now + KEPT_FOR });
        while kept.all.len() > 1 && (kept.all.len() > MAX_KEPT || kept.bytes > MAX_BYTES) {
            kept.make_room();
        }
        (id, template)
    }

    /// A template that is still kept.
    pub(super) fn get(&self, id: &BlockId, now: Duration) -> Option<Arc<Template>> {
        let kept = self.lock();
        let found = kept.all.iter().rev().find(|one| one.id == *id && one.until > now);
        found.map(|one| Arc::clone(&one.template))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Places for those who make templates.
#[derive(Debug, Clone)]
pub(super) struct Makers {
    places: Arc<Semaphore>,
    /// Of each network that has templates made, its turn: it waits for one place at a time, or whoever asks for many
    /// would make the others wait for all of them.
    turns: Arc<Mutex<HashMap<[u8; 8], Weak<Semaphore>>>>,
}

impl Default for Makers {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_A_TIME)), turns: Arc::default() }
    }
}

/// A template, and what it was made of.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) view: Arc<ChainView>,
    pub(super) seen: PoolStats,
    pub(super) template: Template,
}

impl Makers {
    /// Makes a template on the tip that there is once there is a place. A task waits for that and has it to the end of the
    /// work: the body of an answer is not polled while its client has no room, and may be dropped at any time.
    pub(super) fn start(
        &self,
        deps: &Deps,
        reward: &Reward,
        network: Network,
    ) -> oneshot::Receiver<Result<Made, TemplateError>> {
        let (mut answer, made) = oneshot::channel();
        let (makers, deps, reward) = (self.clone(), deps.clone(), reward.clone());
        let tasks = deps.tasks.clone();
        tasks.spawn_for_caller("block template", async move {
            let place = tokio::select! {
                biased;
                () = deps.tasks.token().cancelled() => return,
                () = answer.closed() => return,
                place = makers.place(network) => place,
            };
            let made = make(&deps, &reward).await;
            drop(place);
            // The caller may have gone.
            let _ = answer.send(made);
        });
        made
    }

    /// Waits for the network's turn, and then for a place. The own machine has as many turns as it wants.
    async fn place(&self, network: Network) -> (Option<OwnedSemaphorePermit>, Option<OwnedSemaphorePermit>) {
        let turn = match network.map(|network| self.turn(network)) {
            Some(turn) => turn.acquire_owned().await.ok(),
            None => None,
        };
        (Arc::clone(&self.places).acquire_owned().await.ok(), turn)
    }

    fn turn(&self, network: [u8; 8]) -> Arc<Semaphore> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(&network).and_then(Weak::upgrade) {
            return turn;
        }
        // As many as there are connections at most: those are let go of which nobody waits for.
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Semaphore::new(1));
        turns.insert(network, Arc::downgrade(&turn));
        turn
    }
}

async fn make(deps: &Deps, reward: &Reward) -> Result<Made, TemplateError> {
    let Deps { env, chain, mempool, .. } = deps;
    let view = chain.view();
    miner::pool_follows(mempool, &view).await;
    let seen = *mempool.watch().borrow();
    let template = miner::prepare(env, chain.params(), mempool, &view, reward, usize::MAX).await?;
    Ok(Made { view, seen, template })
}

#[cfg(test)]
mod tests {
    use farthing::{Address, Network};
    use futures_util::FutureExt as _;

    use super::*;
    use crate::{
        ledger::ChainView,
        miner::{self, Reward},
    };

    fn template(mark: u8) -> Template {
        let params = Network::Dev.params();
        let view = ChainView::genesis(params);
        let reward = Reward { to: Address::from_bytes([mark; 32]), tag: vec![mark] };
        miner::build(params, &view, &[], &reward, params.genesis_time).unwrap()
    }

    #[test]
    fn a_template_is_kept_for_two_minutes_and_the_oldest_make_room() {
        let templates = Templates::default();
        let now = Duration::from_secs(7);
        let (first, made) = templates.keep(None, template(0), now);
        assert_eq!(templates.get(&first, now).unwrap().block, made.block);
        assert!(templates.get(&first, now + KEPT_FOR).is_none());
        for mark in 1..=255 {
            templates.keep(None, template(mark), now);
        }
        assert!(templates.get(&first, now).is_some());
        templates.keep(None, template(7), now);
        assert!(templates.get(&first, now).is_none());
        assert_eq!(templates.lock().all.len(), MAX_KEPT);
        let (last, _) = templates.keep(None, template(9), now + KEPT_FOR);
        assert_eq!(templates.lock().all.len(), 1);
        assert!(templates.get(&last, now + KEPT_FOR).is_some());
    }

    #[test]
    fn a_network_that_asks_for_many_pushes_out_its_own_only() {
        let templates = Templates::default();
        let now = Duration::from_secs(7);
        let (honest, greedy) = (Some([1; 8]), Some([2; 8]));
        let (found, _) = templates.keep(honest, template(0), now);
        let (own, _) = templates.keep(greedy, template(1), now);
        for _ in 0..2 * MAX_KEPT {
            templates.keep(greedy, template(2), now);
        }
        assert!(templates.get(&found, now).is_some());
        assert!(templates.get(&own, now).is_none());
        let kept = templates.lock();
        assert_eq!((kept.all.len(), kept.bytes), (MAX_KEPT, kept.all.iter().map(|one| one.bytes).sum()));
    }

    #[tokio::test]
    async fn a_network_that_asks_for_many_lets_another_one_go_before_its_second() {
        let makers = Makers::default();
        let (honest, greedy) = (Some([1; 8]), Some([2; 8]));
        let all = Arc::clone(&makers.places).acquire_many_owned(2).await.unwrap();
        let mut waiting: Vec<_> = [greedy, greedy, greedy, honest, None]
            .into_iter()
            .map(|network| {
                let makers = makers.clone();
                Box::pin(async move { makers.place(network).await })
            })
            .collect();
        assert!(waiting.iter_mut().all(|one| one.now_or_never().is_none()));
        drop(all);
        let mut served = Vec::new();
        while served.len() < waiting.len() {
            for (at, one) in waiting.iter_mut().enumerate() {
                if !served.contains(&at)
                    && let Some(place) = one.now_or_never()
                {
                    drop(place);
                    served.push(at);
                }
            }
        }
        // Two places: the first of each are served before any second.
        assert_eq!(served, [0, 3, 4, 1, 2]);
        makers.turn([3; 8]);
        assert_eq!(makers.turns.lock().unwrap().len(), 1, "nothing is remembered of who left");
    }
}
