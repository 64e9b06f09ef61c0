//! What proofs of the state at a tip need beside the accounts.

use std::sync::Arc;

use farthing::{
    Height, RangeNode,
    header::commitment,
    range::{RangePeaks, peak_positions},
};

use super::{Chain, ChainView, rejection::ChainError};

impl Chain {
    /// The node over all headers before the view's tip, whose hash is the half of the tip's commitment that is not the
    /// accounts; there is none before genesis. None at all if the best chain has left this tip meanwhile; then a newer
    /// view has an answer.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn range_before(&self, view: &Arc<ChainView>) -> Result<Option<Option<RangeNode>>, ChainError> {
        let view = Arc::clone(view);
        if view.tip.height() == Height::GENESIS {
            return Ok(Some(None));
        }
        let (root, view) = self
            .read(move |shared| {
                // The header at height h commits to the h headers before it.
                let positions = peak_positions(view.tip.height().get()).into_iter();
                let peaks = positions.map(|at| shared.store.range_node(at).map_err(ChainError::from));
                let peaks = peaks.collect::<Result<Vec<_>, _>>()?;
                let root = RangePeaks::from_peaks(peaks).and_then(|peaks| peaks.root().ok().flatten());
                Ok((root, view))
            })
            .await?;
        let expected = view.tip.header().commitment;
        Ok(root.filter(|root| commitment(&view.accounts.root(), &root.chain_root()) == expected).map(Some))
    }
}
