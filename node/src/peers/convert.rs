//! The peer protocol's messages as domain types, each bounded and checked as it is read.

use farthing::{
    Block, BlockId, Hash, Header, Height, SignedTransaction, WireId, Work,
    checkpoint::MAX_PIECES,
    codec::{Canonical as _, DecodeError, Reader},
    header::HEADER_BYTES,
    limits::MAX_TRANSACTION_BYTES,
    wire::peer as wire,
};
use prost::bytes::Bytes;

use super::limits::{
    MAX_BLOCK_IDS, MAX_BLOCK_INDEXES, MAX_CHECKPOINTS, MAX_HEADERS, MAX_LOCATOR_IDS, MAX_PIECES_AT_ONCE,
    MAX_TIP_HEADERS, MAX_TRANSACTIONS, MAX_TRANSACTIONS_MESSAGE_BYTES, MAX_WIRE_IDS,
};

use crate::chain::CheckpointOffer as Offer;

/// Why a message cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// A field is missing.
    #[error("{field} is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field has the wrong length.
    #[error("{field} has {found} bytes, expected {expected}")]
    Length {
        /// The field.
        field: &'static str,
        /// Its length.
        found: usize,
        /// The right one.
        expected: usize,
    },
    /// A list or a text is too long.
    #[error("{field} has {found} items, at most {max} are allowed")]
    TooMany {
        /// The field.
        field: &'static str,
        /// How many.
        found: usize,
        /// How many there may be.
        max: usize,
    },
    /// A list is empty.
    #[error("{field} is empty")]
    Empty {
        /// The field.
        field: &'static str,
    },
    /// A number is out of range.
    #[error("{field} is {found}, expected {expected}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// The number.
        found: u64,
        /// The range in words.
        expected: &'static str,
    },
    /// A text is not what it should be.
    #[error("{field} is not {expected}")]
    NotA {
        /// The field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Canonical bytes that cannot be read.
    #[error("{field}: {error}")]
    Canonical {
        /// The field.
        field: &'static str,
        /// Why.
        error: DecodeError,
    },
    /// Headers that do not stand on one another.
    #[error("header {at} does not stand on the one before it")]
    Unlinked {
        /// Index in the list.
        at: usize,
    },
}

/// Where a peer stands, and the newest headers of its branch if it sent them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tip {
    pub(super) height: Height,
    pub(super) work: Work,
    pub(super) id: BlockId,
    pub(super) headers: Vec<Header>,
}

impl Tip {
    pub(super) fn from_wire(tip: wire::Tip) -> Result<Self, Malformed> {
        let headers = headers_from_wire("tip.headers", &tip.headers, MAX_TIP_HEADERS)?;
        let last = headers.last().ok_or(Malformed::Empty { field: "tip.headers" })?;
        let work = work_from_wire("tip.total_work", &tip.total_work)?;
        Ok(Self { height: Height::new(tip.height), work, id: last.id(), headers })
    }

    pub(super) fn to_wire(&self) -> wire::Tip {
        wire::Tip {
            height: self.height.get(),
            total_work: work_to_wire(self.work),
            headers: self.headers.iter().map(header_to_wire).collect(),
            compact: None,
        }
    }
}

pub(super) fn work_from_wire(field: &'static str, bytes: &[u8]) -> Result<Work, Malformed> {
    array(field, bytes).map(|bytes| Work::new(u128::from_be_bytes(bytes)))
}

pub(super) fn work_to_wire(work: Work) -> Bytes {
    Bytes::copy_from_slice(&work.get().to_be_bytes())
}

pub(super) fn array<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed::Length { field, found: bytes.len(), expected: N })
}

fn bounded<T>(field: &'static str, items: &[T], max: usize) -> Result<(), Malformed> {
    if items.len() > max { Err(Malformed::TooMany { field, found: items.len(), max }) } else { Ok(()) }
}

pub(super) fn header_to_wire(header: &Header) -> Bytes {
    Bytes::copy_from_slice(&header.to_bytes())
}

/// Headers, each standing on the one before it.
pub(super) fn headers_from_wire(field: &'static str, items: &[Bytes], max: usize) -> Result<Vec<Header>, Malformed> {
    bounded(field, items, max)?;
    let mut headers: Vec<Header> = Vec::with_capacity(items.len());
    for (at, bytes) in items.iter().enumerate() {
        let bytes = array::<HEADER_BYTES>(field, bytes)?;
        let header = Header::from_canonical(&bytes).map_err(|error| Malformed::Canonical { field, error })?;
        if headers.last().is_some_and(|last| last.id() != header.previous) {
            return Err(Malformed::Unlinked { at });
        }
        headers.push(header);
    }
    Ok(headers)
}

pub(super) fn headers_to_wire(headers: &[Header]) -> wire::Headers {
    wire::Headers { headers: headers.iter().map(header_to_wire).collect() }
}

pub(super) fn answer_headers(headers: Option<wire::Headers>) -> Result<Vec<Header>, Malformed> {
    let headers = headers.ok_or(Malformed::Missing { field: "headers" })?;
    headers_from_wire("headers", &headers.headers, MAX_HEADERS)
}

fn block_ids(field: &'static str, ids: &[Bytes], max: usize) -> Result<Vec<BlockId>, Malformed> {
    bounded(field, ids, max)?;
    ids.iter().map(|id| array(field, id).map(BlockId::from_bytes)).collect()
}

pub(super) fn locator_from_wire(locator: Option<wire::Locator>) -> Result<Vec<BlockId>, Malformed> {
    let locator = locator.ok_or(Malformed::Missing { field: "locator" })?;
    block_ids("locator.block_ids", &locator.block_ids, MAX_LOCATOR_IDS)
}

pub(super) fn locator_to_wire(locator: &[BlockId]) -> wire::Locator {
    wire::Locator { block_ids: locator.iter().take(MAX_LOCATOR_IDS).map(|id| id_to_wire(id.as_bytes())).collect() }
}

pub(super) fn block_ids_from_wire(ids: Option<wire::BlockIds>) -> Result<Vec<BlockId>, Malformed> {
    let ids = ids.ok_or(Malformed::Missing { field: "blocks" })?;
    block_ids("blocks.block_ids", &ids.block_ids, MAX_BLOCK_IDS)
}

pub(super) fn block_ids_to_wire(ids: &[BlockId]) -> wire::BlockIds {
    wire::BlockIds { block_ids: ids.iter().map(|id| id_to_wire(id.as_bytes())).collect() }
}

pub(super) fn wire_ids_from_wire(ids: &wire::TransactionIds) -> Result<Vec<WireId>, Malformed> {
    let field = "transactions.wire_ids";
    bounded(field, &ids.wire_ids, MAX_WIRE_IDS)?;
    ids.wire_ids.iter().map(|id| array(field, id).map(WireId::from_bytes)).collect()
}

pub(super) fn wire_ids_to_wire(ids: &[WireId]) -> wire::TransactionIds {
    wire::TransactionIds { wire_ids: ids.iter().map(|id| id_to_wire(id.as_bytes())).collect() }
}

pub(super) fn id_to_wire(id: &[u8; 32]) -> Bytes {
    Bytes::copy_from_slice(id)
}

/// A block of canonical bytes; its length is held against the network's limit first \[R-ENC-05\].
pub(super) fn block_from_wire(bytes: &[u8], max_bytes: usize) -> Result<Block, Malformed> {
    let field = "block";
    if bytes.len() > max_bytes {
        let error = DecodeError::TooLarge { what: "block", size: bytes.len(), max: max_bytes };
        return Err(Malformed::Canonical { field, error });
    }
    Block::from_canonical(bytes).map_err(|error| Malformed::Canonical { field, error })
}

pub(super) fn transactions_from_wire(
    transactions: Option<wire::Transactions>,
) -> Result<Vec<SignedTransaction>, Malformed> {
    let field = "transactions.transactions";
    let transactions = transactions.ok_or(Malformed::Missing { field: "transactions" })?;
    bounded(field, &transactions.transactions, MAX_TRANSACTIONS)?;
    let read = |bytes: &Bytes| {
        if bytes.len() > MAX_TRANSACTION_BYTES {
            let (size, max) = (bytes.len(), MAX_TRANSACTION_BYTES);
            let error = DecodeError::TooLarge { what: "transaction", size, max };
            return Err(Malformed::Canonical { field, error });
        }
        SignedTransaction::from_canonical(bytes).map_err(|error| Malformed::Canonical { field, error })
    };
    transactions.transactions.iter().map(read).collect()
}

/// As many of the transactions, from the first, as a message may carry.
pub(super) fn transactions_to_wire<'a>(
    transactions: impl IntoIterator<Item = &'a SignedTransaction>,
) -> wire::Transactions {
    // Each item has a tag and a length of up to two bytes before it; the message around them has less than 1 KiB.
    let mut room = MAX_TRANSACTIONS_MESSAGE_BYTES - 1024;
    let mut taken = Vec::new();
    for transaction in transactions.into_iter().take(MAX_TRANSACTIONS) {
        let Some(left) = room.checked_sub(transaction.size_bytes() + 4) else { break };
        room = left;
        taken.push(Bytes::from(transaction.to_canonical()));
    }
    wire::Transactions { transactions: taken }
}

/// Transactions of one block by their places, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BlockPlaces {
    pub(super) block: BlockId,
    pub(super) indexes: Vec<u32>,
}

impl BlockPlaces {
    pub(super) fn from_wire(query: Option<wire::BlockTransactionsQuery>) -> Result<Self, Malformed> {
        let query = query.ok_or(Malformed::Missing { field: "block_transactions" })?;
        let field = "block_transactions.indexes";
        if query.indexes.is_empty() {
            return Err(Malformed::Empty { field });
        }
        bounded(field, &query.indexes, MAX_BLOCK_INDEXES)?;
        if !query.indexes.is_sorted_by(|one, next| one < next) {
            return Err(Malformed::NotA { field, expected: "strictly ascending" });
        }
        let block = block_id_from_wire("block_transactions.block_id", &query.block_id)?;
        Ok(Self { block, indexes: query.indexes })
    }

    pub(super) fn to_wire(&self) -> wire::BlockTransactionsQuery {
        wire::BlockTransactionsQuery { block_id: id_to_wire(self.block.as_bytes()), indexes: self.indexes.clone() }
    }
}

pub(super) fn block_id_from_wire(field: &'static str, id: &[u8]) -> Result<BlockId, Malformed> {
    array(field, id).map(BlockId::from_bytes)
}

/// Exactly so many canonical transactions, one behind the other.
pub(super) fn block_transactions_from_wire(bytes: &[u8], count: usize) -> Result<Vec<SignedTransaction>, Malformed> {
    let failed = |error| Malformed::Canonical { field: "block_transactions", error };
    let mut reader = Reader::new(bytes);
    let mut transactions = Vec::with_capacity(count);
    for _ in 0..count {
        transactions.push(SignedTransaction::decode(&mut reader).map_err(failed)?);
    }
    reader.finish().map_err(failed)?;
    Ok(transactions)
}

/// Checkpoints that a peer says it has.
pub(super) fn checkpoints_from_wire(found: Option<wire::Checkpoints>) -> Result<Vec<Offer>, Malformed> {
    let found = found.unwrap_or_default().checkpoints;
    if found.len() > MAX_CHECKPOINTS {
        return Err(Malformed::TooMany { field: "checkpoints", found: found.len(), max: MAX_CHECKPOINTS });
    }
    let read = |checkpoint: wire::Checkpoint| {
        Ok(Offer {
            height: Height::new(checkpoint.height),
            block: block_id_from_wire("checkpoint.block_id", &checkpoint.block_id)?,
            accounts: checkpoint.accounts,
            bytes: checkpoint.bytes,
            digest: Hash::from_bytes(array("checkpoint.digest", &checkpoint.digest)?),
        })
    };
    found.into_iter().map(read).collect()
}

/// Checkpoints as they travel.
pub(super) fn checkpoints_to_wire(offers: &[Offer]) -> wire::Checkpoints {
    let write = |offer: &Offer| wire::Checkpoint {
        height: offer.height.get(),
        block_id: id_to_wire(offer.block.as_bytes()),
        accounts: offer.accounts,
        bytes: offer.bytes,
        digest: id_to_wire(offer.digest.as_bytes()),
    };
    wire::Checkpoints { checkpoints: offers.iter().take(MAX_CHECKPOINTS).map(write).collect() }
}

/// Hashes of a checkpoint's pieces; none if the peer does not have it.
pub(super) fn hashes_from_wire(bytes: &[u8]) -> Result<Option<Vec<Hash>>, Malformed> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(Malformed::NotA { field: "hashes", expected: "a list of 32 bytes each" });
    }
    if hashes.len() > MAX_PIECES {
        return Err(Malformed::TooMany { field: "hashes", found: hashes.len(), max: MAX_PIECES });
    }
    Ok((!hashes.is_empty()).then(|| hashes.iter().map(|hash| Hash::from_bytes(*hash)).collect()))
}

/// Which checkpoint's hashes a peer asks for.
pub(super) fn hashes_query_from_wire(query: Option<wire::CheckpointHashesQuery>) -> Result<(BlockId, Hash), Malformed> {
    let query = query.ok_or(Malformed::Missing { field: "query" })?;
    let block = block_id_from_wire("query.block_id", &query.block_id)?;
    Ok((block, Hash::from_bytes(array("query.digest", &query.digest)?)))
}

/// Pieces of a checkpoint that a peer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PiecesQuery {
    pub(super) block: BlockId,
    pub(super) digest: Hash,
    pub(super) first: u64,
    pub(super) count: u64,
}

impl PiecesQuery {
    pub(super) fn from_wire(query: Option<wire::CheckpointPiecesQuery>) -> Result<Self, Malformed> {
        let query = query.ok_or(Malformed::Missing { field: "query" })?;
        let count = u64::from(query.count);
        if !(1..=MAX_PIECES_AT_ONCE).contains(&count) {
            return Err(Malformed::OutOfRange { field: "query.count", found: count, expected: "1 to 16" });
        }
        Ok(Self {
            block: block_id_from_wire("query.block_id", &query.block_id)?,
            digest: Hash::from_bytes(array("query.digest", &query.digest)?),
            first: query.first,
            count,
        })
    }

    pub(super) fn to_wire(self) -> wire::CheckpointPiecesQuery {
        wire::CheckpointPiecesQuery {
            block_id: id_to_wire(self.block.as_bytes()),
            digest: id_to_wire(self.digest.as_bytes()),
            first: self.first,
            count: u32::try_from(self.count).unwrap_or(u32::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use farthing::params::Network;
    use proptest::prelude::*;

    use super::*;

    fn linked(count: usize) -> Vec<Header> {
        let mut headers = vec![Network::Dev.params().genesis().header];
        while headers.len() < count {
            let last = headers[headers.len() - 1];
            headers.push(Header { previous: last.id(), time: last.time.saturating_add(1), ..last });
        }
        headers
    }

    fn tip(headers: Vec<Header>) -> Tip {
        let id = headers.last().unwrap().id();
        Tip { height: Height::new(9), work: Work::new(u128::MAX - 1), id, headers }
    }

    #[test]
    fn a_tip_reads_back_and_takes_its_id_from_its_last_header() {
        let tip = tip(linked(MAX_TIP_HEADERS));
        assert_eq!(Tip::from_wire(tip.to_wire()), Ok(tip));
    }

    #[test]
    fn a_tip_needs_headers_not_too_many_and_linked_ones() {
        let mut wire = tip(linked(2)).to_wire();
        wire.headers.swap(0, 1);
        assert_eq!(Tip::from_wire(wire), Err(Malformed::Unlinked { at: 1 }));
        let wire = tip(linked(MAX_TIP_HEADERS + 1)).to_wire();
        assert_eq!(Tip::from_wire(wire), Err(Malformed::TooMany { field: "tip.headers", found: 17, max: 16 }));
        let mut wire = tip(linked(1)).to_wire();
        wire.headers.clear();
        assert_eq!(Tip::from_wire(wire), Err(Malformed::Empty { field: "tip.headers" }));
        let mut wire = tip(linked(1)).to_wire();
        wire.total_work = Bytes::from_static(&[1; 17]);
        let error = Malformed::Length { field: "tip.total_work", found: 17, expected: 16 };
        assert_eq!(Tip::from_wire(wire), Err(error));
    }

    #[test]
    fn a_block_is_measured_before_it_is_read() {
        let genesis = Network::Dev.params().genesis();
        let bytes = genesis.to_canonical();
        assert_eq!(block_from_wire(&bytes, bytes.len()).as_ref(), Ok(genesis));
        let error = block_from_wire(&bytes, bytes.len() - 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("block: block: {} bytes, at most {} are allowed", bytes.len(), bytes.len() - 1)
        );
        assert!(block_from_wire(&bytes[1..], bytes.len()).is_err());
    }

    #[test]
    fn lists_are_bounded_by_their_limits() {
        let ids = |count: usize| vec![Bytes::from_static(&[7; 32]); count];
        let locator = |count| locator_from_wire(Some(wire::Locator { block_ids: ids(count) }));
        assert_eq!(locator(MAX_LOCATOR_IDS).map(|ids| ids.len()), Ok(64));
        assert!(matches!(locator(MAX_LOCATOR_IDS + 1), Err(Malformed::TooMany { .. })));
        let blocks = |count| block_ids_from_wire(Some(wire::BlockIds { block_ids: ids(count) }));
        assert!(blocks(MAX_BLOCK_IDS).is_ok() && blocks(MAX_BLOCK_IDS + 1).is_err());
        let wids = |count| wire_ids_from_wire(&wire::TransactionIds { wire_ids: ids(count) });
        assert!(wids(MAX_WIRE_IDS).is_ok() && wids(MAX_WIRE_IDS + 1).is_err());
        let huge = vec![Bytes::from(vec![0; MAX_TRANSACTION_BYTES + 1])];
        let error = transactions_from_wire(Some(wire::Transactions { transactions: huge })).unwrap_err();
        assert!(error.to_string().contains("4097 bytes, at most 4096"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(lists: Vec<Vec<u8>>, work: Vec<u8>, height: u64) {
            let items: Vec<Bytes> = lists.iter().cloned().map(Bytes::from).collect();
            let _ = Tip::from_wire(wire::Tip { height, total_work: work.into(), headers: items.clone(), compact: None });
            let _ = answer_headers(Some(wire::Headers { headers: items.clone() }));
            let _ = transactions_from_wire(Some(wire::Transactions { transactions: items.clone() }));
            let _ = locator_from_wire(Some(wire::Locator { block_ids: items }));
        }
    }

    #[test]
    fn what_is_said_and_asked_of_checkpoints_reads_back_and_keeps_to_its_bounds() {
        let offer = Offer {
            height: Height::new(7),
            block: BlockId::from_bytes([1; 32]),
            accounts: 3,
            bytes: 400,
            digest: Hash::from_bytes([2; 32]),
        };
        let many = vec![offer.clone(); MAX_CHECKPOINTS + 1];
        let wire = checkpoints_to_wire(&many);
        assert_eq!(checkpoints_from_wire(Some(wire.clone())), Ok(vec![offer.clone(); MAX_CHECKPOINTS]));
        let more = wire::Checkpoints { checkpoints: [wire.checkpoints.clone(), wire.checkpoints].concat() };
        assert!(matches!(checkpoints_from_wire(Some(more)), Err(Malformed::TooMany { .. })));
        assert_eq!(checkpoints_from_wire(None), Ok(Vec::new()));
        let query = PiecesQuery { block: offer.block, digest: offer.digest, first: 5, count: MAX_PIECES_AT_ONCE };
        assert_eq!(PiecesQuery::from_wire(Some(query.to_wire())), Ok(query));
        for count in [0, MAX_PIECES_AT_ONCE + 1] {
            let wrong = PiecesQuery { count, ..query }.to_wire();
            assert!(matches!(PiecesQuery::from_wire(Some(wrong)), Err(Malformed::OutOfRange { .. })), "{count}");
        }
        assert_eq!(hashes_from_wire(&[]), Ok(None));
        assert_eq!(hashes_from_wire(&[2; 64]), Ok(Some(vec![offer.digest; 2])));
        assert!(matches!(hashes_from_wire(&[2; 65]), Err(Malformed::NotA { .. })));
        assert!(matches!(hashes_from_wire(&vec![0; 32 * (MAX_PIECES + 1)]), Err(Malformed::TooMany { .. })));
    }
}
