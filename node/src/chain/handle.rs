//! The handle that everybody holds.

use std::sync::{Arc, Mutex};

use farthing::{Address, Block, BlockId, Header, Height, Params, VerifyingKey};
use farthing_consensus::HeaderContext;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::{
    ChainBlock, ChainView, VerifiedCache,
    events::{Accepted, Origin, SessionId, TipChange, TipChanges},
    finality::Finality,
    headers::{HeaderTree, HeadersAccepted},
    keys::KeyCache,
    missing::MissingBodies,
    rejection::{BlockRejection, ChainError, HeaderRejection},
};
use crate::{
    byte_cache::ByteCache,
    env::Env,
    store::{Base, BeginError, Beginning, Store},
};

/// What the writer and all handles share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) params: Arc<Params>,
    pub(super) env: Env,
    pub(super) store: Arc<dyn Store>,
    pub(super) view: watch::Sender<Arc<ChainView>>,
    pub(super) changes: broadcast::Sender<Arc<TipChange>>,
    /// Read by all, changed by the writer alone: what it sees there stays until it changes it.
    pub(super) headers: Mutex<HeaderTree>,
    pub(super) keys: KeyCache,
    pub(super) verified: VerifiedCache,
    /// Blocks that were read lately, with the ids of their transactions: many readers ask for the same.
    pub(super) read_blocks: ByteCache<BlockId, ChainBlock>,
    pub(super) finality: Finality,
    /// The chain waits for a checkpoint to begin with: nothing is mined on genesis meanwhile.
    pub(super) waits: watch::Sender<bool>,
}

/// A list of headers, the lowest first, each the child of the one before.
#[derive(Debug)]
pub(super) struct Headers {
    pub(super) headers: Vec<Header>,
    /// Who told of them.
    pub(super) session: SessionId,
    /// What they stand on, if that was ruled out before.
    pub(super) ruled_out: Option<HeaderContext>,
}

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Block(Box<Block>, Origin, oneshot::Sender<Result<Accepted, BlockRejection>>),
    Headers(Headers, oneshot::Sender<Result<HeadersAccepted, HeaderRejection>>),
    Forget(SessionId, oneshot::Sender<()>),
    Begin(Box<Beginning>, oneshot::Sender<Result<(), BeginError>>),
}

/// Access to the chain. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Chain {
    pub(super) shared: Arc<Shared>,
    pub(super) commands: mpsc::Sender<Command>,
}

impl Chain {
    /// The network.
    #[must_use]
    pub fn params(&self) -> &Arc<Params> {
        &self.shared.params
    }

    /// The ledger at the tip: a snapshot.
    #[must_use]
    pub fn view(&self) -> Arc<ChainView> {
        self.shared.view.borrow().clone()
    }

    /// A view that can be waited on; it skips views when it is slow.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<ChainView>> {
        self.shared.view.subscribe()
    }

    /// How many wait on the view.
    #[cfg(test)]
    pub(crate) fn watchers(&self) -> usize {
        self.shared.view.receiver_count()
    }

    /// Every change of the tip from now on, in order.
    #[must_use]
    pub fn subscribe(&self) -> TipChanges {
        TipChanges(self.shared.changes.subscribe())
    }

    /// Height of the highest block that this node never undoes; none if it undoes any for a branch with more work.
    #[must_use]
    pub fn final_height(&self) -> Option<Height> {
        self.shared.finality.height()
    }

    /// Signatures that need not be verified again.
    #[must_use]
    pub fn verified(&self) -> &VerifiedCache {
        &self.shared.verified
    }

    /// Takes a block. Returns once it is on disk, connected or on a side branch.
    ///
    /// # Errors
    /// Why it is not taken.
    pub async fn submit_block(&self, block: Block, origin: Origin) -> Result<Accepted, BlockRejection> {
        let (answer, answered) = oneshot::channel();
        let command = Command::Block(Box::new(block), origin, answer);
        self.commands.send(command).await.map_err(|_| ChainError::Stopping)?;
        answered.await.map_err(|_| ChainError::Stopping)?
    }

    /// Takes headers that a session told of, the lowest first, each the child of the one before, as many as there is room
    /// for and are not ahead of the clock. They wait until their bodies come or [`Chain::forget_headers_of`] the session.
    ///
    /// # Errors
    /// Why a header is not taken; those before it are.
    pub async fn accept_headers(
        &self,
        headers: Vec<Header>,
        session: SessionId,
    ) -> Result<HeadersAccepted, HeaderRejection> {
        self.take(Headers { headers, session, ruled_out: None }).await
    }

    /// The same for headers on a branch that was ruled out up to and with `last`, so that their work is counted too.
    ///
    /// # Errors
    /// That they are ruled out as well, or why they are invalid.
    pub async fn accept_headers_on_ruled_out(
        &self,
        last: HeaderContext,
        headers: Vec<Header>,
        session: SessionId,
    ) -> Result<HeadersAccepted, HeaderRejection> {
        self.take(Headers { headers, session, ruled_out: Some(last) }).await
    }

    async fn take(&self, headers: Headers) -> Result<HeadersAccepted, HeaderRejection> {
        let (answer, answered) = oneshot::channel();
        let command = Command::Headers(headers, answer);
        self.commands.send(command).await.map_err(|_| ChainError::Stopping)?;
        answered.await.map_err(|_| ChainError::Stopping)?
    }

    /// Begins the chain with a checkpoint. All of it is held against its header first.
    ///
    /// # Errors
    /// See [`BeginError`].
    pub async fn begin_at(&self, beginning: Beginning) -> Result<(), BeginError> {
        let stopping = || BeginError::Store(crate::store::StoreError::Poisoned("the node is stopping".to_owned()));
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Begin(Box::new(beginning), answer)).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }

    /// Says whether the chain waits for a checkpoint to begin with.
    pub fn set_waiting(&self, waits: bool) {
        self.shared.waits.send_replace(waits);
    }

    /// Whether it waits for one.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        *self.shared.waits.borrow()
    }

    /// Resolves once the chain does not wait for a checkpoint to begin with.
    pub async fn begun(&self) {
        // The sender lives as long as this handle.
        let _ = self.shared.waits.subscribe().wait_for(|waits| !*waits).await;
    }

    /// Where the chain begins, if not with genesis.
    #[must_use]
    pub fn base(&self) -> Option<Arc<Base>> {
        self.shared.store.base()
    }

    /// Height of the lowest block above genesis that is here, or will be; 0 if the chain begins with genesis.
    #[must_use]
    pub fn lowest_body(&self) -> Height {
        self.base().map_or(Height::GENESIS, |base| base.lowest_body())
    }

    /// A session is over: what nobody else told of is not waited for any longer. Headers of it may still stand in line, whoever
    /// gave them has gone: this stands behind them, and nothing of the session may come after it.
    pub async fn forget_headers_of(&self, session: SessionId) {
        let (answer, answered) = oneshot::channel();
        // Once the node stops there is nothing to forget.
        if self.commands.send(Command::Forget(session, answer)).await.is_ok() {
            let _ = answered.await;
        }
    }

    /// The known header with the most work, its body here or not.
    #[must_use]
    pub fn best_header(&self) -> HeaderContext {
        let tip = self.view().tip;
        let headers = self.shared.waiting_headers();
        headers.best().filter(|best| best.total_work() > tip.total_work()).cloned().unwrap_or(tip)
    }

    /// How many bodies are missing up to the best header, as far as it matters: at most `most`.
    #[must_use]
    pub fn missing_up_to(&self, most: usize) -> usize {
        let work = self.view().tip.total_work();
        let headers = self.shared.waiting_headers();
        let best = headers.best().filter(|best| best.total_work() > work);
        best.map_or(0, |best| headers.down_from(&best.id()).take(most).count())
    }

    /// The blocks on the way to `last` whose bodies are not here.
    #[must_use]
    pub fn missing_bodies(&self, last: BlockId) -> MissingBodies {
        MissingBodies::new(self.clone(), last)
    }

    /// The key of an account that has sent a transaction on the best chain. May read the disk.
    ///
    /// # Errors
    /// If the store fails.
    pub fn verifying_key_blocking(&self, address: Address) -> Result<Option<VerifyingKey>, ChainError> {
        self.shared.keys.of_account(&self.view(), &*self.shared.store, address)
    }

    /// The same off the async threads.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn verifying_key(&self, address: Address) -> Result<Option<VerifyingKey>, ChainError> {
        let chain = self.clone();
        self.shared.env.compute().run_blocking(move || chain.verifying_key_blocking(address)).await
    }
}
