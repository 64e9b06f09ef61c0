//! A network between nodes of this process: real TCP on loopback, over links that can be cut and mended, and be made as
//! bad as those between hosts.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use farthing_node::env::{Connection, Listener, Net, SystemNet};
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::link::{Link, Quality, Tally, Way};

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

/// Each is linked with the one before and the one behind it, and the last one with the first.
pub(crate) fn ring(count: usize) -> impl Fn(usize, usize) -> bool + Clone + Send {
    move |a, b| [1, count - 1].contains(&a.abs_diff(b))
}

/// The links between all nodes.
#[derive(Clone)]
pub(crate) struct Fabric(Arc<Mutex<State>>);

struct State {
    links: Links,
    /// What every link is like, and those that were used so far, each way by itself.
    quality: Quality,
    ways: BTreeMap<(usize, usize), Arc<Way>>,
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
        Self(Arc::new(Mutex::new(State {
            links: Box::new(links),
            quality: Quality::default(),
            ways: BTreeMap::new(),
            ports: BTreeMap::new(),
            open: Vec::new(),
        })))
    }

    /// Makes all links like this, whatever they were before.
    pub(crate) fn set_all(&self, quality: Quality) {
        let mut state = self.state();
        state.quality = quality;
        state.ways.values().for_each(|way| way.set(quality));
    }

    /// The link between two nodes as the first one sees it.
    pub(crate) fn between(&self, one: usize, other: usize) -> Link {
        let mut state = self.state();
        let quality = state.quality;
        let mut way = |from: usize, to: usize| {
            let seed = 0x11_4b00 + (from as u64) * 256 + to as u64;
            Arc::clone(state.ways.entry((from, to)).or_insert_with(|| Arc::new(Way::new(quality, seed))))
        };
        Link { there: way(one, other), back: way(other, one) }
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

    /// What became of all segments so far.
    pub(crate) fn tally(&self) -> Tally {
        self.state().ways.values().map(|way| way.tally()).fold(Tally::default(), |sum, way| Tally {
            sent: sum.sent + way.sent,
            lost: sum.lost + way.lost,
            broke: sum.broke + way.broke,
        })
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

    /// The link for a new connection, if it is there, and what breaks the connection.
    fn open(&self, from: usize, port: u16) -> io::Result<(Link, CancellationToken)> {
        let to = {
            let state = self.state();
            state.ports.get(&port).copied().filter(|to| (state.links)(from, *to))
        };
        let to = to.ok_or(io::ErrorKind::HostUnreachable)?;
        let (link, token) = (self.between(from, to), CancellationToken::new());
        self.state().open.push((from, to, token.clone()));
        Ok((link, token))
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
            let (link, cut) = self.fabric.open(self.node, port)?;
            let opened = cut.run_until_cancelled(link.open()).await;
            opened.ok_or(io::ErrorKind::HostUnreachable)?;
            let connection = SystemNet.dial(host, port).await?;
            let peer = connection.peer();
            Ok(Connection::new(link.carry(connection.into_io(), cut), peer))
        })
    }

    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        SystemNet.resolve(host, port)
    }
}
