//! Blocks for readers: with or without transactions, ids and texts spelt out.

use prost::bytes::Bytes;

use super::{WireError, WireFault, field, transaction_view_with_id, v1};
use crate::{Block, BlockId, Coinbase, Header, Height, Params, TxId, Work, wire::read_transaction_view};

/// A block and where it stands, as the node knows it.
#[derive(Debug, Clone, Copy)]
pub struct BlockPlace<'a> {
    /// The block.
    pub block: &'a Block,
    /// Its id.
    pub id: BlockId,
    /// Ids of its transactions in order; none if they are still to be computed.
    pub tx_ids: Option<&'a [TxId]>,
    /// Its height.
    pub height: Height,
    /// Work of its chain up to and with it.
    pub total_work: Work,
    /// Blocks from it up to the tip, 1 for the tip itself; 0 on a side branch.
    pub confirmations: u64,
}

/// A block as readers of this network see it.
#[must_use]
pub fn block_view(params: &Params, place: &BlockPlace<'_>, headers_only: bool) -> v1::BlockView {
    let block = place.block;
    let transactions = if headers_only { &[] } else { block.transactions.as_slice() };
    let id_of = |at: usize| place.tx_ids.and_then(|ids| ids.get(at)).copied();
    v1::BlockView {
        block_id: field::bytes32(place.id.as_bytes()),
        block_id_hex: place.id.to_string(),
        height: place.height.get(),
        header: Some((&block.header).into()),
        header_bytes: Bytes::copy_from_slice(&block.header.to_bytes()),
        coinbase: Some((&block.coinbase).into()),
        miner_address_text: params.prefix.format(&block.coinbase.to),
        transactions: transactions
            .iter()
            .enumerate()
            .map(|(at, signed)| {
                let id = id_of(at).unwrap_or_else(|| signed.transaction().id(params.genesis_id()));
                transaction_view_with_id(params, signed, id)
            })
            .collect(),
        transaction_count: field::size(block.transactions.len()),
        size_bytes: field::size(block.size_bytes()),
        total_work: field::work_bytes(place.total_work),
        confirmations: place.confirmations,
    }
}

/// What a block view says of its block without the transactions; the id was computed from the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockSummary {
    /// The header's id.
    pub id: BlockId,
    /// The header.
    pub header: Header,
    /// Height as the coinbase states it. Only the transaction root ties the coinbase to the header.
    pub height: Height,
    /// The coinbase.
    pub coinbase: Coinbase,
    /// Transactions in the block, by the sender's word.
    pub transaction_count: u32,
    /// Work of the chain up to and with it, by the sender's word.
    pub total_work: Work,
    /// Blocks from it up to the tip, by the sender's word; 0 on a side branch.
    pub confirmations: u64,
}

impl TryFrom<&v1::BlockView> for BlockSummary {
    type Error = WireError;

    fn try_from(view: &v1::BlockView) -> Result<Self, WireError> {
        let header = field::header("header_bytes", &view.header_bytes)?;
        if field::required::<_, Header>("header", view.header.clone())? != header {
            return Err(WireError::new("header", WireFault::Mismatch { other: "header_bytes" }));
        }
        let id = header.id();
        if view.block_id.as_ref() != id.as_bytes() {
            return Err(WireError::new("block_id", WireFault::Mismatch { other: "header_bytes" }));
        }
        let coinbase: Coinbase = field::required("coinbase", view.coinbase.clone())?;
        if coinbase.height.get() != view.height {
            return Err(WireError::new("height", WireFault::Mismatch { other: "coinbase.height" }));
        }
        Ok(Self {
            id,
            header,
            height: coinbase.height,
            coinbase,
            transaction_count: view.transaction_count,
            total_work: field::work("total_work", &view.total_work)?,
            confirmations: view.confirmations,
        })
    }
}

/// Reads a whole block back from a view that carries its transactions, and holds it against its header.
///
/// # Errors
/// If a field is malformed, an id is not its own, or coinbase and transactions are not those of the header.
pub fn read_block_view(params: &Params, view: v1::BlockView) -> Result<(BlockSummary, Block), WireError> {
    let summary = BlockSummary::try_from(&view)?;
    let transactions = view
        .transactions
        .into_iter()
        .enumerate()
        .map(|(at, view)| match read_transaction_view(params, view) {
            Ok((_, signed)) => Ok(signed),
            Err(error) => Err(error.within_item("transactions", at)),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let block = Block { header: summary.header, coinbase: summary.coinbase.clone(), transactions };
    if block.tx_root() != block.header.tx_root {
        return Err(WireError::new("transactions", WireFault::Mismatch { other: "header.tx_root" }));
    }
    Ok((summary, block))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{params::Network, wire::samples};

    fn view_of(block: &Block, headers_only: bool) -> v1::BlockView {
        let place = BlockPlace {
            block,
            id: block.id(),
            tx_ids: None,
            height: block.coinbase.height,
            total_work: Work::new(77),
            confirmations: 3,
        };
        block_view(Network::Dev.params(), &place, headers_only)
    }

    proptest! {
        #[test]
        fn a_block_survives_the_wire(block in samples::block()) {
            let (summary, read) = read_block_view(Network::Dev.params(), view_of(&block, false)).unwrap();
            prop_assert_eq!((summary.id, summary.confirmations), (block.id(), 3));
            prop_assert_eq!(summary.transaction_count as usize, block.transactions.len());
            prop_assert_eq!(read, block);
        }

        #[test]
        fn a_view_without_transactions_still_has_its_summary(block in samples::block()) {
            let view = view_of(&block, true);
            prop_assert!(view.transactions.is_empty());
            let summary = BlockSummary::try_from(&view).unwrap();
            prop_assert_eq!(summary.transaction_count as usize, block.transactions.len());
            prop_assert_eq!((summary.header, &summary.coinbase), (block.header, &block.coinbase));
        }
    }

    #[test]
    fn every_bad_field_is_named_with_its_path() {
        let mut block = Network::Dev.params().genesis().clone();
        block.transactions = vec![samples::transfer(1, 1), samples::transfer(0, 2)];
        block.header.tx_root = block.tx_root();
        type Change = fn(&mut v1::BlockView);
        let table: [(Change, &str); 9] = [
            (|v| v.header_bytes = Bytes::new(), "header_bytes: expected 118 bytes, got 0"),
            (|v| v.header = None, "header: is required"),
            (|v| v.header.as_mut().unwrap().nonce = 9, "header: does not match header_bytes"),
            (|v| v.block_id = vec![0; 32].into(), "block_id: does not match header_bytes"),
            (|v| v.coinbase.as_mut().unwrap().address = Bytes::new(), "coinbase.address: expected 32 bytes, got 0"),
            (|v| v.height = 9, "height: does not match coinbase.height"),
            (|v| v.total_work = Bytes::new(), "total_work: expected 16 bytes, got 0"),
            (
                |v| v.transactions[1].transaction.as_mut().unwrap().outputs[1].address = Bytes::new(),
                "transactions[1].transaction.outputs[1].address: expected 32 bytes, got 0",
            ),
            (|v| v.transactions.truncate(1), "transactions: does not match header.tx_root"),
        ];
        for (change, expected) in table {
            let mut view = view_of(&block, false);
            change(&mut view);
            assert_eq!(read_block_view(Network::Dev.params(), view).unwrap_err().to_string(), expected);
        }
    }
}
