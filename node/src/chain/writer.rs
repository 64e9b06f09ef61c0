//! The only writer: decides what becomes of a block, commits it, publishes it. Synchronous; the actor calls it.

use std::{collections::VecDeque, num::NonZeroUsize, sync::Arc};

use farthing::{Block, BlockId, Header, Height, TimeMs};
use farthing_consensus::{
    CheckedBlock, HeaderContext, HeaderError, check_block_owned, check_header, check_header_alone,
};
use lru::LruCache;
use tracing::{info, warn};

use super::{
    ChainView, SessionId,
    candidates::Candidates,
    events::{Accepted, ChainBlock, Origin, TipChange},
    handle::{Headers, Shared},
    headers::{HeadersAccepted, PutOff},
    rejection::{BlockRejection, ChainError, HeaderRejection},
    ruled_out::{Limit, RuledOut},
    signatures,
};
use crate::{
    ledger::{Applied, NewKey},
    store::{BeginError, Beginning, BestChange, Commit, LogPlace, NewBlock},
};

/// Ids of invalid blocks that are remembered.
const INVALID_IDS: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");
/// Blocks from the future that are kept, at most.
const MAX_FUTURE_BLOCKS: usize = 16;

/// A block whose time had not come.
#[derive(Debug)]
pub(super) struct FutureBlock {
    pub(super) block: Block,
    pub(super) origin: Origin,
    pub(super) retry_at: TimeMs,
}

/// What became of a header.
enum Place {
    /// It is known now.
    Kept(HeaderContext),
    /// It cannot be kept now: this is its parent.
    NotYet(HeaderContext, PutOff),
    /// Its branch is not followed: this is its parent.
    RuledOut(HeaderContext, Limit),
}

/// The writer's own state; all else is in [`Shared`].
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) view: Arc<ChainView>,
    pub(super) candidates: Candidates,
    pub(super) invalid: LruCache<BlockId, ()>,
    pub(super) future: VecDeque<FutureBlock>,
    /// The last block could not be stored, and that was said.
    is_in_trouble: bool,
    pub(super) ruled_out: RuledOut,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, candidates: Vec<HeaderContext>) -> Self {
        let now = shared.env.clock().elapsed();
        let mut known = Candidates::default();
        for candidate in candidates {
            known.insert(candidate, now);
        }
        let view = shared.view.borrow().clone();
        let invalid = LruCache::new(INVALID_IDS);
        Self {
            shared,
            view,
            candidates: known,
            invalid,
            future: VecDeque::new(),
            is_in_trouble: false,
            ruled_out: RuledOut::default(),
        }
    }

    /// Takes a block: checks it, keeps it, and makes it the tip if it leads the heaviest branch.
    pub(super) fn take_block(&mut self, block: Block, origin: Origin) -> Result<Accepted, BlockRejection> {
        let id = block.id();
        let taken = self.take_unless_known(id, block, origin);
        if let Err(rejection) = &taken
            && rejection.condemns_id()
        {
            self.condemn(id);
        }
        taken
    }

    fn take_unless_known(&mut self, id: BlockId, block: Block, origin: Origin) -> Result<Accepted, BlockRejection> {
        if self.invalid.contains(&id) || self.invalid.contains(&block.header.previous) {
            return Err(BlockRejection::KnownInvalid { id });
        }
        if self.shared.store.header(&id)?.is_some() {
            if !self.shared.store.damaged()?.contains(&id) {
                return Ok(Accepted::AlreadyKnown);
            }
            self.repair(id, block, origin)?;
            return Ok(Accepted::Repaired);
        }
        let parent = self.shared.store.header(&block.header.previous)?;
        let parent = parent.ok_or(BlockRejection::Orphan { missing: block.header.previous })?;
        if let Some(base) = self.base_above(&parent) {
            return Err(BlockRejection::BelowBase { id, base });
        }
        if let Some(final_height) = self.shared.leaves_below_final(&parent)? {
            self.forget_branch(id);
            return Err(BlockRejection::BelowFinal { id, final_height });
        }
        let now = self.shared.env.clock().now();
        let context = match check_header(&self.shared.params, &parent, &block.header, now) {
            Ok(context) => context,
            Err(HeaderError::TimeTooFarAhead { retry_at, .. }) => {
                return Err(self.keep_for_later(id, block, origin, retry_at));
            }
            Err(error) => return Err(BlockRejection::Header { id, error }),
        };
        let block =
            check_block_owned(&self.shared.params, block).map_err(|error| BlockRejection::Block { id, error })?;
        if parent.id() == self.view.tip.id() {
            self.extend(&block, context, origin)?;
            return Ok(Accepted::Connected);
        }
        self.keep_on_side(&block, &context)?;
        let is_tie = context.total_work() == self.view.tip.total_work();
        let is_checked = !is_tie || self.try_branch(&context)?;
        self.choose_branch_with(id, origin)?;
        Ok(match (self.view.tip.id() == id, is_checked) {
            (true, _) => Accepted::Connected,
            (false, true) => Accepted::SideBranch,
            (false, false) => Accepted::Unchecked,
        })
    }

    /// Takes a good copy of a block whose record is damaged, and goes on with the branch that had to wait for it.
    fn repair(&mut self, id: BlockId, block: Block, origin: Origin) -> Result<(), BlockRejection> {
        // The id fixes the header, the header the body: what passes is the block that was there, to the byte.
        let block =
            check_block_owned(&self.shared.params, block).map_err(|error| BlockRejection::Block { id, error })?;
        self.shared.store.replace_block(block.block())?;
        info!(%id, "a damaged block was replaced by a good copy");
        self.choose_branch_with(id, origin)
    }

    /// Looks for the best branch because of this block. That another branch turns out to be invalid meanwhile is not the
    /// fault of whoever sent it.
    fn choose_branch_with(&mut self, id: BlockId, origin: Origin) -> Result<(), BlockRejection> {
        match self.choose_branch(origin) {
            Err(fault) if fault.condemns_id() && !self.invalid.contains(&id) => Ok(()),
            chosen => chosen,
        }
    }

    fn keep_for_later(&mut self, id: BlockId, block: Block, origin: Origin, retry_at: TimeMs) -> BlockRejection {
        let known = self.future.iter().any(|kept| kept.block.id() == id);
        if !known && self.future.len() < MAX_FUTURE_BLOCKS {
            self.future.push_back(FutureBlock { block, origin, retry_at });
        }
        BlockRejection::FromFuture { id, retry_at }
    }

    /// Tries the blocks again whose time has come.
    ///
    /// # Errors
    /// If the process must stop.
    pub(super) fn retry_future(&mut self) -> Result<(), BlockRejection> {
        let now = self.shared.env.clock().now();
        let (due, kept): (VecDeque<_>, _) = self.future.drain(..).partition(|block| block.retry_at <= now);
        self.future = kept;
        for FutureBlock { block, origin, .. } in due {
            let id = block.id();
            let taken = self.take_block(block, origin);
            self.note_trouble(&taken);
            match taken {
                Err(BlockRejection::Chain(error)) if error.is_fatal() => return Err(error.into()),
                Err(rejection) => info!(%id, %rejection, "a block from the future was tried again"),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Connects a block to the tip.
    fn extend(&mut self, block: &CheckedBlock, context: HeaderContext, origin: Origin) -> Result<(), BlockRejection> {
        let id = context.id();
        let before = Arc::clone(&self.view);
        let applied = before
            .apply(&self.shared.params, block, &context)
            .map_err(|error| BlockRejection::from_ledger(id, error))?;
        signatures::verify(&self.shared, &before, block)?;
        let Applied { mut view, effects, new_keys, range_nodes } = applied;
        let kept = Arc::new(block.block().clone());
        let new_block =
            NewBlock { block: Arc::clone(&kept), id, height: context.height(), total_work: context.total_work() };
        let places = self.shared.store.commit(Commit {
            blocks: vec![new_block],
            effects: vec![(id, effects)],
            best: Some(BestChange { undone: Vec::new(), applied: vec![id] }),
        })?;
        set_key_places(&mut view, &new_keys, block.block(), places.first().copied());
        self.shared.store.put_range(before.range.count(), &range_nodes)?;
        let applied = Arc::new(self.shared.chain_block(&context, kept));
        self.forget_header(&id);
        self.publish(before.tip, Vec::new(), vec![applied], view, origin);
        Ok(())
    }

    /// Stores a block that does not extend the tip.
    fn keep_on_side(&mut self, block: &CheckedBlock, context: &HeaderContext) -> Result<(), BlockRejection> {
        let new_block = NewBlock {
            block: Arc::new(block.block().clone()),
            id: context.id(),
            height: context.height(),
            total_work: context.total_work(),
        };
        self.shared.store.commit(Commit { blocks: vec![new_block], effects: Vec::new(), best: None })?;
        self.forget_header(&context.id());
        self.candidates.insert(*context, self.shared.env.clock().elapsed());
        Ok(())
    }

    /// Makes a view the present one. Everything in it is on disk.
    pub(super) fn publish(
        &mut self,
        fork: HeaderContext,
        undone: Vec<Arc<ChainBlock>>,
        applied: Vec<Arc<ChainBlock>>,
        view: ChainView,
        origin: Origin,
    ) {
        let view = Arc::new(view);
        let old_tip = std::mem::replace(&mut self.view, Arc::clone(&view)).tip;
        self.candidates.remove(&view.tip.id());
        self.shared.finality.advance(view.tip.height());
        self.shared.store.maybe_checkpoint(&view);
        self.shared.view.send_replace(Arc::clone(&view));
        // Nobody listening is fine.
        let _ = self.shared.changes.send(Arc::new(TipChange { old_tip, fork, undone, applied, view, origin }));
    }

    /// Takes headers without bodies.
    pub(super) fn take_headers(
        &mut self,
        Headers { headers, session, ruled_out }: &Headers,
    ) -> Result<HeadersAccepted, HeaderRejection> {
        if let Some(last) = ruled_out {
            self.goes_on_with(last);
        }
        if self.shared.waiting_headers().lacks_room(headers.len()) {
            while !self.shared.waiting_headers().prune(self.view.tip.total_work()) {}
        }
        let mut last = self.view.tip;
        for (at, header) in headers.iter().enumerate() {
            match self.take_header(at, header, *session)? {
                Place::Kept(context) => last = context,
                Place::NotYet(parent, why) => return Ok(HeadersAccepted { last: parent, put_off: Some(why) }),
                Place::RuledOut(parent, limit) => return Err(self.rule_out(headers, at, parent, limit)),
            }
        }
        Ok(HeadersAccepted { last, put_off: None })
    }

    fn take_header(&mut self, at: usize, header: &Header, session: SessionId) -> Result<Place, HeaderRejection> {
        let id = header.id();
        if self.invalid.contains(&id) || self.invalid.contains(&header.previous) {
            return Err(HeaderRejection::KnownInvalid { id });
        }
        if let Some(known) = self.shared.header(&id)? {
            self.shared.waiting_headers().told_again(&id, session);
            return Ok(Place::Kept(known));
        }
        let invalid = |error| HeaderRejection::Invalid { at, id, error };
        check_header_alone(&self.shared.params, header).map_err(invalid)?;
        let Some(parent) = self.shared.header(&header.previous)? else {
            let ruled_out = self.ruled_out.get(&header.previous);
            let (parent, limit) = ruled_out.ok_or(HeaderRejection::Orphan { missing: header.previous })?;
            return Ok(Place::RuledOut(parent, limit));
        };
        let now = self.shared.env.clock().now();
        let context = match check_header(&self.shared.params, &parent, header, now) {
            Ok(context) => context,
            Err(error) if error.is_temporary() => return Ok(Place::NotYet(parent, PutOff::AheadOfClock(error))),
            Err(error) => return Err(invalid(error)),
        };
        if let Some(base) = self.base_above(&parent) {
            return Ok(Place::RuledOut(parent, Limit::Base(base)));
        }
        // A parent that waits was asked when it came, and so will its body be: walking down all that waits for each header
        // would take the square of their number.
        if self.shared.store.header(&parent.id())?.is_some()
            && let Some(final_height) = self.shared.leaves_below_final(&parent)?
        {
            return Ok(Place::RuledOut(parent, Limit::Final(final_height)));
        }
        let mut tree = self.shared.waiting_headers();
        let is_kept = tree.insert(context, session);
        Ok(if is_kept { Place::Kept(context) } else { Place::NotYet(parent, PutOff::NoRoom) })
    }

    /// Where the chain begins, if this block is below: no branch can be executed from there.
    fn base_above(&self, parent: &HeaderContext) -> Option<Height> {
        let base = self.shared.store.base()?.tip.height();
        (parent.height() < base).then_some(base)
    }

    /// Begins the chain with a checkpoint in the place of genesis.
    pub(super) fn begin_at(&mut self, beginning: Beginning) -> Result<(), BeginError> {
        let view = self.shared.store.begin_at(beginning)?;
        let genesis = self.view.tip;
        self.candidates = Candidates::default();
        self.future.clear();
        self.ruled_out = RuledOut::default();
        self.shared.waiting_headers().clear();
        info!(height = %view.tip.height(), id = %view.tip.id(), accounts = view.accounts.len(), "the chain begins with a checkpoint");
        self.publish(genesis, Vec::new(), Vec::new(), view, Origin::Local);
        Ok(())
    }

    pub(super) fn forget_header(&self, id: &BlockId) {
        self.shared.waiting_headers().remove(id);
    }

    /// Waits no longer for what nobody but this session told of.
    pub(super) fn forget_session(&self, session: SessionId) {
        while !self.shared.waiting_headers().remove_owner(session) {}
    }

    /// Waits for no body any longer that stands on this block, nor for its own. Gives the ids.
    fn forget_branch(&self, id: BlockId) -> Vec<BlockId> {
        self.shared.waiting_headers().remove_branch(id)
    }

    /// Remembers that a block can never be valid, nor what stands on it.
    pub(super) fn condemn(&mut self, id: BlockId) {
        warn!(%id, "a block is invalid; what stands on it is forgotten");
        for id in self.forget_branch(id) {
            self.candidates.remove(&id);
            self.invalid.put(id, ());
        }
    }

    /// Says once that blocks cannot be stored, and once that they can again.
    pub(super) fn note_trouble(&mut self, result: &Result<Accepted, BlockRejection>) {
        match result {
            Err(BlockRejection::Chain(ChainError::Store(error))) if !error.is_fatal() && !self.is_in_trouble => {
                self.is_in_trouble = true;
                warn!(%error, "blocks cannot be stored; reads go on, and so does everything once this is over");
            }
            Ok(Accepted::Connected | Accepted::SideBranch | Accepted::Unchecked | Accepted::Repaired)
                if self.is_in_trouble =>
            {
                self.is_in_trouble = false;
                info!("blocks are stored again");
            }
            _ => {}
        }
    }
}

/// Notes where the keys stand that a block carries.
pub(super) fn set_key_places(view: &mut ChainView, new_keys: &[NewKey], block: &Block, at: Option<LogPlace>) {
    for key in new_keys {
        if let Some(place) = at.and_then(|at| at.of_transaction(block, key.transaction)) {
            view.set_key_place(&key.address, place);
        }
    }
}
