//! A small health service behind a hardened listener, met by silent, greedy and slow clients.

use std::{
    future::pending,
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use futures_util::stream::{self, BoxStream};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpSocket, TcpStream},
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Response, Status,
    service::Routes,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_client::HealthClient,
    health_server::{Health, HealthServer},
};
use tonic_types::StatusExt as _;

use super::{MethodPolicy, MethodTable, ServeError, ServerSettings, calls, serve};
use crate::env::{Net as _, SystemNet};

pub(super) const PATIENCE: Duration = Duration::from_secs(20);
pub(super) const CHECK: &str = "/grpc.health.v1.Health/Check";

/// Answers at once, or never when asked for the service "never". Its stream is silent, or without end for "endless".
#[derive(Clone, Default)]
pub(super) struct Service {
    pub(super) entered: Arc<Notify>,
}

#[tonic::async_trait]
impl Health for Service {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        self.entered.notify_one();
        if request.get_ref().service == "never" {
            pending::<()>().await;
        }
        Ok(Response::new(HealthCheckResponse { status: 1 }))
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let stream: Self::WatchStream = match request.get_ref().service.as_str() {
            "refused" => return Err(Status::unauthenticated("no such session")),
            "endless" => Box::pin(stream::repeat_with(|| Ok(HealthCheckResponse { status: 1 }))),
            _ => Box::pin(stream::pending()),
        };
        Ok(Response::new(stream))
    }
}

pub(super) struct Running {
    pub(super) address: SocketAddr,
    stop: CancellationToken,
    ended: JoinHandle<Result<(), ServeError>>,
    pub(super) service: Service,
}

pub(super) async fn start(change: impl FnOnce(&mut ServerSettings)) -> Running {
    let mut settings = ServerSettings::public(MethodTable::new());
    change(&mut settings);
    let listener = SystemNet.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, service) = (CancellationToken::new(), Service::default());
    let routes = Routes::new(HealthServer::new(service.clone()));
    #[expect(clippy::disallowed_methods, reason = "a test's own server")]
    let ended = tokio::spawn(serve(listener, routes, settings, stop.clone()));
    Running { address, stop, ended, service }
}

impl Running {
    #[expect(clippy::disallowed_methods, reason = "a client from outside")]
    async fn try_channel(&self) -> Result<Channel, tonic::transport::Error> {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await
    }

    pub(super) async fn channel(&self) -> Channel {
        self.try_channel().await.unwrap()
    }

    pub(super) async fn client(&self) -> HealthClient<Channel> {
        HealthClient::new(self.channel().await)
    }

    #[expect(clippy::disallowed_methods, reason = "a client from outside")]
    pub(super) async fn socket(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A socket from a host of another network than the other clients are on. An error if it is turned away before it is
    /// known to be there.
    #[expect(clippy::disallowed_methods, reason = "a client with an address of its own")]
    pub(super) async fn socket_from(&self, host: [u8; 4]) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((host, 0)))?;
        socket.connect(self.address).await
    }
}

pub(super) fn ask(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

/// Waits until the server has turned the client away, which may be before its socket was known to be there.
pub(super) async fn turned_away(socket: io::Result<TcpStream>) {
    match socket {
        Ok(mut socket) => closed(&mut socket).await,
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

/// Waits until the server closes the socket.
pub(super) async fn closed(socket: &mut TcpStream) {
    let mut rest = Vec::new();
    match timeout(PATIENCE, socket.read_to_end(&mut rest)).await.expect("the server closes the socket") {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

#[tokio::test]
async fn a_silent_socket_is_dropped_at_the_deadline_and_a_talking_client_is_not() {
    let server = start(|settings| settings.first_bytes = Duration::from_millis(200)).await;
    let mut client = server.client().await;
    let mut silent = server.socket().await;
    let start = tokio::time::Instant::now();
    closed(&mut silent).await;
    assert!(start.elapsed() >= Duration::from_millis(190));
    assert_eq!(client.check(ask("")).await.unwrap().into_inner().status, 1);
}

#[tokio::test]
async fn the_slot_cap_refuses_one_more_and_a_freed_slot_is_given_again() {
    let server = start(|settings| settings.connections.total = 2).await;
    let mut first = server.client().await;
    first.check(ask("")).await.unwrap();
    let second = server.socket().await;
    turned_away(server.socket_from([127, 0, 0, 1]).await).await;
    first.check(ask("")).await.unwrap();
    drop(second);
    timeout(PATIENCE, async {
        // The server notices the end of the second when it next looks at it.
        loop {
            if let Ok(channel) = server.try_channel().await
                && HealthClient::new(channel).check(ask("")).await.is_ok()
            {
                break;
            }
        }
    })
    .await
    .expect("a freed slot is given again");
}

#[tokio::test]
async fn a_method_that_takes_too_long_ends_at_its_deadline_with_a_reason() {
    let server = start(|settings| {
        let policy = MethodPolicy::wait(1024, calls(8, 100, 100), Duration::from_millis(100));
        settings.methods = MethodTable::new().with(CHECK, policy);
    })
    .await;
    let status = server.client().await.check(ask("never")).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.metadata["deadline_ms"].as_str()), ("DEADLINE_EXCEEDED", "100"));
}

#[tokio::test]
async fn an_oversize_request_is_refused_with_its_size_and_the_connection_lives_on() {
    let server = start(|_| ()).await;
    let mut client = server.client().await;
    let status = client.check(ask(&"x".repeat(2000))).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.metadata["max_size"].as_str()), ("REQUEST_TOO_LARGE", "1024"));
    client.check(ask("")).await.unwrap();
}

#[tokio::test]
async fn a_method_without_a_policy_is_not_served() {
    let server = start(|_| ()).await;
    let mut grpc = tonic::client::Grpc::new(server.channel().await);
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let path = http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/List");
    let status = grpc.unary(Request::new(ask("")), path, codec).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unimplemented, "unknown method"));
}

#[tokio::test]
async fn more_calls_than_the_node_can_serve_are_shed_with_a_retry_time() {
    let server = start(|settings| (settings.short_calls.total, settings.own_calls) = (1, 0)).await;
    let (mut busy, mut other) = (server.client().await, server.client().await);
    let service = server.service.clone();
    tokio::select! {
        answer = busy.check(ask("never")) => panic!("{answer:?}"),
        () = async {
            service.entered.notified().await;
            let status = other.check(ask("")).await.unwrap_err();
            assert_eq!(status.code(), Code::ResourceExhausted);
            assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
        } => {}
    }
}

#[tokio::test]
async fn streams_do_not_crowd_out_short_calls() {
    let server = start(|settings| {
        settings.own_calls = 0;
        (settings.short_calls.total, settings.long_calls.total) = (1, 1);
    })
    .await;
    let mut client = server.client().await;
    let stream = client.watch(ask("")).await.unwrap();
    assert_eq!(client.clone().watch(ask("")).await.unwrap_err().code(), Code::ResourceExhausted);
    client.check(ask("")).await.unwrap();
    drop(stream);
    timeout(PATIENCE, async {
        while client.watch(ask("")).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("a stream's place is free when the client has left it");
}

#[tokio::test]
async fn a_stop_lets_calls_end_and_cuts_those_that_do_not() {
    let server = start(|settings| settings.drain = Duration::from_millis(200)).await;
    let mut client = server.client().await;
    let mut stream = client.watch(ask("")).await.unwrap().into_inner();
    let start = tokio::time::Instant::now();
    server.stop.cancel();
    timeout(PATIENCE, stream.message()).await.expect("the stream is cut").unwrap_err();
    timeout(PATIENCE, server.ended).await.expect("the server ends").unwrap().unwrap();
    assert!(start.elapsed() >= Duration::from_millis(190));
}
