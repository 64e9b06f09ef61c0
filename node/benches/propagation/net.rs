//! The network between the nodes of the line: the machine's loopback, or slower.

use std::{fmt, io, net::SocketAddr, num::NonZeroU64, sync::Arc, time::Duration};

use farthing_node::env::{Connection, Listener, Net, SystemNet};
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::link::{Link, Quality, Way};

/// What may be under way, so that it is never what limits.
const WINDOW: usize = 32 << 20;

/// What each hop carries, each way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop {
    /// None: as much as the machine can.
    pub(crate) megabits_per_second: Option<NonZeroU64>,
    pub(crate) delay: Duration,
}

impl Hop {
    fn is_loopback(&self) -> bool {
        self.megabits_per_second.is_none() && self.delay.is_zero()
    }

    fn link(&self) -> Link {
        let bytes_per_second = self.megabits_per_second.and_then(|rate| NonZeroU64::new(rate.get() * 125_000));
        let quality = Quality { bytes_per_second, delay: self.delay, window: WINDOW, ..Quality::default() };
        Link { there: Arc::new(Way::new(quality, 1)), back: Arc::new(Way::new(quality, 2)) }
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_loopback() {
            return f.write_str("loopback");
        }
        match self.megabits_per_second {
            Some(rate) => write!(f, "{rate} Mbit/s")?,
            None => f.write_str("any speed")?,
        }
        write!(f, ", {} ms each way", self.delay.as_millis())
    }
}

/// A network in which a node can dial one address only: its neighbour in the line.
#[derive(Debug)]
pub(crate) struct OnlyTo {
    neighbour: Option<SocketAddr>,
    hop: Hop,
    link: Link,
}

impl OnlyTo {
    pub(crate) fn new(neighbour: Option<SocketAddr>, hop: Hop) -> Self {
        Self { neighbour, hop, link: hop.link() }
    }
}

impl Net for OnlyTo {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        SystemNet.listen(address)
    }

    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async move {
            if self.neighbour.map(|address| address.port()) != Some(port) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let connection = SystemNet.dial(host, port).await?;
            if self.hop.is_loopback() {
                return Ok(connection);
            }
            self.link.open().await;
            let peer = connection.peer();
            Ok(Connection::new(self.link.carry(connection.into_io(), CancellationToken::new()), peer))
        })
    }

    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        SystemNet.resolve(host, port)
    }
}
