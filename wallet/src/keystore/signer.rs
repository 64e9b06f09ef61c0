//! Whoever can sign for an account: a key file, an agent or a hardware module.

use farthing::{
    PublicKey, Signature, SignedTransaction, Transaction,
    hash::BlockId,
    keys::{KeyError, SignatureError, VerifyingKey},
};
use rand_core::OsRng;

use super::secret::{SecretKey, SecretKeyError};
use super::{agent::AgentError, token::TokenError};
use crate::error::{Exit, Explain};

/// Signs for one account.
pub trait Signer {
    /// The key that verifies what is signed here.
    fn public(&self) -> &PublicKey;

    /// Signs these bytes as they are: RSASSA-PKCS1-v1_5 with SHA-256. Whoever calls this has made sure that the bytes
    /// are no transaction, which [`Signer::sign`] is for.
    ///
    /// # Errors
    /// [`SignError`].
    fn sign_bytes(&self, message: &[u8]) -> Result<Signature, SignError>;

    /// Signs a transaction for the network with this genesis.
    ///
    /// # Errors
    /// [`SignError`].
    fn sign(&self, transaction: Transaction, genesis: &BlockId) -> Result<SignedTransaction, SignError> {
        if transaction.sender_address() != self.public().address() {
            return Err(SignError::OtherSender);
        }
        let signature = self.sign_bytes(&transaction.message(genesis))?;
        SignedTransaction::new(transaction, signature).map_err(SignError::TooLarge)
    }
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The transaction names another sender.
    #[error("the transaction is not this key's: its sender is another account")]
    OtherSender,
    /// The key does not sign.
    #[error("cannot sign")]
    Key(#[source] SecretKeyError),
    /// The agent did not sign.
    #[error(transparent)]
    Agent(AgentError),
    /// The token did not sign.
    #[error(transparent)]
    Token(TokenError),
    /// What an agent or a token gave is no signature of this key.
    #[error("what the signer gave does not verify under the key")]
    DoesNotVerify(#[source] SignatureError),
    /// Too large with its signature.
    #[error("the transfer is too large")]
    TooLarge(#[source] farthing::tx::TransactionError),
}

impl Explain for SignError {
    fn code(&self) -> &'static str {
        match self {
            Self::Agent(error) => error.code(),
            Self::Token(error) => error.code(),
            _ => "CANNOT_SIGN",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Agent(error) => error.exit(),
            Self::Token(error) => error.exit(),
            _ => Exit::Other,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::OtherSender => vec!["--account NAME with the key of the account that pays".into()],
            Self::Key(error) => error.tries(),
            Self::Agent(error) => error.tries(),
            Self::Token(error) => error.tries(),
            Self::DoesNotVerify(_) => vec!["the command again; if it stays so, another agent or token".into()],
            Self::TooLarge(_) => vec!["a shorter memo".into()],
        }
    }
}

/// What someone else signed, once it was seen to be good.
pub(super) fn checked(public: &PublicKey, message: &[u8], signature: &[u8]) -> Result<Signature, SignError> {
    let signature = Signature::from_bytes(signature).map_err(SignError::DoesNotVerify)?;
    let verifier = VerifyingKey::new(public).map_err(|_| SignError::Key(SecretKeyError::Public(KeyError::Unusable)))?;
    verifier.verify(message, &signature).map_err(SignError::DoesNotVerify)?;
    Ok(signature)
}

/// Signs with a key that was read from a file.
#[derive(Debug)]
pub struct FileSigner {
    key: SecretKey,
}

impl FileSigner {
    /// Takes an opened key.
    #[must_use]
    pub const fn new(key: SecretKey) -> Self {
        Self { key }
    }
}

impl Signer for FileSigner {
    fn public(&self) -> &PublicKey {
        self.key.public()
    }

    fn sign_bytes(&self, message: &[u8]) -> Result<Signature, SignError> {
        self.key.sign(message, &mut OsRng).map_err(SignError::Key)
    }
}

#[cfg(test)]
mod tests {
    use farthing::{Mites, Output, Sender, keys::VerifyingKey, tx::TransactionFields};

    use super::*;
    use crate::keystore::dev;

    fn transfer(from: &PublicKey) -> Transaction {
        Transaction::new(TransactionFields {
            sender: Sender::Key(from.clone()),
            nonce: 0,
            fee: Mites::new(1_000),
            valid_until: None,
            outputs: vec![Output { to: from.address(), amount: Mites::new(5) }],
            memo: Vec::new(),
        })
        .unwrap()
    }

    #[test]
    fn a_signature_is_bound_to_its_network() {
        let signer = FileSigner::new(dev::key(&"alice".parse().unwrap()).unwrap());
        let genesis = BlockId::from_bytes([1; 32]);
        let signed = signer.sign(transfer(signer.public()), &genesis).unwrap();
        let verifier = VerifyingKey::new(signer.public()).unwrap();
        signed.verify(&genesis, &verifier).unwrap();
        signed.verify(&BlockId::from_bytes([2; 32]), &verifier).unwrap_err();
    }

    #[test]
    fn a_transactions_signature_is_one_of_its_message() {
        let signer = FileSigner::new(dev::key(&"alice".parse().unwrap()).unwrap());
        let genesis = BlockId::from_bytes([1; 32]);
        let transfer = transfer(signer.public());
        let plain = signer.sign_bytes(&transfer.message(&genesis)).unwrap();
        assert_eq!(*signer.sign(transfer, &genesis).unwrap().signature(), plain);
    }

    #[test]
    fn a_key_does_not_sign_for_another_account() {
        let signer = FileSigner::new(dev::key(&"alice".parse().unwrap()).unwrap());
        let other = dev::key(&"bob".parse().unwrap()).unwrap();
        let error = signer.sign(transfer(other.public()), &BlockId::from_bytes([1; 32])).unwrap_err();
        assert!(matches!(error, SignError::OtherSender));
    }
}
