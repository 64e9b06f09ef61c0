//! What the operator of a running node may see and decide about peers.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use farthing::{Height, TimeMs};
use tokio::time::timeout;

use super::{
    NodeId, keep,
    limits::MAX_KEPT,
    network::{Inner, Network},
    outbound::LONG_REST,
    saved,
    session::{Direction, Session, lock},
    standing::{Ban, Culprit},
};
use crate::config::HostPort;

/// How long a name may take to be resolved.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(5);
/// Longest ban: ten years of 365 days.
const MAX_BAN: Duration = Duration::from_secs(315_360_000);
/// Longest reason of a ban in characters.
const MAX_REASON_CHARS: usize = 200;

/// A peer with an established session, as its operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerDetails {
    /// The other end of the connection.
    pub address: SocketAddr,
    /// Where it takes peers, if it does.
    pub listens_at: Option<SocketAddr>,
    /// True if it dialled this node.
    pub inbound: bool,
    /// The running node.
    pub node_id: NodeId,
    /// Program and version that it names.
    pub version: String,
    /// Height of its tip as last announced.
    pub height: Height,
    /// When the session began, by this node's clock.
    pub connected_at: TimeMs,
    /// When it was last heard, by this node's clock.
    pub last_heard_at: TimeMs,
    /// Points for misdeeds.
    pub score: u32,
    /// What [`Network::ban`] takes to ban it.
    pub ban_target: String,
}

/// A node that a session is kept with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPeer {
    /// `HOST:PORT` as it was given.
    pub target: String,
    /// Why the last attempt led to no session, if there is none.
    pub last_error: Option<String>,
}

/// A ban.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanInForce {
    /// A host, a /64 of IPv6, or on loopback the address that a node listens at.
    pub target: String,
    /// Why.
    pub reason: String,
    /// When it ends.
    pub until: TimeMs,
}

/// What came of removing a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Sessions that were ended.
    pub sessions: usize,
    /// Whether a session was kept with it.
    pub was_kept: bool,
}

/// Why an operator's wish is not fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    /// As many sessions are kept as may be.
    #[error("a session is kept with {limit} nodes already; remove one first")]
    TooManyKept {
        /// The limit.
        limit: usize,
    },
    /// The node is banned.
    #[error("{target} is banned ({reason}); end the ban first")]
    Banned {
        /// Whom the ban names.
        target: String,
        /// Why.
        reason: String,
    },
    /// There is no such peer.
    #[error("there is no session with {address}, and none is kept")]
    UnknownPeer {
        /// What was given.
        address: String,
    },
    /// This is nobody whom a ban can name.
    #[error("cannot ban {target:?}: expected an IP address, ADDRESS/64 or ADDRESS:PORT")]
    NoTarget {
        /// What was given.
        target: String,
    },
    /// On loopback a ban names one node.
    #[error("{target} is this machine: expected {target}:PORT with the port on which the node takes peers")]
    PortNeeded {
        /// What was given.
        target: String,
    },
    /// A ban has an end, and not one beyond reason.
    #[error("a ban lasts 1 to {} seconds, not {seconds}", MAX_BAN.as_secs())]
    Length {
        /// What was given.
        seconds: u64,
    },
    /// A reason is short.
    #[error("a reason has at most {MAX_REASON_CHARS} characters, not {length}")]
    Reason {
        /// What was given, in characters.
        length: usize,
    },
    /// No such ban is in force.
    #[error("no ban names {target}")]
    NotBanned {
        /// Whom it would name.
        target: String,
    },
}

impl Network {
    /// Peers with an established session, in the order in which the sessions began.
    #[must_use]
    pub fn peer_details(&self) -> Vec<PeerDetails> {
        let inner = self.inner();
        let (now, elapsed) = (inner.env.clock().now(), inner.elapsed());
        let at = |moment: Duration| {
            let ago = u64::try_from(elapsed.saturating_sub(moment).as_millis()).unwrap_or(u64::MAX);
            TimeMs::new(now.get().saturating_sub(ago))
        };
        let state = lock(&inner.state);
        let details = |session: &Arc<Session>| PeerDetails {
            address: session.who.address,
            listens_at: session.who.listens_at,
            inbound: session.who.direction == Direction::Inbound,
            node_id: session.who.node_id,
            version: session.who.version.clone(),
            height: session.tip().height,
            connected_at: at(session.began_at()),
            last_heard_at: at(session.heard_at()),
            score: state.standing.points(&session.who.culprit(), elapsed),
            ban_target: session.who.culprit().to_string(),
        };
        state.sessions.all().map(details).collect()
    }

    /// Nodes that a session is kept with.
    #[must_use]
    pub fn kept_peers(&self) -> Vec<KeptPeer> {
        let kept = lock(&self.inner().kept);
        let peer = |(target, error): (&str, Option<&str>)| KeptPeer {
            target: target.to_owned(),
            last_error: error.map(str::to_owned),
        };
        kept.all().map(peer).collect()
    }

    /// Bans in force.
    #[must_use]
    pub fn bans_in_force(&self) -> Vec<BanInForce> {
        let bans = self.bans().into_iter();
        bans.map(|(target, until, reason)| BanInForce { target, reason, until }).collect()
    }

    /// Keeps a session with a node from now on; true if one was kept before.
    ///
    /// # Errors
    /// If it is banned, or as many are kept as may be.
    pub fn add_peer(&self, target: HostPort) -> Result<bool, OperatorError> {
        let inner = self.inner();
        if let Ok(host) = target.host().parse::<IpAddr>() {
            let culprit = Culprit::new(host, target.port());
            if let Some(reason) = inner.ban_of(culprit) {
                return Err(OperatorError::Banned { target: culprit.to_string(), reason });
            }
        }
        {
            let kept = lock(&inner.kept);
            if kept.has(&target) {
                return Ok(true);
            }
            if kept.len() >= MAX_KEPT {
                return Err(OperatorError::TooManyKept { limit: MAX_KEPT });
            }
        }
        tracing::info!(%target, "keeping a session with a peer, as the operator asked");
        keep::start(inner, target);
        Ok(false)
    }

    /// Ends the sessions with a node, named by either of its addresses, and keeps none with it any longer. It is not
    /// dialled again for a while, but may dial.
    ///
    /// # Errors
    /// If there is no session with it and none is kept.
    pub async fn remove_peer(&self, target: &HostPort) -> Result<Removed, OperatorError> {
        let inner = self.inner();
        let resolving = timeout(RESOLVE_DEADLINE, inner.env.net().resolve(target.host(), target.port()));
        let addresses: BTreeSet<SocketAddr> = match resolving.await {
            Ok(Ok(addresses)) => addresses.into_iter().collect(),
            // A kept node whose name means nothing can be removed all the same.
            Ok(Err(_)) | Err(_) => BTreeSet::new(),
        };
        let was_kept = lock(&inner.kept).remove(target);
        let is_it = |session: &Session| {
            addresses.contains(&session.who.address)
                || session.who.listens_at.is_some_and(|address| addresses.contains(&address))
        };
        let (now, mut sessions) = (inner.elapsed(), 0);
        let mut state = lock(&inner.state);
        state.anchors.refuse(|address| addresses.contains(&address));
        let ended: Vec<Arc<Session>> = state.sessions.all().filter(|session| is_it(session)).cloned().collect();
        for session in ended {
            if let Some(address) = session.who.listens_at {
                state.rest(address, now, LONG_REST);
                state.anchors.refuse(|anchor| anchor == address);
            }
            session.end.cancel();
            sessions += 1;
        }
        drop(state);
        if sessions == 0 && !was_kept {
            return Err(OperatorError::UnknownPeer { address: target.to_string() });
        }
        tracing::info!(%target, sessions, was_kept, "peer removed, as the operator asked");
        Ok(Removed { sessions, was_kept })
    }

    /// Bans a host for a time, ends its sessions, and writes the ban. Gives the ban and how many sessions it ended.
    ///
    /// # Errors
    /// If the target names nobody, or time or reason are out of range.
    pub async fn ban(
        &self,
        target: &str,
        length: Duration,
        reason: &str,
    ) -> Result<(BanInForce, usize), OperatorError> {
        let inner = self.inner();
        if length < Duration::from_secs(1) || length > MAX_BAN {
            return Err(OperatorError::Length { seconds: length.as_secs() });
        }
        let chars = reason.chars().count();
        if chars > MAX_REASON_CHARS {
            return Err(OperatorError::Reason { length: chars });
        }
        let culprit = culprit(inner, target)?;
        let now = inner.env.clock().now();
        let until = now.saturating_add(u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
        let reason = if reason.is_empty() { "banned by the operator" } else { reason };
        let sessions = {
            let mut state = lock(&inner.state);
            state.standing.impose(culprit, Ban { until, reason: reason.to_owned() }, now);
            state.shut_out(culprit)
        };
        tracing::warn!(peer = %culprit, reason, until_ms = until.get(), sessions, "peer banned, as the operator asked");
        saved::write(inner).await;
        Ok((BanInForce { target: culprit.to_string(), reason: reason.to_owned(), until }, sessions))
    }

    /// Ends a ban before its time.
    ///
    /// # Errors
    /// If the target names nobody, or nobody who is banned.
    pub async fn unban(&self, target: &str) -> Result<(), OperatorError> {
        let inner = self.inner();
        let culprit = culprit(inner, target)?;
        let now = inner.env.clock().now();
        if !lock(&inner.state).standing.pardon(&culprit, now) {
            return Err(OperatorError::NotBanned { target: culprit.to_string() });
        }
        tracing::info!(peer = %culprit, "ban ended, as the operator asked");
        saved::write(inner).await;
        inner.changed.notify_waiters();
        Ok(())
    }
}

/// Whom a text names: as bans are listed, or by the address of a session.
fn culprit(inner: &Inner, target: &str) -> Result<Culprit, OperatorError> {
    let text = target.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = text.parse::<SocketAddr>() {
        let state = lock(&inner.state);
        let of_session = state.sessions.all().find(|session| session.who.address == crate::env::canonical(address));
        return Ok(of_session.map_or_else(|| Culprit::at(address), |session| session.who.culprit()));
    }
    let no_target = || OperatorError::NoTarget { target: target.to_owned() };
    let culprit: Culprit = bare.parse().map_err(|_| no_target())?;
    let host: Option<IpAddr> = bare.parse().ok();
    match host {
        Some(host) if host.to_canonical().is_loopback() => Err(OperatorError::PortNeeded { target: target.to_owned() }),
        Some(_) => Ok(culprit),
        // Written with a length, which only a network of IPv6 has.
        None if bare.ends_with("/64") && culprit.to_string().ends_with("/64") => Ok(culprit),
        None => Err(no_target()),
    }
}
