//! The signature rule, with the sender's key from wherever the caller keeps it \[R-SIG\].

use farthing::{
    Params, SignedTransaction,
    keys::{SignatureError, VerifyingKey},
};

use crate::error::TxError;

/// Checks a transaction's signature on this network with its sender's key: the one that it carries, or the one that
/// the account's first transaction carried on this branch.
///
/// # Errors
/// [`TxError::Signature`]; also if the key is not the sender's at all.
pub fn check_signature(params: &Params, tx: &SignedTransaction, key: &VerifyingKey) -> Result<(), TxError> {
    // One hash beside a verification fifty times as dear: a mixed-up key must never spend another's money.
    if key.public_key().address() != tx.transaction().sender_address() {
        return Err(SignatureError::Mismatch.into());
    }
    Ok(tx.verify(params.genesis_id(), key)?)
}

#[cfg(test)]
mod tests {
    use farthing::{
        Address, BlockId, Mites, Output, PublicKey, Sender, Signature, Transaction, params::Network,
        tx::TransactionFields,
    };
    use rsa::{
        Pkcs1v15Sign, RsaPrivateKey,
        pkcs8::{DecodePrivateKey as _, EncodePublicKey as _},
        sha2::{Digest as _, Sha256},
    };

    use super::*;

    fn private_key() -> RsaPrivateKey {
        let pem = include_str!("../../../tests/vectors/keys/rsa2048.pem");
        RsaPrivateKey::from_pkcs8_pem(pem).unwrap()
    }

    fn public_key() -> PublicKey {
        PublicKey::from_spki(private_key().to_public_key().to_public_key_der().unwrap().as_bytes()).unwrap()
    }

    /// A transfer signed for the network with this genesis.
    fn signed(sender: Sender, genesis: &BlockId) -> SignedTransaction {
        let fields = TransactionFields {
            nonce: u64::from(matches!(sender, Sender::Address(_))),
            sender,
            fee: Mites::ZERO,
            valid_until: None,
            outputs: vec![Output { to: Address::ZERO, amount: Mites::new(1) }],
            memo: Vec::new(),
        };
        let transaction = Transaction::new(fields).unwrap();
        let digest = Sha256::digest(transaction.message(genesis));
        let signature = private_key().sign(Pkcs1v15Sign::new::<Sha256>(), &digest).unwrap();
        SignedTransaction::new(transaction, Signature::from_bytes(&signature).unwrap()).unwrap()
    }

    #[test]
    fn a_signature_counts_on_its_own_network_only() {
        let [dev, test] = [Network::Dev.params(), Network::Test.params()];
        let key = VerifyingKey::new(&public_key()).unwrap();
        for sender in [Sender::Key(public_key()), Sender::Address(public_key().address())] {
            let tx = signed(sender, dev.genesis_id());
            assert_eq!(check_signature(dev, &tx, &key), Ok(()));
            // Cross-chain replay.
            let error = check_signature(test, &tx, &key).unwrap_err();
            assert_eq!(error, TxError::Signature(SignatureError::Mismatch));
            assert_eq!((error.rule(), error.is_temporary()), ("R-SIG-03", false));
        }
    }

    #[test]
    fn a_good_signature_by_another_key_than_the_senders_counts_for_nothing() {
        let dev = Network::Dev.params();
        let victim = signed(Sender::Address(Address::from_bytes([1; 32])), dev.genesis_id());
        let key = VerifyingKey::new(&public_key()).unwrap();
        assert!(victim.verify(dev.genesis_id(), &key).is_ok());
        let error = check_signature(dev, &victim, &key).unwrap_err();
        assert_eq!(error, TxError::Signature(SignatureError::Mismatch));
    }

    #[test]
    fn a_signature_of_another_length_or_beyond_the_modulus_names_its_rule() {
        let dev = Network::Dev.params();
        let key = VerifyingKey::new(&public_key()).unwrap();
        let tx = signed(Sender::Key(public_key()), dev.genesis_id());
        for (bytes, rule) in [(vec![1; 384], "R-SIG-01"), (vec![0xff; 256], "R-SIG-02")] {
            let signature = Signature::from_bytes(&bytes).unwrap();
            let tx = SignedTransaction::new(tx.transaction().clone(), signature).unwrap();
            assert_eq!(check_signature(dev, &tx, &key).unwrap_err().rule(), rule);
        }
    }
}
