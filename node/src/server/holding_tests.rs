//! Clients that hold what others need: places for calls, connections, answers that they do not take.

use std::{net::Ipv4Addr, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tonic::Code;

use super::{
    HostFilter, MethodPolicy, MethodTable,
    attack_tests::{END_HEADERS, HEADERS, PREFACE, REQUEST, SETTINGS, frame, request_headers},
    calls,
    tests::{CHECK, PATIENCE, Running, ask, closed, start, turned_away},
};

const WATCH: &str = "/grpc.health.v1.Health/Watch";
const DATA: u8 = 0;
const END_STREAM: u8 = 1;
const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];

/// A health request as gRPC sends it, with a service name of less than 126 bytes.
fn message(service: &str) -> Vec<u8> {
    let length = u8::try_from(service.len()).unwrap();
    let mut bytes = vec![0, 0, 0, 0, length + 2, 0x0a, length];
    bytes.extend_from_slice(service.as_bytes());
    bytes
}

/// A call in frames.
fn call(stream: u32, path: &'static str, service: &str) -> Vec<u8> {
    let mut fields = REQUEST;
    fields[2] = (":path", path);
    let mut bytes = frame(HEADERS, END_HEADERS, stream, &request_headers(&fields));
    bytes.extend(frame(DATA, END_STREAM, stream, &message(service)));
    bytes
}

/// A client that asks and then has room for so many bytes of the answer.
async fn ask_with_a_window(server: &Running, window: u32, path: &'static str, service: &str) -> TcpStream {
    let mut socket = server.socket().await;
    let settings = [&INITIAL_WINDOW_SIZE[..], &window.to_be_bytes()].concat();
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &settings));
    bytes.extend(call(1, path, service));
    socket.write_all(&bytes).await.unwrap();
    socket
}

#[tokio::test]
async fn an_answer_or_a_stream_that_is_not_taken_cuts_the_connection() {
    let server = start(|settings| settings.write_stall = Duration::from_millis(200)).await;
    for (path, service) in [(CHECK, ""), (WATCH, "endless")] {
        for window in [0, 1] {
            // Without a deadline these would stay for as long as the client answers pings.
            closed(&mut ask_with_a_window(&server, window, path, service).await).await;
        }
    }
    server.client().await.check(ask("")).await.unwrap();
}

#[tokio::test]
async fn a_client_that_took_its_answers_may_idle_and_one_that_reads_may_go_on() {
    let stall = Duration::from_secs(1);
    let server = start(|settings| settings.write_stall = stall).await;
    let (mut idle, mut reading) = (server.client().await, server.client().await);
    let mut silent = idle.watch(ask("")).await.unwrap().into_inner();
    idle.check(ask("")).await.unwrap();
    let mut endless = reading.watch(ask("endless")).await.unwrap().into_inner();
    let start = tokio::time::Instant::now();
    while start.elapsed() < stall * 2 {
        endless.message().await.unwrap().unwrap();
    }
    assert!(silent.message().now_or_never().is_none(), "nothing more was sent to it, and it is not cut");
}

#[tokio::test]
async fn a_network_that_takes_all_shared_places_leaves_every_other_connection_its_own() {
    let server = start(|settings| (settings.short_calls.total, settings.own_calls) = (1, 1)).await;
    let (mut honest, greedy) = (server.client().await, server.client().await);
    let hold = || async {
        let mut client = greedy.clone();
        client.check(ask("never")).await
    };
    let entered = &server.service.entered;
    let mut held = (Box::pin(hold()), Box::pin(hold()));
    tokio::select! {
        answer = &mut held.0 => panic!("{answer:?}"),
        () = entered.notified() => {}
    }
    tokio::select! {
        answer = &mut held.1 => panic!("{answer:?}"),
        () = entered.notified() => {}
    }
    assert_eq!(greedy.clone().check(ask("")).await.unwrap_err().code(), Code::ResourceExhausted);
    honest.check(ask("")).await.unwrap();
}

#[tokio::test]
async fn only_a_session_that_was_granted_keeps_a_connection() {
    let server = start(|settings| {
        settings.without_session = Some(Duration::from_secs(2));
        settings.methods = MethodTable::new().with(WATCH, MethodPolicy::session(1024, calls(8, 100, 100)));
    })
    .await;
    let mut session = server.client().await.watch(ask("")).await.unwrap().into_inner();
    let mut stranger = server.socket().await;
    stranger.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    let mut refused = ask_with_a_window(&server, 65_535, WATCH, "refused").await;
    let knocking = async {
        let (mut stream, mut answer) = (1, [0; 1024]);
        // Again with each answer, until the server ends it.
        while refused.read(&mut answer).await.is_ok_and(|read| read > 0) {
            stream += 2;
            if refused.write_all(&call(stream, WATCH, "refused")).await.is_err() {
                break;
            }
        }
    };
    let (knocked, ()) = tokio::join!(timeout(PATIENCE, knocking), closed(&mut stranger));
    knocked.expect("who is refused again and again is not kept");
    assert!(session.message().now_or_never().is_none(), "it began before the others, and it lives");
}

#[tokio::test]
async fn an_unwanted_host_gets_no_connection_and_others_do() {
    let unwanted = Ipv4Addr::new(127, 0, 0, 9);
    let server = start(|settings| {
        // Only the filter can close it in time.
        settings.first_bytes = PATIENCE * 10;
        settings.unwanted = HostFilter::new(move |host| host == unwanted);
    })
    .await;
    turned_away(server.socket_from(unwanted.octets()).await).await;
    server.client().await.check(ask("")).await.unwrap();
}
