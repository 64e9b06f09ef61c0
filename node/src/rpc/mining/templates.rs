//! The templates that were given away, and how many may be made at a time.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use farthing::{BlockId, SignedTransaction};
use tokio::sync::Semaphore;

use crate::miner::Template;

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
    id: BlockId,
    template: Arc<Template>,
    bytes: usize,
    until: Duration,
}

impl Templates {
    /// Keeps a template for a while, by the steady clock. The oldest make room for it.
    pub(super) fn keep(&self, template: Template, now: Duration) -> (BlockId, Arc<Template>) {
        let (id, template) = (template.block.header.id(), Arc::new(template));
        let bytes = template.block.transactions.iter().map(SignedTransaction::size_bytes).sum();
        let mut kept = self.lock();
        kept.bytes += bytes;
        kept.all.push_back(One { id, template: Arc::clone(&template), bytes, until: now + KEPT_FOR });
        while kept.all.len() > 1
            && (kept.all.len() > MAX_KEPT || kept.bytes > MAX_BYTES || kept.all[0].until <= now)
            && let Some(oldest) = kept.all.pop_front()
        {
            kept.bytes -= oldest.bytes;
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
pub(super) struct Makers(Arc<Semaphore>);

impl Default for Makers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_A_TIME)))
    }
}

impl Makers {
    /// Makes a template once there is a place.
    pub(super) async fn one<T>(&self, make: impl Future<Output = T>) -> T {
        // Nobody closes it.
        let _place = self.0.acquire().await;
        make.await
    }
}

#[cfg(test)]
mod tests {
    use farthing::{Address, Network};

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
        let (first, made) = templates.keep(template(0), now);
        assert_eq!(templates.get(&first, now).unwrap().block, made.block);
        assert!(templates.get(&first, now + KEPT_FOR).is_none());
        for mark in 1..=255 {
            templates.keep(template(mark), now);
        }
        assert!(templates.get(&first, now).is_some());
        templates.keep(template(7), now);
        assert!(templates.get(&first, now).is_none());
        assert_eq!(templates.lock().all.len(), MAX_KEPT);
        let (last, _) = templates.keep(template(9), now + KEPT_FOR);
        assert_eq!(templates.lock().all.len(), 1);
        assert!(templates.get(&last, now + KEPT_FOR).is_some());
    }
}
