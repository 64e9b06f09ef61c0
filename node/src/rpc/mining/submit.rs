//! Solved blocks: joined with their templates, and handed to the chain.

use std::sync::Arc;

use farthing::{
    Block, BlockId, Header,
    codec::{Canonical as _, DecodeError},
    header::HEADER_BYTES,
    wire::{WireError, WireFault, v1},
};
use farthing_consensus::{HeaderError, check_header_alone};

use super::templates::Templates;
use crate::{
    chain::{Accepted, BlockRejection, Origin},
    miner::Template,
    rpc::{ApiError, Deps, Reason},
};

pub(super) async fn submit(
    deps: &Deps,
    templates: &Templates,
    request: v1::SubmitBlockRequest,
) -> Result<v1::SubmitBlockResponse, ApiError> {
    use v1::submit_block_request::Block as Form;
    if deps.chain.is_waiting() {
        let message =
            "the node is fetching a checkpoint to begin with: a block now would be the beginning of another chain";
        return Err(ApiError::new(Reason::Syncing, message));
    }
    // The header first, in both forms: whoever has done no work costs none.
    let block = match request.block {
        None => return Err(WireError::missing("block").into()),
        Some(Form::Solved(solved)) => {
            let Some((header, template)) = find(deps, templates, &solved)? else { return Ok(stale()) };
            if let Err(error) = check_header_alone(deps.chain.params(), &header) {
                return Ok(unworthy(&header, &error));
            }
            let join = move || {
                let Block { coinbase, transactions, .. } = &template.block;
                Block { header, coinbase: coinbase.clone(), transactions: transactions.clone() }
            };
            deps.env.compute().run(join).await
        }
        Some(Form::BlockBytes(bytes)) => {
            let max = usize::try_from(deps.chain.params().max_block_bytes).unwrap_or(usize::MAX);
            if bytes.len() > max {
                let fault = WireFault::Count { unit: "bytes", min: 1, max, found: bytes.len() };
                return Err(WireError::new("block_bytes", fault).into());
            }
            let no_block = |error: DecodeError| malformed("block_bytes", &format!("no canonical block: {error}"));
            let header = bytes.get(..HEADER_BYTES).unwrap_or(&bytes);
            let header = Header::from_canonical(header).map_err(no_block)?;
            if let Err(error) = check_header_alone(deps.chain.params(), &header) {
                return Ok(unworthy(&header, &error));
            }
            let read = move || Block::from_canonical(&bytes);
            deps.env.compute().run(read).await.map_err(no_block)?
        }
    };
    let id = block.id();
    match deps.chain.submit_block(block, Origin::Mined).await {
        Ok(accepted) => Ok(answer(id, verdict(accepted), "", String::new())),
        Err(BlockRejection::Chain(error)) => Err(error.into()),
        Err(rejection) => {
            let kind =
                if rejection.is_senders_fault() { v1::BlockVerdict::Invalid } else { v1::BlockVerdict::Unacceptable };
            Ok(answer(id, kind, rule(&rejection), rejection.to_string()))
        }
    }
}

const fn verdict(accepted: Accepted) -> v1::BlockVerdict {
    match accepted {
        Accepted::Connected => v1::BlockVerdict::Accepted,
        Accepted::SideBranch | Accepted::Unchecked => v1::BlockVerdict::SideBranch,
        Accepted::AlreadyKnown | Accepted::Repaired => v1::BlockVerdict::Duplicate,
    }
}

/// The rule that is broken, if one is.
const fn rule(rejection: &BlockRejection) -> &'static str {
    match rejection {
        BlockRejection::Header { error, .. } => error.rule(),
        BlockRejection::Block { error, .. } => error.rule(),
        BlockRejection::Signature { error, .. } => error.rule(),
        _ => "",
    }
}

/// The header that was found and the template that it is for; none if that is gone.
fn find(
    deps: &Deps,
    templates: &Templates,
    solved: &v1::SolvedTemplate,
) -> Result<Option<(Header, Arc<Template>)>, ApiError> {
    let length = |field: &str, bytes: &[u8], expected| {
        WireError::new(field, WireFault::Length { expected, found: bytes.len() }).within("solved")
    };
    let id = BlockId::try_from(&solved.template_id[..]).map_err(|_| length("template_id", &solved.template_id, 32))?;
    if solved.header_bytes.len() != HEADER_BYTES {
        return Err(length("header_bytes", &solved.header_bytes, HEADER_BYTES).into());
    }
    let header = Header::from_canonical(&solved.header_bytes)
        .map_err(|error| malformed("solved.header_bytes", &format!("no canonical header: {error}")))?;
    let Some(template) = templates.get(&id, deps.env.clock().elapsed()) else { return Ok(None) };
    let given = &template.block;
    if (Header { time: given.header.time, nonce: given.header.nonce, ..header }) != given.header {
        return Err(malformed("solved.header_bytes", "it differs from the template's in more than time and nonce"));
    }
    Ok(Some((header, template)))
}

fn malformed(field: &str, what: &str) -> ApiError {
    ApiError::new(Reason::InvalidField, format!("{field}: {what}")).with("field", field)
}

fn unworthy(header: &Header, error: &HeaderError) -> v1::SubmitBlockResponse {
    answer(header.id(), v1::BlockVerdict::Invalid, error.rule(), error.to_string())
}

fn stale() -> v1::SubmitBlockResponse {
    v1::SubmitBlockResponse {
        verdict: v1::BlockVerdict::Stale.into(),
        message: "the template is not known, or no longer; take the newest one".to_owned(),
        ..v1::SubmitBlockResponse::default()
    }
}

fn answer(id: BlockId, verdict: v1::BlockVerdict, rule: &str, message: String) -> v1::SubmitBlockResponse {
    v1::SubmitBlockResponse {
        verdict: verdict.into(),
        block_id: id.to_bytes().to_vec().into(),
        block_id_hex: id.to_string(),
        rule: rule.to_owned(),
        message,
    }
}
