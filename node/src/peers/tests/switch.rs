//! A network whose cable can be pulled: dialling fails, and open connections break.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
};
use tokio_stream::{Stream as _, wrappers::WatchStream};

use crate::{
    env::{Admission, Connection, Io, Listener, Net, SystemNet},
    peers::session::lock,
};

/// The system's network behind a switch. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Switch {
    /// Counts how often the cable was pulled; the cable is in while it is even.
    pulled: Arc<watch::Sender<u64>>,
    dialled: Arc<Mutex<Vec<SocketAddr>>>,
    resolved: Arc<Mutex<Vec<String>>>,
}

impl Default for Switch {
    fn default() -> Self {
        Self { pulled: Arc::new(watch::Sender::new(0)), dialled: Arc::default(), resolved: Arc::default() }
    }
}

impl Switch {
    pub(super) fn pull(&self) {
        self.pulled.send_modify(|count| *count += 1);
    }

    pub(super) fn plug(&self) {
        self.pulled.send_modify(|count| *count += 1);
    }

    /// Where connections were made to.
    pub(super) fn dialled(&self) -> Vec<SocketAddr> {
        lock(&self.dialled).clone()
    }

    /// Names that were resolved.
    pub(super) fn resolved(&self) -> Vec<String> {
        lock(&self.resolved).clone()
    }

    fn is_out(&self) -> bool {
        !self.pulled.borrow().is_multiple_of(2)
    }

    fn wrap(&self, connection: Connection) -> Connection {
        let peer = connection.peer();
        let breaks = WatchStream::from_changes(self.pulled.subscribe());
        Connection::new(Cable { io: connection.into_io(), breaks, broken: false }, peer)
    }
}

impl Net for Switch {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = SystemNet.listen(address).await?;
            Ok(Box::new(Switched { listener, switch: self.clone() }) as Box<dyn Listener>)
        })
    }

    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async move {
            if self.is_out() {
                return Err(io::Error::new(io::ErrorKind::NetworkUnreachable, "the cable is out"));
            }
            let connection = SystemNet.dial(host, port).await?;
            lock(&self.dialled).push(connection.peer());
            Ok(self.wrap(connection))
        })
    }

    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        lock(&self.resolved).push(host.to_owned());
        SystemNet.resolve(host, port)
    }
}

#[derive(Debug)]
struct Switched {
    listener: Box<dyn Listener>,
    switch: Switch,
}

impl Listener for Switched {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn accept<'a>(&'a mut self, admits: &'a mut Admission<'a>) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async move {
            loop {
                let connection = self.listener.accept(&mut *admits).await?;
                if !self.switch.is_out() {
                    return Ok(self.switch.wrap(connection));
                }
            }
        })
    }
}

struct Cable {
    io: Box<dyn Io>,
    breaks: WatchStream<u64>,
    broken: bool,
}

impl Cable {
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.broken && Pin::new(&mut self.breaks).poll_next(cx).is_ready() {
            self.broken = true;
        }
        if self.broken { Err(io::Error::new(io::ErrorKind::ConnectionReset, "the cable was pulled")) } else { Ok(()) }
    }
}

impl AsyncRead for Cable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Cable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
