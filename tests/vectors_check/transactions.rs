//! Signed transactions, without any state.

use farthing::{BlockId, PublicKey, Sender, SignedTransaction, VerifyingKey, codec::Canonical as _};

use super::{Case, Vectors, network, refusal::Refusal, typed};

/// Reads a transaction and, if it carries its key, checks its signature: all that needs no state.
fn read(case: Case<'_>) -> Result<SignedTransaction, Refusal> {
    let signed = SignedTransaction::from_canonical(&case.bytes("signed_bytes"))?;
    if let Sender::Key(key) = signed.transaction().sender() {
        signed.verify(&case.hash("genesis_id"), &VerifyingKey::new(key)?)?;
    }
    Ok(signed)
}

#[test]
fn transactions_are_read_and_refused_as_the_vectors_say() {
    let file = Vectors::open("transactions", &["transactions", "refused_transactions"]);
    for case in file.cases("transactions") {
        let genesis: BlockId = case.hash("genesis_id");
        assert_eq!(*network(case.text("network")).genesis_id(), genesis, "{case}");
        let signed = read(case).unwrap_or_else(|refusal| panic!("{case}: {refusal:?}"));
        assert_eq!(signed, typed::signed_transaction(case.object("transaction")), "{case}");
        assert_eq!(signed.to_canonical(), case.bytes("signed_bytes"), "{case}");
        let transaction = signed.transaction();
        assert_eq!(transaction.to_canonical(), case.bytes("body"), "{case}");
        assert_eq!(transaction.message(&genesis), case.bytes("signed_message"), "{case}");
        assert_eq!(transaction.id(&genesis), case.hash("transaction_id"), "{case}");
        assert_eq!(transaction.sender_address(), case.hash("sender_address"), "{case}");
        assert_eq!(signed.wire_id(), case.hash("wire_id"), "{case}");
        assert_eq!(signed.size_bytes(), case.small::<usize>("size_bytes"), "{case}");
        assert_eq!(signed.signature().size().signature_units(), case.small::<u64>("signature_units"), "{case}");
        let signer = PublicKey::from_spki(&case.bytes("signer_public_key_spki")).expect("a key of a valid case");
        let signer = VerifyingKey::new(&signer).expect("a key of a valid case");
        assert_eq!(signed.verify(&genesis, &signer), Ok(()), "{case}");
    }
    for case in file.cases("refused_transactions") {
        case.refused(read(case));
    }
}
