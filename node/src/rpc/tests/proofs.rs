//! Proofs over the wire, checked with the protocol crate alone.

use farthing::{
    TransactionProof, TxId,
    transaction_proof::{Anchor, ProvenTransaction},
    wire::{AnchoredProof, ChainPoint},
};

use super::*;
use crate::testing::{ALICE, BOB};

fn id_of(signed: &SignedTransaction) -> TxId {
    signed.transaction().id(dev().genesis_id())
}

fn by_id(id: TxId) -> v1::GetTransactionProofRequest {
    let id = v1::get_transaction_proof_request::Id::TransactionIdHex(id.to_string());
    v1::GetTransactionProofRequest { id: Some(id) }
}

/// Asks for the proof of a transfer and checks it against the tip that the answer names.
async fn proven(api: &Api, id: TxId) -> (TransactionProof, ProvenTransaction) {
    let answer = api.client().await.get_transaction_proof(by_id(id)).await.unwrap().into_inner();
    let tip = ChainPoint::try_from(answer.tip.unwrap()).unwrap();
    let proof = TransactionProof::try_from(answer.proof.unwrap()).unwrap();
    let proven = proof.verify(&dev(), &id, &tip.block_id).unwrap();
    assert_eq!((proven.tip_height, proven.claimed_work), (tip.height, tip.total_work));
    assert_eq!((answer.height, answer.block_id_hex), (proven.height.get(), proven.block_id.to_string()));
    (proof, proven)
}

#[tokio::test]
async fn a_mined_transfer_is_proven_in_the_tip_and_ever_further_below_it() {
    let api = Api::start().await;
    api.grow(2, 1).await;
    let payments: Vec<_> = (0..3).map(|nonce| ALICE.pay(nonce, BOB.address(), 5)).collect();
    let block = api.include(payments.clone(), 1).await;
    for above in 0..6 {
        for (index, payment) in (1..).zip(&payments) {
            let (proof, proven) = proven(&api, id_of(payment)).await;
            assert_eq!(matches!(proof.anchor, Anchor::Tip { .. }), above == 0);
            assert_eq!((proven.block_id, proven.height, proven.index), (block, Height::new(3), index));
            assert_eq!(proven.confirmations(), above + 1);
            assert_eq!(proof.signed, *payment);
        }
        api.grow(1, 1).await;
    }
}

#[tokio::test]
async fn a_transfer_that_is_not_mined_is_refused_with_its_state() {
    let api = Api::start().await;
    let mut client = api.client().await;
    let unknown = id_of(&ALICE.pay(0, BOB.address(), 5));
    let (code, reason, metadata) = facts(&client.get_transaction_proof(by_id(unknown)).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::NotFound, "TRANSACTION_NOT_FOUND"));
    assert_eq!(metadata["transaction_id"], unknown.to_string());
    for (nonce, state) in [(0, "PENDING"), (2, "QUEUED")] {
        let pay = ALICE.pay(nonce, BOB.address(), 5);
        let verdicts = api.mempool.submit(vec![pay.clone()], crate::mempool::Source::Rpc).await;
        assert!(verdicts.iter().all(Result::is_ok), "{verdicts:?}");
        let (code, reason, metadata) = facts(&client.get_transaction_proof(by_id(id_of(&pay))).await.unwrap_err());
        assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "TRANSACTION_NOT_MINED"));
        assert_eq!((metadata["state"].as_str(), metadata.contains_key("drop_reason")), (state, false));
    }
    // The chain takes another transfer of the same nonce.
    api.include(vec![ALICE.pay(0, BOB.address(), 6)], 1).await;
    let dropped = async {
        while !matches!(api.mempool.status(&unknown), Some(crate::mempool::PoolStatus::Dropped { .. })) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, dropped).await.expect("the mempool follows");
    let (_, reason, metadata) = facts(&client.get_transaction_proof(by_id(unknown)).await.unwrap_err());
    assert_eq!(reason, "TRANSACTION_NOT_MINED");
    assert_eq!((metadata["state"].as_str(), metadata["drop_reason"].as_str()), ("DROPPED", "NONCE_USED"));
    let missing = client.get_transaction_proof(v1::GetTransactionProofRequest { id: None }).await.unwrap_err();
    assert_eq!(facts(&missing).1, "MISSING_FIELD");
}

#[tokio::test]
async fn a_transfer_that_a_reorganisation_moved_is_proven_on_the_new_branch() {
    let api = Api::start().await;
    let fork = api.test.chain.view();
    let pay = ALICE.pay(0, BOB.address(), 5);
    api.include(vec![pay.clone()], 1).await;
    let (_, before) = proven(&api, id_of(&pay)).await;
    let mut view = (*fork).clone();
    for transfers in [vec![], vec![pay.clone()], vec![]] {
        let (block, next) = next_on(&view, transfers, 2);
        api.test.chain.submit_block(block, Origin::Local).await.unwrap();
        view = next;
    }
    let (_, after) = proven(&api, id_of(&pay)).await;
    assert_eq!((before.height, after.height), (Height::new(1), Height::new(2)));
    assert_ne!(before.block_id, after.block_id);
}

#[tokio::test]
async fn the_proof_of_an_account_proves_the_height_too() {
    let api = Api::start().await;
    for height in 0..5 {
        let tip = api.test.chain.view().tip;
        for address in [ALICE.address(), Address::from_bytes([7; 32])] {
            let id = Some(v1::get_account_request::Id::Address(address.to_bytes().to_vec().into()));
            let request = v1::GetAccountRequest { id, with_proof: true };
            let answer = api.client().await.get_account(request).await.unwrap().into_inner();
            let proof = AnchoredProof::try_from(answer.proof.unwrap()).unwrap();
            let account = proof.verify_under(&address, &tip.id()).unwrap();
            assert_eq!(account.is_some(), address == ALICE.address());
            assert_eq!((proof.height, proof.range.map_or(0, |range| range.count)), (Height::new(height), height));
        }
        api.grow(1, 1).await;
    }
}
