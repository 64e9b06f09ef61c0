//! Proofs that transfers were mined, their one encoding, and the samples of chain proofs.

use farthing::{
    Network, TransactionProof, Work,
    chain_proof::{SAMPLES_PER_HALVING, sampled_places},
    transaction_proof::ProvenTransaction,
    wire::{Portable as _, v1},
};
use prost::Message as _;

use super::{Case, Vectors, refusal::Refusal};

fn verify(case: Case<'_>) -> Result<ProvenTransaction, Refusal> {
    let bytes = case.bytes("proof");
    let proof = TransactionProof::from_wire_bytes(&bytes).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!(proof.to_wire_bytes(), bytes, "{case}: written as the second implementation writes it");
    Ok(proof.verify(Network::Dev.params(), &case.hash("transaction_id"), &case.hash("tip_id"))?)
}

#[test]
fn transaction_proofs_and_samples_are_those_of_the_vectors() {
    let lists = ["transaction_proofs", "refused_transaction_proofs", "other_encodings", "chain_proof_samples"];
    let file = Vectors::open("proofs", &lists);
    for case in file.cases("transaction_proofs") {
        let proven = verify(case).unwrap_or_else(|error| panic!("{case}: {error:?}"));
        let heights = (proven.height.get(), proven.tip_height.get());
        assert_eq!(heights, (case.number("height"), case.number("tip_height")), "{case}");
        assert_eq!((proven.index, proven.block_id), (case.number("index"), case.hash("block_id")), "{case}");
        assert_eq!(proven.claimed_work, Work::new(case.number("claimed_work")), "{case}");
    }
    for case in file.cases("refused_transaction_proofs") {
        case.refused(verify(case));
    }
    for case in file.cases("other_encodings") {
        let bytes = case.bytes("proof");
        assert!(v1::TransactionProof::decode(bytes.as_slice()).is_ok(), "{case}: protobuf reads it");
        let error = TransactionProof::from_wire_bytes(&bytes).expect_err("it is not the one encoding");
        assert_eq!(error.to_string(), "message: is not the one encoding of what it says", "{case}");
    }
    for case in file.cases("chain_proof_samples") {
        let (work, tail) = (Work::new(case.number("work")), Work::new(case.number("tail_work")));
        let places = sampled_places(&case.hash("tip_id"), work, tail, SAMPLES_PER_HALVING);
        let expected = case.field("places").as_array().expect("places are a list").iter();
        let expected = expected.map(|place| place.as_str().and_then(|text| text.parse().ok()).expect("a number"));
        assert_eq!(places.into_iter().collect::<Vec<u128>>(), expected.collect::<Vec<_>>(), "{case}");
    }
}
