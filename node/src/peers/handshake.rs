//! How two nodes introduce themselves, and why they part at once.

use std::{collections::HashMap, fmt, net::IpAddr};

use farthing::{BlockId, Height, Params, Work, wire::peer as wire};
use prost::bytes::Bytes;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{
    convert::{Malformed, array, id_to_wire, work_from_wire, work_to_wire},
    limits::{MAX_HOST_BYTES, MAX_NETWORK_NAME_BYTES, MAX_VERSION_BYTES, PROTOCOL_VERSION},
};

const ERROR_DOMAIN: &str = "farthing";
/// Before the reason of a ban, here and in what the other side is told.
const BANNED: &str = "banned: ";

/// Names a running node: 16 random bytes chosen at its start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 16]);

impl NodeId {
    /// Takes bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

/// Who a node is and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) protocol_version: u32,
    pub(super) network: String,
    pub(super) genesis: BlockId,
    pub(super) node_id: NodeId,
    /// Port on which it takes peers.
    pub(super) listen_port: Option<u16>,
    /// Where it can be dialled if not at the address that it calls from.
    pub(super) listen_host: Option<IpAddr>,
    pub(super) height: Height,
    pub(super) tip: BlockId,
    pub(super) work: Work,
    pub(super) version: String,
    /// Whether it answers for compact blocks.
    pub(super) compact_relay: bool,
    /// The lowest block above genesis that it has; genesis if it has all.
    pub(super) lowest_body: Height,
    /// Whether it answers for checkpoints.
    pub(super) checkpoints: bool,
}

impl Hello {
    pub(super) fn to_wire(&self) -> wire::Hello {
        wire::Hello {
            protocol_version: self.protocol_version,
            genesis_id: id_to_wire(self.genesis.as_bytes()),
            network: self.network.clone(),
            node_id: Bytes::copy_from_slice(&self.node_id.0),
            listen_port: self.listen_port.map_or(0, u32::from),
            tip_height: self.height.get(),
            tip_id: id_to_wire(self.tip.as_bytes()),
            total_work: work_to_wire(self.work),
            version: self.version.clone(),
            listen_host: self.listen_host.map_or_else(String::new, |host| host.to_string()),
            compact_relay: self.compact_relay,
            lowest_body_height: self.lowest_body.get(),
            checkpoints: self.checkpoints,
        }
    }

    /// Reads a hello. The protocol's version is looked at first: another one may have other fields.
    pub(super) fn from_wire(hello: Option<wire::Hello>) -> Result<Self, Refusal> {
        let hello = hello.ok_or(Malformed::Missing { field: "hello" })?;
        if hello.protocol_version != PROTOCOL_VERSION {
            return Err(Refusal::OtherProtocol { ours: PROTOCOL_VERSION, theirs: hello.protocol_version });
        }
        let port = u16::try_from(hello.listen_port).map_err(|_| Malformed::OutOfRange {
            field: "hello.listen_port",
            found: hello.listen_port.into(),
            expected: "0 to 65535",
        })?;
        let listen_host = match text("hello.listen_host", hello.listen_host, MAX_HOST_BYTES)?.as_str() {
            "" => None,
            host => Some(host_from_text("hello.listen_host", host)?),
        };
        Ok(Self {
            protocol_version: hello.protocol_version,
            network: text("hello.network", hello.network, MAX_NETWORK_NAME_BYTES)?,
            genesis: BlockId::from_bytes(array("hello.genesis_id", &hello.genesis_id)?),
            node_id: NodeId(array("hello.node_id", &hello.node_id)?),
            listen_port: (port != 0).then_some(port),
            listen_host,
            height: Height::new(hello.tip_height),
            tip: BlockId::from_bytes(array("hello.tip_id", &hello.tip_id)?),
            work: work_from_wire("hello.total_work", &hello.total_work)?,
            version: text("hello.version", hello.version, MAX_VERSION_BYTES)?,
            compact_relay: hello.compact_relay,
            lowest_body: Height::new(hello.lowest_body_height),
            checkpoints: hello.checkpoints,
        })
    }
}

/// A text of printable ASCII: it ends up in logs and on terminals.
fn text(field: &'static str, text: String, max: usize) -> Result<String, Malformed> {
    if text.len() > max {
        return Err(Malformed::TooMany { field, found: text.len(), max });
    }
    if text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        Ok(text)
    } else {
        Err(Malformed::NotA { field, expected: "printable ASCII text" })
    }
}

/// An address as text; IPv4 written as IPv6 becomes IPv4.
pub(super) fn host_from_text(field: &'static str, text: &str) -> Result<IpAddr, Malformed> {
    let host: IpAddr = text.parse().map_err(|_| Malformed::NotA { field, expected: "an IP address" })?;
    Ok(host.to_canonical())
}

/// Why no session comes about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// Another chain altogether.
    #[error("this node is on network {ours}, the other one on {theirs}")]
    OtherGenesis {
        /// Name and genesis id of this node's network.
        ours: String,
        /// The other's.
        theirs: String,
    },
    /// Another version of the protocol.
    #[error("this node speaks version {ours} of the peer protocol, the other one version {theirs}")]
    OtherProtocol {
        /// This node's.
        ours: u32,
        /// The other's.
        theirs: u32,
    },
    /// The node dialled itself.
    #[error("a node does not peer with itself")]
    Itself,
    /// There is a session between these two nodes.
    #[error("the two nodes have a session already")]
    Duplicate,
    /// No session is free.
    #[error("all {0} sessions are taken")]
    Full(usize),
    /// None is free for nodes of the caller's network.
    #[error("all {0} sessions for nodes of one network (/24, or /64 of IPv6) are taken")]
    FullForNetwork(usize),
    /// A ban is in force.
    #[error("{BANNED}{0}")]
    Banned(String),
    /// The hello cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The other side refused for a reason that this node does not know.
    #[error("refused: {0}")]
    Other(String),
}

impl Refusal {
    const fn reason(&self) -> &'static str {
        match self {
            Self::OtherGenesis { .. } => "OTHER_GENESIS",
            Self::OtherProtocol { .. } => "OTHER_PROTOCOL_VERSION",
            Self::Itself => "SELF",
            Self::Duplicate => "DUPLICATE_SESSION",
            Self::Full(_) => "NO_FREE_SESSION",
            Self::FullForNetwork(_) => "NO_FREE_SESSION_FOR_NETWORK",
            Self::Banned(_) => "BANNED",
            Self::Malformed(_) => "MALFORMED",
            Self::Other(_) => "OTHER",
        }
    }

    /// The refusal as the other side gets it.
    pub(super) fn to_status(&self) -> Status {
        let (code, metadata) = match self {
            Self::OtherGenesis { ours, theirs } => (Code::FailedPrecondition, pair(ours, theirs)),
            Self::OtherProtocol { ours, theirs } => (Code::FailedPrecondition, pair(ours, theirs)),
            Self::Itself => (Code::FailedPrecondition, HashMap::new()),
            Self::Duplicate => (Code::AlreadyExists, HashMap::new()),
            Self::Full(most) | Self::FullForNetwork(most) => {
                (Code::ResourceExhausted, HashMap::from([("max".to_owned(), most.to_string())]))
            }
            Self::Banned(_) => (Code::PermissionDenied, HashMap::new()),
            Self::Malformed(_) | Self::Other(_) => (Code::InvalidArgument, HashMap::new()),
        };
        let details = ErrorDetails::with_error_info(self.reason(), ERROR_DOMAIN, metadata);
        Status::with_error_details(code, self.to_string(), details)
    }

    /// The refusal that came from the other side, told from this side.
    pub(super) fn from_status(status: &Status) -> Self {
        let other = || Self::Other(status.message().chars().take(200).collect());
        let Some(info) = status.get_details_error_info() else { return other() };
        let field = |name: &str| info.metadata.get(name).cloned().unwrap_or_default();
        let number = |name: &str| field(name).parse().unwrap_or_default();
        match info.reason.as_str() {
            "OTHER_GENESIS" => Self::OtherGenesis { ours: field("theirs"), theirs: field("ours") },
            "OTHER_PROTOCOL_VERSION" => Self::OtherProtocol { ours: number("theirs"), theirs: number("ours") },
            "SELF" => Self::Itself,
            "DUPLICATE_SESSION" => Self::Duplicate,
            "NO_FREE_SESSION" => Self::Full(field("max").parse().unwrap_or_default()),
            "NO_FREE_SESSION_FOR_NETWORK" => Self::FullForNetwork(field("max").parse().unwrap_or_default()),
            "BANNED" => {
                let message = status.message();
                Self::Banned(message.strip_prefix(BANNED).unwrap_or(message).chars().take(200).collect())
            }
            _ => other(),
        }
    }

    /// True if trying again cannot help while both nodes run as they are.
    pub(super) const fn is_lasting(&self) -> bool {
        match self {
            Self::OtherGenesis { .. } | Self::OtherProtocol { .. } | Self::Itself | Self::Malformed(_) => true,
            Self::Duplicate | Self::Full(_) | Self::FullForNetwork(_) | Self::Banned(_) | Self::Other(_) => false,
        }
    }
}

fn pair(ours: &impl ToString, theirs: &impl ToString) -> HashMap<String, String> {
    HashMap::from([("ours".to_owned(), ours.to_string()), ("theirs".to_owned(), theirs.to_string())])
}

/// Whether two nodes can be peers at all.
pub(super) fn check(ours: &Hello, theirs: &Hello) -> Result<(), Refusal> {
    if ours.genesis != theirs.genesis {
        return Err(Refusal::OtherGenesis { ours: name(ours), theirs: name(theirs) });
    }
    if ours.node_id == theirs.node_id {
        return Err(Refusal::Itself);
    }
    Ok(())
}

/// A network by its name and the beginning of its genesis id: two private networks may share a name.
fn name(hello: &Hello) -> String {
    let id = hello.genesis.to_string();
    format!("{} (genesis {}…)", hello.network, id.get(..16).unwrap_or(&id))
}

/// Whether a session that `dialler` began gives way to one that `listener` began. Both sides decide alike: the
/// session dialled by the smaller id stays.
pub(super) fn gives_way(dialler: NodeId, listener: NodeId) -> bool {
    dialler > listener
}

/// What every hello of this node has in common.
pub(super) fn own_hello(params: &Params, node_id: NodeId, version: String) -> Hello {
    Hello {
        protocol_version: PROTOCOL_VERSION,
        network: params.name.clone(),
        genesis: *params.genesis_id(),
        node_id,
        listen_port: None,
        listen_host: None,
        height: Height::GENESIS,
        tip: *params.genesis_id(),
        work: Work::ZERO,
        version,
        compact_relay: false,
        lowest_body: Height::GENESIS,
        checkpoints: true,
    }
}

#[cfg(test)]
mod tests {
    use farthing::params::Network;
    use proptest::prelude::*;

    use super::*;

    fn hello(network: Network, id: u8) -> Hello {
        Hello {
            listen_port: Some(50_061),
            height: Height::new(7),
            work: Work::new(99),
            compact_relay: true,
            lowest_body: Height::new(5),
            ..own_hello(network.params(), NodeId([id; 16]), "farthing-node/0.1.0".to_owned())
        }
    }

    #[test]
    fn a_hello_reads_back() {
        let mut hello = hello(Network::Dev, 1);
        assert_eq!(Hello::from_wire(Some(hello.to_wire())), Ok(hello.clone()));
        hello.listen_port = None;
        hello.listen_host = Some("2001:db8::1".parse().unwrap());
        assert_eq!(Hello::from_wire(Some(hello.to_wire())), Ok(hello));
    }

    #[test]
    fn another_genesis_is_refused_by_name_and_both_sides_read_it_from_their_own() {
        let (dev, test) = (hello(Network::Dev, 1), hello(Network::Test, 2));
        let refusal = check(&dev, &test).unwrap_err();
        let text = refusal.to_string();
        assert!(text.contains("network dev (genesis ") && text.contains("other one on test (genesis "), "{text}");
        assert_eq!(Refusal::from_status(&refusal.to_status()), check(&test, &dev).unwrap_err());
        assert!(refusal.is_lasting());
    }

    #[test]
    fn another_version_of_the_protocol_is_refused_before_anything_else_is_read() {
        let newer = wire::Hello { protocol_version: 2, ..Default::default() };
        let refusal = Hello::from_wire(Some(newer)).unwrap_err();
        assert_eq!(refusal, Refusal::OtherProtocol { ours: 1, theirs: 2 });
        assert_eq!(Refusal::from_status(&refusal.to_status()), Refusal::OtherProtocol { ours: 2, theirs: 1 });
    }

    #[test]
    fn a_node_refuses_itself() {
        assert_eq!(check(&hello(Network::Dev, 1), &hello(Network::Dev, 1)), Err(Refusal::Itself));
        assert_eq!(check(&hello(Network::Dev, 1), &hello(Network::Dev, 2)), Ok(()));
    }

    #[test]
    fn every_refusal_travels_as_a_status_with_a_reason() {
        let banned = Refusal::Banned("too loud".to_owned());
        assert_eq!(banned.to_string(), "banned: too loud");
        for refusal in [Refusal::Itself, Refusal::Duplicate, Refusal::Full(128), Refusal::FullForNetwork(4), banned] {
            assert_eq!(Refusal::from_status(&refusal.to_status()), refusal);
        }
        let unknown = Refusal::from_status(&Status::unavailable("going down"));
        assert_eq!(unknown, Refusal::Other("going down".to_owned()));
        assert!(!unknown.is_lasting());
    }

    #[test]
    fn what_cannot_be_read_names_the_field() {
        let with = |change: fn(&mut wire::Hello)| {
            let mut wire = hello(Network::Dev, 1).to_wire();
            change(&mut wire);
            Hello::from_wire(Some(wire)).unwrap_err().to_string()
        };
        assert_eq!(with(|hello| hello.listen_port = 70_000), "hello.listen_port is 70000, expected 0 to 65535");
        assert_eq!(
            with(|hello| hello.listen_host = "evil.example".to_owned()),
            "hello.listen_host is not an IP address"
        );
        assert_eq!(with(|hello| hello.version = "\u{1b}[2J".to_owned()), "hello.version is not printable ASCII text");
        assert_eq!(with(|hello| hello.node_id = Bytes::new()), "hello.node_id has 0 bytes, expected 16");
        assert!(with(|hello| hello.network = "n".repeat(33)).contains("at most 32"));
    }

    proptest! {
        #[test]
        fn on_a_mutual_dial_exactly_one_session_gives_way_and_both_sides_agree(a: [u8; 16], b: [u8; 16]) {
            prop_assume!(a != b);
            let (a, b) = (NodeId(a), NodeId(b));
            prop_assert!(gives_way(a, b) != gives_way(b, a));
            prop_assert_eq!(gives_way(a, b), a > b);
        }
    }
}
