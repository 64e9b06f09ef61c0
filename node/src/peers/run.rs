//! One session from its handshake to its end, on either side.

use std::{net::SocketAddr, sync::Arc};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    blame::Misdeed,
    book::{NetGroup, SeenAddress},
    client::{self, Client, DialError},
    convert::Tip,
    exchange, follow,
    handshake::Refusal,
    limits::HANDSHAKE_DEADLINE,
    network::Inner,
    remote::Remote,
    sender,
    session::{Direction, Identity, Session, lock},
    standing::Culprit,
    sync, transactions,
};
use crate::server::CallMeter;

/// Starts what a session of a dialler needs on the listener's side.
pub(super) fn inbound(inner: &Arc<Inner>, session: Arc<Session>, meter: Option<CallMeter>) {
    let inner = Arc::clone(inner);
    // At debug level: a stranger decides how often this happens.
    tracing::debug!(peer = %session.who.address, version = %session.who.version, "peer connected to this node");
    if let Some(address) = session.who.advertised {
        let source = NetGroup::of(session.who.address.ip());
        inner.learn(SeenAddress { address, last_seen: inner.env.clock().now() }, source);
    }
    inner.changed.notify_waiters();
    inner.clone().spawn("peers: inbound session", async move {
        let gone = async {
            match session.remote.caller() {
                Some(caller) => caller.gone().await,
                None => std::future::pending().await,
            }
        };
        let deaf = async {
            match meter {
                Some(meter) => meter.overrun().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = session.end.cancelled() => {}
            () = gone => {}
            method = deaf => inner.blame(&session, &Misdeed::Overrun(method)),
            () = sender::run(&inner, &session) => {}
            () = sync::run(&inner, &session) => {}
            () = transactions::run(&inner, &session) => {}
        }
        end(&inner, session).await;
    });
}

/// Whatever the session did is over: its futures are gone.
async fn end(inner: &Inner, session: Arc<Session>) {
    inner.leave(&session);
    match session.who.direction {
        Direction::Outbound => tracing::info!(peer = %session.who.address, "peer gone"),
        Direction::Inbound => tracing::debug!(peer = %session.who.address, "peer gone"),
    }
    let id = session.id;
    // The chain may be busy for long: what the session holds does not wait for it.
    drop(session);
    inner.forget(id).await;
}

/// Dials a node and holds the session to its end.
pub(super) async fn outbound(inner: &Arc<Inner>, host: &str, port: u16) -> Result<(), DialError> {
    outbound_until(inner, host, port, &CancellationToken::new(), || {}).await
}

/// Dials a node and holds the session to its end, or until it is not wanted any longer. Tells when it has begun.
pub(super) async fn outbound_until(
    inner: &Arc<Inner>,
    host: &str,
    port: u16,
    unwanted: &CancellationToken,
    begun: impl FnOnce() + Send,
) -> Result<(), DialError> {
    let beginning = timeout(HANDSHAKE_DEADLINE, begin(inner, host, port));
    let Some(outcome) = unwanted.run_until_cancelled(beginning).await else { return Ok(()) };
    let (session, client, stream) = outcome.map_err(|_| DialError::Late(HANDSHAKE_DEADLINE))??;
    begun();
    tracing::info!(peer = %session.who.address, version = %session.who.version, "connected to a peer");
    tokio::select! {
        () = session.end.cancelled() => {}
        () = unwanted.cancelled() => {}
        () = follow::run(inner, &session, &client, stream) => {}
        () = sender::run(inner, &session) => {}
        () = sync::run(inner, &session) => {}
        () = transactions::run(inner, &session) => {}
        () = exchange::run(inner, &session, &client) => {}
    }
    end(inner, session).await;
    Ok(())
}

type Begun = (Arc<Session>, Client, tonic::Streaming<farthing::wire::peer::FollowResponse>);

async fn begin(inner: &Arc<Inner>, host: &str, port: u16) -> Result<Begun, DialError> {
    let (mut calls, address) = client::connect(&inner.env, host, port).await?;
    if let Some(reason) = inner.ban_of(Culprit::at(address)) {
        return Err(Refusal::Banned(reason).into());
    }
    let shaken = client::shake_hands(&mut calls, &inner.hello()).await;
    let (theirs, token) = shaken.inspect_err(|refusal| note_refusal(inner, address, refusal))?;
    let client = Client::new(calls, token, inner.max_block_bytes());
    let who = Identity::new(Direction::Outbound, address, &theirs);
    lock(&inner.state).sessions.admit(inner.node_id, &who, inner.elapsed())?;
    let stream = client.follow().await.map_err(|error| Refusal::Other(error.to_string()))?;
    let tip = Tip { height: theirs.height, work: theirs.work, id: theirs.tip, headers: Vec::new() };
    let (now, wall) = (inner.elapsed(), inner.env.clock().now());
    let mut state = lock(&inner.state);
    // Meanwhile it may have been banned.
    state.check_ban(who.culprit(), wall)?;
    let end = inner.tasks.token().child_token();
    let (id, room) = (state.sessions.next_id(), inner.waiting.share());
    let session = Session::new(id, who, Remote::Dialled(client.clone()), tip, end, room);
    let session = Arc::new(session);
    session.heard(now);
    state.sessions.enter(inner.node_id, Arc::clone(&session), None, now)?;
    state.book.connected(address, wall);
    // From here on it counts as a session.
    if state.dialling.remove(&address) {
        // Those that the operator named are dialled anyway.
        state.anchors.begin(session.id, address);
    }
    drop(state);
    inner.changed.notify_waiters();
    Ok((session, client, stream))
}

/// Asks who is at an address: a short connection that opens no session.
pub(super) async fn probe(inner: &Arc<Inner>, address: SocketAddr) -> Result<(), DialError> {
    let asked = async {
        let (mut calls, address) = client::connect(&inner.env, &address.ip().to_string(), address.port()).await?;
        let answered = client::probe(&mut calls, &inner.hello()).await;
        answered.inspect_err(|refusal| note_refusal(inner, address, refusal))?;
        Ok(())
    };
    timeout(HANDSHAKE_DEADLINE, asked).await.map_err(|_| DialError::Late(HANDSHAKE_DEADLINE))?
}

fn note_refusal(inner: &Inner, address: SocketAddr, refusal: &Refusal) {
    let mut state = lock(&inner.state);
    if *refusal == Refusal::Itself {
        state.own.note(address, inner.elapsed());
    }
    if refusal.is_lasting() {
        state.book.forget(address);
    }
}
