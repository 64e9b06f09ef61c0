//! Links between nodes of one process: the machine's loopback, or slower.

use std::{fmt, io, net::SocketAddr, time::Duration};

use farthing_node::env::{Connection, Listener, Net, SystemNet};
use futures_util::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// What a link carries, each way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// 0: as much as the machine can.
    pub(crate) megabits_per_second: u64,
    pub(crate) delay: Duration,
}

impl Link {
    fn is_loopback(&self) -> bool {
        self.megabits_per_second == 0 && self.delay.is_zero()
    }

    fn time_of(&self, bytes: usize) -> Duration {
        match self.megabits_per_second {
            0 => Duration::ZERO,
            rate => Duration::from_secs_f64(bytes as f64 * 8.0 / (rate as f64 * 1e6)),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_loopback() {
            return f.write_str("loopback");
        }
        write!(f, "{} Mbit/s, {} ms each way", self.megabits_per_second, self.delay.as_millis())
    }
}

/// A network in which a node can dial one address only: its neighbour in the line.
#[derive(Debug)]
pub(crate) struct OnlyTo {
    neighbour: Option<SocketAddr>,
    link: Link,
}

impl OnlyTo {
    pub(crate) fn new(neighbour: Option<SocketAddr>, link: Link) -> Self {
        Self { neighbour, link }
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
            if self.link.is_loopback() {
                return Ok(connection);
            }
            let peer = connection.peer();
            let (far_read, far_write) = tokio::io::split(connection.into_io());
            let (near, node) = tokio::io::duplex(64 * 1024);
            let (near_read, near_write) = tokio::io::split(near);
            tokio::spawn(carry(near_read, far_write, self.link));
            tokio::spawn(carry(far_read, near_write, self.link));
            Ok(Connection::new(node, peer))
        })
    }

    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        SystemNet.resolve(host, port)
    }
}

/// Carries bytes one way, as fast as the link does and as late.
async fn carry(
    mut from: impl AsyncRead + Send + Unpin + 'static,
    mut to: impl AsyncWrite + Send + Unpin + 'static,
    link: Link,
) {
    let (sender, mut on_the_way) = mpsc::channel::<(Instant, Vec<u8>)>(4_096);
    tokio::spawn(async move {
        while let Some((due, bytes)) = on_the_way.recv().await {
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    });
    let mut free = Instant::now();
    let mut buffer = vec![0; 8 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        free = free.max(Instant::now()) + link.time_of(count);
        if sender.send((free + link.delay, buffer[..count].to_vec())).await.is_err() {
            return;
        }
        sleep_until(free).await;
    }
}
