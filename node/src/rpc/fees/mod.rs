//! What transfers cost: three prices for one, and the figures that they come from. `docs/api.md` explains the reckoning.

mod book;
mod estimate;

use farthing::{
    Address, Mites,
    keys::KeySize,
    limits::{MAX_OUTPUTS, MAX_TRANSACTION_BYTES, MIN_TRANSACTION_BYTES},
    wire::{Draft, WireError, WireFault, v1},
};

use self::{
    book::{LEVELS, PaidBlock},
    estimate::Subject,
};
use super::{ApiError, Deps};
use crate::mempool::Paid;

pub(super) use self::book::FeeBook;

/// Bytes of a later transfer but for its outputs and its signature: version, sender, nonce, fee, last height, and three
/// counts.
const FRAME_BYTES: usize = 1 + 33 + 24 + 4 + 4 + 4;
/// Bytes of an output.
const OUTPUT_BYTES: usize = 40;

pub(super) async fn estimate(
    deps: &Deps,
    book: &FeeBook,
    request: v1::EstimateFeeRequest,
) -> Result<v1::EstimateFeeResponse, ApiError> {
    use v1::estimate_fee_request::Subject as Form;
    let (bytes, key, recipients) = match request.subject {
        None => return Err(WireError::missing("subject").into()),
        Some(Form::Transaction(message)) => {
            let draft = Draft::try_from(message).map_err(|error| error.within("transaction"))?;
            typed(deps, draft).await?
        }
        Some(Form::Shape(shape)) => shaped(deps, &shape).map_err(|error| error.within("shape"))?,
    };
    let snapshot = book.snapshot(deps).await?;
    let subject = Subject { bytes, signature_units: key.signature_units(), openings: openings(deps, recipients) };
    let burned = deps.chain.params().opening_cost.checked_mul(subject.openings.into()).unwrap_or(Mites::MAX);
    let [slow, normal, fast] = estimate::prices(&snapshot, &subject).map(|price| v1::FeeEstimate {
        fee_mites: price.rate.saturating_mul(bytes as u64).saturating_add(burned.get()),
        rate_mites_per_byte: price.rate,
        burned_mites: burned.get(),
        expected_within_blocks: price.blocks,
        expected_by_height: snapshot.tip.height.saturating_add(price.blocks.into()).get(),
    });
    Ok(v1::EstimateFeeResponse {
        slow: Some(slow),
        normal: Some(normal),
        fast: Some(fast),
        size_bytes: number(bytes),
        key_bits: number(key.bits()),
        tip: Some((&snapshot.tip).into()),
    })
}

/// Size, key and recipients of a transfer that may lack its signature.
async fn typed(deps: &Deps, draft: Draft) -> Result<(usize, KeySize, Vec<Address>), ApiError> {
    let known = match (&draft, draft.transaction().sender()) {
        (Draft::Signed(signed), _) => Some(signed.signature().size()),
        (Draft::Unsigned(_), farthing::Sender::Key(key)) => Some(key.size()),
        (Draft::Unsigned(_), farthing::Sender::Address(address)) => deps.mempool.key_size(*address).await,
    };
    let key = known.unwrap_or(KeySize::Bits2048);
    let signed = draft.with_placeholder(key).map_err(|error| WireError::new("transaction", error))?;
    let recipients = signed.transaction().outputs().iter().map(|output| output.to).collect();
    Ok((signed.size_bytes(), key, recipients))
}

fn shaped(deps: &Deps, shape: &v1::TransactionShape) -> Result<(usize, KeySize, Vec<Address>), WireError> {
    let key = match shape.key_bits {
        0 => KeySize::Bits2048,
        bits => {
            let known = KeySize::ALL.into_iter().find(|size| number(size.bits()) == bits);
            known.ok_or_else(|| WireError::new("key_bits", WireFault::Unexpected { expected: "2048, 3072 or 4096" }))?
        }
    };
    let found = shape.recipients.len().saturating_add(shape.recipient_texts.len());
    if found > MAX_OUTPUTS {
        let fault = WireFault::Count { unit: "addresses", min: 0, max: MAX_OUTPUTS, found };
        return Err(WireError::new("recipients", fault));
    }
    let mut recipients = Vec::with_capacity(found);
    for (at, bytes) in shape.recipients.iter().enumerate() {
        let address = <[u8; 32]>::try_from(&bytes[..]).map_err(|_| {
            WireError::new("", WireFault::Length { expected: 32, found: bytes.len() }).within_item("recipients", at)
        })?;
        recipients.push(Address::from_bytes(address));
    }
    for (at, text) in shape.recipient_texts.iter().enumerate() {
        let address = deps.chain.params().prefix.parse(text);
        recipients.push(address.map_err(|error| WireError::new("", error).within_item("recipient_texts", at))?);
    }
    let bytes = match shape.size_bytes {
        0 => FRAME_BYTES + OUTPUT_BYTES * recipients.len().max(1) + key.bytes(),
        given => usize::try_from(given).unwrap_or(usize::MAX),
    };
    if !(MIN_TRANSACTION_BYTES..=MAX_TRANSACTION_BYTES).contains(&bytes) {
        let (min, max) = (MIN_TRANSACTION_BYTES as u64, MAX_TRANSACTION_BYTES as u64);
        return Err(WireError::new("size_bytes", WireFault::OutOfRange { min, max, found: bytes as u64 }));
    }
    Ok((bytes, key, recipients))
}

/// How many accounts are opened for these, at the tip.
fn openings(deps: &Deps, mut recipients: Vec<Address>) -> u32 {
    let view = deps.chain.view();
    recipients.sort_unstable();
    recipients.dedup();
    number(recipients.iter().filter(|address| view.account(address).is_none()).count())
}

pub(super) async fn get(deps: &Deps, book: &FeeBook) -> Result<v1::GetFeesResponse, ApiError> {
    let snapshot = book.snapshot(deps).await?;
    let params = deps.chain.params();
    let levels = LEVELS.iter().zip(&snapshot.prices.levels).map(|(least, level)| v1::FeeLevel {
        min_rate_mites_per_byte: *least,
        transaction_count: number(level.transactions),
        size_bytes: level.bytes as u64,
    });
    let projected = snapshot.prices.blocks.iter().map(|block| v1::ProjectedBlockFees {
        transaction_count: number(block.transactions),
        fullness_permille: snapshot.capacity.fullness_of(block),
        min_rate_mites_per_byte: block.cheapest.first().map_or(0, Paid::rate),
    });
    Ok(v1::GetFeesResponse {
        floor_mites_per_byte: snapshot.floor,
        opening_cost_mites: params.opening_cost.get(),
        levels: levels.collect(),
        projected_blocks: projected.collect(),
        recent_blocks: snapshot.recent.iter().map(|block| paid_in(block)).collect(),
        tip: Some((&snapshot.tip).into()),
    })
}

fn paid_in(block: &PaidBlock) -> v1::BlockFees {
    v1::BlockFees {
        block_id: block.id.to_bytes().to_vec().into(),
        block_id_hex: block.id.to_string(),
        height: block.height.get(),
        transaction_count: number(block.transactions),
        fullness_permille: block.fullness_permille,
        min_rate_mites_per_byte: block.least,
        p10_rate_mites_per_byte: block.p10,
        median_rate_mites_per_byte: block.median,
        p90_rate_mites_per_byte: block.p90,
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
