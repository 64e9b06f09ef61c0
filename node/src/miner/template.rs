//! Making a block that lacks only its nonce.

use std::sync::Arc;

use farthing::{
    Address, Block, Coinbase, Hash, Header, Mites, Params, Target, TimeMs, header::commitment, range::RangeOverflow,
};
use farthing_consensus::{BlockError, Executor, apply_touches, required_bits};

use crate::{
    ledger::ChainView,
    mempool::{Pooled, TemplateLimits},
    store::AccountMeta,
};

/// Canonical bytes of a block beside its transactions, tag excluded: header, coinbase and both counts.
const FIXED_BYTES: usize = farthing::header::HEADER_BYTES + 8 + 32 + 8 + 4 + 4;

/// A block that lacks only its nonce.
#[derive(Debug, Clone)]
pub struct Template {
    /// The block, with nonce 0.
    pub block: Block,
    /// What its id must not exceed.
    pub target: Target,
}

/// Why no template can be made. None of these can happen on a chain that grows from genesis by its rules.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The header range overflows.
    #[error(transparent)]
    Range(#[from] RangeOverflow),
    /// The coinbase that is due cannot be credited.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The bits that the parent asks for name no target.
    #[error(transparent)]
    Bits(#[from] farthing::target::BitsError),
}

/// Who mines, and how much a block may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reward {
    /// Who is paid.
    pub to: Address,
    /// The miner's mark, at most 64 bytes.
    pub tag: Vec<u8>,
}

/// What a template on this view may take.
#[must_use]
pub fn limits(params: &Params, view: &ChainView, reward: &Reward, count: usize) -> TemplateLimits {
    let fixed = FIXED_BYTES + reward.tag.len();
    TemplateLimits {
        height: view.tip.height().next(),
        bytes: usize::try_from(params.max_block_bytes).unwrap_or(usize::MAX).saturating_sub(fixed),
        signature_units: params.max_signature_units.into(),
        openings: params.max_openings,
        count,
    }
}

/// Makes the block. Transactions that cannot be executed now are left out: the pool may be a tip ahead or behind.
///
/// # Errors
/// See [`TemplateError`].
pub fn build(
    params: &Params,
    view: &ChainView,
    chosen: &[Arc<Pooled>],
    reward: &Reward,
    now: TimeMs,
) -> Result<Template, TemplateError> {
    let height = view.tip.height().next();
    let mut executor = Executor::new(params, &view.accounts, height);
    let mut transactions = Vec::with_capacity(chosen.len());
    for pooled in chosen {
        match executor.apply_with_id(pooled.transaction(), pooled.id()) {
            Ok(_) => transactions.push(pooled.transaction().clone()),
            Err(error) => tracing::debug!(id = %pooled.id(), %error, "left out of the block"),
        }
    }
    let amount = executor.coinbase_amount();
    let coinbase = Coinbase { height, to: reward.to, amount, tag: reward.tag.clone() };
    let execution = executor.finish(&coinbase, matured(params, view).as_deref())?;
    let mut accounts = view.accounts.clone();
    // What is kept beside accounts changes no root; the chain finds it anew when it connects the block.
    apply_touches(&mut accounts, &execution.touched, |_, meta| meta.copied().unwrap_or(AccountMeta::default()));
    let bits = required_bits(params, &view.tip);
    let header = Header {
        previous: view.tip.id(),
        commitment: commitment(&accounts.root(), &view.range.chain_root()?),
        tx_root: Hash::ZERO,
        time: now.max(view.tip.time().saturating_add(1)),
        bits,
        nonce: 0,
    };
    let mut block = Block { header, coinbase, transactions };
    block.header.tx_root = block.tx_root();
    Ok(Template { block, target: bits.target()? })
}

/// The coinbase that the next block credits, on a network that delays rewards.
fn matured(params: &Params, view: &ChainView) -> Option<Arc<Coinbase>> {
    let delay = usize::try_from(params.reward_delay).unwrap_or(usize::MAX);
    if delay == 0 || view.immature.len() < delay {
        return None;
    }
    view.immature.front().cloned()
}

impl Template {
    /// Fees and subsidy together.
    #[must_use]
    pub fn reward(&self) -> Mites {
        self.block.coinbase.amount
    }
}
