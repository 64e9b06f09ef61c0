//! What is tried again, when, and how often.

use std::time::{Duration, Instant};

use farthing::{
    Address, Mites, Output, Sender, Signature, SignedTransaction, Transaction, codec::Canonical as _,
    tx::TransactionFields,
};
use farthing_client::{Error, RetryPolicy};
use tonic::Code;

use crate::node::{Deed, Node, builder, client};

const SOMEBODY: Address = Address::from_bytes([3; 32]);

pub(crate) fn transfer() -> SignedTransaction {
    let transaction = Transaction::new(TransactionFields {
        sender: Sender::Address(SOMEBODY),
        nonce: 1,
        fee: Mites::new(1),
        valid_until: None,
        outputs: vec![Output { to: Address::from_bytes([4; 32]), amount: Mites::new(2) }],
        memo: Vec::new(),
    });
    SignedTransaction::new(transaction.unwrap(), Signature::from_bytes(&[7; 256]).unwrap()).unwrap()
}

#[tokio::test]
async fn what_passes_is_tried_again_and_every_other_refusal_is_told_at_once() {
    let retried = [
        Deed::Refuse(Code::Unavailable, "SYNCING", Some(Duration::ZERO)),
        Deed::Refuse(Code::Unavailable, "STOPPING", None),
        Deed::Refuse(Code::ResourceExhausted, "OVERLOADED", Some(Duration::from_millis(1))),
        Deed::Refuse(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", None),
        Deed::Break(Code::Unavailable),
        Deed::Break(Code::Unknown),
    ];
    for deed in retried {
        let node = Node::start().await;
        node.state().will("account", [deed.clone(), deed.clone()]);
        client([&node]).account(&SOMEBODY).await.unwrap_or_else(|error| panic!("{deed:?}: {error}"));
        assert_eq!(node.state().calls("account"), 3, "{deed:?}");
    }
    let told = [
        Deed::Refuse(Code::InvalidArgument, "INVALID_FIELD", None),
        Deed::Refuse(Code::FailedPrecondition, "NONCE_TOO_LOW", None),
        Deed::Refuse(Code::NotFound, "TRANSACTION_NOT_FOUND", None),
        Deed::Refuse(Code::OutOfRange, "HEIGHT_ABOVE_TIP", None),
        Deed::Refuse(Code::ResourceExhausted, "REQUEST_TOO_LARGE", None),
        Deed::Refuse(Code::FailedPrecondition, "BLOCK_PRUNED", None),
        Deed::Refuse(Code::Internal, "INTERNAL", None),
        Deed::Break(Code::Unimplemented),
    ];
    for deed in told {
        let node = Node::start().await;
        node.state().will("account", [deed.clone()]);
        client([&node]).account(&SOMEBODY).await.unwrap_err();
        assert_eq!(node.state().calls("account"), 1, "{deed:?}");
    }
}

#[tokio::test]
async fn a_refusal_has_its_reason_its_particulars_and_advice() {
    let node = Node::start().await;
    node.state().will("submit", [Deed::Refuse(Code::FailedPrecondition, "NONCE_TOO_LOW", None)]);
    let error = client([&node]).submit(&transfer()).await.unwrap_err();
    assert!(error.is_definite() && !error.is_temporary() && error.is_refused_for("NONCE_TOO_LOW"));
    let refusal = error.refusal().unwrap();
    assert_eq!((refusal.code, refusal.number("expected_nonce")), (Code::FailedPrecondition, Some(7)));
    assert!(error.advice().contains("next nonce"), "{}", error.advice());
    assert_eq!(
        error.to_string(),
        format!("the node at {} refuses: no, because of NONCE_TOO_LOW [NONCE_TOO_LOW]", node.url)
    );
}

#[tokio::test]
async fn the_time_that_a_node_names_is_waited_for_and_not_begun_if_it_is_too_long() {
    let wait = Duration::from_millis(400);
    let node = Node::start().await;
    let limited = |time| Deed::Refuse(Code::ResourceExhausted, "RATE_LIMITED", Some(time));
    node.state().will("account", [limited(wait)]);
    let begin = Instant::now();
    client([&node]).account(&SOMEBODY).await.unwrap();
    assert!(begin.elapsed() >= wait, "{:?}", begin.elapsed());
    assert_eq!(node.state().calls("account"), 2);

    node.state().will("account", [limited(Duration::from_secs(3_600))]);
    let error = client([&node]).account(&SOMEBODY).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().retry_after, Some(Duration::from_secs(3_600)));
    assert!(error.is_temporary());
    assert_eq!(node.state().calls("account"), 3);
}

#[tokio::test]
async fn attempts_are_counted_and_the_last_error_is_kept() {
    let node = Node::start().await;
    node.state().will("account", vec![Deed::Refuse(Code::Unavailable, "STORE_FAILED", None); 10]);
    let policy = RetryPolicy { attempts: 3, first_pause: Duration::from_millis(1), ..RetryPolicy::default() };
    let error = builder([&node]).retry(policy).build().unwrap().account(&SOMEBODY).await.unwrap_err();
    let Error::Exhausted { attempts: 3, last, .. } = &error else { panic!("{error:?}") };
    assert!(last.is_refused_for("STORE_FAILED") && error.is_refused_for("STORE_FAILED"));
    assert_eq!(node.state().calls("account"), 3);
    let once = builder([&node]).retry(RetryPolicy::never()).build().unwrap();
    assert!(matches!(once.account(&SOMEBODY).await.unwrap_err(), Error::Refused(_)));
    assert_eq!(node.state().calls("account"), 4);
}

#[tokio::test]
async fn the_total_time_ends_a_call_whatever_the_number_of_attempts() {
    let node = Node::start().await;
    node.state().will("account", vec![Deed::Break(Code::Unavailable); 10_000]);
    let total = Duration::from_millis(300);
    let policy =
        RetryPolicy { attempts: u32::MAX, total, first_pause: Duration::from_millis(5), ..RetryPolicy::default() };
    let begin = Instant::now();
    let error = builder([&node]).retry(policy).build().unwrap().account(&SOMEBODY).await.unwrap_err();
    // No pause reaches beyond it; the attempt under way may.
    assert!(matches!(error, Error::Exhausted { .. }), "{error:?}");
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_node_that_does_not_answer_in_time_is_asked_again() {
    let node = Node::start().await;
    node.state().will("account", [Deed::Hang]);
    let client = builder([&node]).deadline(Duration::from_millis(200)).build().unwrap();
    client.account(&SOMEBODY).await.unwrap();
    assert_eq!(node.state().calls("account"), 2);
}

#[tokio::test]
async fn a_transfer_whose_answer_is_lost_is_handed_in_again_byte_for_byte() {
    let node = Node::start().await;
    node.state().will("submit", [Deed::Cut]);
    let transfer = transfer();
    client([&node]).submit(&transfer).await.unwrap();
    assert_eq!(node.state().submitted, vec![transfer.to_canonical(); 2]);
}

#[tokio::test]
async fn a_refusal_behind_a_lost_answer_does_not_say_that_nothing_was_taken() {
    let node = Node::start().await;
    node.state().will("submit", [Deed::Cut, Deed::Refuse(Code::FailedPrecondition, "NONCE_TOO_LOW", None)]);
    let error = client([&node]).submit(&transfer()).await.unwrap_err();
    assert!(error.is_refused_for("NONCE_TOO_LOW") && !error.is_definite(), "{error:?}");
}
