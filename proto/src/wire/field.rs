//! Reading single fields: fixed lengths, required messages.

use prost::bytes::Bytes;

use super::{WireError, WireFault};
use crate::{
    BlockId, Hash, Header, RangeNode, TxId, Work, address::Address, codec::Canonical as _, header::HEADER_BYTES,
    range::RANGE_NODE_BYTES,
};

/// Bytes of exactly the length that `T` has.
pub(super) fn hash<T: From32>(field: &'static str, bytes: &[u8]) -> Result<T, WireError> {
    let bytes = <[u8; 32]>::try_from(bytes)
        .map_err(|_| WireError::new(field, WireFault::Length { expected: 32, found: bytes.len() }))?;
    Ok(T::from_32(bytes))
}

/// A 32-byte type.
pub(super) trait From32 {
    fn from_32(bytes: [u8; 32]) -> Self;
}

macro_rules! from_32 {
    ($($name:ident),*) => {$(
        impl From32 for $name {
            fn from_32(bytes: [u8; 32]) -> Self {
                Self::from_bytes(bytes)
            }
        }
    )*};
}
from_32!(Address, BlockId, Hash, TxId);

/// A message that must be there, read into its domain type.
pub(super) fn required<W, T>(field: &'static str, message: Option<W>) -> Result<T, WireError>
where
    T: TryFrom<W, Error = WireError>,
{
    T::try_from(message.ok_or_else(|| WireError::missing(field))?).map_err(|error| error.within(field))
}

/// The canonical bytes of a header.
pub(super) fn header(field: &'static str, bytes: &[u8]) -> Result<Header, WireError> {
    if bytes.len() != HEADER_BYTES {
        return Err(WireError::new(field, WireFault::Length { expected: HEADER_BYTES, found: bytes.len() }));
    }
    Header::from_canonical(bytes).map_err(|error| WireError::new(field, error))
}

/// The canonical bytes of a node of the header range.
pub(super) fn range_node(field: &'static str, bytes: &[u8]) -> Result<RangeNode, WireError> {
    if bytes.len() != RANGE_NODE_BYTES {
        return Err(WireError::new(field, WireFault::Length { expected: RANGE_NODE_BYTES, found: bytes.len() }));
    }
    RangeNode::from_canonical(bytes).map_err(|error| WireError::new(field, error))
}

/// A list of at most `max` items, counted before it is walked.
pub(super) fn list<W, T>(
    field: &'static str,
    max: usize,
    items: Vec<W>,
    read: impl Fn(W) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    if items.len() > max {
        let fault = WireFault::Count { unit: "items", min: 0, max, found: items.len() };
        return Err(WireError::new(field, fault));
    }
    let items = items.into_iter().enumerate();
    items.map(|(at, item)| read(item).map_err(|error| error.within_item(field, at))).collect()
}

/// Work as 16 bytes, big-endian.
pub(super) fn work(field: &'static str, bytes: &[u8]) -> Result<Work, WireError> {
    let bytes = <[u8; 16]>::try_from(bytes)
        .map_err(|_| WireError::new(field, WireFault::Length { expected: 16, found: bytes.len() }))?;
    Ok(Work::new(u128::from_be_bytes(bytes)))
}

/// Work as it is sent.
pub(super) fn work_bytes(work: Work) -> Bytes {
    Bytes::copy_from_slice(&work.get().to_be_bytes())
}

/// 32 bytes as they are sent.
pub(super) fn bytes32(bytes: &[u8; 32]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// A size as it is sent; nothing that has one is larger than 16 MiB.
pub(super) fn size(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Checks the only version that there is.
pub(super) fn version(found: u32) -> Result<(), WireError> {
    match found {
        1 => Ok(()),
        other => Err(WireError::new("version", WireFault::OutOfRange { min: 1, max: 1, found: other.into() })),
    }
}
