//! The dialler's side of a session: follows what the listener tells, and answers its wants.

use std::{sync::Arc, time::Duration};

use farthing::{
    Params,
    wire::peer::{self as wire, deliver_request::Item, follow_response::Event},
};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Streaming};

use super::{
    blame::Misdeed,
    client::{CallError, Client},
    compact,
    convert::{
        BlockPlaces, Malformed, PiecesQuery, block_id_from_wire, block_ids_from_wire, hashes_query_from_wire,
        locator_from_wire, wire_ids_from_wire,
    },
    limits::{MAX_HEADERS, MAX_WANTS, SILENCE_DEADLINE},
    methods::methods,
    network::Inner,
    remote::PullError,
    serve,
    session::Session,
};
use crate::server::{Bucket, Rate};

/// Follows for as long as the session lasts.
pub(super) async fn run(
    inner: &Arc<Inner>,
    session: &Session,
    client: &Client,
    mut stream: Streaming<wire::FollowResponse>,
) {
    match follow(inner, session, client, &mut stream).await {
        Ok(()) => tracing::debug!(peer = %session.who.address, "the peer ended the session"),
        Err(PullError::Misdeed(misdeed)) => inner.blame(session, &misdeed),
        Err(error) => tracing::debug!(peer = %session.who.address, %error, "session over"),
    }
}

async fn follow(
    inner: &Arc<Inner>,
    session: &Session,
    client: &Client,
    stream: &mut Streaming<wire::FollowResponse>,
) -> Result<(), PullError> {
    let mut answers: FuturesUnordered<BoxFuture<'_, Result<(), PullError>>> = FuturesUnordered::new();
    let mut pace = Pace::on(inner.params());
    loop {
        tokio::select! {
            Some(answered) = answers.next(), if !answers.is_empty() => answered?,
            next = next(stream, pace.wait(), SILENCE_DEADLINE) => {
                let Some(event) = next? else { return Ok(()) };
                session.heard(inner.elapsed());
                pace.count(&event);
                match event.event.ok_or(Malformed::Missing { field: "event" })? {
                    Event::Tip(tip) => compact::take_announced(inner, session, tip)?,
                    Event::Transactions(ids) => session.take_wire_ids(wire_ids_from_wire(&ids)?),
                    Event::Want(_) if answers.len() >= MAX_WANTS => {
                        return Err(Misdeed::OutOfOrder("more wants than may be open").into());
                    }
                    Event::Want(want) => answers.push(Box::pin(answer(inner, session, client, want))),
                    Event::PoolQuery(_) => session.offer_pool_again(inner.elapsed()),
                    Event::Ping(_) => {}
                }
            }
        }
    }
}

async fn next(
    stream: &mut Streaming<wire::FollowResponse>,
    wait: Duration,
    deadline: Duration,
) -> Result<Option<wire::FollowResponse>, PullError> {
    if !wait.is_zero() {
        sleep(wait).await;
    }
    let message = timeout(deadline, stream.message()).await.map_err(|_| PullError::Stalled)?;
    Ok(message.map_err(CallError::from)?)
}

/// How fast a listener is followed: as fast as a dialler may announce and deliver, by the same table. What it sends
/// beyond that waits in its own memory.
#[derive(Debug)]
struct Pace {
    events: (Bucket, Rate),
    wire_ids: (Bucket, Option<Rate>),
}

impl Pace {
    fn on(params: &Params) -> Self {
        let table = methods(params);
        let policy = |path| table.get(path).copied();
        let deliveries = policy("/farthing.peer.v1.PeerService/Deliver").map(|policy| policy.calls().rate);
        let wire_ids = policy("/farthing.peer.v1.PeerService/Announce").and_then(|policy| policy.items());
        let events = deliveries.unwrap_or(Rate { per_second: 1, burst: 1 });
        Self { events: (Bucket::default(), events), wire_ids: (Bucket::default(), wire_ids.map(|(_, rate)| rate)) }
    }

    /// How long to read nothing.
    fn wait(&self) -> Duration {
        let now = Instant::now();
        let wire_ids = self.wire_ids.1.map(|rate| self.wire_ids.0.wait(rate, now));
        self.events.0.wait(self.events.1, now).max(wire_ids.unwrap_or_default())
    }

    fn count(&mut self, event: &wire::FollowResponse) {
        let now = Instant::now();
        self.events.0.take(1, self.events.1, now);
        if let (Some(Event::Transactions(ids)), Some(rate)) = (&event.event, self.wire_ids.1) {
            self.wire_ids.0.take(ids.wire_ids.len() as u64, rate, now);
        }
    }
}

/// Delivers what the listener wants.
async fn answer(inner: &Arc<Inner>, session: &Session, client: &Client, want: wire::Want) -> Result<(), PullError> {
    let id = want.want_id;
    let failed = |_| PullError::Ended("the node is stopping".to_owned());
    let delivered = match want.item.ok_or(Malformed::Missing { field: "want.item" })? {
        wire::want::Item::HeadersAfter(locator) => {
            let locator = locator_from_wire(Some(locator))?;
            let headers = serve::headers(inner, locator, MAX_HEADERS).await.map_err(failed)?;
            client.deliver(id, Some(Item::Headers(headers)), true).await
        }
        wire::want::Item::Transactions(ids) => {
            let found = serve::transactions(inner, &wire_ids_from_wire(&ids)?);
            client.deliver(id, Some(Item::Transactions(found)), true).await
        }
        wire::want::Item::CompactBlock(block_id) => {
            let block_id = block_id_from_wire("want.compact_block", &block_id)?;
            let compact = compact::serve_block(inner, session, block_id).await.map_err(failed)?;
            client.deliver(id, Some(Item::CompactBlock(compact.unwrap_or_default())), true).await
        }
        wire::want::Item::BlockTransactions(query) => {
            let places = BlockPlaces::from_wire(Some(query))?;
            let bytes = compact::serve_transactions(inner, places).await.map_err(failed)??;
            client.deliver(id, Some(Item::BlockTransactions(bytes)), true).await
        }
        wire::want::Item::Checkpoints(_) => {
            client.deliver(id, Some(Item::Checkpoints(serve::checkpoints(inner))), true).await
        }
        wire::want::Item::CheckpointHashes(query) => {
            let (block, digest) = hashes_query_from_wire(Some(query))?;
            let hashes = serve::checkpoint_hashes(inner, &block, &digest);
            client.deliver(id, Some(Item::CheckpointHashes(hashes)), true).await
        }
        wire::want::Item::CheckpointPieces(query) => {
            let query = PiecesQuery::from_wire(Some(query))?;
            deliver_pieces(inner, client, id, query).await?
        }
        wire::want::Item::Blocks(ids) => {
            let ids = block_ids_from_wire(Some(ids))?;
            let mut outcome = Ok(());
            for block_id in ids {
                let bytes = serve::block(inner, block_id).await.map_err(failed)?;
                // The listener takes them in order, so one that is not here ends the answer.
                if bytes.is_empty() {
                    break;
                }
                outcome = client.deliver(id, Some(Item::Block(bytes)), false).await;
                if outcome.is_err() {
                    break;
                }
            }
            match outcome {
                Ok(()) => client.deliver(id, None, true).await,
                failed => failed,
            }
        }
    };
    settle(delivered)
}

/// Delivers pieces one by one, up to one that is not here.
async fn deliver_pieces(
    inner: &Inner,
    client: &Client,
    want_id: u64,
    query: PiecesQuery,
) -> Result<Result<(), CallError>, PullError> {
    for index in query.first..query.first.saturating_add(query.count) {
        let piece = serve::checkpoint_piece(inner, &query, index).await;
        let piece = piece.map_err(|_| PullError::Ended("the node is stopping".to_owned()))?;
        if piece.is_empty() {
            break;
        }
        let delivered = client.deliver(want_id, Some(Item::CheckpointPiece(piece)), false).await;
        if delivered.is_err() {
            return Ok(delivered);
        }
    }
    Ok(client.deliver(want_id, None, true).await)
}

/// The listener may have closed the want meanwhile, may have no place for the call, or may still be at work on the piece
/// before, such as a block with which it reorganises. It asks again for what it still needs; that is no reason to part.
fn settle(delivered: Result<(), CallError>) -> Result<(), PullError> {
    let is_harmless = |code| matches!(code, Code::NotFound | Code::DeadlineExceeded | Code::ResourceExhausted);
    match delivered {
        Err(CallError::Late) => Ok(()),
        Err(CallError::Status(status)) if is_harmless(status.code()) => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_listener_is_followed_no_faster_than_a_dialler_may_announce() {
        let mut pace = Pace::on(farthing::Network::Dev.params());
        let rate = pace.wire_ids.1.unwrap();
        let ids = wire::TransactionIds { wire_ids: vec![prost::bytes::Bytes::from_static(&[7; 32]); 1_000] };
        let announced = wire::FollowResponse { event: Some(Event::Transactions(ids)) };
        let mut read = 0;
        while pace.wait().is_zero() {
            pace.count(&announced);
            read += 1_000;
        }
        assert_eq!(read, rate.burst);
        tokio::time::advance(Duration::from_secs(1)).await;
        while pace.wait().is_zero() {
            pace.count(&announced);
            read += 1_000;
        }
        assert_eq!(read, rate.burst + rate.per_second);
        let ping = wire::FollowResponse { event: Some(Event::Ping(wire::Ping {})) };
        tokio::time::advance(Duration::from_secs(60)).await;
        let pings = std::iter::repeat_with(|| pace.wait().is_zero().then(|| pace.count(&ping))).map_while(|read| read);
        assert_eq!(pings.count() as u64, pace.events.1.burst, "nor are other events");
    }

    #[test]
    fn a_listener_that_is_busy_or_wants_it_no_longer_keeps_its_session_and_one_that_ended_it_does_not() {
        let answered = |code| settle(Err(Status::new(code, "").into()));
        for code in [Code::NotFound, Code::DeadlineExceeded, Code::ResourceExhausted] {
            assert!(answered(code).is_ok(), "{code:?}");
        }
        assert!(settle(Err(CallError::Late)).is_ok());
        for code in [Code::Unauthenticated, Code::InvalidArgument, Code::Unavailable, Code::Unknown] {
            assert!(matches!(answered(code), Err(PullError::Ended(_))), "{code:?}");
        }
    }
}
