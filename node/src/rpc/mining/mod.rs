//! `MiningService`: templates for other programs, and the way back for solved blocks.

mod frames;
mod submit;
mod templates;

use std::sync::Arc;

use farthing::{
    limits::MAX_COINBASE_TAG_BYTES,
    wire::{
        AddressLookup, WireError, WireFault,
        v1::{self, mining_service_server::MiningService},
    },
};
use futures_util::stream::BoxStream;
use tonic::{Request, Response, Status};

use self::{
    frames::TemplateFrames,
    templates::{Makers, Templates},
};
use super::{
    ApiError, Deps,
    stream::{Terms, run},
};
use crate::{
    env::{is_own_machine, prefix},
    miner::Reward,
};

/// The service.
#[derive(Debug)]
pub(super) struct MiningApi {
    deps: Deps,
    templates: Arc<Templates>,
    makers: Makers,
}

impl MiningApi {
    pub(super) fn new(deps: Deps) -> Self {
        Self { deps, templates: Arc::new(Templates::default()), makers: Makers::default() }
    }
}

/// Who is to be paid.
fn reward(deps: &Deps, request: v1::GetBlockTemplateRequest) -> Result<Reward, ApiError> {
    use v1::get_block_template_request::Miner;
    let lookup = match request.miner {
        None => return Err(WireError::missing("miner").into()),
        Some(Miner::Address(bytes)) => AddressLookup::Bytes(bytes),
        Some(Miner::AddressText(text)) => AddressLookup::Text(text),
    };
    let to = lookup.resolve(&deps.chain.params().prefix)?;
    if request.tag.len() > MAX_COINBASE_TAG_BYTES {
        let fault = WireFault::Count { unit: "bytes", min: 0, max: MAX_COINBASE_TAG_BYTES, found: request.tag.len() };
        return Err(WireError::new("tag", fault).into());
    }
    Ok(Reward { to, tag: request.tag.to_vec() })
}

#[tonic::async_trait]
impl MiningService for MiningApi {
    type GetBlockTemplateStream = BoxStream<'static, Result<v1::GetBlockTemplateResponse, Status>>;

    async fn get_block_template(
        &self,
        request: Request<v1::GetBlockTemplateRequest>,
    ) -> Result<Response<Self::GetBlockTemplateStream>, Status> {
        let terms = Terms::of(&self.deps, &request);
        let caller = request.remote_addr().map(|address| address.ip());
        let network = caller.filter(|caller| !is_own_machine(*caller)).map(prefix);
        let reward = reward(&self.deps, request.into_inner())?;
        let templates = (Arc::clone(&self.templates), self.makers.clone());
        let frames = TemplateFrames::start(self.deps.clone(), templates, reward, network)?;
        Ok(Response::new(run(frames, terms)))
    }

    async fn submit_block(
        &self,
        request: Request<v1::SubmitBlockRequest>,
    ) -> Result<Response<v1::SubmitBlockResponse>, Status> {
        Ok(Response::new(submit::submit(&self.deps, &self.templates, request.into_inner()).await?))
    }
}
