//! Calls that wait, estimate or prove, and headers: what is checked, and what is tried again.

use std::time::Duration;

use farthing::{
    Hash, Header, Height, Mites, RangeNode, SignedTransaction, TimeMs, TransactionProof,
    codec::Canonical as _,
    header::commitment,
    merkle::{tx_path, tx_root},
    transaction_proof::Anchor,
    wire::{ChainPoint, TransactionStanding, TransactionStatus, v1},
};
use farthing_client::{Error, HeadersFrom, Trust, WaitFor, verify::VerifyError};
use tonic::Code;

use crate::{
    node::{Deed, Node, builder, chain, client, params, point},
    retries::transfer,
};

/// What the methods that are asked for one thing answer.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "a test makes one or two")]
pub(crate) enum Answer {
    Wait(v1::SubmitTransactionAndWaitResponse),
    Simulation(v1::SimulateTransactionResponse),
    Supply(v1::GetSupplyResponse),
    Proof(v1::GetTransactionProofResponse),
}

/// The messages of one stream of headers, and how it breaks if it does.
pub(crate) type HeaderParts = Vec<Result<v1::GetHeadersResponse, (Code, &'static str)>>;

fn why(error: Error) -> VerifyError {
    match error {
        Error::Unproven { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

fn status(transfer: &SignedTransaction, standing: TransactionStanding) -> v1::TransactionStatus {
    let id = transfer.transaction().id(params().genesis_id());
    (&TransactionStatus { id, standing }).into()
}

#[tokio::test]
async fn a_wait_goes_on_elsewhere_for_what_is_left_of_its_time() {
    let (first, second) = (Node::start().await, Node::start().await);
    first.state().will("wait", [Deed::Refuse(Code::Unavailable, "STOPPING", None)]);
    let mined = status(&transfer(), TransactionStanding::Pending);
    second.state().answer =
        Some(Answer::Wait(v1::SubmitTransactionAndWaitResponse { status: Some(mined), timed_out: true }));
    let time = Duration::from_secs(200);
    let waited = client([&first, &second]).submit_and_wait(&transfer(), WaitFor::Confirmations(3), time).await.unwrap();
    assert!(waited.timed_out && waited.status.standing == TransactionStanding::Pending);
    let asked = [&first, &second].map(|node| node.state().waits.pop().unwrap());
    assert!(asked[0].timeout_ms <= 200_000 && asked[1].timeout_ms <= asked[0].timeout_ms, "{asked:?}");
    let wanted = Some(v1::submit_transaction_and_wait_request::WaitFor::Confirmations(3));
    assert!(asked.iter().all(|request| request.wait_for == wanted && request.timeout_ms > 100_000), "{asked:?}");
}

#[tokio::test]
async fn a_wait_may_take_longer_than_the_deadline_of_other_calls() {
    let node = Node::start().await;
    node.state().will("wait", [Deed::Hang]);
    let quick = builder([&node]).deadline(Duration::from_millis(20)).retry(farthing_client::RetryPolicy::never());
    let wait = Duration::from_millis(200);
    let error = quick.build().unwrap().submit_and_wait(&transfer(), WaitFor::Mined, wait).await.unwrap_err();
    let expected = Duration::from_millis(220);
    assert!(matches!(error, Error::Deadline { after, .. } if after == expected), "{error:?}");
}

#[tokio::test]
async fn a_simulation_is_of_the_transfer_asked_about_and_a_refusal_in_it_is_no_error() {
    let node = Node::start().await;
    let id = transfer().transaction().id(params().genesis_id());
    let refused = v1::simulate_transaction_response::Verdict::Error(crate::node::refusal_message("NONCE_TOO_LOW"));
    let good = v1::SimulateTransactionResponse {
        verdict: Some(refused),
        transaction_id: id.to_bytes().to_vec().into(),
        size_bytes: 366,
        ..Default::default()
    };
    node.state().answer = Some(Answer::Simulation(good.clone()));
    let told = client([&node]).simulate(&transfer()).await.unwrap();
    assert_eq!(told.verdict.unwrap_err().number("expected_nonce"), Some(7));
    assert_eq!((told.id, told.particulars.size_bytes), (id, 366));
    let other = v1::SimulateTransactionResponse { transaction_id: vec![1; 32].into(), ..good };
    node.state().answer = Some(Answer::Simulation(other));
    assert!(matches!(why(client([&node]).simulate(&transfer()).await.unwrap_err()), VerifyError::OtherAnswer { .. }));
}

#[tokio::test]
async fn a_supply_that_does_not_add_up_is_not_believed() {
    let node = Node::start().await;
    let allocated: u64 = params().allocations.iter().map(|allocation| allocation.amount.get()).sum();
    let good = v1::GetSupplyResponse {
        tip: Some((&point(3, 4)).into()),
        allocated_mites: allocated,
        subsidies_mites: 70,
        burned_mites: 10,
        immature_mites: 20,
        circulating_mites: allocated + 40,
        supply_mites: allocated + 60,
    };
    let ask = async |supply: v1::GetSupplyResponse| {
        node.state().answer = Some(Answer::Supply(supply));
        client([&node]).supply().await
    };
    assert_eq!(ask(good.clone()).await.unwrap().supply, Mites::new(allocated + 60));
    let wrong: [fn(&mut v1::GetSupplyResponse); 3] =
        [|one| one.allocated_mites -= 1, |one| one.burned_mites = 0, |one| one.immature_mites = 21];
    for change in wrong {
        let mut supply = good.clone();
        change(&mut supply);
        assert!(matches!(why(ask(supply).await.unwrap_err()), VerifyError::Supply(_)));
    }
}

/// The proof that the transfer is in block 1, which is the tip, and that tip.
fn proof() -> (TransactionProof, ChainPoint) {
    let genesis = params().genesis().header;
    let range = RangeNode::leaf(&genesis, genesis.bits.target().unwrap().work().unwrap());
    let (accounts_root, signed) = (Hash::from_bytes([5; 32]), transfer());
    let leaves = [Hash::from_bytes([1; 32]), Hash::from_bytes(signed.wire_id().to_bytes())];
    let mut header = Header {
        previous: genesis.id(),
        commitment: commitment(&accounts_root, &range.chain_root()),
        tx_root: tx_root(&leaves),
        time: TimeMs::new(genesis.time.get() + 1),
        ..genesis
    };
    while !header.has_work() {
        header.nonce += 1;
    }
    let anchor = Anchor::Tip { accounts_root, range };
    let tip = ChainPoint { block_id: header.id(), ..point(1, 4) };
    (TransactionProof { signed, header, path: tx_path(&leaves, 1).unwrap(), anchor }, tip)
}

#[tokio::test]
async fn a_proof_of_a_transfer_is_checked_up_to_the_work_of_its_headers() {
    let node = Node::start().await;
    let id = transfer().transaction().id(params().genesis_id());
    let answer = |proof: &TransactionProof, tip: &ChainPoint| {
        let (proof, tip) = (Some(proof.into()), Some(tip.into()));
        Some(Answer::Proof(v1::GetTransactionProofResponse { proof, tip, ..Default::default() }))
    };
    let (good, tip) = proof();
    node.state().answer = answer(&good, &tip);
    let mined = client([&node]).transaction_proof(&id).await.unwrap();
    assert_eq!((mined.proven.height, mined.proven.index, mined.proven.confirmations()), (Height::new(1), 1, 1));
    let other = farthing::TxId::from_bytes([2; 32]);
    let error = why(client([&node]).transaction_proof(&other).await.unwrap_err());
    assert!(matches!(error, VerifyError::TransactionProof(_)), "{error}");
    node.state().answer = answer(&good, &point(1, 4));
    let error = why(client([&node]).transaction_proof(&id).await.unwrap_err());
    assert!(matches!(error, VerifyError::TransactionProof(_)), "{error}");
    let mut lazy = good;
    while lazy.header.has_work() {
        lazy.header.nonce += 1;
    }
    node.state().answer = answer(&lazy, &ChainPoint { block_id: lazy.header.id(), ..tip });
    let error = why(client([&node]).transaction_proof(&id).await.unwrap_err());
    assert!(matches!(error, VerifyError::NoWork(_)), "{error}");
    let believing = builder([&node]).trust(Trust::Believe).build().unwrap();
    believing.transaction_proof(&id).await.unwrap();
}

/// A message with the headers of a chain from one height to below another.
fn message(of: &[farthing::Block], from: usize, to: usize) -> v1::GetHeadersResponse {
    let headers_bytes = of[from..to].iter().map(|block| block.header.to_canonical().into()).collect();
    let run = v1::HeaderRun { headers_bytes, first_height: from as u64 };
    let event = Some(v1::get_headers_response::Event::Headers(run));
    v1::GetHeadersResponse { event, tip: Some((&point(9, 20)).into()) }
}

#[tokio::test]
async fn headers_go_on_behind_the_last_one_on_another_node_when_the_line_breaks() {
    let (first, second) = (Node::start().await, Node::start().await);
    let ours = chain(9, 9, 0);
    first.state().headers.extend([vec![Ok(message(&ours, 2, 4)), Err((Code::Unavailable, "STOPPING"))]]);
    second.state().headers.extend([vec![Ok(message(&ours, 4, 6)), Ok(message(&ours, 6, 9))]]);
    let mut headers = client([&first, &second]).headers(HeadersFrom::Height(Height::new(2)), None);
    let mut heights = Vec::new();
    while let Some(batch) = headers.next().await.unwrap() {
        let expected = ours[usize::try_from(batch.first.get()).unwrap()..].iter().map(farthing::Block::id);
        assert!(batch.headers.iter().map(|(id, _)| *id).eq(expected.take(batch.headers.len())));
        heights.push((batch.first.get(), batch.headers.len()));
    }
    assert_eq!(heights, [(2, 2), (4, 2), (6, 3)]);
    let start = second.state().headers_asked.pop().unwrap().start;
    let id = ours[3].id().to_bytes().to_vec().into();
    assert_eq!(start, Some(v1::get_headers_request::Start::AfterBlockId(id)));
}

#[tokio::test]
async fn headers_that_are_not_one_chain_or_have_no_work_are_not_believed() {
    let (ours, theirs) = (chain(6, 6, 0), chain(6, 2, 7));
    let mut mixed = ours.clone();
    mixed[4] = theirs[4].clone();
    let mut lazy = ours.clone();
    while lazy[3].header.has_work() {
        lazy[3].header.nonce += 1;
    }
    type Expected = fn(&VerifyError) -> bool;
    let cases: [(Vec<v1::GetHeadersResponse>, Expected); 4] = [
        (vec![message(&mixed, 2, 6)], |error| matches!(error, VerifyError::Parent { .. })),
        // Also across messages.
        (vec![message(&ours, 2, 4), message(&mixed, 4, 5)], |error| matches!(error, VerifyError::Parent { .. })),
        (vec![message(&ours, 3, 5)], |error| matches!(error, VerifyError::BlockHeight { .. })),
        (vec![message(&lazy, 2, 4)], |error| matches!(error, VerifyError::NoWork(_))),
    ];
    for (at, (messages, expected)) in cases.into_iter().enumerate() {
        let node = Node::start().await;
        node.state().headers.push_back(messages.into_iter().map(Ok).collect());
        let once = builder([&node]).retry(farthing_client::RetryPolicy::never()).build().unwrap();
        let mut headers = once.headers(HeadersFrom::Height(Height::new(2)), None);
        let error = loop {
            match headers.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("case {at} was believed"),
                Err(error) => break why(error),
            }
        };
        assert!(expected(&error), "case {at}: {error}");
    }
}
