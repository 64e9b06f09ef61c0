//! Header rules: what a header shows by itself, and what its parent demands \[SPEC section 6\].

use farthing::{
    BlockId, Header, Height, Params, Target, TimeMs, Work,
    limits::{MAX_FUTURE_MS, MAX_TIME_MS},
};

use crate::{difficulty::required_bits, error::HeaderError};

/// A header with its place in the chain: all that its children's rules need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderContext {
    id: BlockId,
    height: Height,
    header: Header,
    total_work: Work,
}

impl HeaderContext {
    /// Where every chain of a network begins.
    #[must_use]
    pub fn genesis(params: &Params) -> Self {
        let header = params.genesis().header;
        let total_work = header.bits.target().ok().and_then(Target::work);
        Self {
            id: *params.genesis_id(),
            height: Height::GENESIS,
            header,
            total_work: total_work.expect("parameters hold genesis's target to at least 2^160"),
        }
    }

    /// A header that was checked before, as a store gives it back. Nothing is checked again; the id is computed.
    #[must_use]
    pub fn from_stored(header: Header, height: Height, total_work: Work) -> Self {
        Self { id: header.id(), height, header, total_work }
    }

    /// Id of the header.
    #[must_use]
    pub const fn id(&self) -> BlockId {
        self.id
    }

    /// Blocks between genesis and this one.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }

    /// The header itself.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Work of all headers up to this one, genesis and this one included.
    #[must_use]
    pub const fn total_work(&self) -> Work {
        self.total_work
    }

    /// The header's time.
    #[must_use]
    pub const fn time(&self) -> TimeMs {
        self.header.time
    }

    /// Work of this header alone; none for bits that no valid header has.
    #[must_use]
    pub fn work(&self) -> Option<Work> {
        self.header.bits.target().ok().and_then(Target::work)
    }
}

/// Checks what a header shows without its chain: bits within the network's range, the work done, a time within the
/// format. Cheap, and the first thing to do with a stranger's header. Returns its id.
///
/// # Errors
/// The first context-free rule broken; none of them is temporary.
pub fn check_header_alone(params: &Params, header: &Header) -> Result<BlockId, HeaderError> {
    check_target(params, header)?;
    let id = check_work(header)?;
    check_time_fits(header)?;
    Ok(id)
}

/// Checks a header on its parent and by the clock `now`, context-free rules included.
///
/// # Errors
/// The first rule broken. Rules that time may heal come last: an error that [`is_temporary`](HeaderError::is_temporary)
/// never hides one that is for good.
pub fn check_header(
    params: &Params,
    parent: &HeaderContext,
    header: &Header,
    now: TimeMs,
) -> Result<HeaderContext, HeaderError> {
    let id = check_header_alone(params, header)?;
    check_parent(parent, header)?;
    check_time_grows(parent, header)?;
    check_bits(params, parent, header)?;
    let total_work = add_work(parent, header)?;
    check_future(header, now)?;
    Ok(HeaderContext { id, height: parent.height.next(), header: *header, total_work })
}

/// R-DIF-01 to R-DIF-05.
fn check_target(params: &Params, header: &Header) -> Result<(), HeaderError> {
    let target = header.bits.target()?;
    if target < Target::HARDEST || target > params.limit() {
        return Err(HeaderError::TargetOutOfRange { found: header.bits, limit: params.limit_bits });
    }
    Ok(())
}

/// R-HDR-03.
fn check_work(header: &Header) -> Result<BlockId, HeaderError> {
    let (id, target) = (header.id(), header.bits.target()?);
    if target.is_met_by(&id) { Ok(id) } else { Err(HeaderError::InsufficientWork { id, bits: header.bits }) }
}

/// R-TIM-03.
const fn check_time_fits(header: &Header) -> Result<(), HeaderError> {
    if header.time.get() < MAX_TIME_MS { Ok(()) } else { Err(HeaderError::TimeTooLarge(header.time)) }
}

/// R-HDR-05.
fn check_parent(parent: &HeaderContext, header: &Header) -> Result<(), HeaderError> {
    if header.previous == parent.id { Ok(()) } else { Err(HeaderError::ParentUnknown { previous: header.previous }) }
}

/// R-TIM-01.
fn check_time_grows(parent: &HeaderContext, header: &Header) -> Result<(), HeaderError> {
    if header.time > parent.time() {
        Ok(())
    } else {
        Err(HeaderError::TimeNotAfterParent { time: header.time, parent: parent.time() })
    }
}

/// R-DIF-06.
fn check_bits(params: &Params, parent: &HeaderContext, header: &Header) -> Result<(), HeaderError> {
    let expected = required_bits(params, parent);
    if header.bits == expected { Ok(()) } else { Err(HeaderError::WrongBits { found: header.bits, expected }) }
}

/// R-HDR-04.
fn add_work(parent: &HeaderContext, header: &Header) -> Result<Work, HeaderError> {
    // Targets are at least 2^160 by now, so the work of one header always fits.
    let work = header.bits.target()?.work().unwrap_or(Work::new(u128::MAX));
    parent.total_work.checked_add(work).ok_or(HeaderError::WorkOverflow { work, parent: parent.total_work })
}

/// R-TIM-02.
fn check_future(header: &Header, now: TimeMs) -> Result<(), HeaderError> {
    if header.time <= now.saturating_add(MAX_FUTURE_MS) {
        return Ok(());
    }
    let retry_at = TimeMs::new(header.time.get().saturating_sub(MAX_FUTURE_MS));
    Err(HeaderError::TimeTooFarAhead { time: header.time, retry_at })
}
