//! Streams of transfers, and the same transfer from many at once.

use std::{
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
};

use farthing::{
    Mites, SignedTransaction,
    codec::Canonical as _,
    wire::{TransactionStanding, TransactionStatus, v1::ledger_service_server::LedgerService as _},
};
use futures_util::{
    StreamExt as _,
    future::join_all,
    stream::{self, BoxStream},
};
use http_body::Frame;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, codec::Codec as _};
use tonic_prost::ProstCodec;
use v1::submit_transaction_stream_response::Event;

use super::*;
use crate::{
    mempool::Source,
    rpc::ledger::LedgerApi,
    server::{MethodPolicy, Unit, calls},
    testing::{ALICE, BOB},
};

type Verdicts = tonic::Streaming<v1::SubmitTransactionStreamResponse>;
type Answers = BoxStream<'static, Result<v1::SubmitTransactionStreamResponse, Status>>;
type Requests = mpsc::UnboundedSender<v1::SubmitTransactionStreamRequest>;

fn request(tag: u64, bytes: Vec<u8>) -> v1::SubmitTransactionStreamRequest {
    v1::SubmitTransactionStreamRequest { tag, transaction_bytes: bytes.into() }
}

fn transfer(tag: u64, signed: &SignedTransaction) -> v1::SubmitTransactionStreamRequest {
    request(tag, signed.to_canonical())
}

async fn open(api: &Api) -> (Requests, Verdicts) {
    let (requests, sent) = mpsc::unbounded_channel();
    let stream = UnboundedReceiverStream::new(sent);
    let verdicts = api.client().await.submit_transaction_stream(stream).await.unwrap().into_inner();
    (requests, verdicts)
}

async fn next(verdicts: &mut Verdicts) -> Result<Option<v1::SubmitTransactionStreamResponse>, Status> {
    tokio::time::timeout(PATIENCE, verdicts.message()).await.expect("a verdict in time")
}

/// Tag and state or reason of the next verdict.
async fn verdict(verdicts: &mut Verdicts) -> (u64, String) {
    let v1::SubmitTransactionStreamResponse { tag, event } = loop {
        let frame = next(verdicts).await.unwrap().expect("a verdict");
        if !matches!(frame.event, Some(Event::Progress(_))) {
            break frame;
        }
    };
    let said = match event.unwrap() {
        Event::Status(status) => status.state().as_str_name().trim_start_matches("TRANSACTION_STATE_").to_owned(),
        Event::Error(error) => {
            let info = error.get_details_error_info().unwrap();
            assert_eq!(info.domain, "farthing");
            info.reason
        }
        other => panic!("no verdict: {other:?}"),
    };
    (tag, said)
}

#[tokio::test]
async fn each_transfer_of_a_stream_gets_its_verdict_in_order_and_a_malformed_one_ends_nothing() {
    let api = Api::start().await;
    let mined = BOB.pay(0, ALICE.address(), 1);
    api.include(vec![mined.clone()], 1).await;
    let good = ALICE.pay(0, BOB.address(), 5);
    let (requests, mut verdicts) = open(&api).await;
    let sent = [
        transfer(7, &good),
        request(7, vec![1, 2, 3]),
        request(3, Vec::new()),
        request(4, vec![0; 4_097]),
        transfer(u64::MAX, &ALICE.pay(1, BOB.address(), 2_000_000)),
        transfer(0, &mined),
        transfer(9, &good),
    ];
    sent.into_iter().for_each(|request| requests.send(request).unwrap());
    let expected = [
        (7, "PENDING"),
        (7, "INVALID_TRANSACTION"),
        (3, "INVALID_FIELD"),
        (4, "INVALID_FIELD"),
        (u64::MAX, "INSUFFICIENT_BALANCE"),
        (0, "MINED"),
        (9, "PENDING"),
    ];
    for (tag, said) in expected {
        assert_eq!(verdict(&mut verdicts).await, (tag, said.to_owned()));
    }
    // It goes on, and ends with OK when its client has no more.
    requests.send(transfer(1, &ALICE.pay(1, BOB.address(), 5))).unwrap();
    assert_eq!(verdict(&mut verdicts).await, (1, "PENDING".to_owned()));
    requests.send(transfer(2, &ALICE.pay(2, BOB.address(), 5))).unwrap();
    drop(requests);
    assert_eq!(verdict(&mut verdicts).await, (2, "PENDING".to_owned()), "what was sent last has its verdict too");
    assert_eq!(next(&mut verdicts).await.unwrap(), None);
}

/// Groups are judged one behind the other: none leaves a gap for the next.
#[tokio::test]
async fn a_long_run_of_nonces_goes_through_a_stream_without_waiting_for_any() {
    let api = Api::start().await;
    let run: Vec<_> = (0..600).map(|nonce| ALICE.pay(nonce, BOB.address(), 1)).collect();
    let (requests, mut verdicts) = open(&api).await;
    run.iter().zip(0..).for_each(|(signed, tag)| requests.send(transfer(tag, signed)).unwrap());
    drop(requests);
    for tag in 0..600 {
        assert_eq!(verdict(&mut verdicts).await, (tag, "PENDING".to_owned()));
    }
    assert_eq!(next(&mut verdicts).await.unwrap(), None);
    assert_eq!(api.mempool.stats().executable, 600);
}

#[tokio::test]
async fn a_stopping_node_gives_all_that_it_has_read_a_verdict_and_then_says_that_it_stops() {
    let api = Api::start().await;
    let (requests, mut verdicts) = open(&api).await;
    for nonce in 0..40 {
        requests.send(transfer(nonce, &ALICE.pay(nonce, BOB.address(), 1))).unwrap();
    }
    assert_eq!(verdict(&mut verdicts).await, (0, "PENDING".to_owned()));
    api.test.tasks.stop();
    let (mut tag, mut drained) = (1, false);
    let end = loop {
        match next(&mut verdicts).await {
            Ok(Some(response)) if matches!(response.event, Some(Event::Draining(_))) => drained = true,
            Ok(Some(response)) => {
                assert!(!drained, "what was read has its verdict first");
                assert_eq!(response.tag, tag);
                tag += 1;
            }
            Ok(None) => panic!("it ends with OK, but it was not at its end"),
            Err(status) => break status,
        }
    };
    assert!(drained, "it says so first");
    let (code, reason, _) = facts(&end);
    assert_eq!((code, reason.as_str()), (Code::Unavailable, "STOPPING"));
    assert!(end.get_details_retry_info().is_some());
}

#[tokio::test]
async fn a_client_that_does_not_read_its_verdicts_is_not_read_either() {
    let api = Api::start().await;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let good = transfer(0, &ALICE.pay(0, BOB.address(), 5));
    let endless = stream::repeat(good).map(move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        request
    });
    let endpoint = Endpoint::from_shared(format!("http://{}", api.address)).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a client from outside")]
    let channel = endpoint.initial_stream_window_size(64 * 1024).connect_lazy();
    let mut client = LedgerServiceClient::new(channel);
    let mut verdicts = client.submit_transaction_stream(endless).await.unwrap().into_inner();
    // 1,024 under way, what the two windows hold (of 256 KiB requests, of 64 KiB verdicts), and what stands in buffers.
    let bound = 5_000;
    let too_many = async {
        while sent.load(Ordering::Relaxed) <= bound {
            tokio::task::yield_now().await;
        }
    };
    let read = tokio::time::timeout(Duration::from_secs(2), too_many).await;
    assert!(read.is_err(), "{} were read", sent.load(Ordering::Relaxed));
    // Once it reads, it goes on.
    for _ in 0..2 * bound {
        assert_eq!(verdict(&mut verdicts).await.1, "PENDING");
    }
}

/// What a client sends, as the listener hands it over.
struct Sent(mpsc::UnboundedReceiver<v1::SubmitTransactionStreamRequest>);

impl http_body::Body for Sent {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        self.0.poll_recv(cx).map(|request| {
            request.map(|request| {
                let message = request.encode_to_vec();
                let length = u32::try_from(message.len()).unwrap().to_be_bytes();
                Ok(Frame::data([&[0], &length[..], &message].concat().into()))
            })
        })
    }
}

/// A stream without a listener: its answer is polled when a test does so.
async fn in_process(api: &Api) -> (Requests, Answers) {
    in_process_with(api, |_| ()).await
}

async fn in_process_with(
    api: &Api,
    change: impl FnOnce(&mut Request<tonic::Streaming<v1::SubmitTransactionStreamRequest>>),
) -> (Requests, Answers) {
    let (requests, sent) = mpsc::unbounded_channel();
    let mut codec = ProstCodec::<v1::SubmitTransactionStreamResponse, v1::SubmitTransactionStreamRequest>::default();
    let sent = tonic::Streaming::new_request(codec.decoder(), Sent(sent), None, None);
    let service = LedgerApi::new(api.deps.clone());
    let mut request = Request::new(sent);
    change(&mut request);
    (requests, service.submit_transaction_stream(request).await.unwrap().into_inner())
}

/// With paused time: nothing is waited for.
#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_verdicts_is_let_go_with_a_reason_and_read_no_further() {
    let limit = Duration::from_secs(20);
    let api = Api::start().await;
    let (requests, mut verdicts) = in_process_with(&api, |request| {
        request.extensions_mut().insert(crate::server::Delivery::for_tests(limit));
    })
    .await;
    // Far more than there is room for verdicts.
    for tag in 0..4_000 {
        requests.send(request(tag, vec![1, 2, 3])).unwrap();
    }
    tokio::time::timeout(Duration::from_secs(60), requests.closed()).await.expect("it is read no further");
    let status = verdicts.next().await.unwrap().unwrap_err();
    let (code, reason, metadata) = facts(&status);
    assert_eq!((code, reason.as_str()), (Code::ResourceExhausted, "SUBSCRIBER_STALLED"));
    assert_eq!(metadata["limit_ms"], "20000");
    assert!(!metadata.contains_key("cursor"), "what has no verdict is sent again");
    assert_eq!(status.get_error_details().retry_info().unwrap().retry_delay, Some(Duration::ZERO));
    assert!(verdicts.next().await.is_none());
}

/// The same over a connection, in whose window few verdicts have room.
#[tokio::test]
async fn a_client_that_takes_no_verdicts_over_a_connection_is_told_so_when_it_reads_again() {
    let stall = Duration::from_millis(300);
    let api = Api::start_with(|settings| settings.subscriber_stall = stall).await;
    let mut client = LedgerServiceClient::new(api.narrow_channel(64).await);
    let (requests, sent) = mpsc::unbounded_channel();
    for tag in 0..100 {
        requests.send(request(tag, vec![1, 2, 3])).unwrap();
    }
    // What judges for a stream holds the node's parts.
    let holders = || std::sync::Arc::strong_count(&api.network);
    let before = holders();
    let mut verdicts = client.submit_transaction_stream(UnboundedReceiverStream::new(sent)).await.unwrap().into_inner();
    assert!(holders() > before);
    let let_go = async {
        let mut look = tokio::time::interval(stall / 10);
        while holders() > before {
            look.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, let_go).await.expect("it is let go");
    let status = loop {
        match next(&mut verdicts).await {
            Ok(frame) => drop(frame.expect("it does not end with OK")),
            Err(status) => break status,
        }
    };
    assert_eq!((facts(&status).0, facts(&status).1.as_str()), (Code::ResourceExhausted, "SUBSCRIBER_STALLED"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_transfers_shows_that_it_lives_while_none_comes() {
    let api = Api::start().await;
    let (requests, mut verdicts) = in_process(&api).await;
    for _ in 0..3 {
        let before = tokio::time::Instant::now();
        let frame = verdicts.next().await.unwrap().unwrap();
        assert!(matches!(frame.event, Some(Event::Progress(_))), "{frame:?}");
        assert!(before.elapsed() > Duration::from_secs(1) && before.elapsed() <= Duration::from_secs(15));
    }
    drop(requests);
    assert!(verdicts.next().await.is_none());
}

/// HTTP/2 does not poll an answer whose client has no room.
#[tokio::test]
async fn a_client_that_does_not_read_keeps_no_place_of_the_mempool() {
    let api = Api::start().await;
    let all = async || tokio::time::timeout(PATIENCE, api.mempool.places(8_192, Source::Rpc)).await;
    let held = all().await.unwrap().unwrap();
    let (requests, mut verdicts) = in_process(&api).await;
    requests.send(transfer(1, &ALICE.pay(0, BOB.address(), 5))).unwrap();
    // Long enough to stand in line; what comes of it has no effect but that this test could pass in vain.
    tokio::time::timeout(Duration::from_millis(300), verdicts.next()).await.unwrap_err();
    drop(held);
    drop(all().await.expect("all places come back, though nobody polls the answer").unwrap());
    assert_eq!(verdicts.next().await.unwrap().unwrap().tag, 1);
}

#[tokio::test]
async fn a_client_that_sends_more_than_it_may_is_slowed_down_and_not_refused() {
    const PATH: &str = "/farthing.v1.LedgerService/SubmitTransactionStream";
    let policy = MethodPolicy::client_stream(8_192, calls(8, 20, 100)).counting(Unit::Transactions, 100, 10);
    let api = Api::start_with(|settings| {
        settings.counts_own_machine = true;
        settings.methods = methods(&dev()).with(PATH, policy);
    })
    .await;
    let (requests, mut verdicts) = open(&api).await;
    let good = ALICE.pay(0, BOB.address(), 5);
    let start = tokio::time::Instant::now();
    (0..300).for_each(|tag| requests.send(transfer(tag, &good)).unwrap());
    drop(requests);
    for tag in 0..300 {
        assert_eq!(verdict(&mut verdicts).await, (tag, "PENDING".to_owned()));
    }
    // Three groups at least, the first two of which, 128 at most, are paid for before the third is looked at.
    assert!(start.elapsed() > Duration::from_millis(1_500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_node_that_syncs_refuses_on_a_stream_what_it_does_not_know() {
    let api = Api::start().await;
    let (requests, mut verdicts) = open(&api).await;
    let known = ALICE.pay(0, BOB.address(), 5);
    requests.send(transfer(1, &known)).unwrap();
    assert_eq!(verdict(&mut verdicts).await, (1, "PENDING".to_owned()));
    api.network.0.send_replace(true);
    requests.send(transfer(2, &known)).unwrap();
    requests.send(transfer(3, &ALICE.pay(1, BOB.address(), 5))).unwrap();
    assert_eq!(verdict(&mut verdicts).await, (2, "PENDING".to_owned()));
    assert_eq!(verdict(&mut verdicts).await, (3, "SYNCING".to_owned()));
    api.network.0.send_replace(false);
    requests.send(transfer(4, &ALICE.pay(1, BOB.address(), 5))).unwrap();
    assert_eq!(verdict(&mut verdicts).await, (4, "PENDING".to_owned()));
}

#[tokio::test]
async fn a_hundred_submissions_of_the_same_bytes_at_once_debit_once_and_are_answered_alike() {
    let api = Api::start().await;
    let pay = ALICE.pay(0, BOB.address(), 5);
    let form = v1::submit_transaction_request::Form::TransactionBytes(pay.to_canonical().into());
    let mut answers = Vec::new();
    let channels = join_all((0..4).map(|_| api.channel())).await;
    let calls = (0..100).map(|n| {
        let mut client = LedgerServiceClient::new(channels[n % channels.len()].clone());
        let request = v1::SubmitTransactionRequest { form: Some(form.clone()) };
        async move { client.submit_transaction(request).await.unwrap().into_inner().status.unwrap() }
    });
    answers.extend(join_all(calls).await);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let status = TransactionStatus::try_from(answers[0].clone()).unwrap();
    assert_eq!(status.standing, TransactionStanding::Pending);
    assert_eq!(api.mempool.stats().executable, 1);
    assert_eq!(api.mempool.account_pending(&ALICE.address()).outgoing, pay.transaction().total());

    let before = api.test.chain.view().account(&ALICE.address()).unwrap().balance;
    api.include(vec![pay.clone()], 1).await;
    let again = join_all((0..100).map(|n| {
        let mut client = LedgerServiceClient::new(channels[n % channels.len()].clone());
        let request = v1::SubmitTransactionRequest { form: Some(form.clone()) };
        async move { client.submit_transaction(request).await.unwrap().into_inner().status.unwrap() }
    }))
    .await;
    assert!(
        again.iter().all(|answer| *answer == again[0] && answer.state() == v1::TransactionState::Mined),
        "{again:?}"
    );
    let after = api.test.chain.view().account(&ALICE.address()).unwrap().balance;
    assert_eq!(before.checked_sub(after), Some(pay.transaction().total()));
    assert_eq!(
        (api.mempool.stats().executable, api.mempool.account_pending(&ALICE.address()).outgoing),
        (0, Mites::ZERO)
    );
}
