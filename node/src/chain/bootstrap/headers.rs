//! All headers of the heaviest branch, in a file, and those of one branch that may turn out to be heavier, in another.
//!
//! Each is checked by the rules before it is kept: 134 bytes of disk cost whoever sends it a header's work. One session
//! at a time is asked; both files together hold at most twice [`most_headers`].

use std::{path::Path, path::PathBuf, sync::Arc};

use farthing::{BlockId, Header, Height, Params, TimeMs};
use farthing_consensus::{HeaderContext, check_header};

use super::{CHALLENGER, left_headers};
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

/// Most headers that a file takes: twice what the network's schedule allows since genesis, and some more.
fn most_headers(params: &Params, now: TimeMs) -> u64 {
    (now.since(params.genesis_time) / params.target_spacing_ms.max(1)).saturating_mul(2).saturating_add(SPARE)
}

/// The headers that were checked.
#[derive(Debug)]
pub(super) struct Headers {
    disk: Arc<dyn Disk>,
    challenger_path: PathBuf,
    /// None once they are given away.
    main: Option<HeaderFile>,
    challenger: Option<(SessionId, HeaderFile)>,
    genesis: HeaderContext,
    /// Bytes that must stay free on the disk.
    reserve_bytes: u64,
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
        let challenger_path = data_dir.join(CHALLENGER);
        let disk = Arc::clone(disk);
        Ok(Self { disk, challenger_path, main: Some(main), challenger: None, genesis, reserve_bytes })
    }

    pub(super) fn best(&self) -> HeaderContext {
        self.main.as_ref().map_or(self.genesis, |main| *main.tip())
    }

    /// Whether the block of a checkpoint is on the heaviest branch.
    pub(super) fn holds(&self, offer: &Offer) -> Result<bool, StoreError> {
        Ok(self.at(offer.height)?.is_some_and(|context| context.id() == offer.block))
    }

    pub(super) fn at(&self, height: Height) -> Result<Option<HeaderContext>, StoreError> {
        self.main.as_ref().map_or(Ok(None), |main| main.at(height))
    }

    /// The headers up to a height, for good.
    pub(super) fn take_up_to(&mut self, height: Height) -> Result<Option<HeaderFile>, StoreError> {
        self.drop_challenger();
        if let Some(main) = &mut self.main {
            main.truncate(height)?;
        }
        Ok(self.main.take())
    }

    /// Whether they were given away and did not come back.
    pub(super) const fn are_gone(&self) -> bool {
        self.main.is_none()
    }

    /// No headers are needed any more.
    pub(super) fn close(&mut self) {
        self.drop_challenger();
        if let Some(Err(error)) = self.main.take().map(HeaderFile::remove) {
            tracing::warn!(%error, "a file that is not needed any more is not removed");
        }
    }

    fn drop_challenger(&mut self) {
        if let Some(Err(error)) = self.challenger.take().map(|(_, file)| file.remove()) {
            tracing::warn!(%error, "a file that is not needed any more is not removed");
        }
    }

    /// Ids from the tip that this session is to go on from, back to genesis at growing distances.
    pub(super) fn locator(&self, session: SessionId) -> Result<Asked, StoreError> {
        let mut asked = Vec::new();
        let Some(main) = &self.main else { return Ok(Asked(asked)) };
        let mut height = main.tip().height();
        if let Some((_, challenger)) = self.challenger.as_ref().filter(|(owner, _)| *owner == session) {
            asked.push((challenger.tip().id(), challenger.tip().height()));
            height = challenger.parent().height();
        }
        let mut step = 1;
        while asked.len() < MAX_LOCATOR {
            asked.extend(main.at(height)?.map(|context| (context.id(), height)));
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
        session: SessionId,
        asked: &Asked,
        headers: &[Header],
    ) -> Result<bool, HeaderRejection> {
        let (Some(first), Some(main)) = (headers.first(), &mut self.main) else { return Ok(false) };
        let most = most_headers(params, now);
        if let Some((owner, challenger)) = &mut self.challenger
            && *owner == session
            && challenger.tip().id() == first.previous
        {
            extend(challenger, params, now, most, headers)?;
            return self.settle().map(|()| true);
        }
        let orphan = HeaderRejection::Orphan { missing: first.previous };
        let asked = asked.0.iter().find(|(id, _)| *id == first.previous).map(|(_, height)| *height);
        let mut at = asked.ok_or_else(|| orphan.clone())?;
        // Another session may have led to another branch meanwhile.
        if main.at(at)?.is_none_or(|context| context.id() != first.previous) {
            return Err(orphan);
        }
        // What is known already is passed over.
        let mut rest = headers;
        while let Some((next, behind)) = rest.split_first() {
            match main.at(at.next())? {
                Some(known) if known.header() == next => (at, rest) = (at.next(), behind),
                _ => break,
            }
        }
        if rest.is_empty() {
            return Ok(false);
        }
        if at == main.tip().height() {
            extend(main, params, now, most, rest)?;
            return Ok(true);
        }
        let fork = main.at(at)?.ok_or(orphan)?;
        self.drop_challenger();
        let mut challenger = HeaderFile::create(&self.disk, &self.challenger_path, fork)?.leaving(self.reserve_bytes);
        let extended = extend(&mut challenger, params, now, most, rest);
        self.challenger = Some((session, challenger));
        extended?;
        self.settle().map(|()| true)
    }

    /// Takes the challenger's branch in the place of what it left, once it is heavier.
    fn settle(&mut self) -> Result<(), HeaderRejection> {
        let (Some(main), Some((_, challenger))) = (&mut self.main, &self.challenger) else { return Ok(()) };
        if challenger.tip().total_work() <= main.tip().total_work() {
            return Ok(());
        }
        // What a kill leaves of this is a chain: the rest is fetched again.
        main.truncate(challenger.parent().height())?;
        challenger.each_above(challenger.parent().height(), &mut |contexts| main.push(contexts))?;
        self.drop_challenger();
        Ok(())
    }
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
mod tests {
    use super::*;
    use crate::{
        env::MemDisk,
        store::HeaderFile,
        testing::{TestChain, dev, mine, solve},
    };

    const ONE: SessionId = SessionId::new(1);
    const TWO: SessionId = SessionId::new(2);

    fn branch(parent: HeaderContext, len: usize, mark: u64) -> Vec<HeaderContext> {
        let params = dev();
        let template = mine(&params, &crate::ledger::ChainView::genesis(&params), Vec::new(), 1);
        let (mut last, mut grown) = (parent, Vec::new());
        for _ in 0..len {
            let mut header = template.header;
            header.previous = last.id();
            header.time = TimeMs::new(last.time().get() + 1 + mark);
            let header = solve(farthing::Block { header, ..template.clone() }).header;
            last = check_header(&params, &last, &header, header.time).unwrap();
            grown.push(last);
        }
        grown
    }

    fn of(contexts: &[HeaderContext]) -> Vec<Header> {
        contexts.iter().map(|context| *context.header()).collect()
    }

    fn empty(disk: &MemDisk) -> Headers {
        let params = dev();
        disk.create_dir_all(Path::new("/data")).unwrap();
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let genesis = HeaderContext::genesis(&params);
        let main = HeaderFile::create(&disk, Path::new("/data/headers.part"), genesis).unwrap();
        let challenger_path = PathBuf::from("/data/headers.challenger");
        Headers { disk, challenger_path, main: Some(main), challenger: None, genesis, reserve_bytes: 0 }
    }

    fn now() -> TimeMs {
        dev().genesis_time.saturating_add(86_400_000)
    }

    fn ask_and_take(headers: &mut Headers, session: SessionId, all: &[HeaderContext]) -> Result<bool, HeaderRejection> {
        let asked = headers.locator(session).unwrap();
        // As an honest peer answers: behind the first id that is on its branch.
        let known = |id: &BlockId| all.iter().position(|context| context.id() == *id).map(|at| at + 1);
        let from = asked.ids().iter().find_map(known).unwrap_or(0);
        headers.take(&dev(), now(), session, &asked, &of(&all[from..(from + 7).min(all.len())]))
    }

    #[test]
    fn a_heavier_branch_takes_the_place_of_the_lighter_however_deep_it_forks_and_a_lighter_one_does_not() {
        let disk = MemDisk::new();
        let mut headers = empty(&disk);
        let genesis = HeaderContext::genesis(&dev());
        let old = branch(genesis, 40, 0);
        while headers.best() != old[39] {
            assert!(ask_and_take(&mut headers, ONE, &old).unwrap());
        }
        let fork = 5;
        let longer: Vec<_> = old[..fork].iter().copied().chain(branch(old[fork - 1], 60, 1)).collect();
        let shorter: Vec<_> = old[..30].iter().copied().chain(branch(old[29], 5, 2)).collect();
        for _ in 0..10 {
            let _ = ask_and_take(&mut headers, TWO, &shorter).unwrap();
        }
        assert_eq!(headers.best(), old[39], "less work");
        let mut rounds = 0;
        while headers.best() != longer[64] {
            ask_and_take(&mut headers, TWO, &longer).unwrap();
            rounds += 1;
            assert!(rounds < 30);
        }
        assert_eq!(headers.at(Height::new(5)).unwrap(), Some(longer[4]));
        assert_eq!(headers.at(Height::new(40)).unwrap(), Some(longer[39]));
        assert!(!ask_and_take(&mut headers, ONE, &old).is_ok_and(|moved| moved && headers.best() == old[39]));
    }

    #[test]
    fn an_answer_to_what_was_asked_on_a_branch_that_was_left_meanwhile_is_nobodys_fault_and_not_taken() {
        let disk = MemDisk::new();
        let mut headers = empty(&disk);
        let genesis = HeaderContext::genesis(&dev());
        let (old, heavier) = (branch(genesis, 20, 0), branch(genesis, 20, 1));
        let asked = headers.locator(ONE).unwrap();
        headers.take(&dev(), now(), ONE, &asked, &of(&old[..10])).unwrap();
        let slow = headers.locator(ONE).unwrap();
        let asked = headers.locator(TWO).unwrap();
        headers.take(&dev(), now(), TWO, &asked, &of(&heavier)).unwrap();
        assert_eq!(headers.best(), heavier[19]);
        let late = headers.take(&dev(), now(), ONE, &slow, &of(&old[10..])).unwrap_err();
        assert!(matches!(late, HeaderRejection::Orphan { missing } if missing == old[9].id()), "{late}");
        assert_eq!(headers.best(), heavier[19]);
    }

    #[test]
    fn a_header_that_breaks_a_rule_is_refused_and_those_before_it_stay() {
        let disk = MemDisk::new();
        let mut headers = empty(&disk);
        let good = branch(HeaderContext::genesis(&dev()), 6, 0);
        let mut bad = of(&good);
        while bad[4].has_work() {
            bad[4].nonce += 1;
        }
        let asked = headers.locator(ONE).unwrap();
        let error = headers.take(&dev(), now(), ONE, &asked, &bad).unwrap_err();
        assert!(matches!(error, HeaderRejection::Invalid { at: 4, .. }), "{error}");
        assert_eq!(headers.best(), good[3]);
    }

    #[test]
    fn no_more_headers_are_kept_than_twice_what_the_schedule_allows() {
        let params = dev();
        let hour = params.genesis_time.saturating_add(3_600_000);
        assert_eq!(most_headers(&params, hour), 2 * 1_800 + SPARE);
        let disk = MemDisk::new();
        let headers = empty(&disk);
        let good = branch(HeaderContext::genesis(&params), 6, 0);
        let mut file = headers.main.unwrap();
        let error = extend(&mut file, &params, now(), 4, &of(&good)).unwrap_err();
        assert!(matches!(error, HeaderRejection::Full(4)), "{error}");
        assert_eq!(*file.tip(), good[3]);
    }

    #[tokio::test]
    async fn headers_of_an_earlier_run_are_gone_on_with() {
        let chain = TestChain::start();
        let memory = MemDisk::new();
        let mut headers = empty(&memory);
        let good = branch(HeaderContext::genesis(&dev()), 6, 0);
        let asked = headers.locator(ONE).unwrap();
        headers.take(&dev(), now(), ONE, &asked, &of(&good)).unwrap();
        drop(headers);
        let disk: Arc<dyn Disk> = Arc::new(memory.clone());
        let resumed = Headers::resume(&chain.chain, &disk, Path::new("/data"), 0).unwrap();
        assert_eq!(resumed.best(), good[5]);
        memory.rename(Path::new("/data/headers.part"), Path::new("/data/headers.base")).unwrap();
        let resumed = Headers::resume(&chain.chain, &disk, Path::new("/data"), 0).unwrap();
        assert_eq!(resumed.best(), good[5], "the last step of an earlier run was never done");
    }
}
