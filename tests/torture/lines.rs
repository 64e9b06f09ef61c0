//! Connections of the readers: a group of them shares one to each node, over which each has its stream.

use std::{
    net::{Shutdown, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};

/// How many readers share a connection: fewer than the 64 streams that one may have, and so many that a thousand stay
/// below the 128 connections of a listener.
pub(crate) const READERS_PER_LINE: usize = 16;
/// What may wait in a connection at this end: a reader that pauses must not hold up those beside it, as HTTP/2 counts
/// what waits for any stream against the whole connection.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(20);
/// How many nodes there are.
pub(crate) const NODES: usize = 2;

/// Where the nodes are now.
#[derive(Debug, Default)]
pub(crate) struct Doors(Mutex<[Option<SocketAddr>; NODES]>);

impl Doors {
    fn lock(&self) -> MutexGuard<'_, [Option<SocketAddr>; NODES]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None while a node is down.
    pub(crate) fn set(&self, node: usize, address: Option<SocketAddr>) {
        self.lock()[node] = address;
    }

    fn get(&self, node: usize) -> Option<SocketAddr> {
        self.lock()[node]
    }
}

/// The connections of a group.
pub(crate) struct Line {
    doors: Arc<Doors>,
    open: Mutex<[Option<Open>; NODES]>,
}

struct Open {
    to: SocketAddr,
    channel: Channel,
    /// Every socket that it had, to be cut.
    sockets: Arc<Mutex<Vec<std::net::TcpStream>>>,
}

impl Line {
    pub(crate) fn new(doors: &Arc<Doors>) -> Self {
        Self { doors: Arc::clone(doors), open: Mutex::default() }
    }

    /// A connection to a node; none while that is down.
    pub(crate) fn channel(&self, node: usize) -> Option<Channel> {
        let to = self.doors.get(node)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open[node].as_ref().is_none_or(|line| line.to != to) {
            open[node] = Some(Open::to(to));
        }
        open[node].as_ref().map(|line| line.channel.clone())
    }

    /// Cuts the connection to a node, whatever is on its way, as a network would.
    pub(crate) fn cut(&self, node: usize) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = open[node].take() {
            for socket in line.sockets.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                // It may be closed already.
                let _ = socket.shutdown(Shutdown::Both);
            }
        }
    }
}

impl Open {
    fn to(to: SocketAddr) -> Self {
        let sockets: Arc<Mutex<Vec<_>>> = Arc::default();
        let endpoint = Endpoint::from_shared(format!("http://{to}")).expect("an address makes a URL");
        let endpoint = endpoint.initial_connection_window_size(CONNECTION_WINDOW_BYTES).connect_timeout(CONNECT);
        let kept = Arc::clone(&sockets);
        let connector = tower::service_fn(move |_| {
            let kept = Arc::clone(&kept);
            async move {
                let socket = TcpStream::connect(to).await?.into_std()?;
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(socket.try_clone()?);
                std::io::Result::Ok(TokioIo::new(TcpStream::from_std(socket)?))
            }
        });
        Self { to, channel: endpoint.connect_with_connector_lazy(connector), sockets }
    }
}
