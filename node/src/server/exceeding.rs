//! A client that goes beyond every limit of a table, over HTTP/2 in memory. Time stands still meanwhile, so that a burst
//! is exactly a burst.

use std::{io, net::SocketAddr, time::Duration};

use bytes::{Buf as _, BufMut as _};
use futures_util::{
    future::{BoxFuture, join_all},
    stream::{self, BoxStream, StreamExt as _},
};
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{DuplexStream, duplex},
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    service::Routes,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

use super::{MethodPolicy, ServerSettings, refusal::told_to_wait, serve};
use crate::env::{Admission, Connection, Listener};

/// Another machine.
const CALLER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 9);
/// Buffer of a connection in each direction.
const BUFFER: usize = 64 * 1024;

/// Goes beyond each limit of each method of `package`. The time must be paused.
pub(crate) async fn exceed_every_limit(package: &str, routes: Routes, settings: ServerSettings) {
    // It opens no session, and stays longer than one may without.
    let settings = ServerSettings { without_session: None, ..settings };
    let methods: Vec<_> = settings.methods.iter().map(|(path, policy)| (path, *policy)).collect();
    let methods: Vec<_> = methods.into_iter().filter(|(path, _)| path.starts_with(package)).collect();
    let (dialled, accepted) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let serving = serve(Box::new(Accepting(accepted)), routes, settings, stop.clone());
    let attacks = async {
        assert!(!methods.is_empty(), "{package} has methods");
        for (path, policy) in &methods {
            assert_eq!(policy.deadline().is_none(), policy.takes_many_requests(), "{path} has a deadline if it can");
            too_large(path, policy, &connect(&dialled).await).await;
            if policy.takes_many_requests() {
                too_many_streams(path, policy, &connect(&dialled).await).await;
            } else {
                too_many_at_a_time_and_too_long(path, policy, &connect(&dialled).await).await;
            }
            too_often(path, policy, &connect(&dialled).await).await;
        }
        stop.cancel();
    };
    let (served, ()) = tokio::join!(serving, attacks);
    served.expect("the server ends when it is told to");
}

/// Calls from another machine.
pub(crate) async fn from_elsewhere(routes: Routes, settings: ServerSettings, calls: impl AsyncFnOnce(Channel)) {
    served(routes, settings, async |dialled| calls(connect(&dialled).await).await).await;
}

/// A connection from another machine, on which nothing was said yet.
pub(super) async fn socket_from_elsewhere(
    routes: Routes,
    settings: ServerSettings,
    calls: impl AsyncFnOnce(DuplexStream),
) {
    served(routes, settings, async |dialled| {
        let (near, far) = duplex(BUFFER);
        dialled.send(Connection::new(far, CALLER)).expect("the server accepts");
        calls(near).await;
    })
    .await;
}

async fn served(routes: Routes, settings: ServerSettings, calls: impl AsyncFnOnce(mpsc::UnboundedSender<Connection>)) {
    let (dialled, accepted) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let serving = serve(Box::new(Accepting(accepted)), routes, settings, stop.clone());
    let calling = async {
        calls(dialled).await;
        stop.cancel();
    };
    let (served, ()) = tokio::join!(serving, calling);
    served.expect("the server ends when it is told to");
}

async fn too_large(path: &'static str, policy: &MethodPolicy, channel: &Channel) {
    let limit = policy.max_message();
    let refused = call(channel, path, Body::OfBytes(limit + 1)).await.expect_err("more than the method takes");
    let (code, reason, metadata) = facts(&refused);
    assert_eq!((code, reason.as_str()), (Code::ResourceExhausted, "REQUEST_TOO_LARGE"), "{path}: {refused:?}");
    assert_eq!((&metadata["max_size"], &metadata["size"]), (&limit.to_string(), &(limit + 1).to_string()), "{path}");
    if let Err(status) = call(channel, path, Body::OfBytes(limit)).await {
        assert_ne!(facts(&status).1, "REQUEST_TOO_LARGE", "{path} takes what it says");
    }
}

/// Calls whose requests never end are open until their deadline; one more than may be is refused at once.
async fn too_many_at_a_time_and_too_long(path: &'static str, policy: &MethodPolicy, channel: &Channel) {
    let limit = policy.calls().at_a_time;
    let deadline = policy.deadline().expect("it has one");
    let start = Instant::now();
    let endless = (0..=limit).map(|_| async {
        let status = call(channel, path, Body::Endless).await.expect_err("it never ends");
        (status, start.elapsed())
    });
    let (mut refused, mut late) = (0, 0);
    for (status, after) in join_all(endless).await {
        let (code, reason, metadata) = facts(&status);
        if reason == "TOO_MANY_CALLS" {
            assert_eq!(
                (code, metadata["limit"].as_str()),
                (Code::ResourceExhausted, limit.to_string().as_str()),
                "{path}"
            );
            assert_eq!((told_to_wait(&status), after), (Some(Duration::from_secs(1)), Duration::ZERO), "{path}");
            refused += 1;
        } else {
            assert_eq!((code, reason.as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"), "{path}: {status:?}");
            assert_eq!(metadata["deadline_ms"].parse(), Ok(deadline.as_millis()), "{path}");
            // Timers fire at whole milliseconds.
            assert!(after >= deadline && after < deadline + Duration::from_millis(10), "{path}: after {after:?}");
            late += 1;
        }
    }
    assert_eq!((refused, late), (1, limit), "{path}: (refused, late)");
}

/// Streams of requests stay open; one more than may be is refused at once.
async fn too_many_streams(path: &'static str, policy: &MethodPolicy, channel: &Channel) {
    let limit = policy.calls().at_a_time;
    let mut open = Vec::new();
    for _ in 0..limit {
        let (end, ended) = oneshot::channel();
        open.push((end, begin(channel, path, Body::Until(ended)).await.expect("there is room for it")));
    }
    let (code, reason, metadata) = facts(&begin(channel, path, Body::Endless).await.expect_err("one too many"));
    assert_eq!((code, reason.as_str()), (Code::ResourceExhausted, "TOO_MANY_CALLS"), "{path}");
    assert_eq!(metadata["limit"], limit.to_string(), "{path}");
    let (end, mut answers) = open.pop().expect("one is open");
    drop::<oneshot::Sender<()>>(end);
    assert!(answers.next().await.is_none(), "{path}: a stream without requests ends with OK");
    begin(channel, path, Body::Endless).await.expect("there is room again");
}

async fn too_often(path: &'static str, policy: &MethodPolicy, channel: &Channel) {
    let rate = policy.calls().rate;
    let start = Instant::now();
    for number in 0..rate.burst {
        // It is let in and then cannot be read: nothing that the node does with it takes time.
        if let Err(status) = call(channel, path, Body::OfBytes(1)).await {
            assert_ne!(facts(&status).1, "RATE_LIMITED", "{path}: call {number} of {rate:?}");
        }
    }
    let refused = call(channel, path, Body::OfBytes(1)).await.expect_err("one more than a burst");
    assert_eq!(start.elapsed(), Duration::ZERO, "no time has passed");
    let (code, reason, metadata) = facts(&refused);
    assert_eq!((code, reason.as_str()), (Code::ResourceExhausted, "RATE_LIMITED"), "{path}: {refused:?}");
    let told = (metadata["unit"].as_str(), metadata["burst"].parse(), metadata["per_second"].parse());
    assert_eq!(told, ("calls", Ok(rate.burst), Ok(rate.per_second)), "{path}");
    let wait = Duration::from_secs(1) / u32::try_from(rate.per_second).expect("a small rate");
    assert_eq!(told_to_wait(&refused), Some(wait), "{path}: the exact wait");
    tokio::time::advance(wait).await;
    if let Err(status) = call(channel, path, Body::OfBytes(1)).await {
        assert_ne!(facts(&status).1, "RATE_LIMITED", "{path}: it waited as long as it was told");
    }
}

fn facts(status: &Status) -> (Code, String, std::collections::HashMap<String, String>) {
    let info = status.get_details_error_info();
    let (reason, metadata) = info.map(|info| (info.reason, info.metadata)).unwrap_or_default();
    if !reason.is_empty() {
        crate::rpc::documented::holds(&reason, status.code(), metadata.keys());
    }
    (status.code(), reason, metadata)
}

/// What a request is.
enum Body {
    OfBytes(usize),
    Endless,
    /// No message, and an end once the other half is dropped.
    Until(oneshot::Receiver<()>),
}

async fn call(channel: &Channel, path: &'static str, body: Body) -> Result<(), Status> {
    begin(channel, path, body).await?.next().await.transpose().map(drop)
}

/// A call whose answer has begun.
async fn begin(channel: &Channel, path: &'static str, body: Body) -> Result<tonic::Streaming<()>, Status> {
    let requests: BoxStream<'static, Vec<u8>> = match body {
        Body::OfBytes(length) => Box::pin(stream::iter([vec![0; length]])),
        Body::Endless => Box::pin(stream::pending()),
        Body::Until(ended) => Box::pin(stream::once(ended).filter_map(|_| std::future::ready(None))),
    };
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.expect("the connection stays open");
    Ok(grpc.streaming(Request::new(requests), PathAndQuery::from_static(path), RawCodec).await?.into_inner())
}

async fn connect(dialled: &mpsc::UnboundedSender<Connection>) -> Channel {
    let (near, far) = duplex(BUFFER);
    dialled.send(Connection::new(far, CALLER)).expect("the server accepts");
    let mut only = Some(TokioIo::new(near));
    let connector = tower::service_fn(move |_: http::Uri| {
        std::future::ready(only.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)))
    });
    Endpoint::from_static("http://limits.test").connect_with_connector(connector).await.expect("it connects")
}

#[derive(Debug)]
struct Accepting(mpsc::UnboundedReceiver<Connection>);

impl Listener for Accepting {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(CALLER)
    }

    fn accept<'a>(&'a mut self, admits: &'a mut Admission<'a>) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async move {
            while let Some(connection) = self.0.recv().await {
                if admits(connection.peer()) {
                    return Ok(connection);
                }
            }
            std::future::pending().await
        })
    }
}

/// Messages as they are.
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        buffer.advance(buffer.remaining());
        Ok(Some(()))
    }
}
