//! Transfers that are waited for.

use farthing::{Output, SignedTransaction, Transaction, codec::Canonical as _, tx::TransactionFields};
use v1::submit_transaction_and_wait_request::{Form, WaitFor};

use super::*;
use crate::testing::{ALICE, BOB};

type Answer = Result<v1::SubmitTransactionAndWaitResponse, Status>;

fn request(
    signed: &SignedTransaction,
    wait_for: Option<WaitFor>,
    timeout_ms: u32,
) -> v1::SubmitTransactionAndWaitRequest {
    let form = Some(Form::TransactionBytes(signed.to_canonical().into()));
    v1::SubmitTransactionAndWaitRequest { form, wait_for, timeout_ms }
}

/// A call in the background.
#[expect(clippy::disallowed_methods, reason = "a client from outside, which ends with the test")]
fn begin(api: &Api, request: v1::SubmitTransactionAndWaitRequest) -> tokio::task::JoinHandle<Answer> {
    let channel = Endpoint::from_shared(format!("http://{}", api.address)).unwrap().connect_lazy();
    tokio::spawn(async move {
        let mut client = LedgerServiceClient::new(channel);
        Ok(client.submit_transaction_and_wait(request).await?.into_inner())
    })
}

async fn end(call: tokio::task::JoinHandle<Answer>) -> Answer {
    tokio::time::timeout(PATIENCE, call).await.expect("an answer in time").unwrap()
}

/// Until the pool has it.
async fn waiting(api: &Api, count: usize) {
    let mut stats = api.mempool.watch();
    let arrived = stats.wait_for(|stats| stats.executable == count);
    tokio::time::timeout(PATIENCE, arrived).await.expect("it arrives").unwrap();
}

#[tokio::test]
async fn a_transfer_is_waited_for_until_it_is_accepted_mined_or_as_deep_as_asked_for() {
    let api = Api::start().await;
    let pay = ALICE.pay(0, BOB.address(), 5);
    let accepted = end(begin(&api, request(&pay, Some(WaitFor::Accepted(true)), 0))).await.unwrap();
    assert_eq!((accepted.status.unwrap().state(), accepted.timed_out), (v1::TransactionState::Pending, false));

    let mined = begin(&api, request(&pay, None, 0));
    let deep = begin(&api, request(&pay, Some(WaitFor::Confirmations(3)), 0));
    let block = api.include(vec![pay.clone()], 1).await;
    let answer = end(mined).await.unwrap();
    let status = answer.status.unwrap();
    assert_eq!((status.state(), answer.timed_out), (v1::TransactionState::Mined, false));
    assert_eq!((status.block_id_hex, status.block_height), (block.to_string(), 1));
    api.grow(1, 1).await;
    assert!(!deep.is_finished(), "two blocks are not three");
    api.grow(1, 1).await;
    let status = end(deep).await.unwrap().status.unwrap();
    assert_eq!((status.state(), status.confirmations), (v1::TransactionState::Mined, 3));
    // What is there already is not waited for.
    let again = end(begin(&api, request(&pay, Some(WaitFor::Mined(true)), 1))).await.unwrap();
    assert_eq!((again.status.unwrap().state(), again.timed_out), (v1::TransactionState::Mined, false));
}

#[tokio::test]
async fn a_wait_that_is_over_leaves_the_transfer_submitted_and_says_so() {
    let api = Api::start().await;
    let pay = ALICE.pay(0, BOB.address(), 5);
    let answer = end(begin(&api, request(&pay, None, 50))).await.unwrap();
    assert_eq!((answer.status.unwrap().state(), answer.timed_out), (v1::TransactionState::Pending, true));
    assert_eq!(api.mempool.stats().executable, 1);
    api.include(vec![pay.clone()], 1).await;
    let answer = end(begin(&api, request(&pay, Some(WaitFor::Confirmations(2)), 50))).await.unwrap();
    assert_eq!((answer.status.unwrap().state(), answer.timed_out), (v1::TransactionState::Mined, true));
}

#[tokio::test]
async fn a_transfer_that_is_dropped_while_it_is_waited_for_is_answered_with_the_reason() {
    let api = Api::start().await;
    let call = begin(&api, request(&ALICE.pay(0, BOB.address(), 5), None, 0));
    waiting(&api, 1).await;
    let dearer = Transaction::new(TransactionFields {
        sender: ALICE.pay(0, BOB.address(), 5).transaction().sender().clone(),
        nonce: 0,
        fee: farthing::Mites::new(90_000_000),
        valid_until: None,
        outputs: vec![Output { to: BOB.address(), amount: farthing::Mites::new(1) }],
        memo: Vec::new(),
    });
    let dearer = ALICE.sign(dearer.unwrap());
    let form = v1::submit_transaction_request::Form::Transaction((&dearer).into());
    let replacing = v1::SubmitTransactionRequest { form: Some(form) };
    api.client().await.submit_transaction(replacing).await.unwrap();
    let answer = end(call).await.unwrap();
    let status = answer.status.unwrap();
    assert_eq!((status.state(), status.reason.as_str()), (v1::TransactionState::Replaced, "REPLACED"));
    assert_eq!(status.replaced_by_hex, dearer.transaction().id(dev().genesis_id()).to_string());
    assert!(!answer.timed_out);
}

#[tokio::test]
async fn what_is_refused_is_refused_at_once_and_what_is_asked_wrongly_by_name() {
    let api = Api::start().await;
    let error = end(begin(&api, request(&ALICE.pay(0, BOB.address(), 2_000_000), None, 0))).await.unwrap_err();
    assert_eq!(facts(&error).1, "INSUFFICIENT_BALANCE");
    let pay = ALICE.pay(0, BOB.address(), 5);
    for (wait_for, timeout_ms, message) in [
        (Some(WaitFor::Confirmations(10_001)), 0, "confirmations: expected 0 to 10000, got 10001"),
        (Some(WaitFor::Mined(false)), 0, "mined: expected true, or another field of wait_for"),
        (None, 300_001, "timeout_ms: expected 1 to 300000, got 300001"),
    ] {
        let error = end(begin(&api, request(&pay, wait_for, timeout_ms))).await.unwrap_err();
        assert_eq!((facts(&error).1.as_str(), error.message()), ("INVALID_FIELD", message));
    }
    assert_eq!(api.mempool.stats().executable, 0, "nothing of that was taken");
}

#[tokio::test]
async fn a_node_that_stops_tells_those_who_wait_what_to_ask_for_elsewhere() {
    let api = Api::start().await;
    let pay = ALICE.pay(0, BOB.address(), 5);
    let call = begin(&api, request(&pay, None, 0));
    waiting(&api, 1).await;
    api.test.tasks.stop();
    let (code, reason, metadata) = facts(&end(call).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::Unavailable, "STOPPING"));
    assert_eq!(metadata["transaction_id"], pay.transaction().id(dev().genesis_id()).to_string());
}

#[tokio::test]
async fn a_node_that_cannot_see_what_is_mined_waits_for_nothing_that_it_would_miss() {
    let api = Api::start_on(TestChain::without_transaction_index(), Pool::default(), |_| ()).await;
    let pay = ALICE.pay(0, BOB.address(), 5);
    for wait_for in [None, Some(WaitFor::Mined(true)), Some(WaitFor::Confirmations(2))] {
        let error = end(begin(&api, request(&pay, wait_for, 100))).await.unwrap_err();
        assert_eq!((facts(&error).0, facts(&error).1.as_str()), (Code::FailedPrecondition, "TRANSACTION_INDEX_OFF"));
    }
    assert_eq!(api.mempool.stats().executable, 0, "nothing of that was taken");
    let accepted = end(begin(&api, request(&pay, Some(WaitFor::Accepted(true)), 0))).await.unwrap();
    assert_eq!(accepted.status.unwrap().state(), v1::TransactionState::Pending);
    let id = pay.transaction().id(dev().genesis_id());
    assert!(mempool::Ledger::may_be_mined(&api.test.chain, &id), "nobody can tell that it is not");
    // What waits it knows; of everything else it cannot say that it is not there.
    let known = api.transaction(&pay).await.unwrap();
    assert_eq!(known.status.unwrap().state(), v1::TransactionState::Pending);
    api.include(vec![pay.clone()], 1).await;
    let mut pool = api.mempool.watch();
    let followed = pool.wait_for(|stats| stats.height == Height::new(1));
    tokio::time::timeout(PATIENCE, followed).await.unwrap().unwrap();
    let mut client = api.client().await;
    let bytes = id.to_bytes().to_vec();
    let name = Some(v1::get_transaction_proof_request::Id::TransactionId(bytes.into()));
    let proof = client.get_transaction_proof(v1::GetTransactionProofRequest { id: name }).await.unwrap_err();
    for error in [api.transaction(&pay).await.unwrap_err(), proof] {
        let (code, reason, metadata) = facts(&error);
        assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "TRANSACTION_INDEX_OFF"));
        assert_eq!(metadata["transaction_id"], id.to_string());
    }
}
