//! One node, and what it shows of its chain.

use std::{convert::Infallible, sync::Arc, time::Duration};

use farthing::{Address, BlockId, Header, Height, Params, chain_proof::ChainProof};
use farthing_client::{AccountView, Client, HeadersFrom, RetryPolicy};

use super::NodeError;
use crate::{
    config::NodeUrl,
    error::Result,
    light::{ChainError, Light, ShowError, Shows, Standing, chain::Chain},
    verify::{ProvenAccount, VerifyError},
};

/// Largest answer: a page of 100 history entries of at most 5 KB.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// How often an account is asked for while blocks come between it and the proof of the chain's work.
const TRIES: usize = 4;
/// How long headers may take to come: so long, and so long for each.
const HEADERS_TIME: Duration = Duration::from_secs(20);
const HEADER_TIME: Duration = Duration::from_millis(1);

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) url: NodeUrl,
    pub(super) client: Client,
}

impl Node {
    /// Nothing is connected yet.
    pub(super) fn new(url: &NodeUrl, network: &Arc<Params>) -> Result<Self, NodeError> {
        let client = Client::builder(Arc::clone(network))
            .node(url.clone())
            .retry(RetryPolicy::never())
            .max_answer_bytes(MAX_ANSWER_BYTES)
            .user_agent(concat!("farthing-wallet/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| NodeError::read(error, url))?;
        Ok(Self { url: url.clone(), client })
    }

    /// How the node's tip stands on its chain, and whether that has no less work than was shown before.
    pub(super) async fn chain(&self, light: &Light) -> Result<Standing> {
        let mut attempt = 1;
        loop {
            let info = self.client.node_info().await.map_err(|error| NodeError::read(error, &self.url))?;
            match light.stand(self, info.tip.height, info.tip.block_id).await {
                Ok(standing) => return Ok(standing),
                // A block may have taken the place of another between the two answers.
                Err(ChainError::OffChain { .. }) if attempt < TRIES => attempt += 1,
                Err(ChainError::Node(error)) => return Err(NodeError::read(error, &self.url).into()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// An account, proven against a header on a chain of proven work, which is no less than was shown before.
    pub(super) async fn account(&self, address: &Address, light: &Light) -> Result<(ProvenAccount, AccountView)> {
        let (mut account, view) = self.look_at(address, light).await?;
        light.judge(account.standing_mut())?;
        Ok((account, view))
    }

    /// An account, proven against a header on a chain of proven work, however little that is.
    pub(super) async fn look_at(&self, address: &Address, light: &Light) -> Result<(ProvenAccount, AccountView)> {
        let mut attempt = 1;
        loop {
            let view = match self.client.account(address).await {
                Ok(view) => view,
                Err(farthing_client::Error::Unproven { source, .. }) => return Err(source.into()),
                Err(error) => return Err(NodeError::read(error, &self.url).into()),
            };
            let account = view.proven.clone().ok_or(VerifyError::NoProof)?;
            match light.look(self, account.height, account.header.id()).await {
                Ok(standing) => return Ok((ProvenAccount::new(account, standing), view)),
                // A block may have taken the place of another between the two answers.
                Err(ChainError::OffChain { .. }) if attempt < TRIES => attempt += 1,
                Err(ChainError::Node(error)) => return Err(NodeError::read(error, &self.url).into()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Node {
    /// Whether the header at a height leads to the first one that is kept of a chain, through all headers between them.
    pub(super) async fn leads(&self, height: Height, id: BlockId, chain: &Chain) -> Result<bool, ShowError> {
        let Some(goal) = chain.headers().first() else { return Ok(false) };
        let mut last = None;
        let followed = self.follow(height, id, chain.first_height(), |id, _| last = Some(id)).await?;
        Ok(followed && last == Some(goal.id()))
    }

    /// Reads the headers behind one up to a height; tells whether that one is on the node's best chain.
    async fn follow(
        &self,
        height: Height,
        id: BlockId,
        stop: Height,
        mut take: impl FnMut(BlockId, Header),
    ) -> Result<bool, ShowError> {
        let mut stream = self.client.headers(HeadersFrom::After(height, id), Some(stop));
        let missing = stop.get().saturating_sub(height.get());
        // A node may tell at length that it lives.
        let time = HEADERS_TIME.saturating_add(HEADER_TIME.saturating_mul(u32::try_from(missing).unwrap_or(u32::MAX)));
        let read = async {
            let mut found = 0;
            while found < missing {
                match stream.next().await {
                    Ok(Some(batch)) => {
                        for (id, header) in batch.headers {
                            found += 1;
                            take(id, header);
                        }
                    }
                    Ok(None) => break,
                    // It left the best chain, or the node never had it.
                    Err(error) if error.refusal().is_some() => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            Ok(true)
        };
        let late = || Err(ShowError::Deadline { node: self.url.clone(), after: time });
        tokio::time::timeout(time, read).await.unwrap_or_else(|_| late())
    }
}

impl Shows for Node {
    async fn chain_proof(&self) -> Result<ChainProof, ShowError> {
        // Checked where it is put to use.
        let shown = self.client.chain_proof(|_, _| Ok::<(), Infallible>(())).await?;
        Ok(shown.proof)
    }

    async fn headers_after(&self, height: Height, id: BlockId, stop: Height) -> Result<Option<Vec<Header>>, ShowError> {
        let mut headers = Vec::new();
        let followed = self.follow(height, id, stop, |_, header| headers.push(header)).await?;
        Ok(followed.then_some(headers))
    }
}
