//! Changing to a heavier branch: undo to the fork, apply the branch, commit once, publish once.
//!
//! Nothing is visible before all of it is on disk; a branch that proves invalid on the way leaves no trace but its
//! blocks and effects in the log, which no tip record refers to.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use farthing::{BlockId, Height, RangeNode};
use farthing_consensus::{HeaderContext, check_block, prefer, tie_break_after_ms};
use tracing::{info, warn};

use super::{
    ChainView,
    candidates::Candidate,
    events::{ChainBlock, KEPT_OF_DEEP, MAX_KEPT, Origin},
    rejection::{BlockRejection, ChainError},
    signatures,
    writer::{Writer, set_key_places},
};
use crate::{
    ledger::{Applied, Before},
    store::{BestChange, Commit, Effects, StoreError},
};

/// Effects of so many blocks are written at once at the most, so that a deep change needs no more memory for them.
const EFFECTS_AT_ONCE: usize = 64;

/// The way from the tip to another branch's tip.
struct Plan {
    /// The last block that both have.
    fork: HeaderContext,
    /// The branch behind the fork, the lowest first.
    branch: Vec<HeaderContext>,
    /// Whether the blocks are too many to be kept in memory.
    is_deep: bool,
}

/// What undoing gathers, the old tip first.
#[derive(Default)]
struct Undone {
    ids: Vec<BlockId>,
    /// Empty if they are too many.
    blocks: Vec<Arc<ChainBlock>>,
}

/// What applying a branch gathers.
#[derive(Default)]
struct Progress {
    /// Those that followers are told of: all, or the newest few.
    applied: VecDeque<Arc<ChainBlock>>,
    range_nodes: Vec<RangeNode>,
    effects: Vec<(BlockId, Effects)>,
}

impl Writer {
    /// Changes to the best branch that is known, if it is not the present one. Tries the next best if one is invalid,
    /// or cannot be read until a damaged block is fetched again.
    pub(super) fn choose_branch(&mut self, origin: Origin) -> Result<(), BlockRejection> {
        let mut first_fault = None;
        let mut unreadable = HashSet::new();
        while let Some(candidate) = self.best_candidate(&unreadable) {
            if let Some(final_height) = self.shared.leaves_below_final(&candidate)? {
                self.shared.say_refused(&candidate, final_height);
                self.candidates.remove(&candidate.id());
                continue;
            }
            match self.change_to(&candidate, origin) {
                Ok(()) => break,
                Err(BlockRejection::Chain(error)) if error.damaged_block().is_some() => {
                    // Those below it, which are tried next, mostly wait for the same.
                    if unreadable.is_empty() {
                        warn!(branch = %candidate.id(), %error, "a heavier branch waits for a good copy of a damaged block");
                    }
                    unreadable.insert(candidate.id());
                }
                Err(fault) if fault.condemns_id() => {
                    warn!(%fault, "a heavier branch is invalid");
                    first_fault.get_or_insert(fault);
                }
                Err(fault) => return Err(fault),
            }
        }
        first_fault.map_or(Ok(()), Err)
    }

    /// How long until a tie may be decided, if there is one.
    pub(super) fn tie_deadline(&self) -> Option<Duration> {
        let tip = &self.view.tip;
        let ties = self.candidates.with_work(tip.total_work());
        let wait = Duration::from_millis(tie_break_after_ms(self.shared.params.target_spacing_ms));
        let now = self.shared.env.clock().elapsed();
        ties.iter()
            .filter(|tie| tie.context.total_work() == tip.total_work() && tie.context.id() < tip.id())
            .map(|tie| (tie.since + wait).saturating_sub(now))
            .min()
    }

    fn best_candidate(&self, except: &HashSet<BlockId>) -> Option<HeaderContext> {
        let now = self.shared.env.clock().elapsed();
        let preferred = |candidate: &Candidate| {
            let stood = now.saturating_sub(candidate.since);
            let stood = u64::try_from(stood.as_millis()).unwrap_or(u64::MAX);
            prefer(&self.view.tip, &candidate.context, stood, self.shared.params.target_spacing_ms)
        };
        let heavy = self.candidates.with_work(self.view.tip.total_work()).into_iter();
        let mut readable = heavy.filter(|candidate| !except.contains(&candidate.context.id()));
        readable.find(preferred).map(|found| found.context)
    }

    /// Executes a branch of equal work without changing to it: others are told of a tie, and whoever tells of an invalid
    /// block pays for it. False if it cannot be executed now, for a block of it is damaged.
    pub(super) fn try_branch(&mut self, target: &HeaderContext) -> Result<bool, BlockRejection> {
        let plan = self.plan(target)?;
        let tried = self.undo_to(&plan).map_err(BlockRejection::from).and_then(|(view, _)| {
            let (_, progress) = self.apply_branch(view, &plan)?;
            // Written once for each block, whether or not its branch is ever the best.
            self.shared.store.commit(Commit { effects: progress.effects, ..Commit::default() })?;
            Ok(true)
        });
        match tried {
            // What cannot be read now is tried again when the branch is to be changed to.
            Err(BlockRejection::Chain(error)) if error.damaged_block().is_some() => Ok(false),
            tried => tried,
        }
    }

    fn change_to(&mut self, target: &HeaderContext, origin: Origin) -> Result<(), BlockRejection> {
        let old_tip = self.view.tip;
        let plan = self.plan(target)?;
        let (view, undone) = self.undo_to(&plan)?;
        let (view, progress) = self.apply_branch(view, &plan)?;
        let best = BestChange { undone: undone.ids, applied: plan.branch.iter().map(HeaderContext::id).collect() };
        let depth = best.undone.len();
        self.shared.store.commit(Commit { blocks: Vec::new(), effects: progress.effects, best: Some(best) })?;
        self.shared.store.put_range(plan.fork.height().next().get(), &progress.range_nodes)?;
        info!(
            from = %old_tip.id(), to = %target.id(), height = %target.height(),
            undone = depth, applied = plan.branch.len(), "changed to another branch"
        );
        for context in &plan.branch {
            self.forget_header(&context.id());
        }
        self.publish(plan.fork, undone.blocks, progress.applied.into(), view, origin);
        if old_tip.id() != plan.fork.id() {
            self.candidates.insert(old_tip, self.shared.env.clock().elapsed());
        }
        Ok(())
    }

    fn plan(&self, target: &HeaderContext) -> Result<Plan, ChainError> {
        let mut branch = Vec::new();
        let mut at = *target;
        while self.shared.store.best_at(at.height())? != Some(at.id()) {
            let parent = self.shared.store.header(&at.header().previous)?;
            branch.push(at);
            at = parent.ok_or_else(|| ChainError::missing("the parent", &at.id()))?;
        }
        branch.reverse();
        let undone = self.view.tip.height().distance_from(at.height());
        let is_deep = undone.saturating_add(branch.len() as u64) > MAX_KEPT;
        Ok(Plan { fork: at, branch, is_deep })
    }

    fn undo_to(&self, plan: &Plan) -> Result<(ChainView, Undone), ChainError> {
        let (store, fork) = (&self.shared.store, &plan.fork);
        let mut view = (*self.view).clone();
        let mut undone = Undone::default();
        let range = self.shared.store.range_peaks(fork.height().next().get())?;
        while view.tip.id() != fork.id() {
            let id = view.tip.id();
            let block = store.block(&id)?.ok_or_else(|| ChainError::missing("the body", &id))?;
            let effects = match store.effects(&id) {
                // Only executing the block again brings them back, which a start does.
                Err(error @ StoreError::Corrupt { .. }) => return Err(ChainError::Inconsistent(error.to_string())),
                read => read?.ok_or_else(|| ChainError::missing("the effects", &id))?,
            };
            let parent = store.header(&view.tip.header().previous)?;
            let parent = parent.ok_or_else(|| ChainError::missing("the parent", &id))?;
            // The ranges on the way are never looked at; only the fork's counts.
            let matured = self.shared.matured_at(view.tip.height())?;
            let before = Before { parent, range: range.clone(), matured };
            undone.ids.push(id);
            if !plan.is_deep {
                undone.blocks.push(Arc::new(self.shared.chain_block(&view.tip, Arc::clone(&block))));
            }
            view = view.undo(&self.shared.params, &block, &effects, before);
        }
        let checked = if fork.height() == Height::GENESIS {
            Ok(())
        } else {
            view.certify(&self.shared.store.range_peaks(fork.height().get())?)
        };
        checked.map_err(|error| ChainError::Inconsistent(error.to_string()))?;
        Ok((view, undone))
    }

    fn apply_branch(&mut self, mut view: ChainView, plan: &Plan) -> Result<(ChainView, Progress), BlockRejection> {
        let mut progress = Progress::default();
        for (at, context) in plan.branch.iter().enumerate() {
            match self.apply_one(&view, context, &mut progress) {
                Ok(next) => view = next,
                Err(fault) => {
                    if fault.condemns_id() {
                        self.give_up_branch(plan.branch.get(at..).unwrap_or_default(), &view.tip);
                    }
                    return Err(fault);
                }
            }
            if plan.is_deep && progress.applied.len() > KEPT_OF_DEEP {
                progress.applied.pop_front();
            }
            if progress.effects.len() >= EFFECTS_AT_ONCE {
                let effects = std::mem::take(&mut progress.effects);
                self.shared.store.commit(Commit { blocks: Vec::new(), effects, best: None })?;
            }
        }
        Ok((view, progress))
    }

    fn apply_one(
        &self,
        view: &ChainView,
        context: &HeaderContext,
        progress: &mut Progress,
    ) -> Result<ChainView, BlockRejection> {
        let id = context.id();
        let store = &self.shared.store;
        let block = store.block(&id)?.ok_or_else(|| ChainError::missing("the body", &id))?;
        let checked = check_block(&self.shared.params, &block).map_err(|error| BlockRejection::Block { id, error })?;
        let applied = view
            .apply(&self.shared.params, &checked, context)
            .map_err(|error| BlockRejection::from_ledger(id, error))?;
        let Applied { view: mut next, effects, new_keys, range_nodes } = applied;
        // Effects are written once for a block, and again if they are damaged; whoever has them was connected before,
        // signatures verified.
        let written = match store.effects(&id) {
            Err(StoreError::Corrupt { .. }) => None,
            read => read?,
        };
        if written.is_none() {
            signatures::verify(&self.shared, view, &checked)?;
            progress.effects.push((id, effects));
        }
        set_key_places(&mut next, &new_keys, &block, store.place(&id)?);
        progress.range_nodes.extend(range_nodes);
        progress.applied.push_back(Arc::new(self.shared.chain_block(context, block)));
        Ok(next)
    }

    /// Forgets the rest of a branch from its first invalid block on; what stands before it stays a candidate.
    fn give_up_branch(&mut self, rest: &[HeaderContext], last_good: &HeaderContext) {
        for context in rest {
            self.condemn(context.id());
        }
        if last_good.total_work() > self.view.tip.total_work() {
            self.candidates.insert(*last_good, self.shared.env.clock().elapsed());
        }
    }
}
