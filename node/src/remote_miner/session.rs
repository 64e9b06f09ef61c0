//! One connection to the node: templates in, a search on the newest, solved headers out.

use std::{fmt, io, time::Duration};

use farthing::{
    Bits, Header,
    codec::Canonical as _,
    wire::v1::{self, get_block_template_response::Event, mining_service_client::MiningServiceClient},
};
use futures_util::{FutureExt as _, future::BoxFuture};
use hyper_util::rt::TokioIo;
use tokio::time::{sleep, timeout};
use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint},
};

use crate::{config::RemoteMining, env::Env, miner::Searchers};

/// How long a node may take to connect, or to answer a call.
const ANSWERS_WITHIN: Duration = Duration::from_secs(15);
/// A node says something every 15 s; one that is silent for so long is gone.
const SILENT_FOR: Duration = Duration::from_secs(45);

/// Why a session is over.
#[derive(Debug)]
pub(super) enum SessionEnd {
    /// The connection, or the node.
    Lost {
        why: String,
        /// Whether there had been templates.
        served: bool,
    },
    /// The node said no.
    Refused(Box<Status>),
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { why, .. } => f.write_str(why),
            Self::Refused(status) => f.write_str(status.message()),
        }
    }
}

/// A header that does the work, and its template.
#[derive(Debug, Clone)]
struct Found {
    template_id: prost::bytes::Bytes,
    height: u64,
    header: Header,
}

/// What outlives one connection.
pub(super) struct Session<'a> {
    env: &'a Env,
    searchers: &'a Searchers,
    mining: &'a RemoteMining,
    /// Not handed in yet.
    found: Option<Found>,
    accepted: u64,
}

impl<'a> Session<'a> {
    pub(super) fn new(env: &'a Env, searchers: &'a Searchers, mining: &'a RemoteMining) -> Self {
        Self { env, searchers, mining, found: None, accepted: 0 }
    }

    /// Connects and mines until the connection or the node's patience ends.
    pub(super) async fn run(&mut self) -> SessionEnd {
        let mut client = match timeout(ANSWERS_WITHIN, self.connect()).await {
            Ok(Ok(client)) => client,
            Ok(Err(why)) => return lost(why, false),
            Err(_) => return lost("no connection in time", false),
        };
        if self.found.is_some()
            && let Err(end) = self.hand_in(&mut client).await
        {
            return end;
        }
        let miner = Some(v1::get_block_template_request::Miner::AddressText(self.mining.address.clone()));
        let request = v1::GetBlockTemplateRequest { miner, tag: prost::bytes::Bytes::new() };
        match timeout(ANSWERS_WITHIN, client.get_block_template(request)).await {
            Ok(Ok(frames)) => self.follow(client, frames.into_inner()).await,
            Ok(Err(status)) => SessionEnd::Refused(Box::new(status)),
            Err(_) => lost("no answer in time", false),
        }
    }

    async fn connect(&self) -> Result<MiningServiceClient<Channel>, String> {
        let node = &self.mining.node;
        let connection = self.env.net().dial(node.host(), node.port()).await.map_err(|error| error.to_string())?;
        let mut only = Some(TokioIo::new(connection.into_io()));
        let connector = tower::service_fn(move |_: http::Uri| {
            let io = only.take().ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the connection is lost"));
            std::future::ready(io)
        });
        let endpoint = Endpoint::from_shared(format!("http://{node}")).map_err(|error| error.to_string())?;
        let channel = endpoint.connect_with_connector(connector).await.map_err(|error| error.to_string())?;
        Ok(MiningServiceClient::new(channel))
    }

    async fn follow(
        &mut self,
        mut client: MiningServiceClient<Channel>,
        mut frames: Streaming<v1::GetBlockTemplateResponse>,
    ) -> SessionEnd {
        let mut served = false;
        // Goes on through frames that bring no template: it would begin at the same nonces again.
        let mut search: BoxFuture<'a, Found> = std::future::pending().boxed();
        loop {
            tokio::select! {
                biased;
                frame = timeout(SILENT_FOR, frames.message()) => match frame {
                    Ok(Ok(Some(v1::GetBlockTemplateResponse { event: Some(Event::Template(template)) }))) => {
                        match self.search(template) {
                            Ok(begun) => search = begun,
                            Err(why) => return lost(why, served),
                        }
                        served = true;
                    }
                    // The status that follows says why.
                    Ok(Ok(Some(_))) => {}
                    Ok(Ok(None)) => return lost("the node ended the stream", served),
                    Ok(Err(status)) => return lost(status.message(), served),
                    Err(_) => return lost("the node is silent", served),
                },
                found = &mut search => {
                    search = std::future::pending().boxed();
                    self.found = Some(found);
                    if let Err(end) = self.hand_in(&mut client).await {
                        return end;
                    }
                }
            }
        }
    }

    /// Begins to search on a template.
    fn search(&self, template: v1::BlockTemplate) -> Result<BoxFuture<'a, Found>, String> {
        let header =
            Header::from_canonical(&template.header_bytes).map_err(|error| format!("a bad template: {error}"))?;
        let target = Bits::target(header.bits).map_err(|error| format!("a bad template: {error}"))?;
        tracing::debug!(height = template.height, transfers = template.transaction_count, "a template");
        let searchers = self.searchers;
        let hesitate = Duration::from_millis(template.hesitate_ms);
        let search = async move {
            sleep(hesitate).await;
            let header = searchers.search(header, target).await;
            Found { template_id: template.template_id, height: template.height, header }
        };
        Ok(search.boxed())
    }

    /// Hands in what was found. It is kept for the next connection unless the node has judged it.
    async fn hand_in(&mut self, client: &mut MiningServiceClient<Channel>) -> Result<(), SessionEnd> {
        let Some(Found { template_id, height, header }) = self.found.clone() else { return Ok(()) };
        let header_bytes = header.to_bytes().to_vec().into();
        let solved = v1::SolvedTemplate { template_id, header_bytes };
        let block = Some(v1::submit_block_request::Block::Solved(solved));
        let answer = timeout(ANSWERS_WITHIN, client.submit_block(v1::SubmitBlockRequest { block })).await;
        match answer {
            Err(_) => Err(lost("no verdict in time", true)),
            Ok(Err(status)) if status.code() == Code::InvalidArgument => {
                self.found = None;
                Err(SessionEnd::Refused(Box::new(status)))
            }
            Ok(Err(status)) => Err(lost(status.message(), true)),
            Ok(Ok(answer)) => {
                self.found = None;
                self.report(height, &answer.into_inner());
                Ok(())
            }
        }
    }

    fn report(&mut self, height: u64, answer: &v1::SubmitBlockResponse) {
        let (id, verdict) = (&answer.block_id_hex, answer.verdict().as_str_name());
        if matches!(answer.verdict(), v1::BlockVerdict::Accepted | v1::BlockVerdict::Duplicate) {
            self.accepted += 1;
            tracing::info!(height, %id, accepted = self.accepted, "found a block");
        } else {
            tracing::warn!(height, %id, verdict, rule = answer.rule, reason = answer.message, "a block was not taken");
        }
    }
}

fn lost(why: impl Into<String>, served: bool) -> SessionEnd {
    SessionEnd::Lost { why: why.into(), served }
}
