//! Blocks and transactions read from messages, and held against themselves.

use farthing::{
    Params, SignedTransaction, TimeMs, TxId,
    wire::{BlockSummary, WireError, WireFault, read_block_view, read_transaction_view, v1},
};

use crate::{
    answers::{ChainBlock, WaitingTransaction},
    client::Client,
    error::Error,
    pool::NodeSlot,
    verify,
};

/// A hash or id of 32 bytes.
pub(crate) fn id<'a, T: TryFrom<&'a [u8]>>(field: &str, bytes: &'a [u8], node: &NodeSlot) -> Result<T, Error> {
    T::try_from(bytes)
        .map_err(|_| node.malformed(WireError::new(field, WireFault::Length { expected: 32, found: bytes.len() })))
}

/// A transaction whose ids are its own.
pub(crate) fn transaction(
    network: &Params,
    view: v1::TransactionView,
    field: &str,
    node: &NodeSlot,
) -> Result<(TxId, SignedTransaction), Error> {
    read_transaction_view(network, view).map_err(|error| node.malformed(error.within(field)))
}

/// A transaction that waits, whose ids are its own.
pub(crate) fn waiting(
    network: &Params,
    entry: v1::MempoolEntry,
    field: &'static str,
    node: &NodeSlot,
) -> Result<WaitingTransaction, Error> {
    let is_executable = entry.state() == v1::TransactionState::Pending;
    let view = entry.transaction.ok_or_else(|| node.malformed(WireError::missing(field)))?;
    let (id, transaction) = transaction(network, view, field, node)?;
    Ok(WaitingTransaction { id, transaction, is_executable, received: TimeMs::new(entry.received_ms) })
}

/// A block whose parts belong together, and whose header has work if the client verifies.
pub(crate) fn block(client: &Client, view: v1::BlockView, node: &NodeSlot) -> Result<ChainBlock, Error> {
    let network = client.network();
    let (summary, block) = read_block_view(network, view).map_err(|error| node.malformed(error.within("block")))?;
    check_header(client, &summary, node)?;
    let tx_ids = block.transactions.iter().map(|signed| signed.transaction().id(network.genesis_id())).collect();
    Ok(ChainBlock { summary, block, tx_ids })
}

/// The same of a view without transactions.
pub(crate) fn summary(client: &Client, view: &v1::BlockView, node: &NodeSlot) -> Result<BlockSummary, Error> {
    let summary = BlockSummary::try_from(view).map_err(|error| node.malformed(error.within("block")))?;
    check_header(client, &summary, node)?;
    Ok(summary)
}

fn check_header(client: &Client, summary: &BlockSummary, node: &NodeSlot) -> Result<(), Error> {
    if !client.verifies() {
        return Ok(());
    }
    verify::header(client.network(), &summary.header, summary.height).map_err(|error| node.unproven(error))
}
