//! A gate before a node's API: calls go through it, one of them can be held, and it can lead to another address.

use std::{
    convert::Infallible,
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture};
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{
    Status,
    body::Body,
    server::NamedService,
    transport::{Channel, Endpoint, Server},
};
use tower::Service;

use super::until;

/// Where a call is held for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// On its way to the node, which never hears of it.
    There,
    /// On its way back: the node has done what it was asked, and nobody is told.
    Back,
}

/// The gate; closed when this is dropped.
pub(crate) struct Gate {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    state: Mutex<State>,
}

struct State {
    node: Channel,
    /// Which call to hold: its method, how many of these go through before, and where.
    hold: Option<(&'static str, usize, Held)>,
    /// Whether one is held.
    is_held: bool,
    connections: Vec<TcpStream>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn channel(node: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{node}")).expect("an address makes a URL").connect_lazy()
}

impl Gate {
    /// Opens a gate that leads to this node.
    pub(crate) async fn before(node: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = State { node: channel(node), hold: None, is_held: false, connections: Vec::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state) });
        let known = Arc::clone(&shared);
        let incoming = TcpListenerStream::new(listener).map(move |connection| {
            let connection = connection?.into_std()?;
            // Else every small answer waits for an acknowledgement.
            connection.set_nodelay(true)?;
            known.lock().connections.push(connection.try_clone()?);
            tokio::net::TcpStream::from_std(connection)
        });
        let stop = CancellationToken::new();
        let serving = Server::builder().add_service(Passage(Arc::clone(&shared)));
        tokio::spawn(serving.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned()));
        Self { address, shared, _stop: stop.drop_guard() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Breaks every connection, and leads to this node from now on.
    pub(crate) fn lead_to(&self, node: SocketAddr) {
        let mut state = self.shared.lock();
        state.node = channel(node);
        for connection in state.connections.drain(..) {
            // It may be gone already.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Holds the next call of this method but so many; all others go through.
    pub(crate) fn hold(&self, method: &'static str, but: usize, held: Held) {
        let mut state = self.shared.lock();
        (state.hold, state.is_held) = (Some((method, but, held)), false);
    }

    /// Waits until the call is held.
    pub(crate) async fn has_held(&self) {
        until("a call is held", || match self.shared.lock() {
            state if state.is_held => Ok(()),
            state => Err(format!("waiting for {:?}", state.hold)),
        })
        .await;
    }
}

#[derive(Clone)]
struct Passage(Arc<Shared>);

impl Passage {
    /// Whether, and where, this call is to be held.
    fn holds(&self, path: &str) -> Option<Held> {
        let mut state = self.0.lock();
        let (method, but, held) = state.hold.as_mut()?;
        if path.rsplit('/').next() != Some(*method) {
            return None;
        }
        if *but > 0 {
            *but -= 1;
            return None;
        }
        let held = *held;
        state.hold = None;
        Some(held)
    }
}

impl NamedService for Passage {
    const NAME: &'static str = "farthing.v1.LedgerService";
}

impl Service<Request<Body>> for Passage {
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;
    type Response = Response<Body>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        async move {
            let held = this.holds(request.uri().path());
            if held == Some(Held::There) {
                this.0.lock().is_held = true;
                std::future::pending::<()>().await;
            }
            let mut node = this.0.lock().node.clone();
            let answer = match std::future::poll_fn(|cx| node.poll_ready(cx)).await {
                Ok(()) => node.call(request).await,
                Err(error) => Err(error),
            };
            if held == Some(Held::Back) {
                this.0.lock().is_held = true;
                std::future::pending::<()>().await;
            }
            Ok(answer.unwrap_or_else(|error| Status::unavailable(format!("the node is gone: {error}")).into_http()))
        }
        .boxed()
    }
}
