//! The network: listening, dialling, resolving names.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use futures_util::future::BoxFuture;
use socket2::{SockRef, Socket, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, lookup_host},
    task::coop::consume_budget,
    time::sleep,
};

use super::local::{self, LocalSocket};

/// What stands for the other end of a local socket, which has no address: the own machine.
pub(super) const OWN_MACHINE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// A silent connection is probed after this time, so that a vanished host does not hold a slot for hours.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
/// After connections were refused, the next ones are looked at together so much later: a flood of them wakes the node only
/// so often. The system keeps 1,024 connections waiting for a listener meanwhile: it takes 100,000 a second to lose one.
const REST: Duration = Duration::from_millis(10);

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

    /// The next connection that `admits` takes. It is asked with the canonical address of each caller before anything is
    /// made for it; those that it does not take are closed at once. Cancel safe.
    fn accept<'a>(&'a mut self, admits: &'a mut Admission<'a>) -> BoxFuture<'a, io::Result<Connection>>;
}

/// Says whether a connection from an address is taken.
pub type Admission<'a> = dyn FnMut(SocketAddr) -> bool + Send + 'a;

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

/// Whether an address is the one from which programs of this machine call it, unless they choose another. The rest of
/// loopback counts as networks like any, so that what they may do can be tried on one machine.
pub fn is_own_machine(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST
}

/// TCP of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNet;

impl Net for SystemNet {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move { Ok(Box::new(SystemListener::bind(address).await?) as Box<dyn Listener>) })
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

    fn accept<'a>(&'a mut self, admits: &'a mut Admission<'a>) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async move {
            let mut refused = false;
            loop {
                if let Some((socket, peer)) = self.queued()? {
                    if admits(peer) {
                        socket.set_nonblocking(true)?;
                        return connection(TcpStream::from_std(socket.into())?, peer);
                    }
                } else if refused {
                    sleep(REST).await;
                    refused = false;
                    continue;
                } else {
                    let (stream, peer) = self.0.accept().await?;
                    let peer = canonical(peer);
                    if admits(peer) {
                        return connection(stream, peer);
                    }
                }
                refused = true;
                consume_budget().await;
            }
        })
    }
}

impl SystemListener {
    async fn bind(address: SocketAddr) -> io::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "this is where the network enters")]
        let listener = TcpListener::bind(address).await?;
        // What is accepted has it too. One that is refused so ends with a reset: its other end learns of it at once, and
        // the system keeps nothing of it.
        SockRef::from(&listener).set_linger(Some(Duration::ZERO))?;
        Ok(Self(listener))
    }

    /// A connection that waits already. tokio's own `accept` would watch its socket for events before anybody could
    /// look at its address.
    fn queued(&self) -> io::Result<Option<(Socket, SocketAddr)>> {
        match SockRef::from(&self.0).accept() {
            Ok((socket, address)) => Ok(address.as_socket().map(|address| (socket, canonical(address)))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// An accepted stream that is to be served. It closes in the usual way, with what was written before.
fn connection(stream: TcpStream, peer: SocketAddr) -> io::Result<Connection> {
    SockRef::from(&stream).set_linger(None)?;
    tune(&stream)?;
    Ok(Connection::new(stream, peer))
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
        let (dialled, accepted) =
            tokio::join!(net.dial("127.0.0.1", address.port()), async { listener.accept(&mut |_| true).await });
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
    async fn a_connection_that_is_not_admitted_is_reset_and_the_next_one_is_accepted() {
        let net = SystemNet;
        let mut listener = net.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let dialling = async {
            // It may have been reset before it is known to be there.
            let error = match net.dial("127.0.0.1", port).await {
                Ok(refused) => refused.into_io().read_u8().await.unwrap_err(),
                Err(error) => error,
            };
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            net.dial("127.0.0.1", port).await.unwrap()
        };
        let mut asked = 0;
        let mut admits = |_| {
            asked += 1;
            asked > 1
        };
        let (_dialled, accepted) = tokio::join!(dialling, listener.accept(&mut admits));
        accepted.unwrap();
        assert_eq!(asked, 2);
    }

    #[test]
    fn the_own_machine_is_where_its_programs_call_from() {
        let own = |text: &str| is_own_machine(text.parse().unwrap());
        assert!(own("127.0.0.1") && own("::1") && own("::ffff:127.0.0.1"));
        assert!(!own("127.0.0.2") && !own("192.0.2.1") && !own("::2"));
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
