//! The four published keys of the dev network, and transfers signed with them on any network.

use std::sync::LazyLock;

use farthing::{
    Address, Mites, Output, Params, PublicKey, Sender, Signature, SignedTransaction, Transaction, tx::TransactionFields,
};
use rsa::{
    RsaPrivateKey,
    pkcs1v15::SigningKey,
    pkcs8::{DecodePrivateKey as _, EncodePublicKey as _},
    sha2::Sha256,
    signature::{SignatureEncoding as _, Signer as _},
};

/// Enough for the floor, and for opening one account.
pub(crate) const FEE: Mites = Mites::new(20_000_000);

/// A key that can spend.
pub(crate) struct Key {
    public: PublicKey,
    signer: SigningKey<Sha256>,
}

macro_rules! keys {
    ($($constant:ident = $name:literal),+) => {
        $(pub(crate) static $constant: LazyLock<Key> = LazyLock::new(|| {
            Key::read(include_str!(concat!("../../wallet/dev-keys/", $name, ".pem")))
        });)+

        /// All four.
        pub(crate) fn all() -> impl Iterator<Item = &'static Key> {
            [$(&*$constant),+].into_iter()
        }
    };
}

keys!(ALICE = "alice", BOB = "bob", CAROL = "carol", DAVE = "dave");

impl Key {
    fn read(pem: &str) -> Self {
        let private = RsaPrivateKey::from_pkcs8_pem(pem).expect("the wallet's dev keys are PKCS#8");
        let spki = private.to_public_key().to_public_key_der().expect("an RSA key can be written");
        let public = PublicKey::from_spki(spki.as_bytes()).expect("the dev keys keep the rules");
        Self { public, signer: SigningKey::new(private) }
    }

    pub(crate) fn address(&self) -> Address {
        self.public.address()
    }

    /// A signed transfer of some far.
    pub(crate) fn pay(&self, params: &Params, nonce: u64, to: Address, far: u64) -> SignedTransaction {
        self.pay_with_fee(params, nonce, to, far, FEE)
    }

    /// The same with another fee.
    pub(crate) fn pay_with_fee(
        &self,
        params: &Params,
        nonce: u64,
        to: Address,
        far: u64,
        fee: Mites,
    ) -> SignedTransaction {
        let amount = Mites::from_far(far).expect("tests pay what can be written");
        self.sign(params, nonce, fee, vec![Output { to, amount }], Vec::new())
    }

    /// A signed transfer of 3 KiB, nearly as large as one may be.
    pub(crate) fn pay_in_pieces(&self, params: &Params, nonce: u64, to: Address) -> SignedTransaction {
        self.sign(params, nonce, FEE, vec![Output { to, amount: Mites::new(1) }; 64], vec![b'm'; 256])
    }

    fn sign(&self, params: &Params, nonce: u64, fee: Mites, outputs: Vec<Output>, memo: Vec<u8>) -> SignedTransaction {
        let sender = if nonce == 0 { Sender::Key(self.public.clone()) } else { Sender::Address(self.address()) };
        let transaction = Transaction::new(TransactionFields { sender, nonce, fee, valid_until: None, outputs, memo });
        let transaction = transaction.expect("a transfer that keeps the rules");
        let signature = self.signer.sign(&transaction.message(params.genesis_id()));
        let signature = Signature::from_bytes(&signature.to_bytes()).expect("as long as the key");
        SignedTransaction::new(transaction, signature).expect("a small transfer")
    }
}
