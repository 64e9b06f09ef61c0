//! Blocks: one by id or height, pages of them, streams of them.

use std::sync::Arc;

use farthing::{
    BlockId, Height, Params,
    wire::{
        BlockLookup, BlockPlace, ChainPoint, ReadMask, StreamStart, TransactionFilter, block_view,
        transaction_view_with_id, v1,
    },
};
use farthing_consensus::HeaderContext;
use futures_util::stream::BoxStream;
use prost::Message as _;
use tonic::{Request, Status};

use super::{
    ApiError, Deps, Reason,
    page::{self, Listing},
    stream::{self, Frames, FramesSettings, Terms},
};
use crate::{
    byte_cache::ByteCache,
    chain::{Chain, ChainBlock, ChainView},
    env::{Compute, Env},
    server::CallMeter,
};

const DEFAULT_PAGE: usize = 20;
pub(super) const MAX_PAGE: usize = 100;
/// Memory of the views that were shown last.
const SHOWN_BYTES: usize = 24 << 20;
/// A view in memory is about so many times as large as it is encoded: many short texts.
const MEMORY_PER_ENCODED: usize = 2;
/// Views of larger blocks are made off the async threads: ids, hex and bech32 take some 10 us a transaction.
const MANY_TRANSACTIONS: usize = 50;

/// The place of a header.
pub(super) const fn point(context: &HeaderContext) -> ChainPoint {
    ChainPoint {
        height: context.height(),
        block_id: context.id(),
        total_work: context.total_work(),
        time: context.time(),
    }
}

/// The tip of a view.
pub(super) fn tip(view: &ChainView) -> ChainPoint {
    point(&view.tip)
}

/// The place of a block.
pub(super) fn point_of(block: &ChainBlock) -> ChainPoint {
    ChainPoint { height: block.height, block_id: block.id, total_work: block.total_work, time: block.block.header.time }
}

/// Whole views of the blocks that were shown last, for all readers together.
#[derive(Debug)]
pub struct ShownBlocks(ByteCache<BlockId, v1::BlockView>);

impl Default for ShownBlocks {
    fn default() -> Self {
        Self(ByteCache::new(SHOWN_BYTES))
    }
}

impl ShownBlocks {
    /// The view of a block with all its transactions; its confirmations are for the caller to say.
    fn view(&self, params: &Params, block: &ChainBlock) -> Arc<v1::BlockView> {
        if let Some(view) = self.0.get(&block.id) {
            return view;
        }
        let view = Arc::new(block_view(params, &place(block, 0), false));
        self.0.put(block.id, Arc::clone(&view), view.encoded_len().saturating_mul(MEMORY_PER_ENCODED));
        view
    }
}

fn place(block: &ChainBlock, confirmations: u64) -> BlockPlace<'_> {
    BlockPlace {
        block: &block.block,
        id: block.id,
        tx_ids: Some(&block.tx_ids),
        height: block.height,
        total_work: block.total_work,
        confirmations,
    }
}

/// Makes views of blocks.
#[derive(Debug, Clone)]
pub(super) struct Views {
    params: Arc<Params>,
    compute: Compute,
    shown: Arc<ShownBlocks>,
    mask: Arc<ReadMask<v1::BlockView>>,
}

impl Views {
    pub(super) fn new(deps: &Deps, mask: ReadMask<v1::BlockView>) -> Self {
        Self::of(deps.chain.params(), &deps.env, &deps.shown_blocks, mask)
    }

    pub(super) fn of(params: &Arc<Params>, env: &Env, shown: &Arc<ShownBlocks>, mask: ReadMask<v1::BlockView>) -> Self {
        let (params, compute, shown) = (Arc::clone(params), env.compute().clone(), Arc::clone(shown));
        Self { params, compute, shown, mask: Arc::new(mask) }
    }

    fn wants_transactions(&self) -> bool {
        self.mask.wants("transactions")
    }

    /// The view of a block.
    pub(super) async fn view(&self, block: Arc<ChainBlock>, confirmations: u64, headers_only: bool) -> v1::BlockView {
        let (params, mask, shown) = (Arc::clone(&self.params), Arc::clone(&self.mask), Arc::clone(&self.shown));
        let headers_only = headers_only || !self.wants_transactions();
        let many = !headers_only && block.tx_ids.len() > MANY_TRANSACTIONS;
        let make = move || {
            let mut view = if headers_only {
                block_view(&params, &place(&block, confirmations), true)
            } else {
                v1::BlockView { confirmations, ..(*shown.view(&params, &block)).clone() }
            };
            mask.apply(&mut view);
            view
        };
        if many { self.compute.run(make).await } else { make() }
    }

    /// The view of a block with only those of its transactions that pass a filter.
    pub(super) async fn filtered_view(
        &self,
        block: Arc<ChainBlock>,
        confirmations: u64,
        filter: Arc<TransactionFilter>,
    ) -> v1::BlockView {
        let mut view = self.view(Arc::clone(&block), confirmations, true).await;
        if !self.wants_transactions() {
            return view;
        }
        let (params, mask) = (Arc::clone(&self.params), Arc::clone(&self.mask));
        let many = block.tx_ids.len() > MANY_TRANSACTIONS;
        let make = move || {
            let transactions = block.block.transactions.iter().zip(&block.tx_ids);
            let wanted = transactions.filter(|(signed, _)| filter.matches(signed));
            view.transactions = wanted.map(|(signed, id)| transaction_view_with_id(&params, signed, *id)).collect();
            mask.apply(&mut view);
            view
        };
        if many { self.compute.run(make).await } else { make() }
    }
}

/// Blocks from this one up to the tip; 0 on a side branch.
pub(super) async fn confirmations(chain: &Chain, id: BlockId, height: Height) -> Result<u64, ApiError> {
    if chain.best_at(height).await? != Some(id) {
        return Ok(0);
    }
    // The view may be published a moment after the store has the block.
    Ok(chain.view().tip.height().distance_from(height).saturating_add(1))
}

pub(super) async fn get(deps: &Deps, request: v1::GetBlockRequest) -> Result<v1::GetBlockResponse, ApiError> {
    let mask = ReadMask::read(request.read_mask.as_ref())?;
    let lookup = BlockLookup::try_from(request)?;
    let found = match lookup {
        BlockLookup::Id(id) => Some(id),
        BlockLookup::Height(height) => deps.chain.best_at(height).await?,
    };
    let block = match found {
        Some(id) => deps.chain.chain_block(id).await?,
        None => None,
    };
    if block.is_none()
        && let Some(id) = found
        && let Some(error) = pruned(&deps.chain, id).await?
    {
        return Err(error);
    }
    let block = block.ok_or_else(|| match lookup {
        BlockLookup::Id(id) => {
            ApiError::new(Reason::BlockNotFound, format!("block {id} is not known")).with("block_id", id)
        }
        BlockLookup::Height(height) => {
            let tip = deps.chain.view().tip.height();
            ApiError::new(Reason::BlockNotFound, format!("there is no block at height {height}, the tip is at {tip}"))
                .with("height", height)
                .with("tip_height", tip)
        }
    })?;
    let confirmations = confirmations(&deps.chain, block.id, block.height).await?;
    Ok(v1::GetBlockResponse { block: Some(Views::new(deps, mask).view(block, confirmations, false).await) })
}

/// Why the body of a known block is not here, if it is not.
async fn pruned(chain: &Chain, id: BlockId) -> Result<Option<ApiError>, ApiError> {
    let (context, lowest) = (chain.header(id).await?, chain.lowest_body());
    let height = context.map(|context| context.height()).filter(|height| *height < lowest);
    Ok(height.map(|height| ApiError::pruned(height, lowest)))
}

/// Walks down from the tip of the first page by parents, so that pages fit together whatever happens to the tip.
pub(super) async fn list(
    deps: &Deps,
    request: v1::ListBlocksRequest,
    meter: Option<&CallMeter>,
) -> Result<v1::ListBlocksResponse, ApiError> {
    let size = page::size(request.page_size, DEFAULT_PAGE, MAX_PAGE)?;
    let from = page::read::<32>(Listing::Blocks, &request.page_token)?.map(BlockId::from_bytes);
    let views = Views::new(deps, ReadMask::read(request.read_mask.as_ref())?);
    let mut next = Some(from.unwrap_or_else(|| deps.chain.view().tip.id()));
    let mut blocks = Vec::new();
    let mut budget = page::Budget::default();
    while let Some(id) = next.filter(|_| blocks.len() < size) {
        if let Some(meter) = meter {
            // Before it is read: the call may be given up at any time.
            meter.charge(1);
        }
        // Only a token from elsewhere can name a block that this node does not have.
        let Some(block) = deps.chain.chain_block(id).await? else {
            let error = pruned(&deps.chain, id).await?.unwrap_or_else(page::invalid);
            // What is above the beginning is told; the next page says why there is no more.
            if blocks.is_empty() { return Err(error) } else { break }
        };
        let (height, previous) = (block.height, block.block.header.previous);
        let confirmations = confirmations(&deps.chain, id, height).await?;
        let view = views.view(block, confirmations, request.headers_only).await;
        if !budget.fits(&view) {
            break;
        }
        blocks.push(view);
        next = height.previous().map(|_| previous);
    }
    let next_page_token = next.map(|id| page::token(Listing::Blocks, &[id.as_bytes()])).unwrap_or_default();
    Ok(v1::ListBlocksResponse { blocks, next_page_token })
}

/// The filter that a request asks for, if any.
pub(super) fn filter(
    deps: &Deps,
    message: Option<&v1::AddressFilter>,
) -> Result<Option<Arc<TransactionFilter>>, ApiError> {
    let read = |message| TransactionFilter::read(message, &deps.chain.params().prefix);
    Ok(message.map(read).transpose()?.map(Arc::new))
}

pub(super) async fn subscribe(
    deps: &Deps,
    request: Request<v1::SubscribeBlocksRequest>,
) -> Result<BoxStream<'static, Result<v1::SubscribeBlocksResponse, Status>>, ApiError> {
    let terms = Terms::of(deps, &request);
    let meter = request.extensions().get::<CallMeter>().cloned();
    let request = request.into_inner();
    let start = StreamStart::try_from(&request)?;
    let stop_height = request.stop_height.map(Height::new);
    if let (StreamStart::Height(from), Some(stop)) = (&start, stop_height)
        && stop < *from
    {
        let message = format!("stop_height: expected at least from_height {from}, got {stop}");
        return Err(ApiError::new(Reason::InvalidField, message).with("field", "stop_height"));
    }
    let filter = filter(deps, request.filter.as_ref())?;
    let views = Views::new(deps, ReadMask::read(request.read_mask.as_ref())?);
    let settings = FramesSettings { start, stop_height, headers_only: request.headers_only, filter };
    let frames = Frames::start(&deps.chain, views, settings).await?.paid_by(meter);
    Ok(stream::run(frames, terms))
}

#[cfg(test)]
mod tests {
    use prost_types::FieldMask;

    use super::*;
    use crate::testing::dev;

    #[tokio::test]
    async fn what_one_reader_leaves_out_is_there_for_the_next() {
        let (params, env) = (dev(), Env::system().unwrap());
        let shown = Arc::default();
        let genesis = params.genesis();
        let block = Arc::new(ChainBlock {
            id: *params.genesis_id(),
            height: Height::GENESIS,
            block: Arc::new(genesis.clone()),
            tx_ids: Vec::new(),
            total_work: farthing::Work::ZERO,
        });
        let mask = FieldMask { paths: vec!["confirmations".to_owned(), "transactions".to_owned()] };
        let narrow = Views::of(&params, &env, &shown, ReadMask::read(Some(&mask)).unwrap());
        let whole = Views::of(&params, &env, &shown, ReadMask::all());
        let seen = narrow.view(Arc::clone(&block), 7, false).await;
        assert_eq!((seen.confirmations, seen.header), (7, None));
        assert_eq!(whole.view(Arc::clone(&block), 9, false).await, block_view(&params, &place(&block, 9), false));
    }
}
