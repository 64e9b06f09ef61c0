//! The attacks, each until it has done what it came for.

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use farthing::{
    Hash, Header,
    wire::peer::{self as wire, deliver_request::Item, follow_response::Event, peer_service_client::PeerServiceClient},
};
use farthing_consensus::{HeaderContext, required_bits};
use futures_util::future::join_all;
use hyper_util::rt::TokioIo;
use prost::bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

use crate::{
    ledger::params,
    raw::{ATTACKER, Resets, dial_from, opening, reset_flood},
};

const MANY_HEADERS: u64 = 1_000_000;
/// For at least so long, however quick the machine is; and for at most so long, however many a victim refuses.
const HEADERS_FOR: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(120);
const MANY_ADVERTS: u64 = 10_000_000;
const SILENT_SOCKETS: usize = 2_000;
/// How long an attack goes on that is not a number of things.
const LASTS: Duration = Duration::from_secs(20);
/// Sessions that attack side by side.
const SESSIONS: u8 = 4;
/// Connections that are opened and closed side by side: more than wait for each other.
const CHURNING: usize = 128;
/// Headers of a message, and how many such messages a victim takes of one session.
const BATCH: usize = 2_000;
const BATCHES: usize = 5;

pub(crate) async fn run(name: &str, rpc: SocketAddr, p2p: SocketAddr) {
    match name {
        "headers" => headers(p2p).await,
        "adverts" => adverts(p2p).await,
        "silent" => silent([rpc, p2p]).await,
        "resets" => resets([rpc, p2p], Resets::AtOnce).await,
        "paced_resets" => resets([rpc, p2p], Resets::Paced).await,
        "churn" => churn([rpc, p2p], One::Network).await,
        "churn_networks" => churn([rpc, p2p], One::OfMany).await,
        other => panic!("no attack {other}"),
    }
}

pub(crate) fn hello(id: u8) -> wire::Hello {
    let genesis = Bytes::copy_from_slice(params().genesis_id().as_bytes());
    wire::Hello {
        protocol_version: 1,
        genesis_id: genesis.clone(),
        network: params().name.clone(),
        node_id: Bytes::copy_from_slice(&[id; 16]),
        // Names it on loopback, where a ban is of a port; nobody listens there.
        listen_port: id.into(),
        tip_id: genesis,
        total_work: Bytes::copy_from_slice(&[0; 16]),
        version: "attacks".to_owned(),
        ..wire::Hello::default()
    }
}

struct Session {
    calls: PeerServiceClient<Channel>,
    session_id: Bytes,
    events: Streaming<wire::FollowResponse>,
}

impl Session {
    async fn open(p2p: SocketAddr, id: u8) -> Result<Self, Status> {
        let dial = tower::service_fn(move |_| async move { dial_from(ATTACKER, p2p).await.map(TokioIo::new) });
        let channel = Endpoint::from_shared(format!("http://{p2p}")).unwrap().connect_with_connector(dial).await;
        let mut calls = PeerServiceClient::new(channel.map_err(|error| Status::unavailable(error.to_string()))?);
        let request = wire::HandshakeRequest { hello: Some(hello(id)), probe: false };
        let session_id = calls.handshake(request).await?.into_inner().session_id;
        let events = calls.follow(wire::FollowRequest { session_id: session_id.clone() }).await?.into_inner();
        Ok(Self { calls, session_id, events })
    }

    async fn deliver(&mut self, want_id: u64, item: Option<Item>) -> Result<(), Status> {
        let request = wire::DeliverRequest { session_id: self.session_id.clone(), want_id, item, last: true };
        self.calls.deliver(request).await.map(drop)
    }

    async fn announce(&mut self, tip: Option<wire::Tip>, ids: Option<wire::TransactionIds>) -> Result<(), Status> {
        let session_id = self.session_id.clone();
        let request = wire::AnnounceRequest { session_id, tip, transactions: ids, pool_query: None };
        self.calls.announce(request).await.map(drop)
    }
}

/// A branch of headers with trivial work and without bodies, as long as a victim takes one of a session.
fn branch() -> Vec<Bytes> {
    let genesis = HeaderContext::genesis(params());
    let (mut previous, mut time) = (genesis.id(), genesis.time());
    let mut all = Vec::with_capacity(BATCH * BATCHES);
    for _ in 0..BATCH * BATCHES {
        time = time.saturating_add(1);
        let mut header = Header {
            previous,
            commitment: Hash::from_bytes([0x66; 32]),
            tx_root: Hash::from_bytes([0x66; 32]),
            time,
            bits: required_bits(params(), &genesis),
            nonce: 0,
        };
        while !header.has_work() {
            header.nonce += 1;
        }
        previous = header.id();
        all.push(Bytes::copy_from_slice(&header.to_bytes()));
    }
    all
}

/// Sessions that each announce the most work of all and, asked for the headers before it, send as many as are taken.
async fn headers(p2p: SocketAddr) {
    let (branch, sent, sessions, refused) = (branch(), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    println!("ready");
    let begin = Instant::now();
    let attack = |id: u8| {
        let (branch, sent, sessions, refused) = (&branch, &sent, &sessions, &refused);
        async move {
            while begin.elapsed() < *HEADERS_FOR.start()
                || sent.load(Ordering::Relaxed) < MANY_HEADERS && begin.elapsed() < *HEADERS_FOR.end()
            {
                match Session::open(p2p, id).await {
                    Ok(mut session) => {
                        sessions.fetch_add(1, Ordering::Relaxed);
                        // It ends in one way or another, and comes again.
                        let _ = send_headers(&mut session, branch, sent).await;
                    }
                    Err(_) => drop(refused.fetch_add(1, Ordering::Relaxed)),
                }
            }
        }
    };
    join_all((1..=SESSIONS).map(attack)).await;
    let (sent, sessions, refused) = (sent.into_inner(), sessions.into_inner(), refused.into_inner());
    println!("{sent} headers without bodies in {sessions} sessions, {refused} more refused");
}

async fn send_headers(session: &mut Session, branch: &[Bytes], sent: &AtomicU64) -> Result<(), Status> {
    let total_work = Bytes::copy_from_slice(&u128::MAX.to_be_bytes());
    let headers = vec![branch[branch.len() - 1].clone()];
    session.announce(Some(wire::Tip { height: 10_000, total_work, headers, ..wire::Tip::default() }), None).await?;
    let mut batches = branch.chunks(BATCH);
    loop {
        let next = timeout(Duration::from_secs(2), session.events.message()).await;
        let event = next.map_err(|_| Status::deadline_exceeded("nothing is wanted"))??;
        let Some(Event::Want(want)) = event.and_then(|event| event.event) else { continue };
        match want.item {
            Some(wire::want::Item::HeadersAfter(_)) => {
                let Some(batch) = batches.next() else { return Ok(()) };
                let item = Item::Headers(wire::Headers { headers: batch.to_vec() });
                session.deliver(want.want_id, Some(item)).await?;
                sent.fetch_add(batch.len() as u64, Ordering::Relaxed);
            }
            _ => return Ok(()),
        }
    }
}

/// Sessions that announce transactions which do not exist, as fast as they may, and say so when they are asked for them.
async fn adverts(p2p: SocketAddr) {
    let (sent, waited, next) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(1));
    println!("ready");
    let attack = |id: u8| {
        let (sent, waited, next) = (&sent, &waited, &next);
        async move {
            while sent.load(Ordering::Relaxed) < MANY_ADVERTS {
                if let Ok(session) = Session::open(p2p, id).await {
                    let _ = announce_nothing(session, sent, waited, next).await;
                }
            }
        }
    };
    join_all((1..=SESSIONS).map(attack)).await;
    let (sent, waited) = (sent.into_inner(), waited.into_inner());
    println!("{sent} wire ids announced by {SESSIONS} sessions, which were told to wait {waited} times");
}

async fn announce_nothing(
    session: Session,
    sent: &AtomicU64,
    waited: &AtomicU64,
    next: &AtomicU64,
) -> Result<(), Status> {
    let Session { calls, session_id, mut events } = session;
    let mut answering = Session::of(&calls, &session_id);
    let answers = async {
        while let Some(event) = events.message().await? {
            if let Some(Event::Want(want)) = event.event {
                let item = Item::Transactions(wire::Transactions::default());
                answering.answer(want.want_id, item).await?;
            }
        }
        Ok(())
    };
    let announcing = async {
        let mut telling = Session::of(&calls, &session_id);
        while sent.load(Ordering::Relaxed) < MANY_ADVERTS {
            let first = next.fetch_add(1_000, Ordering::Relaxed);
            let id = |number: u64| {
                let mut bytes = [0x77; 32];
                bytes[..8].copy_from_slice(&number.to_le_bytes());
                Bytes::copy_from_slice(&bytes)
            };
            let ids = wire::TransactionIds { wire_ids: (first..first + 1_000).map(id).collect() };
            match telling.tell(ids).await {
                Ok(()) => drop(sent.fetch_add(1_000, Ordering::Relaxed)),
                Err(status) => {
                    let wait = status.get_details_retry_info().and_then(|info| info.retry_delay);
                    let Some(wait) = wait else { return Err(status) };
                    waited.fetch_add(1, Ordering::Relaxed);
                    sleep(wait).await;
                }
            }
        }
        Ok(())
    };
    tokio::select! { done = answers => done, done = announcing => done }
}

/// The calls of a session without its events.
struct Caller {
    calls: PeerServiceClient<Channel>,
    session_id: Bytes,
}

impl Session {
    fn of(calls: &PeerServiceClient<Channel>, session_id: &Bytes) -> Caller {
        Caller { calls: calls.clone(), session_id: session_id.clone() }
    }
}

impl Caller {
    async fn tell(&mut self, ids: wire::TransactionIds) -> Result<(), Status> {
        let session_id = self.session_id.clone();
        let request = wire::AnnounceRequest { session_id, transactions: Some(ids), ..wire::AnnounceRequest::default() };
        self.calls.announce(request).await.map(drop)
    }

    async fn answer(&mut self, want_id: u64, item: Item) -> Result<(), Status> {
        let request =
            wire::DeliverRequest { session_id: self.session_id.clone(), want_id, item: Some(item), last: true };
        self.calls.deliver(request).await.map(drop)
    }
}

/// Sockets that say nothing, half of them on each listener; whichever is closed is opened again.
async fn silent(listeners: [SocketAddr; 2]) {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let more = rustix::process::Rlimit { current: descriptors.maximum, ..descriptors };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, more).unwrap();
    let (opened, end) = (AtomicU64::new(0), Instant::now() + LASTS);
    println!("ready");
    let hold = |number: usize| {
        let (opened, to) = (&opened, listeners[number % 2]);
        async move {
            while Instant::now() < end {
                if let Ok(mut socket) = TcpStream::connect(to).await {
                    opened.fetch_add(1, Ordering::Relaxed);
                    let left = end.saturating_duration_since(Instant::now());
                    let _ = timeout(left, socket.read_u8()).await;
                }
                // Each comes back once a second at most: 2,000 a second in all.
                sleep(Duration::from_secs(1)).await;
            }
        }
    };
    join_all((0..SILENT_SOCKETS).map(hold)).await;
    println!("{SILENT_SOCKETS} silent sockets, opened {} times", opened.into_inner());
}

async fn resets(listeners: [SocketAddr; 2], pace: Resets) {
    let (resets, cut, end) = (AtomicU64::new(0), AtomicU64::new(0), Instant::now() + LASTS);
    println!("ready");
    let paths = ["/farthing.v1.LedgerService/GetNodeInfo", "/farthing.peer.v1.PeerService/Handshake"];
    let flood = |number: usize| {
        let which = number % 2;
        reset_flood(listeners[which], paths[which], pace, end, &resets, &cut)
    };
    join_all((0..2 * usize::from(SESSIONS)).map(flood)).await;
    let (resets, cut) = (resets.into_inner(), cut.into_inner());
    println!("{resets} streams opened and reset on both listeners, {cut} connections cut for it");
}

/// Where connections come from.
#[derive(Clone, Copy)]
enum One {
    /// All from one /24.
    Network,
    /// Each from the next of 25,000.
    OfMany,
}

impl One {
    fn host(self, number: u64) -> [u8; 4] {
        let below = |number: u64, limit: u64| u8::try_from(number % limit).unwrap();
        match self {
            Self::Network => ATTACKER,
            Self::OfMany => [127, 100 + below(number / 250, 100), below(number, 250), 1],
        }
    }
}

/// Connections that begin to speak and end.
async fn churn(listeners: [SocketAddr; 2], from: One) {
    let (tried, count, end) = (AtomicU64::new(0), AtomicU64::new(0), Instant::now() + LASTS);
    println!("ready");
    let one = |number: usize| {
        let (tried, count, to) = (&tried, &count, listeners[number % 2]);
        async move {
            while Instant::now() < end {
                let host = from.host(tried.fetch_add(1, Ordering::Relaxed));
                if let Ok(mut socket) = dial_from(host, to).await {
                    let spoken = socket.write_all(&opening()).await.is_ok();
                    let mut answer = [0; 64];
                    let read = timeout(Duration::from_millis(100), socket.read(&mut answer)).await;
                    if spoken && read.is_ok_and(|read| read.is_ok_and(|count| count > 0)) {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
    };
    join_all((0..CHURNING).map(one)).await;
    println!("{} connections opened, {} of them spoken on, and closed", tried.into_inner(), count.into_inner());
}
