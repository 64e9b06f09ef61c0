//! Looks for nodes on a range of ports: all are tried at once, with short deadlines and a bound on open connections.

use std::{fmt, io, net::IpAddr, str::FromStr, sync::Arc, time::Duration};

use farthing::wire::v1::{self, ledger_service_client::LedgerServiceClient};
use tokio::{
    net::{TcpStream, lookup_host},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tonic::transport::Endpoint;

use crate::{
    client::printable,
    error::{Exit, Explain},
};

/// Most ports of a scan.
const MAX_PORTS: usize = 4_096;
/// Most connections at a time: with them, ports that answer nothing are passed at about a thousand a second.
const AT_A_TIME: usize = 256;
/// How long a port may take to take a connection.
const CONNECT: Duration = Duration::from_millis(250);
/// How long whoever listens may take to say what it is.
const ANSWER: Duration = Duration::from_millis(700);
/// Largest answer.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// Longest text of a node that is shown.
const MAX_TEXT: usize = 64;

/// Why nothing was found.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScanError {
    /// Not a host with ports.
    #[error("{0:?} is not a host with a range of ports, such as 127.0.0.1:50000-50100")]
    Form(String),
    /// Too long a range.
    #[error("{0} ports, at most {MAX_PORTS} are looked at at once")]
    TooMany(usize),
    /// No such host.
    #[error("the host {host:?} has no address")]
    Host {
        /// Its name.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No connection can be opened from here.
    #[error("cannot open connections")]
    Local(#[source] io::Error),
    /// No node.
    #[error("no node answers at {0}")]
    Nobody(String),
}

impl Explain for ScanError {
    fn code(&self) -> &'static str {
        match self {
            Self::Form(_) | Self::TooMany(_) => "BAD_PLACE",
            Self::Host { .. } => "UNKNOWN_HOST",
            Self::Local(_) => "CONNECTION",
            Self::Nobody(_) => "NO_NODE_FOUND",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Form(_) | Self::TooMany(_) => Exit::Usage,
            Self::Host { .. } | Self::Nobody(_) => Exit::Unreachable,
            Self::Local(_) => Exit::Other,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::Form(_) => vec!["network find 127.0.0.1:50000-50100".into()],
            Self::TooMany(_) => vec!["a shorter range".into()],
            Self::Host { .. } => vec!["the host's name again, or its IP address".into()],
            Self::Local(_) => vec!["again; the system let this program open no connection".into()],
            Self::Nobody(_) => {
                vec!["another range; nodes serve their API on port 50051 unless told otherwise (--rpc-listen)".into()]
            }
        }
    }
}

/// A host and some of its ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// As it was given, an IPv6 address in brackets.
    host: String,
    low: u16,
    high: u16,
}

impl Place {
    /// How many ports.
    pub(super) fn ports(&self) -> usize {
        usize::from(self.high - self.low) + 1
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}-{}", self.host, self.low, self.high)
    }
}

impl FromStr for Place {
    type Err = ScanError;

    fn from_str(text: &str) -> Result<Self, ScanError> {
        let wrong = || ScanError::Form(text.chars().take(100).collect());
        let text = text.strip_prefix("http://").unwrap_or(text);
        let (host, ports) = text.rsplit_once(':').ok_or_else(wrong)?;
        let (low, high) = ports.split_once('-').unwrap_or((ports, ports));
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong);
        let (low, high) = (port(low)?, port(high)?);
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_address = bare.parse::<IpAddr>().is_ok();
        let is_name = bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        if bare.is_empty() || !(is_address || is_name) || low > high {
            return Err(wrong());
        }
        let host = if bare.contains(':') { format!("[{bare}]") } else { bare.to_owned() };
        let place = Self { host, low, high };
        if place.ports() > MAX_PORTS { Err(ScanError::TooMany(place.ports())) } else { Ok(place) }
    }
}

/// What a node says of itself; the texts are fit to be shown.
pub(super) struct FoundNode {
    pub(super) url: String,
    pub(super) network: String,
    pub(super) version: String,
    pub(super) synced: Option<bool>,
    pub(super) info: v1::GetNodeInfoResponse,
}

/// What a scan found.
pub(super) struct Found {
    /// By port.
    pub(super) nodes: Vec<FoundNode>,
    /// Open ports on which something else answers, or nothing in time.
    pub(super) others: Vec<u16>,
}

/// Tries every port of a place.
///
/// # Errors
/// [`ScanError::Host`] and [`ScanError::Local`].
pub(super) fn scan(place: &Place) -> Result<Found, ScanError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ScanError::Local)?;
    runtime.block_on(async {
        let unknown = |source| ScanError::Host { host: place.host.clone(), source };
        let mut addresses = lookup_host(format!("{}:{}", place.host, place.low)).await.map_err(unknown)?;
        let address = addresses.next().ok_or_else(|| unknown(io::ErrorKind::NotFound.into()))?.ip();
        let slots = Arc::new(Semaphore::new(AT_A_TIME));
        let mut tries = JoinSet::new();
        for port in place.low..=place.high {
            let (slots, url) = (Arc::clone(&slots), format!("http://{}:{port}", place.host));
            tries.spawn(async move {
                // Never closed, so that there is always one in time.
                let _slot = slots.acquire_owned().await;
                (port, look(address, port, url).await)
            });
        }
        let mut answers = tries.join_all().await;
        answers.sort_unstable_by_key(|(port, _)| *port);
        let mut found = Found { nodes: Vec::new(), others: Vec::new() };
        for (port, answer) in answers {
            match answer {
                Look::Closed => {}
                Look::Other => found.others.push(port),
                Look::Node(node) => found.nodes.push(*node),
            }
        }
        Ok(found)
    })
}

enum Look {
    Closed,
    Other,
    Node(Box<FoundNode>),
}

async fn look(address: IpAddr, port: u16, url: String) -> Look {
    match timeout(CONNECT, TcpStream::connect((address, port))).await {
        Ok(Ok(_)) => {}
        Ok(Err(_)) | Err(_) => return Look::Closed,
    }
    let ask = async {
        let endpoint = Endpoint::from_shared(url.clone()).ok()?.connect_timeout(CONNECT);
        let service = LedgerServiceClient::new(endpoint.connect().await.ok()?);
        let mut service = service.max_decoding_message_size(MAX_ANSWER_BYTES);
        service.get_node_info(v1::GetNodeInfoRequest {}).await.ok()
    };
    let Ok(Some(answer)) = timeout(ANSWER, ask).await else { return Look::Other };
    let info = answer.into_inner();
    let synced = match info.sync_state() {
        v1::SyncState::Synced => Some(true),
        v1::SyncState::Syncing => Some(false),
        _ => None,
    };
    let (network, version) = (printable(&info.network, MAX_TEXT), printable(&info.version, MAX_TEXT));
    Look::Node(Box::new(FoundNode { url, network, version, synced, info }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_host_with_ports() {
        let read = |text: &str| text.parse::<Place>().map(|place| (place.to_string(), place.ports()));
        for (text, shown, ports) in [
            ("127.0.0.1:1-3", "127.0.0.1:1-3", 3),
            ("http://node.example:50051", "node.example:50051-50051", 1),
            ("[::1]:5-6", "[::1]:5-6", 2),
            ("localhost:1-4096", "localhost:1-4096", 4096),
        ] {
            assert_eq!(read(text).unwrap(), (shown.to_owned(), ports), "{text}");
        }
        for text in ["", "127.0.0.1", ":1-2", "a:0-1", "a:3-2", "a:1-99999", "a:x", "a b:1", "a/b:1", "a:1-2-3", "[:1"]
        {
            let error = read(text).unwrap_err();
            assert_eq!((error.code(), error.exit()), ("BAD_PLACE", Exit::Usage), "{text}");
        }
        assert!(matches!(read("a:1-4097"), Err(ScanError::TooMany(4097))));
    }

    #[test]
    fn ports_that_answer_nothing_hold_nobody_up() {
        let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = silent.local_addr().unwrap().port();
        let place = Place { host: "127.0.0.1".into(), low: port, high: port };
        let begin = std::time::Instant::now();
        let found = scan(&place).unwrap();
        assert_eq!((found.nodes.len(), found.others), (0, vec![port]));
        assert!(begin.elapsed() < 10 * (CONNECT + ANSWER), "{:?}", begin.elapsed());
    }
}
