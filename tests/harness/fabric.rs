//! A network between nodes of this process: real TCP on loopback, over links that can be cut and mended.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use farthing_node::env::{Connection, Io, Listener, Net, SystemNet};
use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Which nodes may speak to each other.
type Links = Box<dyn Fn(usize, usize) -> bool + Send>;

/// Every neighbour of a line is linked, and nobody else.
pub(crate) fn line(a: usize, b: usize) -> bool {
    a.abs_diff(b) == 1
}

/// Everybody is linked.
pub(crate) fn everybody(_: usize, _: usize) -> bool {
    true
}

/// The links between all nodes.
#[derive(Clone)]
pub(crate) struct Fabric(Arc<Mutex<State>>);

struct State {
    links: Links,
    /// Which node listens on a port.
    ports: BTreeMap<u16, usize>,
    /// Open connections between two nodes.
    open: Vec<(usize, usize, CancellationToken)>,
}

impl fmt::Debug for Fabric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fabric")
    }
}

impl Fabric {
    pub(crate) fn new(links: impl Fn(usize, usize) -> bool + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(State { links: Box::new(links), ports: BTreeMap::new(), open: Vec::new() })))
    }

    /// Replaces the links: connections that they do not allow break at once, and are refused from now on.
    pub(crate) fn link(&self, links: impl Fn(usize, usize) -> bool + Send + 'static) {
        let mut state = self.state();
        state.links = Box::new(links);
        let State { links, open, .. } = &mut *state;
        open.retain(|(a, b, token)| {
            let keep = links(*a, *b) && !token.is_cancelled();
            if !keep {
                token.cancel();
            }
            keep
        });
    }

    /// The network as one node sees it.
    pub(crate) fn net_of(&self, node: usize) -> FabricNet {
        FabricNet { fabric: self.clone(), node }
    }

    /// Lets nodes dial a port on which somebody listens who is none of them, as if it were this node's.
    pub(crate) fn adopt(&self, port: u16, node: usize) {
        self.state().ports.insert(port, node);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token that breaks a new connection, if the link is there.
    fn open(&self, from: usize, port: u16) -> io::Result<CancellationToken> {
        let mut state = self.state();
        let to = state.ports.get(&port).copied();
        match to.filter(|to| (state.links)(from, *to)) {
            None => Err(io::Error::from(io::ErrorKind::HostUnreachable)),
            Some(to) => {
                let token = CancellationToken::new();
                state.open.push((from, to, token.clone()));
                Ok(token)
            }
        }
    }
}

/// One node's view of a [`Fabric`].
#[derive(Debug)]
pub(crate) struct FabricNet {
    fabric: Fabric,
    node: usize,
}

impl Net for FabricNet {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = SystemNet.listen(address).await?;
            self.fabric.state().ports.insert(listener.local_addr()?.port(), self.node);
            Ok(listener)
        })
    }

    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async move {
            let token = self.fabric.open(self.node, port)?;
            let connection = SystemNet.dial(host, port).await?;
            let peer = connection.peer();
            let cut = Box::pin(token.cancelled_owned());
            Ok(Connection::new(Wire { io: connection.into_io(), cut }, peer))
        })
    }

    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        SystemNet.resolve(host, port)
    }
}

/// A connection that can be cut. Only the dialling end is wrapped: once it is dropped, the other end is closed too.
struct Wire {
    io: Box<dyn Io>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Wire {
    /// Asked before every operation, so that a waiting one is woken by the cut.
    fn whole(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut.poll_unpin(cx) {
            Poll::Ready(()) => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.whole(cx)?;
        Pin::new(&mut *self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.whole(cx)?;
        Pin::new(&mut *self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.whole(cx)?;
        Pin::new(&mut *self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }
}
