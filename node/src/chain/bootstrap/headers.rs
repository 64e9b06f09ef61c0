//! All headers of the heaviest branch, in a file, and those of branches that may turn out to be heavier, each in a file of
//! the session that shows it.
//!
//! Each header is checked by the rules before it is kept: 134 bytes of disk cost whoever sends it a header's work. A
//! session goes on with its own branch only, so that nothing that one sends takes away what another has brought; a branch
//! takes the place of the heaviest one once it is heavier itself, however deep it forks. Sessions of this node's choice
//! and strangers have a number of branches each, and give way only to their like, the least own work first. One session
//! at a time is asked; each file holds at most [`most_headers`].

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use farthing::{BlockId, Header, Height, Params, TimeMs};
use farthing_consensus::{HeaderContext, check_header};

use super::{Asker, challenger_path, left_headers};
use crate::{
    chain::{Chain, HeaderRejection, SessionId},
    env::Disk,
    store::{HeaderFile, StoreError, checkpoint::Offer},
};

/// Headers that are taken whatever the schedule says.
const SPARE: u64 = 100_000;
/// Longest locator.
const MAX_LOCATOR: usize = 63;
/// How many ids at the front of a locator stand side by side.
const DENSE: usize = 10;
/// Branches beside the heaviest that sessions of this node's choice show, at most...
const CHOSEN_BRANCHES: usize = 8;
/// ... and strangers.
const STRANGE_BRANCHES: usize = 2;
/// All of them.
pub(super) const MAX_BRANCHES: usize = CHOSEN_BRANCHES + STRANGE_BRANCHES;

/// Most headers that a file takes: twice what the network's schedule allows since genesis, and some more.
fn most_headers(params: &Params, now: TimeMs) -> u64 {
    (now.since(params.genesis_time) / params.target_spacing_ms.max(1)).saturating_mul(2).saturating_add(SPARE)
}

/// The headers that were checked.
#[derive(Debug)]
pub(super) struct Headers {
    disk: Arc<dyn Disk>,
    data_dir: PathBuf,
    /// None while it is lent, and once it is given away.
    main: Option<HeaderFile>,
    /// What the store may begin with just now.
    lent: Option<HeaderFile>,
    challengers: Vec<Challenger>,
    genesis: HeaderContext,
    /// Bytes that must stay free on the disk.
    reserve_bytes: u64,
}

/// A branch that may turn out to be heavier, and who shows it.
#[derive(Debug)]
struct Challenger {
    owner: Asker,
    /// The number in its file's name.
    slot: usize,
    file: HeaderFile,
}

impl Challenger {
    /// Work that it shows itself, above where it forks off.
    fn own_work(&self) -> u128 {
        self.file.tip().total_work().get().saturating_sub(self.file.parent().total_work().get())
    }

    fn remove(self) {
        if let Err(error) = self.file.remove() {
            tracing::warn!(%error, "a file that is not needed any more is not removed");
        }
    }
}

/// What a session was asked from: its answer begins behind one of these.
#[derive(Debug, Clone)]
pub struct Asked(Vec<(BlockId, Height)>);

impl Asked {
    /// The locator.
    #[must_use]
    pub fn ids(&self) -> Vec<BlockId> {
        self.0.iter().map(|(id, _)| *id).collect()
    }
}

impl Headers {
    pub(super) fn resume(
        chain: &Chain,
        disk: &Arc<dyn Disk>,
        data_dir: &Path,
        reserve_bytes: u64,
    ) -> Result<Self, StoreError> {
        let main = left_headers(chain, disk, data_dir)?.leaving(reserve_bytes);
        if main.tip().height() > Height::GENESIS {
            tracing::info!(height = %main.tip().height(), "going on with the headers that an earlier run had fetched");
        }
        let genesis = HeaderContext::genesis(chain.params());
        let (disk, data_dir) = (Arc::clone(disk), data_dir.to_owned());
        Ok(Self { disk, data_dir, main: Some(main), lent: None, challengers: Vec::new(), genesis, reserve_bytes })
    }

    pub(super) fn best(&self) -> HeaderContext {
        self.main.as_ref().or(self.lent.as_ref()).map_or(self.genesis, |main| *main.tip())
    }

    /// Whether the block of a checkpoint is on the heaviest branch.
    pub(super) fn holds(&self, offer: &Offer) -> Result<bool, StoreError> {
        Ok(self.at(offer.height)?.is_some_and(|context| context.id() == offer.block))
    }

    pub(super) fn at(&self, height: Height) -> Result<Option<HeaderContext>, StoreError> {
        self.main.as_ref().map_or(Ok(None), |main| main.at(height))
    }

    /// The headers up to a height, for the store to begin with. Nothing is cut, nor taken, until it is known what came
    /// of that: [`Self::give_back`], [`Self::close`], or all is read again.
    pub(super) fn lend_up_to(&mut self, height: Height) -> Result<Option<HeaderFile>, StoreError> {
        let Some(main) = &self.main else { return Ok(None) };
        let lent = main.up_to(height)?;
        self.lent = self.main.take();
        Ok(lent)
    }

    /// The store did not change what was lent.
    pub(super) fn give_back(&mut self) {
        self.main = self.main.take().or(self.lent.take());
    }

    /// Whether they have to be read again: they were lent, and did not come back.
    pub(super) const fn are_gone(&self) -> bool {
        self.main.is_none() && self.lent.is_none()
    }

    /// Nobody knows what the store has made of what was lent.
    pub(super) fn let_go(&mut self) {
        self.challengers.drain(..).for_each(Challenger::remove);
        (self.main, self.lent) = (None, None);
    }

    /// No headers are needed any more. Those that were lent are the store's.
    pub(super) fn close(&mut self) {
        self.challengers.drain(..).for_each(Challenger::remove);
        self.lent = None;
        if let Some(Err(error)) = self.main.take().map(HeaderFile::remove) {
            tracing::warn!(%error, "a file that is not needed any more is not removed");
        }
    }

    fn drop_where(&mut self, is_over: impl Fn(&Challenger) -> bool) {
        let (over, kept) = self.challengers.drain(..).partition(is_over);
        self.challengers = kept;
        let over: Vec<Challenger> = over;
        over.into_iter().for_each(Challenger::remove);
    }

    fn own(&self, session: SessionId) -> Option<&HeaderFile> {
        self.challengers.iter().find(|challenger| challenger.owner.session == session).map(|own| &own.file)
    }

    /// The last header of the branch that a session shows: its own, or the heaviest.
    pub(super) fn tip_of(&self, session: SessionId) -> HeaderContext {
        self.own(session).map_or_else(|| self.best(), |own| *own.tip())
    }

    /// Ids from the tip that this session is to go on from, back to genesis at growing distances. Branches of sessions
    /// that are no longer there are forgotten.
    pub(super) fn locator(&mut self, session: SessionId, there: &BTreeSet<SessionId>) -> Result<Asked, StoreError> {
        let mut asked = Vec::new();
        self.drop_where(|challenger| !there.contains(&challenger.owner.session));
        // Another session may have shown the same branch meanwhile.
        let is_known = match self.own(session).map(|own| *own.tip()) {
            Some(tip) => self.at(tip.height())?.is_some_and(|known| known.id() == tip.id()),
            None => false,
        };
        if is_known {
            self.drop_where(|challenger| challenger.owner.session == session);
        }
        let Some(main) = &self.main else { return Ok(Asked(asked)) };
        let own = self.own(session);
        let mut height = own.unwrap_or(main).tip().height();
        let mut step = 1;
        while asked.len() < MAX_LOCATOR {
            let branch = own.filter(|own| height > own.parent().height()).unwrap_or(main);
            asked.extend(branch.at(height)?.map(|context| (context.id(), height)));
            let Some(lower) = height.checked_sub(step) else { break };
            height = lower;
            if asked.len() >= DENSE {
                step *= 2;
            }
        }
        if asked.last().map(|(id, _)| *id) != Some(self.genesis.id()) {
            asked.push((self.genesis.id(), Height::GENESIS));
        }
        Ok(Asked(asked))
    }

    /// Takes an answer; true if it leads any further.
    pub(super) fn take(
        &mut self,
        params: &Params,
        now: TimeMs,
        asker: Asker,
        asked: &Asked,
        headers: &[Header],
    ) -> Result<bool, HeaderRejection> {
        let (Some(first), Some(main)) = (headers.first(), &mut self.main) else { return Ok(false) };
        let most = most_headers(params, now);
        let orphan = HeaderRejection::Orphan { missing: first.previous };
        let asked = asked.0.iter().find(|(id, _)| *id == first.previous).map(|(_, height)| *height);
        let at = asked.ok_or_else(|| orphan.clone())?;
        let mut owned = self.challengers.iter_mut().filter(|challenger| challenger.owner.session == asker.session);
        let own = owned.next().map(|own| &mut own.file).filter(|own| at > own.parent().height());
        let is_own = own.is_some();
        let file = own.unwrap_or(main);
        // What it was asked from may have given way to another branch meanwhile.
        if file.at(at)?.is_none_or(|context| context.id() != first.previous) {
            return Err(orphan);
        }
        let (at, rest) = behind_known(file, at, headers)?;
        if is_own && !rest.is_empty() {
            // Where it has changed its mind, what it said before goes.
            file.truncate(at)?;
        }
        let fork = (at != file.tip().height()).then(|| file.at(at)).transpose()?.flatten();
        if let (None, false) = (fork, rest.is_empty()) {
            extend(file, params, now, most, rest)?;
        }
        // What it shows now forks off below its branch, or is the heaviest: it is asked on from there.
        let has_changed = !is_own && self.own(asker.session).is_some();
        if has_changed {
            self.drop_where(|challenger| challenger.owner.session == asker.session);
        }
        if rest.is_empty() {
            return Ok(has_changed);
        }
        if let Some(fork) = fork {
            let slot = self.make_room(asker.is_chosen);
            let path = challenger_path(&self.data_dir, slot);
            let mut file = HeaderFile::create(&self.disk, &path, fork)?.leaving(self.reserve_bytes);
            let extended = extend(&mut file, params, now, most, rest);
            self.challengers.push(Challenger { owner: asker, slot, file });
            extended?;
        }
        self.settle(asker.session).map(|()| true)
    }

    /// Room for a session's branch: where there is none, that of the one of its like that shows the least work.
    fn make_room(&mut self, is_chosen: bool) -> usize {
        let like = self.challengers.iter().filter(|other| other.owner.is_chosen == is_chosen);
        let most = if is_chosen { CHOSEN_BRANCHES } else { STRANGE_BRANCHES };
        if like.clone().count() >= most {
            let least = like.min_by_key(|other| other.own_work()).map(|other| other.slot);
            self.drop_where(|challenger| Some(challenger.slot) == least);
        }
        let taken: BTreeSet<_> = self.challengers.iter().map(|challenger| challenger.slot).collect();
        (0..MAX_BRANCHES).find(|slot| !taken.contains(slot)).unwrap_or_default()
    }

    /// Takes a session's branch in the place of what it left, once it is heavier. Others that fork off above go.
    fn settle(&mut self, session: SessionId) -> Result<(), HeaderRejection> {
        let own = self.challengers.iter().find(|challenger| challenger.owner.session == session);
        let (Some(main), Some(Challenger { file, slot, .. })) = (&mut self.main, own) else { return Ok(()) };
        if file.tip().total_work() <= main.tip().total_work() {
            return Ok(());
        }
        // What a kill leaves of this is a chain: the rest is fetched again.
        let (fork, slot) = (file.parent().height(), *slot);
        main.truncate(fork)?;
        file.each_above(fork, &mut |contexts| main.push(contexts))?;
        self.drop_where(|other| other.slot == slot || other.file.parent().height() > fork);
        Ok(())
    }
}

/// Passes over headers that a file has already; the height of the last of these, and the rest.
fn behind_known<'a>(
    file: &HeaderFile,
    mut at: Height,
    headers: &'a [Header],
) -> Result<(Height, &'a [Header]), StoreError> {
    let mut rest = headers;
    while let Some((next, behind)) = rest.split_first() {
        match file.at(at.next())? {
            Some(known) if known.header() == next => (at, rest) = (at.next(), behind),
            _ => break,
        }
    }
    Ok((at, rest))
}

/// Checks headers and puts them behind a tip; those before one that is not right are kept.
fn extend(
    file: &mut HeaderFile,
    params: &Params,
    now: TimeMs,
    most: u64,
    headers: &[Header],
) -> Result<(), HeaderRejection> {
    let (mut last, mut good) = (*file.tip(), Vec::with_capacity(headers.len()));
    let mut fault = None;
    for (at, header) in headers.iter().enumerate() {
        if last.height().get() >= most {
            fault = Some(HeaderRejection::Full(usize::try_from(most).unwrap_or(usize::MAX)));
            break;
        }
        match check_header(params, &last, header, now) {
            Ok(context) => {
                last = context;
                good.push(context);
            }
            Err(error) => {
                fault = Some(HeaderRejection::Invalid { at, id: header.id(), error });
                break;
            }
        }
    }
    file.push(&good)?;
    fault.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests;
