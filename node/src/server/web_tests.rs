//! Browsers at a listener: requests of gRPC-Web made by hand, over HTTP/1.1 and HTTP/2.

use std::{future::poll_fn, pin::Pin, time::Duration};

use http::{
    HeaderMap, Method, Request, StatusCode,
    header::{CONTENT_TYPE, ORIGIN},
};
use http_body::Body as _;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout},
};
use tonic::{body::Body, service::Routes};
use tonic_health::pb::health_server::HealthServer;
use tower::{Service as _, ServiceExt as _};

use super::{
    MethodPolicy, MethodTable, ServerSettings, WebSettings, calls,
    exceeding::socket_from_elsewhere,
    http1::MAX_HEAD_BYTES,
    tests::{CHECK, PATIENCE, Running, Service, ask, closed, start},
};

const PAGE: &str = "https://wallet.example";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
/// A request without fields.
const EMPTY: &[u8] = &[0; 5];

fn for_pages(origins: &[&str]) -> Option<WebSettings> {
    Some(WebSettings { origins: origins.iter().map(|origin| origin.parse().unwrap()).collect() })
}

async fn web(change: impl FnOnce(&mut ServerSettings)) -> Running {
    start(|settings| {
        settings.web = for_pages(&[PAGE]);
        change(settings);
    })
    .await
}

/// A request over HTTP/1.1; its fields each with the end of its line.
fn request(method: &str, path: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: node\r\n{fields}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn call(path: &str, kind: &str, origin: &str, body: &[u8]) -> Vec<u8> {
    request("POST", path, &format!("content-type: {kind}\r\norigin: {origin}\r\nx-grpc-web: 1\r\n"), body)
}

fn checked(body: &[u8]) -> Vec<u8> {
    call(CHECK, "application/grpc-web+proto", PAGE, body)
}

fn preflight(path: &str, origin: &str) -> Vec<u8> {
    let fields = format!(
        "origin: {origin}\r\naccess-control-request-method: POST\r\n\
         access-control-request-headers: content-type,x-grpc-web\r\n"
    );
    request("OPTIONS", path, &fields, b"")
}

/// A whole answer over HTTP/1.1.
struct Answer {
    /// In small letters, as names of fields are.
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn has(&self, part: &str) -> bool {
        self.head.contains(part)
    }
}

async fn head<S: AsyncRead + Unpin>(socket: &mut S) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, socket.read_u8()).await.expect("an answer in time").expect("an answer"));
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

async fn line<S: AsyncRead + Unpin>(socket: &mut S) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(timeout(PATIENCE, socket.read_u8()).await.expect("a line in time").expect("a line"));
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

/// Sends a request and takes its answer; the connection stays open.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut S, request: &[u8]) -> Answer {
    socket.write_all(request).await.unwrap();
    let head = head(socket).await;
    let mut body = Vec::new();
    if head.contains("transfer-encoding: chunked") {
        loop {
            let length = usize::from_str_radix(&line(socket).await, 16).unwrap();
            let mut chunk = vec![0; length];
            socket.read_exact(&mut chunk).await.unwrap();
            body.extend(chunk);
            assert_eq!(line(socket).await, "");
            if length == 0 {
                break;
            }
        }
    } else if let Some((_, rest)) = head.split_once("content-length: ") {
        body = vec![0; rest.split_once("\r\n").unwrap().0.parse().unwrap()];
        socket.read_exact(&mut body).await.unwrap();
    }
    Answer { head, body }
}

/// The frames of a body: flag and content.
fn frames(mut body: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((prefix, rest)) = body.split_first_chunk::<5>() {
        let [flag, length @ ..] = *prefix;
        let (content, after) = rest.split_at(u32::from_be_bytes(length) as usize);
        frames.push((flag, content.to_vec()));
        body = after;
    }
    assert!(body.is_empty(), "a whole number of frames");
    frames
}

/// The message, and the trailers in the last frame.
fn assert_serving(body: &[u8]) {
    let frames = frames(body);
    assert_eq!(frames[0], (0, vec![8, 1]), "a health response that serves");
    let (flag, trailers) = &frames[1];
    let trailers = String::from_utf8_lossy(trailers);
    assert_eq!((*flag, frames.len()), (0x80, 2));
    assert!(trailers.contains("grpc-status:0\r\n"), "{trailers}");
}

#[tokio::test]
async fn a_page_calls_over_http_1_and_reads_message_and_status_in_the_body_call_after_call() {
    let server = web(|_| ()).await;
    let mut socket = server.socket().await;
    for _ in 0..3 {
        let answer = exchange(&mut socket, &checked(EMPTY)).await;
        assert!(answer.has("http/1.1 200 ok\r\n"), "{}", answer.head);
        assert!(answer.has("content-type: application/grpc-web+proto\r\n"), "{}", answer.head);
        assert!(answer.has("access-control-allow-origin: https://wallet.example\r\n"), "{}", answer.head);
        assert!(answer.has("access-control-expose-headers: grpc-status,grpc-message,grpc-status-details-bin\r\n"));
        assert_serving(&answer.body);
    }
}

#[tokio::test]
async fn a_page_that_calls_in_text_is_answered_in_text() {
    let server = web(|_| ()).await;
    let text = "application/grpc-web-text";
    let fields = format!("content-type: {text}\r\naccept: {text}\r\norigin: {PAGE}\r\n");
    let answer = exchange(&mut server.socket().await, &request("POST", CHECK, &fields, b"AAAAAAA=")).await;
    // Both frames by themselves.
    assert!(answer.body.starts_with(b"AAAAAAIIAQ=="), "{}", String::from_utf8_lossy(&answer.body));
}

/// Over HTTP/2, by the transport of a gRPC client: status, fields and body of the answer.
async fn over_http2(server: &Running, request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
    let mut channel = server.channel().await;
    let answer = channel.ready().await.unwrap().call(request).await.unwrap();
    let (parts, mut body) = answer.into_parts();
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(data) = frame.unwrap().into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    (parts.status, parts.headers, bytes)
}

fn over_http2_from(origin: &str, kind: &str) -> Request<Body> {
    let body = Body::new(String::from_utf8(EMPTY.to_vec()).unwrap());
    let request = Request::builder().method(Method::POST).uri(CHECK).header(ORIGIN, origin).header(CONTENT_TYPE, kind);
    request.body(body).unwrap()
}

#[tokio::test]
async fn a_page_calls_over_http_2_too_and_beside_it_grpc_goes_on() {
    let server = web(|_| ()).await;
    let (status, headers, body) = over_http2(&server, over_http2_from(PAGE, "application/grpc-web+proto")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[CONTENT_TYPE], "application/grpc-web+proto");
    assert_eq!(headers["access-control-allow-origin"], PAGE);
    assert_serving(&body);
    assert_eq!(server.client().await.check(ask("")).await.unwrap().into_inner().status, 1);
}

#[tokio::test]
async fn a_page_that_is_not_named_is_refused_before_anything_is_done_for_it() {
    let server = web(|_| ()).await;
    let foreign = "https://thief.example";
    let call = call(CHECK, "application/grpc-web+proto", foreign, EMPTY);
    for request in [call, preflight(CHECK, foreign)] {
        let mut socket = server.socket().await;
        let answer = exchange(&mut socket, &request).await;
        assert!(answer.has("http/1.1 403 "), "{}", answer.head);
        assert!(!answer.has("access-control"), "{}", answer.head);
        assert!(String::from_utf8_lossy(&answer.body).contains("--cors-origin"));
        closed(&mut socket).await;
    }
    let (status, ..) = over_http2(&server, over_http2_from(foreign, "application/grpc-web+proto")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(timeout(Duration::ZERO, server.service.entered.notified()).await.is_err(), "no call reached the service");
}

#[tokio::test]
async fn every_page_may_call_where_the_operator_says_so() {
    let server = web(|settings| settings.web = for_pages(&["*"])).await;
    let call = call(CHECK, "application/grpc-web+proto", "https://any.example", EMPTY);
    let answer = exchange(&mut server.socket().await, &call).await;
    assert!(answer.has("access-control-allow-origin: *\r\n"), "{}", answer.head);
    assert_serving(&answer.body);
}

#[tokio::test]
async fn a_browser_gets_leave_for_what_clients_send_and_pays_for_asking_as_for_a_call() {
    let server = web(|settings| {
        settings.counts_own_machine = true;
        settings.methods = MethodTable::new().with(CHECK, MethodPolicy::unary(1024, calls(8, 1, 2)));
    })
    .await;
    let mut socket = server.socket().await;
    for _ in 0..2 {
        let answer = exchange(&mut socket, &preflight(CHECK, PAGE)).await;
        assert!(answer.has("http/1.1 200 "), "{}", answer.head);
        for part in [
            "access-control-allow-origin: https://wallet.example\r\n",
            "access-control-allow-methods: post\r\n",
            "access-control-allow-headers: content-type,x-grpc-web,x-user-agent,grpc-timeout\r\n",
            "access-control-max-age: 7200\r\n",
        ] {
            assert!(answer.has(part), "{part} in {}", answer.head);
        }
    }
    let answer = exchange(&mut socket, &preflight(CHECK, PAGE)).await;
    assert!(answer.has("http/1.1 429 ") && answer.has("retry-after: 1\r\n"), "{}", answer.head);
    let answer = exchange(&mut server.socket().await, &preflight("/no.Such/Method", PAGE)).await;
    assert!(answer.has("http/1.1 404 "), "{}", answer.head);
}

#[tokio::test]
async fn the_limits_of_methods_hold_for_pages_and_are_told_in_fields_that_they_may_read() {
    let server = web(|settings| {
        settings.counts_own_machine = true;
        let slow = MethodPolicy::wait(1024, calls(8, 1, 3), Duration::from_millis(100));
        settings.methods = MethodTable::new().with(CHECK, slow);
    })
    .await;
    let mut socket = server.socket().await;
    // A request that announces too much, one that is not answered in time, one that is; the next comes too soon.
    let too_large = checked(&[&[0][..], &2_000_u32.to_be_bytes(), &[0; 2_000]].concat());
    let late = checked(b"\x00\x00\x00\x00\x07\x0a\x05never");
    for (request, status) in [(too_large, 8), (late, 4), (checked(EMPTY), 0), (checked(EMPTY), 8)] {
        let answer = exchange(&mut socket, &request).await;
        if status == 0 {
            assert_serving(&answer.body);
            continue;
        }
        assert!(answer.has(&format!("grpc-status: {status}\r\n")), "{}", answer.head);
        assert!(answer.has("grpc-status-details-bin: "), "{}", answer.head);
        if answer.has("connection: close") {
            socket = server.socket().await;
        }
    }
}

#[tokio::test]
async fn what_is_not_grpc_web_is_refused_over_http_1_and_costs_its_connection() {
    let server = web(|_| ()).await;
    let grpc = request("POST", CHECK, "content-type: application/grpc\r\n", EMPTY);
    for request in [request("GET", "/", "", b""), grpc] {
        let mut socket = server.socket().await;
        let answer = exchange(&mut socket, &request).await;
        assert!(answer.has("http/1.1 415 ") && answer.has("connection: close\r\n"), "{}", answer.head);
        closed(&mut socket).await;
    }
}

#[tokio::test]
async fn unless_the_operator_wants_it_neither_http_1_nor_grpc_web_is_spoken() {
    let server = start(|_| ()).await;
    let mut socket = server.socket().await;
    socket.write_all(&checked(EMPTY)).await.unwrap();
    let mut answer = Vec::new();
    // The end may be a reset; what came before it counts.
    let _ = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("the connection ends");
    assert!(!answer.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&answer));
    let (_, headers, _) = over_http2(&server, over_http2_from(PAGE, "application/grpc-web+proto")).await;
    assert_ne!(headers[CONTENT_TYPE], "application/grpc-web+proto");
    assert!(!headers.contains_key("access-control-allow-origin"), "{headers:?}");
}

#[tokio::test]
async fn a_head_without_end_is_cut_at_its_bound() {
    let server = web(|_| ()).await;
    let mut socket = server.socket().await;
    let long = format!("POST {CHECK} HTTP/1.1\r\nx: {}", "y".repeat(MAX_HEAD_BYTES));
    // The end may come while it is being sent.
    let _ = socket.write_all(long.as_bytes()).await;
    closed(&mut socket).await;
}

fn health() -> Routes {
    Routes::new(HealthServer::new(Service::default()))
}

fn for_browsers() -> ServerSettings {
    ServerSettings { web: for_pages(&[PAGE]), ..ServerSettings::public(MethodTable::new()) }
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_is_dropped_at_the_deadline_of_first_bytes_and_an_idle_connection_after_30_seconds() {
    socket_from_elsewhere(health(), for_browsers(), async |mut socket| {
        let begun = Instant::now();
        socket.write_all(&checked(EMPTY)[..60]).await.unwrap();
        assert_eq!(socket.read(&mut [0]).await.unwrap_or(0), 0);
        assert_eq!(begun.elapsed().as_secs(), 3);
    })
    .await;
    socket_from_elsewhere(health(), for_browsers(), async |mut socket| {
        let answer = exchange(&mut socket, &checked(EMPTY)).await;
        assert_serving(&answer.body);
        let idle = Instant::now();
        assert_eq!(socket.read(&mut [0]).await.unwrap_or(0), 0);
        assert!((29..=31).contains(&idle.elapsed().as_secs()), "{:?}", idle.elapsed());
    })
    .await;
}

/// In text each piece is made anew on its way out; what waits is seen all the same.
#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_take_a_stream_is_cut() {
    socket_from_elsewhere(health(), for_browsers(), async |mut socket| {
        let kind = "application/grpc-web-text";
        let fields = format!("content-type: {kind}\r\naccept: {kind}\r\norigin: {PAGE}\r\n");
        // {"service": "endless"}
        let body = b"AAAAAAkKB2VuZGxlc3M=";
        socket.write_all(&request("POST", WATCH, &fields, body)).await.unwrap();
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_secs(40)).await;
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
        assert!(rest.starts_with(b"HTTP/1.1 200") && begun.elapsed().as_secs() == 40, "it has ended by itself");
    })
    .await;
}
