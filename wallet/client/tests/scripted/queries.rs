//! Calls that wait, estimate or prove: what is checked, and what is tried again.

use std::time::Duration;

use farthing::{
    Address, Hash, Header, Height, Mites, Params, RangeNode, SignedTransaction, TimeMs, TransactionProof,
    chain_proof::ChainProof,
    header::commitment,
    merkle::{tx_path, tx_root},
    transaction_proof::Anchor,
    wire::{ChainPoint, TransactionStanding, TransactionStatus, v1},
};
use farthing_client::{Error, Trust, WaitFor, verify::VerifyError};
use tonic::Code;

use crate::{
    node::{Deed, Node, builder, client, params, point},
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
    ChainProof(v1::GetChainProofResponse),
    Estimate(v1::EstimateFeeResponse),
    Fees(v1::GetFeesResponse),
}

pub(crate) fn why(error: Error) -> VerifyError {
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

/// The proof of a chain of genesis alone, and its tip.
fn chain_proof() -> (ChainProof, ChainPoint) {
    let tip = params().genesis().header;
    let proof = ChainProof { tip, accounts_root: Hash::ZERO, count: 0, shown: Vec::new(), nodes: Vec::new() };
    (proof, ChainPoint { block_id: tip.id(), ..point(0, 2) })
}

#[tokio::test]
async fn a_proof_of_the_chain_is_held_against_the_check_and_a_node_that_fails_it_is_left() {
    #[derive(Debug, PartialEq, thiserror::Error)]
    #[error("no")]
    struct No;
    let (liar, honest) = (Node::start().await, Node::start().await);
    let (good, tip) = chain_proof();
    let bad = ChainProof { accounts_root: Hash::from_bytes([1; 32]), ..good.clone() };
    let answer = |proof: &ChainProof, tip: &ChainPoint| {
        let (proof, tip) = (Some(proof.into()), Some(tip.into()));
        Some(Answer::ChainProof(v1::GetChainProofResponse { proof, tip }))
    };
    let check = |network: &Params, proof: &ChainProof| {
        assert_eq!(network.genesis_id(), params().genesis_id());
        if proof.accounts_root == Hash::ZERO { Ok(proof.count + 7) } else { Err(No) }
    };
    liar.state().answer = answer(&bad, &tip);
    honest.state().answer = answer(&good, &tip);
    let shown = client([&liar, &honest]).chain_proof(check).await.unwrap();
    assert_eq!((shown.proven, &shown.proof, shown.tip), (7, &good, tip));
    assert_eq!((liar.state().calls("chain"), honest.state().calls("chain")), (1, 1));
    match why(client([&liar]).chain_proof(check).await.unwrap_err()) {
        VerifyError::ChainProof(cause) => assert_eq!(cause.downcast_ref(), Some(&No)),
        other => panic!("{other:?}"),
    }
    // A good proof, but of another tip than the node names, and at another height.
    let elsewhere = [ChainPoint { height: Height::new(1), ..tip }, point(0, 2)];
    for tip in elsewhere {
        liar.state().answer = answer(&good, &tip);
        let error = why(client([&liar]).chain_proof(check).await.unwrap_err());
        assert!(matches!(error, VerifyError::OtherAnswer { .. }), "{error}");
    }
}

#[tokio::test]
async fn estimates_are_asked_for_what_is_paid_and_read_each_by_its_name() {
    let node = Node::start().await;
    let price = |rate: u64| v1::FeeEstimate {
        fee_mites: rate * 366 + 7,
        rate_mites_per_byte: rate,
        burned_mites: 7,
        expected_within_blocks: 10 - u32::try_from(rate).unwrap(),
        expected_by_height: 19 - rate,
    };
    let good = v1::EstimateFeeResponse {
        slow: Some(price(1)),
        normal: Some(price(2)),
        fast: Some(price(9)),
        size_bytes: 366,
        key_bits: 2_048,
        tip: Some((&point(9, 20)).into()),
    };
    node.state().will("estimate", [Deed::Refuse(Code::Unavailable, "SYNCING", Some(Duration::ZERO))]);
    node.state().answer = Some(Answer::Estimate(good.clone()));
    let recipients = [[4; 32], [5; 32]].map(Address::from_bytes);
    let told = client([&node]).estimate_fee(&recipients).await.unwrap();
    let read = |one: farthing_client::FeeEstimate| {
        (one.fee.get(), one.rate_mites_per_byte, one.burned.get(), one.within_blocks, one.by_height.get())
    };
    assert_eq!(read(told.slow), (373, 1, 7, 9, 18));
    assert_eq!(read(told.normal), (739, 2, 7, 8, 17));
    assert_eq!(read(told.fast), (3_301, 9, 7, 1, 10));
    assert_eq!((told.size_bytes, told.key_bits, told.tip), (366, 2_048, point(9, 20)));
    let asked = node.state().estimates.clone();
    let shape = v1::TransactionShape {
        recipients: recipients.iter().map(|address| address.to_bytes().to_vec().into()).collect(),
        ..Default::default()
    };
    let subject = Some(v1::estimate_fee_request::Subject::Shape(shape));
    assert_eq!(asked, vec![v1::EstimateFeeRequest { subject }; 2], "and again what passes");
    type Forget = fn(&mut v1::EstimateFeeResponse);
    let forgets: [(&str, Forget); 4] = [
        ("slow", |answer| answer.slow = None),
        ("normal", |answer| answer.normal = None),
        ("fast", |answer| answer.fast = None),
        ("tip", |answer| answer.tip = None),
    ];
    for (field, forget) in forgets {
        let mut answer = good.clone();
        forget(&mut answer);
        node.state().answer = Some(Answer::Estimate(answer));
        match client([&node]).estimate_fee(&recipients).await.unwrap_err() {
            Error::Malformed { source, .. } => assert_eq!(source.to_string(), format!("{field}: is required")),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn fees_are_told_as_they_come_from_a_node_that_is_not_behind() {
    let (behind, ahead) = (Node::start().await, Node::start().await);
    behind.state().tip = Some(point(5, 12));
    ahead.state().tip = Some(point(100, 202));
    let good = v1::GetFeesResponse {
        floor_mites_per_byte: 3,
        opening_cost_mites: 9,
        levels: vec![v1::FeeLevel { min_rate_mites_per_byte: 3, transaction_count: 2, size_bytes: 732 }],
        tip: Some((&point(100, 202)).into()),
        ..Default::default()
    };
    ahead.state().answer = Some(Answer::Fees(good.clone()));
    let told = client([&behind, &ahead]).fees().await.unwrap();
    assert_eq!(told, good);
    assert_eq!((behind.state().calls("fees"), ahead.state().calls("fees")), (0, 1));
    ahead.state().answer = Some(Answer::Fees(v1::GetFeesResponse { tip: None, ..good }));
    let error = client([&ahead]).fees().await.unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
}
