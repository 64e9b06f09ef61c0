//! The network: listening, dialling, resolving names.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use futures_util::future::BoxFuture;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, lookup_host},
};

use super::local::{self, LocalSocket};

/// What stands for the other end of a local socket, which has no address: the own machine.
pub(super) const OWN_MACHINE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// A silent connection is probed after this time, so that a vanished host does not hold a slot for hours.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// A network, and the local sockets of the machine.
pub trait Net: fmt::Debug + Send + Sync {
    /// Starts to listen; port 0 lets the system choose.
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;

    /// Connects to the first address of the host that answers. Has no deadline of its own.
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Connection>>;

    /// The addresses of a host name or of an address as text.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;

    /// Listens on a Unix socket that only the own user can ever connect to, in the place of a socket that is there. A
    /// path too long for a socket gives way to a short one. Networks without such sockets are `Unsupported`.
    fn listen_local<'a>(&'a self, _path: &'a Path) -> BoxFuture<'a, io::Result<LocalSocket>> {
        Box::pin(async { Err(io::Error::from(io::ErrorKind::Unsupported)) })
    }

    /// Connects to a Unix socket. Networks without such sockets are `Unsupported`.
    fn dial_local<'a>(&'a self, _path: &'a Path) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async { Err(io::Error::from(io::ErrorKind::Unsupported)) })
    }
}

/// A bound port.
pub trait Listener: fmt::Debug + Send {
    /// The address with the port that was really bound.
    ///
    /// # Errors
    /// The cause, as the system gives it.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// For the log: where it listens.
    fn describe(&self) -> String {
        self.local_addr().map_or_else(|_| "an unknown address".to_owned(), |address| address.to_string())
    }

    /// The next connection. Cancel safe.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>>;
}

/// A stream of bytes both ways.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// An open connection.
pub struct Connection {
    io: Box<dyn Io>,
    peer: SocketAddr,
    process: Option<u32>,
}

impl Connection {
    /// A connection with its other end. An IPv4 address written as IPv6 becomes IPv4, so that one host has one name.
    pub fn new(io: impl Io + 'static, peer: SocketAddr) -> Self {
        Self { io: Box::new(io), peer: canonical(peer), process: None }
    }

    /// A connection over a Unix socket, with the process at its other end if the system tells it.
    pub fn local(io: impl Io + 'static, process: Option<u32>) -> Self {
        Self { io: Box::new(io), peer: OWN_MACHINE, process }
    }

    /// The process at the other end of a Unix socket: for the dialler the one that listens.
    pub fn process(&self) -> Option<u32> {
        self.process
    }

    /// Address of the other end; loopback with port 0 for a Unix socket.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The stream.
    pub fn into_io(self) -> Box<dyn Io> {
        self.io
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// The address with an IPv4-mapped IPv6 address turned into IPv4.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The network group of an address: its /24, or /64 for IPv6, as the limits per prefix count them.
pub fn prefix(address: IpAddr) -> [u8; 8] {
    let mut group = [0; 8];
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            // ffff::/16 is multicast, so no host calls from it.
            group[..2].copy_from_slice(&[0xff, 0xff]);
            group[2..5].copy_from_slice(&v4.octets()[..3]);
        }
        IpAddr::V6(v6) => group.copy_from_slice(&v6.octets()[..8]),
    }
    group
}

/// TCP of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNet;

impl Net for SystemNet {
    #[expect(clippy::disallowed_methods, reason = "this is where the network enters")]
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(address).await?;
            Ok(Box::new(SystemListener(listener)) as Box<dyn Listener>)
        })
    }

    #[expect(clippy::disallowed_methods, reason = "this is where the network enters")]
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async move {
            let stream = TcpStream::connect((host, port)).await?;
            let peer = stream.peer_addr()?;
            tune(&stream)?;
            Ok(Connection::new(stream, peer))
        })
    }

    #[expect(clippy::disallowed_methods, reason = "this is where names are resolved")]
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(lookup_host((host, port)).await?.map(canonical).collect()) })
    }

    fn listen_local<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<LocalSocket>> {
        Box::pin(async move { local::listen(path) })
    }

    fn dial_local<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(local::dial(path))
    }
}

#[derive(Debug)]
struct SystemListener(TcpListener);

impl Listener for SystemListener {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move {
            let (stream, peer) = self.0.accept().await?;
            tune(&stream)?;
            Ok(Connection::new(stream, peer))
        })
    }
}

/// Set here because tonic ignores its own TCP settings when it is given accepted sockets.
fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(TCP_KEEPALIVE))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_dialled_and_an_accepted_connection_carry_bytes_and_are_tuned() {
        let net = SystemNet;
        let mut listener = net.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (dialled, accepted) = tokio::join!(net.dial("127.0.0.1", address.port()), listener.accept());
        let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
        assert_eq!(dialled.peer(), address);
        assert!(accepted.peer().ip().is_loopback());
        let (mut near, mut far) = (dialled.into_io(), accepted.into_io());
        near.write_all(b"ping").await.unwrap();
        let mut read = [0; 4];
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"ping");
    }

    #[tokio::test]
    async fn an_accepted_socket_has_nodelay_and_keepalive() {
        #[expect(clippy::disallowed_methods, reason = "looks at a raw socket")]
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        #[expect(clippy::disallowed_methods, reason = "looks at a raw socket")]
        let (_near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (far, _) = far.unwrap();
        tune(&far).unwrap();
        assert!(far.nodelay().unwrap());
        assert!(SockRef::from(&far).keepalive().unwrap());
        assert_eq!(SockRef::from(&far).tcp_keepalive_time().unwrap(), TCP_KEEPALIVE);
    }

    #[test]
    fn hosts_of_one_network_share_a_prefix_and_a_mapped_address_is_ipv4() {
        let group = |text: &str| prefix(text.parse().unwrap());
        assert_eq!(group("192.0.2.1"), group("192.0.2.200"));
        assert_eq!(group("192.0.2.1"), group("::ffff:192.0.2.9"));
        assert_ne!(group("192.0.2.1"), group("192.0.3.1"));
        assert_eq!(group("2001:db8:1:2::1"), group("2001:db8:1:2:ffff::1"));
        assert_ne!(group("2001:db8:1:2::1"), group("2001:db8:1:3::1"));
        assert_eq!(canonical("[::ffff:192.0.2.1]:5".parse().unwrap()), "192.0.2.1:5".parse().unwrap());
    }

    #[tokio::test]
    async fn a_literal_address_resolves_to_itself() {
        let found = SystemNet.resolve("127.0.0.1", 80).await.unwrap();
        assert_eq!(found, ["127.0.0.1:80".parse().unwrap()]);
    }
}
