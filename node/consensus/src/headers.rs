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

#[cfg(test)]
mod tests {
    use farthing::{Bits, Hash, target::BitsError};

    use super::*;
    use crate::fixtures::{mine, network};

    /// A child of genesis that keeps every rule, changed as the test likes, then mined.
    fn child(params: &Params, change: impl FnOnce(&mut Header)) -> Header {
        let mut header = Header {
            previous: *params.genesis_id(),
            commitment: Hash::ZERO,
            tx_root: Hash::ZERO,
            time: params.genesis_time.saturating_add(10_000),
            bits: params.genesis_bits,
            nonce: 0,
        };
        change(&mut header);
        mine(header)
    }

    fn check(params: &Params, header: &Header) -> Result<HeaderContext, HeaderError> {
        let now = params.genesis_time.saturating_add(10_000);
        check_header(params, &HeaderContext::genesis(params), header, now)
    }

    #[test]
    fn a_good_header_gets_its_height_and_the_work_of_its_chain() {
        let params = network(|_| ());
        let header = child(&params, |_| ());
        let context = check(&params, &header).unwrap();
        assert_eq!(context.height(), Height::new(1));
        assert_eq!((context.id(), *context.header(), context.time()), (header.id(), header, header.time));
        // Bits of 0x207fffff take two attempts, and genesis's work counts.
        assert_eq!((context.work(), context.total_work()), (Some(Work::new(2)), Work::new(4)));
        assert_eq!(HeaderContext::from_stored(header, Height::new(1), Work::new(4)), context);
    }

    #[test]
    fn bits_that_name_no_target_are_refused() {
        let params = network(|_| ());
        for (compact, rule) in
            [(0x1d80_0001, "R-DIF-01"), (0x1d00_0000, "R-DIF-02"), (0x2301_0000, "R-DIF-03"), (0x1e00_00ff, "R-DIF-04")]
        {
            let header = Header { bits: Bits::from_compact(compact), ..child(&params, |_| ()) };
            let error = check_header_alone(&params, &header).unwrap_err();
            assert!(matches!(error, HeaderError::Bits(_)), "{error}");
            assert_eq!((error.rule(), error.condemns_id()), (rule, true));
        }
        assert_eq!(HeaderError::from(BitsError::Zero(3)).to_string(), BitsError::Zero(3).to_string());
    }

    #[test]
    fn targets_outside_the_networks_range_are_refused() {
        let params = network(|fields| {
            fields.genesis_bits = Bits::from_compact(0x1f00_ffff);
            fields.limit_bits = Bits::from_compact(0x1f7f_ffff);
        });
        let with = |compact| Header { bits: Bits::from_compact(compact), ..*HeaderContext::genesis(&params).header() };
        let range = |compact| HeaderError::TargetOutOfRange {
            found: Bits::from_compact(compact),
            limit: Bits::from_compact(0x1f7f_ffff),
        };
        // One step beyond the limit, and the largest target below 2^160.
        for compact in [0x2000_8000, 0x1500_ffff] {
            assert_eq!(check_header_alone(&params, &with(compact)), Err(range(compact)));
        }
        // The ends themselves are within the range: only the work is missing.
        for compact in [0x1f7f_ffff, 0x1501_0000] {
            let mut header = with(compact);
            while header.has_work() {
                header.nonce += 1;
            }
            assert_eq!(check_header_alone(&params, &header).unwrap_err().rule(), "R-HDR-03");
        }
    }

    #[test]
    fn work_must_be_done() {
        let params = network(|_| ());
        let mut header = child(&params, |_| ());
        while header.has_work() {
            header.nonce += 1;
        }
        let error = HeaderError::InsufficientWork { id: header.id(), bits: header.bits };
        assert_eq!(check(&params, &header), Err(error.clone()));
        assert_eq!(check_header_alone(&params, &header), Err(error));
    }

    #[test]
    fn a_time_beyond_the_format_is_refused_for_good() {
        let params = network(|_| ());
        let last = child(&params, |header| header.time = TimeMs::new((1 << 48) - 1));
        assert_eq!(check_header_alone(&params, &last), Ok(last.id()));
        let header = child(&params, |header| header.time = TimeMs::new(1 << 48));
        assert_eq!(check(&params, &header), Err(HeaderError::TimeTooLarge(TimeMs::new(1 << 48))));
    }

    /// Timewarp: time grows strictly with every block.
    #[test]
    fn time_must_grow_by_a_millisecond_at_least() {
        let params = network(|_| ());
        let genesis = params.genesis_time;
        let header = child(&params, |header| header.time = genesis);
        assert_eq!(check(&params, &header), Err(HeaderError::TimeNotAfterParent { time: genesis, parent: genesis }));
        assert!(check(&params, &child(&params, |header| header.time = genesis.saturating_add(1))).is_ok());
    }

    #[test]
    fn bits_must_be_those_of_the_schedule() {
        let params = network(|_| ());
        let found = Bits::from_compact(0x2070_0000);
        let header = child(&params, |header| header.bits = found);
        assert_eq!(check(&params, &header), Err(HeaderError::WrongBits { found, expected: params.genesis_bits }));
    }

    #[test]
    fn more_work_than_can_be_written_is_refused() {
        let params = network(|_| ());
        let parent = |work| HeaderContext { total_work: Work::new(work), ..HeaderContext::genesis(&params) };
        let header = child(&params, |_| ());
        let check = |work| check_header(&params, &parent(work), &header, header.time);
        assert_eq!(check(u128::MAX - 2).unwrap().total_work(), Work::new(u128::MAX));
        let error = HeaderError::WorkOverflow { work: Work::new(2), parent: Work::new(u128::MAX - 1) };
        assert_eq!(check(u128::MAX - 1), Err(error));
    }

    #[test]
    fn another_parent_is_not_known_yet() {
        let params = network(|_| ());
        let previous = BlockId::from_bytes([3; 32]);
        let error = check(&params, &child(&params, |header| header.previous = previous)).unwrap_err();
        assert_eq!(error, HeaderError::ParentUnknown { previous });
        assert!(error.is_temporary() && !error.condemns_id());
    }

    /// Time-jacking: only the node's own clock decides, and only for now.
    #[test]
    fn a_header_from_the_future_waits_for_its_time() {
        let params = network(|_| ());
        let parent = HeaderContext::genesis(&params);
        let header = child(&params, |_| ());
        let at = |now: u64| check_header(&params, &parent, &header, TimeMs::new(now));
        let first = header.time.get() - 60_000;
        let error = at(first - 1).unwrap_err();
        assert_eq!(error, HeaderError::TimeTooFarAhead { time: header.time, retry_at: TimeMs::new(first) });
        assert!(error.is_temporary() && !error.condemns_id());
        assert!(at(first).is_ok());
    }

    /// Otherwise a header that can never be valid would be kept and tried again.
    #[test]
    fn a_fault_for_good_is_reported_before_one_that_time_heals() {
        let params = network(|_| ());
        let header = child(&params, |header| {
            header.time = params.genesis_time.saturating_add(10_000_000);
            header.bits = Bits::from_compact(0x2070_0000);
        });
        assert_eq!(check(&params, &header).unwrap_err().rule(), "R-DIF-06");
    }
}
