//! A dialler that is told to wait.

use std::{cell::Cell, collections::HashMap, sync::Mutex as StdMutex};

use farthing::{Network, wire::peer::HandshakeRequest};
use futures_util::future::BoxFuture;
use tokio::{io::DuplexStream, time::Instant};
use tonic::{Code, Response};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::*;
use crate::{
    env::{Connection, Listener, Net},
    peers::{NodeId, handshake::own_hello},
};

fn told_to_wait_for(wait: Duration) -> Status {
    let mut details = ErrorDetails::with_error_info("RATE_LIMITED", "farthing", HashMap::new());
    details.set_retry_info(Some(wait));
    Status::with_error_details(Code::ResourceExhausted, "too soon", details)
}

/// What a call comes to that is refused so often, each time with this wait; also after how many tries, and how long.
async fn refused(times: u32, wait: Duration) -> (Result<u32, CallError>, u32, Duration) {
    let (tries, start) = (Cell::new(0), Instant::now());
    let outcome = answer(ANSWER_DEADLINE, &Mutex::default(), || {
        tries.set(tries.get() + 1);
        let refused = tries.get() <= times;
        async move { if refused { Err(told_to_wait_for(wait)) } else { Ok(Response::new(7)) } }
    })
    .await;
    (outcome, tries.get(), start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_dialler_waits_as_long_as_it_is_told_and_asks_again() {
    let wait = Duration::from_millis(300);
    let (outcome, tries, took) = refused(3, wait).await;
    assert_eq!((outcome.unwrap(), tries), (7, 4));
    assert!(took >= wait * 3 && took < wait * 4, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn its_patience_ends_whether_the_waits_are_long_or_short() {
    let (outcome, tries, took) = refused(u32::MAX, Duration::from_secs(9)).await;
    assert!(matches!(outcome, Err(CallError::Status(status)) if status.code() == Code::ResourceExhausted));
    assert_eq!((tries, took.as_secs()), (4, 27));
    let (outcome, tries, took) = refused(u32::MAX, Duration::ZERO).await;
    assert!(outcome.is_err() && tries <= 6_001 && took >= PATIENCE, "{tries} {took:?}");
    let (outcome, tries, _) = refused(1, PATIENCE + Duration::from_secs(1)).await;
    assert!(outcome.is_err() && tries == 1);
}

#[tokio::test(start_paused = true)]
async fn another_refusal_is_final() {
    let tries = Cell::new(0);
    let outcome: Result<(), _> = answer(ANSWER_DEADLINE, &Mutex::default(), || {
        tries.set(tries.get() + 1);
        async { Err(Status::resource_exhausted("no place")) }
    })
    .await;
    assert!(outcome.is_err());
    assert_eq!(tries.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_all_told_to_wait_try_again_one_after_the_other() {
    // A listener with room for one call each 100 ms, that knows who goes on although it was told.
    let (ready, early, turn) = (Cell::new(Instant::now()), Cell::new(0), Mutex::default());
    let told = Cell::new(None::<Instant>);
    let call = || {
        let now = Instant::now();
        let wait = ready.get().saturating_duration_since(now);
        if wait.is_zero() {
            ready.set(now + Duration::from_millis(100));
        } else {
            early.set(early.get() + u32::from(told.replace(Some(now + wait)).is_some_and(|until| now < until)));
        }
        async move { if wait.is_zero() { Ok(Response::new(())) } else { Err(told_to_wait_for(wait)) } }
    };
    let calls = (0..16).map(|_| answer(ANSWER_DEADLINE, &turn, call));
    let outcomes = futures_util::future::join_all(calls).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(early.get(), 0, "once one of them waits, the others line up behind it");
}

/// Whoever is dialled takes the connection and is never heard.
#[derive(Debug)]
struct Silent(StdMutex<Option<DuplexStream>>);

impl Net for Silent {
    fn listen(&self, _address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    fn dial<'a>(&'a self, _host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Connection>> {
        let io = self.0.lock().unwrap().take().unwrap();
        Box::pin(async move { Ok(Connection::new(io, SocketAddr::from(([127, 0, 0, 1], port)))) })
    }

    fn resolve<'a>(&'a self, _host: &'a str, _port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_nothing_comes_is_dead_after_thirty_seconds() {
    let (ours, _theirs) = tokio::io::duplex(64 * 1024);
    let env = Env::system().unwrap().with_net(Silent(StdMutex::new(Some(ours))));
    let start = Instant::now();
    let (mut calls, _) = connect(&env, "127.0.0.1", 1).await.unwrap();
    let hello = own_hello(Network::Dev.params(), NodeId::from_bytes([1; 16]), "waits".to_owned());
    // A call without a deadline, as is the stream that a dialler follows.
    let request = HandshakeRequest { hello: Some(hello.to_wire()), probe: false };
    calls.handshake(request).await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_those_before_it_no_longer_than_one_of_them_may() {
    let (turn, start) = (Mutex::default(), Instant::now());
    let _held = turn.lock().await;
    let call = answer(ANSWER_DEADLINE, &turn, || async { Ok(Response::new(7)) });
    let outcome = timeout(PATIENCE * 2, call).await;
    assert!(matches!(outcome, Ok(Err(CallError::Late))), "{outcome:?}");
    assert_eq!(start.elapsed(), PATIENCE);
}
