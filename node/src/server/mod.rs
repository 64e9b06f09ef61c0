//! A gRPC listener that strangers may reach: the one place where its limits are set.
//!
//! The public API, peers and administration serve their own routes through [`serve`]. The values are those that
//! were measured to matter (docs/decisions/0002); tonic leaves several of them off when they are not set.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::{Stream, stream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::Server};
use tower::util::option_layer;

use crate::env::{Listener, is_own_machine};

mod answer;
mod arrivals;
mod delivery;
mod frames;
mod guard;
mod http1;
mod layer;
mod line;
mod meters;
mod methods;
mod rate;
mod refusal;
mod slots;
mod tally;
mod unsent;
mod web;

#[cfg(test)]
mod attack_tests;
#[cfg(test)]
pub(crate) mod exceeding;
#[cfg(test)]
mod holding_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod web_tests;

pub use arrivals::ConnectionRates;
pub use delivery::{Delivery, Taken};
pub use line::LeaveBy;
pub use meters::CallMeter;
pub use methods::{Calls, MethodPolicy, MethodTable, UNARY_DEADLINE, Unit, calls};
pub use rate::Rate;
pub use slots::Share;
pub use web::{Origin, WebSettings};

pub(crate) use rate::Bucket;
pub(crate) use refusal::told_to_wait;

use answer::SendingLayer;
use arrivals::{Arrivals, TooOften};
use guard::GuardedIo;
use layer::PolicyLayer;
use slots::{Slot, SlotRefusal, Slots};
use tally::Tally;
use web::web_layer;

/// The limits of a listener.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// For the log: which listener it is.
    pub name: &'static str,
    /// What each method may cost.
    pub methods: MethodTable,
    /// Connections.
    pub connections: Share,
    /// How often they may come anew.
    pub new_connections: ConnectionRates,
    /// How often a connection may reset streams, its calls, before it is closed.
    pub resets: Rate,
    /// Open calls on one connection.
    pub max_streams: u32,
    /// Calls that answer at once, over all connections; more are refused with `RESOURCE_EXHAUSTED`.
    pub short_calls: Share,
    /// Waits and streams, over all connections.
    pub long_calls: Share,
    /// Calls of each of the two kinds that a connection has for itself, however many others take: or a few networks
    /// could leave none to anybody else. Only what goes beyond them comes out of the shares above.
    pub own_calls: usize,
    /// Bytes of large answers, of calls that answer at once, that may wait to be taken; not limited if none.
    pub unsent_answers: Option<Share>,
    /// Large answers of each connection that may wait in any case.
    pub own_large_answers: usize,
    /// Whether only the totals hold for the connections of the own machine ([`is_own_machine`]), and no rate, so that local
    /// clusters work.
    pub exempt_own_machine: bool,
    /// Whether the calls of the own machine, and their resets, are counted as those of others are.
    pub counts_own_machine: bool,
    /// How soon a client must have begun to speak HTTP/2.
    pub first_bytes: Duration,
    /// How long a client may leave what it is sent unread, or a whole answer untaken.
    pub write_stall: Duration,
    /// How long a client may take nothing of a stream until that ends with a reason: shorter than `write_stall`, so that
    /// the reason still reaches one who begins to read again.
    pub subscriber_stall: Duration,
    /// How long calls may go on once the node stops; then their connections are cut.
    pub drain: Duration,
    /// How long a connection may last, if limited.
    pub max_age: Option<Duration>,
    /// How long a connection may be without a session ([`MethodPolicy::session`]), if limited.
    pub without_session: Option<Duration>,
    /// Hosts that get no connection.
    pub unwanted: HostFilter,
    /// Which pages browsers may call from, over gRPC-Web and then also over HTTP/1.1; none: neither is spoken.
    pub web: Option<WebSettings>,
}

/// Says of which hosts no connection is taken.
#[derive(Clone)]
pub struct HostFilter(Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl HostFilter {
    /// Asked with the canonical address of each caller, on the way to its acceptance: it must be quick.
    pub fn new(is_unwanted: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_unwanted))
    }
}

impl Default for HostFilter {
    fn default() -> Self {
        Self::new(|_| false)
    }
}

impl fmt::Debug for HostFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostFilter")
    }
}

impl ServerSettings {
    /// The public API.
    pub fn public(methods: MethodTable) -> Self {
        Self {
            max_streams: 256,
            max_age: Some(Duration::from_secs(24 * 60 * 60)),
            unsent_answers: Some(Share { total: 256 << 20, per_prefix: 64 << 20 }),
            ..Self::common("rpc", methods)
        }
    }

    /// Node to node.
    pub fn peers(methods: MethodTable) -> Self {
        // A dialler shakes hands and follows at once, within 5 s.
        let without_session = Some(Duration::from_secs(10));
        Self { without_session, counts_own_machine: true, ..Self::common("p2p", methods) }
    }

    /// Looking after the node, on a socket that only its own user can open: bounded against mistakes, not strangers.
    pub fn admin(methods: MethodTable) -> Self {
        let connections = Share { total: 32, per_prefix: 32 };
        Self { connections, counts_own_machine: true, ..Self::common("admin", methods) }
    }

    fn common(name: &'static str, methods: MethodTable) -> Self {
        Self {
            name,
            methods,
            connections: Share { total: 128, per_prefix: 4 },
            new_connections: ConnectionRates {
                per_network: Rate { per_second: 8, burst: 32 },
                total: Rate { per_second: 128, burst: 256 },
                newcomers: Rate { per_second: 64, burst: 128 },
            },
            // Twice what may be open at once: who gives up all of its calls together is not attacking.
            resets: Rate { per_second: 64, burst: 512 },
            max_streams: 32,
            short_calls: Share { total: 512, per_prefix: 128 },
            long_calls: Share { total: 1024, per_prefix: 128 },
            own_calls: 8,
            unsent_answers: None,
            own_large_answers: 1,
            exempt_own_machine: true,
            counts_own_machine: false,
            first_bytes: Duration::from_secs(3),
            write_stall: Duration::from_secs(30),
            subscriber_stall: Duration::from_secs(20),
            // Well within the deadline of the whole node, so that a stop is clean even with deaf clients and a busy
            // machine.
            drain: Duration::from_secs(3),
            max_age: None,
            without_session: None,
            unwanted: HostFilter::default(),
            web: None,
        }
    }

    /// Whether the calls of this host are held to their rates, and to how many of them may be open.
    pub(super) fn counts_calls_of(&self, host: IpAddr) -> bool {
        self.counts_own_machine || !is_own_machine(host)
    }

    fn policy(&self) -> PolicyLayer {
        let slots = |share| Slots::new(share, self.exempt_own_machine);
        let calls = (slots(self.short_calls), slots(self.long_calls));
        PolicyLayer::new(self.methods.clone(), calls, self.unsent_answers.map(slots), self.subscriber_stall)
    }

    fn builder(&self) -> Server {
        let server = Server::builder()
            .accept_http1(self.web.is_some())
            .max_concurrent_streams(self.max_streams)
            // Unset, tonic passes "no limit" on and so switches hyper's guards off.
            .http2_max_local_error_reset_streams(Some(64))
            .http2_max_pending_accept_reset_streams(Some(20))
            .http2_max_header_list_size(8192)
            .http2_keepalive_interval(Some(Duration::from_secs(20)))
            .http2_keepalive_timeout(Some(Duration::from_secs(10)))
            .http2_adaptive_window(Some(false))
            .initial_stream_window_size(256 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .max_frame_size(16 * 1024);
        match self.max_age {
            None => server,
            // Without the grace, idle connections stay open.
            Some(age) => server.max_connection_age(age).max_connection_age_grace(Duration::from_secs(60)),
        }
    }
}

/// Serves until `stop` is cancelled; then calls may end for [`ServerSettings::drain`], and connections are cut.
///
/// # Errors
/// When the transport fails as a whole. A failure of one connection ends that connection only.
pub async fn serve(
    listener: Box<dyn Listener>,
    routes: Routes,
    settings: ServerSettings,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let local = listener.local_addr().map_err(ServeError::Address)?;
    tracing::info!(listener = settings.name, address = listener.describe(), "listening");
    // Cut as well when this future is dropped: tonic's connections are tasks of their own.
    let kill = CancellationToken::new();
    let _cut_on_drop = kill.clone().drop_guard();
    let policy = settings.policy();
    let incoming = Box::pin(incoming(listener, local, settings.clone(), kill.clone()));
    let serving = settings
        .builder()
        .layer(SendingLayer)
        .layer(option_layer(settings.web.as_ref().map(|web| web_layer(web, &settings.methods))))
        .layer(policy)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
    let deadline = async {
        stop.cancelled().await;
        sleep(settings.drain).await;
        tracing::warn!(listener = settings.name, "calls did not end in time, cutting their connections");
        kill.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        served = serving => Ok(served?),
        () = deadline => unreachable!("the deadline branch never ends"),
    }
}

/// Why a listener ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The bound address could not be read.
    #[error("the address of the listener cannot be read")]
    Address(#[source] io::Error),
    /// The transport failed.
    #[error("the gRPC transport failed")]
    Transport(#[from] tonic::transport::Error),
}

struct Accepting {
    listener: Box<dyn Listener>,
    local: SocketAddr,
    door: Door,
    kill: CancellationToken,
}

/// The accepted connections that got a slot. Ends never; an error in accepting is waited out.
fn incoming(
    listener: Box<dyn Listener>,
    local: SocketAddr,
    settings: ServerSettings,
    kill: CancellationToken,
) -> impl Stream<Item = io::Result<GuardedIo>> {
    let accepting = Accepting { listener, local, door: Door::new(settings), kill };
    stream::unfold(accepting, |mut accepting| async move {
        let Accepting { listener, local, door, kill } = &mut accepting;
        loop {
            let mut slot = None;
            let mut admits = |peer| {
                slot = door.admit(peer);
                slot.is_some()
            };
            match (listener.accept(&mut admits).await, slot) {
                (Ok(connection), Some(slot)) => {
                    let io = GuardedIo::new(connection, *local, slot, &door.arrivals, &door.settings, kill.clone());
                    return Some((Ok(io), accepting));
                }
                (Ok(_), None) => {}
                (Err(error), _) => {
                    // Usually "too many open files"; spinning on it would only make it worse.
                    tracing::warn!(listener = door.settings.name, %error, "cannot accept a connection");
                    sleep(Duration::from_millis(200)).await;
                }
            }
        }
    })
}

/// Where it is decided who gets a connection: before there is anything of HTTP/2, and without a task for it.
struct Door {
    slots: Slots,
    arrivals: Arrivals,
    refused: Tally,
    settings: ServerSettings,
}

/// Why a connection is not taken.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Slot(#[from] SlotRefusal),
    #[error(transparent)]
    TooOften(#[from] TooOften),
}

impl Door {
    fn new(settings: ServerSettings) -> Self {
        let slots = Slots::new(settings.connections, settings.exempt_own_machine);
        let arrivals = Arrivals::new(settings.new_connections, settings.exempt_own_machine);
        Self { slots, arrivals, refused: Tally::default(), settings }
    }

    fn admit(&self, peer: SocketAddr) -> Option<Slot> {
        let listener = self.settings.name;
        if (self.settings.unwanted.0)(peer.ip()) {
            tracing::debug!(listener, %peer, "connection of an unwanted host refused");
            return None;
        }
        let refusal = match self.take(peer.ip()) {
            Ok(slot) => return Some(slot),
            Err(refusal) => refusal,
        };
        // At debug level: a stranger decides how often this happens.
        tracing::debug!(listener, %peer, %refusal, "connection refused");
        if let Some(count) = self.refused.note() {
            tracing::warn!(listener, count, last = %peer, %refusal, "connections refused");
        }
        None
    }

    fn take(&self, peer: IpAddr) -> Result<Slot, Refusal> {
        // The slot first: who has as many as it may uses up nothing of what all may take.
        let slot = self.slots.take(peer)?;
        self.arrivals.admit(peer)?;
        Ok(slot)
    }
}
