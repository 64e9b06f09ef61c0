//! Headers of the best chain, checked one against the other.

use farthing::{
    BlockId, Header, Height,
    codec::Canonical as _,
    header::HEADER_BYTES,
    wire::{ChainPoint, WireError, WireFault, v1},
};
use tokio::time::timeout;
use tonic::{Code, Streaming};

use crate::{
    calls::ask,
    client::{Client, Needs},
    error::Error,
    pool::NodeSlot,
    retry::Class,
    verify::{self, VerifyError},
};

/// Most headers of one message.
const MOST_HEADERS: usize = 1_000;

/// Where headers begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadersFrom {
    /// With the header at this height.
    Height(Height),
    /// Behind the header at this height with this id, which must be on the best chain.
    After(Height, BlockId),
}

/// Headers up to the tip, or to a height. Made by [`Client::headers`].
///
/// Each is the child of the one before it and one higher; with [`crate::Trust::Verify`] each has work at a target that the
/// network allows. That the target is the one that the headers before lead to is not checked. If the line breaks, or the stream
/// ends before the tip that it was to lead to, the next call goes on behind the last header, at whatever node is there.
#[derive(Debug)]
pub struct Headers {
    client: Client,
    from: HeadersFrom,
    stop: Option<Height>,
    open: Option<Open>,
    /// Whether a header came.
    has_begun: bool,
    is_over: bool,
}

#[derive(Debug)]
struct Open {
    at: usize,
    messages: Streaming<v1::GetHeadersResponse>,
    /// The tip that the stream leads to, once it said so.
    tip: Option<Height>,
}

/// Some headers, the lowest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderBatch {
    /// Height of the first.
    pub first: Height,
    /// Headers with their ids; none missing between this batch and the one before.
    pub headers: Vec<(BlockId, Header)>,
    /// The tip that they lead to, on the node's word.
    pub tip: ChainPoint,
}

impl Client {
    /// Headers of the best chain from somewhere to `stop`, or to the tip. Nothing is asked before the first
    /// [`Headers::next`].
    #[must_use]
    pub fn headers(&self, from: HeadersFrom, stop: Option<Height>) -> Headers {
        Headers { client: self.clone(), from, stop, open: None, has_begun: false, is_over: false }
    }
}

impl Headers {
    /// The next headers, up to 1,000; none at the end.
    ///
    /// # Errors
    /// [`Error`], after as many attempts in a row as the [`crate::RetryPolicy`] allows; with `REORGANISED`, the headers so far
    /// left the best chain.
    pub async fn next(&mut self) -> Result<Option<HeaderBatch>, Error> {
        let most = self.client.settings().retry.attempts;
        let mut attempts = 0;
        while !self.is_over {
            let error = match self.step().await {
                Ok(Some(batch)) => return Ok(Some(batch)),
                Ok(None) => {
                    self.is_over = true;
                    break;
                }
                Err(error) => error,
            };
            attempts += 1;
            if let Some(open) = self.open.take() {
                self.client.pool().node(open.at).failed(&error);
            }
            // A node that takes over may not have the last header yet.
            let is_lag = self.has_begun && error.is_refused_for("CURSOR_UNKNOWN");
            if is_lag && let Some(refusal) = error.refusal() {
                self.client.pool().node_at(&refusal.node).inspect(|at| self.client.pool().node(*at).lags());
            }
            if (error.class() == Class::Final && !is_lag) || attempts >= most {
                return Err(error);
            }
        }
        Ok(None)
    }

    /// Whether nothing is left to be asked for: then a stream that ended is not begun anew behind the last header.
    fn has_all(&self) -> bool {
        matches!((self.from, self.stop), (HeadersFrom::After(last, _), Some(stop)) if last >= stop)
    }

    /// Height of the next header.
    fn next_height(&self) -> Height {
        match self.from {
            HeadersFrom::Height(height) => height,
            HeadersFrom::After(last, _) => last.next(),
        }
    }

    async fn step(&mut self) -> Result<Option<HeaderBatch>, Error> {
        if self.has_all() {
            return Ok(None);
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.open().await?,
        };
        let outcome = self.read_next(&mut open).await;
        if let Ok(Some(batch)) = &outcome {
            self.client.pool().node(open.at).did_well();
            let last = (0..).zip(&batch.headers).last();
            if let Some((more, (id, _))) = last {
                self.from = HeadersFrom::After(batch.first.saturating_add(more), *id);
                self.has_begun = true;
            }
        }
        self.open = Some(open);
        outcome
    }

    /// The next headers of an open stream; none at its true end.
    async fn read_next(&self, open: &mut Open) -> Result<Option<HeaderBatch>, Error> {
        use v1::get_headers_response::Event;
        let (pool, silence) = (self.client.pool(), self.client.settings().silence);
        let node = pool.node(open.at);
        loop {
            let message = match timeout(silence, open.messages.message()).await {
                Ok(Ok(None)) if self.is_end(open, node).await? => return Ok(None),
                Ok(Ok(None)) => {
                    let message = "the stream ended before its last header".to_owned();
                    return Err(Error::Interrupted { node: node.url.clone(), code: Code::Ok, message });
                }
                Ok(Ok(Some(message))) => message,
                Ok(Err(status)) => return Err(Error::from_status(&status, &node.url)),
                Err(_) => return Err(Error::Deadline { node: node.url.clone(), after: silence }),
            };
            let tip = node.read_tip(message.tip)?;
            open.tip = Some(tip.height);
            match message.event {
                Some(Event::Headers(run)) => return read(&self.client, self.from, tip, &run, node).map(Some),
                // It lives; and if it drains, its status says why.
                Some(Event::Progress(_) | Event::Draining(_)) => {}
                None => return Err(node.malformed(WireError::missing("event"))),
            }
        }
    }

    /// Whether a stream that ended has told all that it was to tell. One that told nothing at all must not have had more: how far
    /// the node is, is asked.
    async fn is_end(&self, open: &Open, node: &NodeSlot) -> Result<bool, Error> {
        let tip = match open.tip {
            Some(height) => height,
            None => node.ask_for_tip(self.client.settings()).await?.height,
        };
        Ok(self.next_height() > self.stop.map_or(tip, |stop| stop.min(tip)))
    }

    async fn open(&self) -> Result<Open, Error> {
        use v1::get_headers_request::Start;
        let start = Some(match self.from {
            HeadersFrom::Height(height) => Start::FromHeight(height.get()),
            HeadersFrom::After(_, id) => Start::AfterBlockId(id.to_bytes().to_vec().into()),
        });
        let request = v1::GetHeadersRequest { start, stop_height: self.stop.map(Height::get) };
        let pool = self.client.pool();
        let read = |messages, node: &NodeSlot| Ok((messages, node.url.clone()));
        let (messages, url) = self.client.call(Needs::Tip, ask!(get_headers, request), read).await?;
        let at = pool.node_at(&url).ok_or_else(|| Error::Setup("no node was named".to_owned()))?;
        Ok(Open { at, messages, tip: None })
    }
}

/// Reads headers that go on where the reader stands.
fn read(
    client: &Client,
    from: HeadersFrom,
    tip: ChainPoint,
    run: &v1::HeaderRun,
    node: &NodeSlot,
) -> Result<HeaderBatch, Error> {
    let found = run.headers_bytes.len();
    if found == 0 || found > MOST_HEADERS {
        let fault = WireFault::Count { unit: "headers", min: 1, max: MOST_HEADERS, found };
        return Err(node.malformed(WireError::new("headers_bytes", fault)));
    }
    let (mut height, mut parent) = match from {
        HeadersFrom::Height(height) => (height, None),
        HeadersFrom::After(height, id) => (height.next(), Some(id)),
    };
    let first = height;
    if run.first_height != first.get() {
        let found = Height::new(run.first_height);
        return Err(node.unproven(VerifyError::BlockHeight { found, expected: first }));
    }
    let mut headers = Vec::with_capacity(found);
    for (at, bytes) in run.headers_bytes.iter().enumerate() {
        let malformed = |fault: WireFault| node.malformed(WireError::new("", fault).within_item("headers_bytes", at));
        if bytes.len() != HEADER_BYTES {
            return Err(malformed(WireFault::Length { expected: HEADER_BYTES, found: bytes.len() }));
        }
        let header = Header::from_canonical(bytes).map_err(|error| malformed(error.into()))?;
        if let Some(expected) = parent.filter(|parent| *parent != header.previous) {
            return Err(node.unproven(VerifyError::Parent { height, found: header.previous, expected }));
        }
        if client.verifies() {
            verify::header(client.network(), &header, height).map_err(|error| node.unproven(error))?;
        }
        let id = header.id();
        (height, parent) = (height.next(), Some(id));
        headers.push((id, header));
    }
    Ok(HeaderBatch { first, headers, tip })
}
