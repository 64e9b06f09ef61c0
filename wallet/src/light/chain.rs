//! The end of a chain whose work was shown.

use farthing::{BlockId, Header, Height, Params, TimeMs, Work, chain_proof::ChainProof};
use farthing_consensus::{ChainProofError, HeaderContext, HeaderError, check_header, verify_chain_proof};

/// Headers that are kept of a chain: those that a proof shows without gaps, and the tip.
pub const KEPT: usize = 65;

/// The end of a chain whose work from genesis on was shown: its last headers without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The oldest first; at least one.
    headers: Vec<Header>,
    tip: HeaderContext,
}

impl Chain {
    /// The chain of genesis alone, which needs no proof.
    #[must_use]
    pub fn genesis(network: &Params) -> Self {
        let tip = HeaderContext::genesis(network);
        Self { headers: vec![*tip.header()], tip }
    }

    /// The chain that a sampled proof shows.
    ///
    /// # Errors
    /// The first rule that the proof breaks.
    pub fn of_proof(network: &Params, proof: &ChainProof) -> Result<Self, ChainProofError> {
        let proven = verify_chain_proof(network, proof)?;
        let first = proof.count.saturating_sub(KEPT as u64 - 1);
        let shown = proof.shown.iter().filter(|(height, _)| *height >= first).map(|(_, header)| *header);
        let mut headers: Vec<Header> = shown.collect();
        headers.push(proof.tip);
        Ok(Self { headers, tip: proven.tip })
    }

    /// What was kept of a chain; none if the headers do not follow one another up to the height.
    #[must_use]
    pub fn of_kept(headers: Vec<Header>, height: Height, work: Work) -> Option<Self> {
        let last = *headers.last()?;
        let linked = headers.iter().zip(headers.iter().skip(1)).all(|(below, above)| above.previous == below.id());
        let fits = headers.len() <= KEPT && headers.len() as u64 <= height.get().saturating_add(1);
        (linked && fits).then(|| Self { headers, tip: HeaderContext::from_stored(last, height, work) })
    }

    /// Goes on with the next header, by all rules that a header must keep but the clock's.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn push(&mut self, network: &Params, header: Header) -> Result<(), HeaderError> {
        self.tip = check_header(network, &self.tip, &header, header.time)?;
        self.headers.push(header);
        if self.headers.len() > KEPT {
            self.headers.remove(0);
        }
        Ok(())
    }

    /// Its last headers, the oldest first.
    #[must_use]
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// Height of the first of them.
    #[must_use]
    pub fn first_height(&self) -> Height {
        let above = u64::try_from(self.headers.len()).unwrap_or(u64::MAX).saturating_sub(1);
        Height::new(self.height().get().saturating_sub(above))
    }

    /// The header at a height, if that is one of its last.
    #[must_use]
    pub fn header_at(&self, height: Height) -> Option<&Header> {
        let above = usize::try_from(self.height().get().checked_sub(height.get())?).ok()?;
        self.headers.get(self.headers.len().checked_sub(above.checked_add(1)?)?)
    }

    /// The chain up to the oldest header kept.
    #[must_use]
    pub fn oldest(&self) -> Option<Self> {
        let (first, height) = (*self.headers.first()?, self.first_height());
        Self::of_kept(vec![first], height, self.work_up_to(height, &first.id())?)
    }

    /// The tip's time: the latest of all, as times only grow.
    #[must_use]
    pub const fn time(&self) -> TimeMs {
        self.tip.time()
    }

    /// The tip's height.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.tip.height()
    }

    /// The tip's id.
    #[must_use]
    pub const fn id(&self) -> BlockId {
        self.tip.id()
    }

    /// Work of the whole chain.
    #[must_use]
    pub const fn work(&self) -> Work {
        self.tip.total_work()
    }

    /// Work that so many headers like the tip take.
    #[must_use]
    pub fn work_of(&self, headers: u32) -> Work {
        let one = self.tip.work().unwrap_or(Work::ZERO);
        Work::new(one.get().saturating_mul(headers.into()))
    }

    /// A header of both chains below which they claim different work: then one of the two claims is false. Its height, and what each
    /// has up to it.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> Option<(Height, Work, Work)> {
        let heights = (other.first_height().get()..=other.height().get()).rev().map(Height::new);
        heights.filter_map(|height| Some((height, other.header_at(height)?.id()))).find_map(|(height, id)| {
            let (own, others) = (self.work_up_to(height, &id)?, other.work_up_to(height, &id)?);
            (own != others).then_some((height, own, others))
        })
    }

    /// Work of the chain up to a header, if that is one of its last.
    #[must_use]
    pub fn work_up_to(&self, height: Height, id: &BlockId) -> Option<Work> {
        let above = usize::try_from(self.height().get().checked_sub(height.get())?).ok()?;
        let at = self.headers.len().checked_sub(above.checked_add(1)?)?;
        if self.headers.get(at)?.id() != *id {
            return None;
        }
        let mut work = self.work().get();
        for header in &self.headers[at + 1..] {
            work = work.checked_sub(header.bits.target().ok()?.work()?.get())?;
        }
        Some(Work::new(work))
    }
}
