//! A transfer as a file, signed or not: what one machine writes down, another one looks at and signs, and a third hands
//! in. It holds the bytes to be signed and what it takes to check their signature, and no label that could say
//! otherwise: whoever reads it derives everything anew.
//!
//! Inside the [armour](crate::armor), in the protocol's canonical encoding: genesis id ‖ the payer's key (its count and
//! SubjectPublicKeyInfo) ‖ the transaction without signature ‖ 0, or 1 and the signature behind its count.

use std::path::{Path, PathBuf};

use farthing::{
    BlockId, Params, PublicKey, Signature, SignedTransaction, Transaction,
    codec::{Canonical, DecodeError, Reader, put_bytes},
    keys::{KeyError, MAX_SPKI_BYTES, SignatureError, VerifyingKey},
    params::Network,
    tx::TransactionError,
    wire::Draft,
};

use crate::{
    armor::{ArmorError, Kind},
    disk::{self, DiskError},
    error::{Exit, Explain},
};

/// What its first line says.
pub const KIND: Kind = Kind { label: "TRANSFER", version: 1 };
/// Longest file: 4,096 bytes, a key, and the text around them.
const MAX_FILE_BYTES: u64 = 16 * 1024;
/// Longest signature, of 4,096 bits.
const MAX_SIGNATURE_BYTES: usize = 512;

/// Why a file is no transfer that can be worked with.
#[derive(Debug, thiserror::Error)]
pub enum TransferFileError {
    /// Not such a file, or changed on the way.
    #[error("{} is not a transfer as farthing-wallet tx build writes it", path.display())]
    Armor {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: ArmorError,
    },
    /// What it holds is not a transfer.
    #[error("what {} holds is not a transfer", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
    /// The key in it is not the payer's.
    #[error("the key in {} is not that of the account that pays", path.display())]
    ForeignKey {
        /// The file.
        path: PathBuf,
    },
    /// The key in it cannot be used.
    #[error("the payer's key cannot be used")]
    Key(#[source] KeyError),
    /// For another network than the wallet's.
    #[error("the transfer is for {found}, this wallet is on {expected}")]
    OtherNetwork {
        /// Name, or genesis id.
        found: String,
        /// Name.
        expected: String,
    },
    /// Signed already.
    #[error("the transfer is signed already")]
    Signed,
    /// Not signed yet.
    #[error("the transfer is not signed yet")]
    Unsigned,
    /// The signature is not one of the payer's key over this transfer.
    #[error("the signature does not fit the transfer and the payer's key")]
    BadSignature(#[source] SignatureError),
    /// Too large with its signature.
    #[error("the transfer is too large")]
    TooLarge(#[source] TransactionError),
    /// It cannot be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for TransferFileError {
    fn code(&self) -> &'static str {
        match self {
            Self::Armor { .. } | Self::Content { .. } | Self::ForeignKey { .. } | Self::Key(_) | Self::TooLarge(_) => {
                "BAD_TRANSFER_FILE"
            }
            Self::OtherNetwork { .. } => "WRONG_NETWORK",
            Self::Signed => "ALREADY_SIGNED",
            Self::Unsigned => "NOT_SIGNED",
            Self::BadSignature(_) => "BAD_SIGNATURE",
            Self::Disk(error) => error.code(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::BadSignature(_) => Exit::Verification,
            Self::Disk(error) => error.exit(),
            _ => Exit::Usage,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::Armor { .. } => vec!["copy the file again, whole and unchanged".into()],
            Self::Content { .. } | Self::ForeignKey { .. } | Self::Key(_) | Self::TooLarge(_) => {
                vec!["farthing-wallet tx build, to make it anew".into()]
            }
            Self::OtherNetwork { found, .. } => vec![format!("--network with that of the transfer: {found}")],
            Self::Signed => vec!["farthing-wallet tx broadcast FILE".into(), "farthing-wallet tx inspect FILE".into()],
            Self::Unsigned => vec!["farthing-wallet tx sign FILE --out SIGNED".into()],
            Self::BadSignature(_) => vec![
                "farthing-wallet tx inspect FILE --message-out MESSAGE, and sign exactly those bytes with SHA-256"
                    .into(),
                "whether the signature was made with the key of the account that pays".into(),
            ],
            Self::Disk(error) => error.tries(),
        }
    }
}

/// Whether a transfer is signed, and well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Without signature.
    Unsigned,
    /// With the signature of the payer's key.
    Valid,
    /// With another one.
    Invalid(SignatureError),
}

/// A transfer, signed or not, with its network and its payer's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferFile {
    genesis: BlockId,
    public: PublicKey,
    draft: Draft,
}

impl TransferFile {
    /// Puts a transfer, not signed, and the key that it was planned with together.
    #[must_use]
    pub fn unsigned(network: &Params, public: PublicKey, transaction: Transaction) -> Self {
        debug_assert_eq!(public.address(), transaction.sender_address(), "a transfer is planned with its payer's key");
        Self { genesis: *network.genesis_id(), public, draft: Draft::Unsigned(transaction) }
    }

    /// Reads a file, or what comes through a pipe, and makes sure that it is for this network.
    ///
    /// # Errors
    /// [`TransferFileError`].
    pub fn read(path: &Path, network: &Params) -> Result<Self, TransferFileError> {
        let text = disk::read_any(path, MAX_FILE_BYTES)?;
        let bytes = KIND.unwrap(&text).map_err(|source| TransferFileError::Armor { path: path.to_owned(), source })?;
        let file = Self::from_canonical(&bytes)
            .map_err(|source| TransferFileError::Content { path: path.to_owned(), source })?;
        if file.public.address() != file.transaction().sender_address() {
            return Err(TransferFileError::ForeignKey { path: path.to_owned() });
        }
        if file.genesis == *network.genesis_id() {
            return Ok(file);
        }
        Err(TransferFileError::OtherNetwork { found: network_name(&file.genesis), expected: network.name.clone() })
    }

    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        KIND.wrap(&self.to_canonical())
    }

    /// What is, or is to be, signed.
    #[must_use]
    pub const fn transaction(&self) -> &Transaction {
        self.draft.transaction()
    }

    /// The payer's key.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Exactly the bytes that are signed with RSASSA-PKCS1-v1_5 and SHA-256.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        self.transaction().message(&self.genesis)
    }

    /// Bytes of the signed transfer, with its signature or with one of the payer's key to come.
    ///
    /// # Errors
    /// [`TransferFileError::TooLarge`].
    pub fn size_bytes(&self) -> Result<usize, TransferFileError> {
        let whole = self.draft.clone().with_placeholder(self.public.size());
        whole.map(|signed| signed.size_bytes()).map_err(TransferFileError::TooLarge)
    }

    /// Whether it is signed, and whether by the payer's key: computed, as nothing in the file says so.
    ///
    /// # Errors
    /// [`TransferFileError::Key`].
    pub fn standing(&self) -> Result<Standing, TransferFileError> {
        let Draft::Signed(signed) = &self.draft else { return Ok(Standing::Unsigned) };
        let verifier = VerifyingKey::new(&self.public).map_err(TransferFileError::Key)?;
        Ok(match verifier.verify(&self.message(), signed.signature()) {
            Ok(()) => Standing::Valid,
            Err(error) => Standing::Invalid(error),
        })
    }

    /// The transfer, if it is signed by the payer's key.
    ///
    /// # Errors
    /// [`TransferFileError::Unsigned`], [`TransferFileError::BadSignature`], [`TransferFileError::Key`].
    pub fn signed(&self) -> Result<&SignedTransaction, TransferFileError> {
        match (&self.draft, self.standing()?) {
            (Draft::Signed(signed), Standing::Valid) => Ok(signed),
            (_, Standing::Invalid(source)) => Err(TransferFileError::BadSignature(source)),
            _ => Err(TransferFileError::Unsigned),
        }
    }

    /// The same with a signature, which may come from elsewhere: it is held against the payer's key.
    ///
    /// # Errors
    /// [`TransferFileError::BadSignature`], [`TransferFileError::TooLarge`], [`TransferFileError::Key`].
    pub fn with_signature(&self, bytes: &[u8]) -> Result<Self, TransferFileError> {
        let signature = Signature::from_bytes(bytes).map_err(TransferFileError::BadSignature)?;
        let signed =
            SignedTransaction::new(self.transaction().clone(), signature).map_err(TransferFileError::TooLarge)?;
        let file = Self { draft: Draft::Signed(signed), ..self.clone() };
        file.signed()?;
        Ok(file)
    }
}

impl Canonical for TransferFile {
    fn encode(&self, out: &mut Vec<u8>) {
        self.genesis.encode(out);
        put_bytes(out, self.public.as_spki());
        self.transaction().encode(out);
        match &self.draft {
            Draft::Unsigned(_) => out.push(0),
            Draft::Signed(signed) => {
                out.push(1);
                put_bytes(out, signed.signature().as_bytes());
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let genesis = BlockId::decode(reader)?;
        let public = PublicKey::from_spki(reader.bytes("sender key", MAX_SPKI_BYTES)?)?;
        let transaction = Transaction::decode(reader)?;
        let draft = match reader.u8("signature")? {
            0 => Draft::Unsigned(transaction),
            1 => {
                let signature = Signature::from_bytes(reader.bytes("signature", MAX_SIGNATURE_BYTES)?)?;
                Draft::Signed(SignedTransaction::new(transaction, signature)?)
            }
            value => return Err(DecodeError::UnknownChoice { field: "signature", value }),
        };
        Ok(Self { genesis, public, draft })
    }
}

/// A network by its genesis: its name, if it is one that everybody knows.
#[must_use]
pub fn network_name(genesis: &BlockId) -> String {
    let named = Network::ALL.into_iter().map(Network::params).find(|params| params.genesis_id() == genesis);
    named.map_or_else(|| format!("the network with genesis {genesis}"), |params| params.name.clone())
}

#[cfg(test)]
mod tests {
    use farthing::{Mites, Output, Sender, tx::TransactionFields};

    use super::*;
    use crate::keystore::{FileSigner, Signer as _, dev};

    fn signer(name: &str) -> FileSigner {
        FileSigner::new(dev::key(&name.parse().unwrap()).unwrap())
    }

    fn params() -> &'static Params {
        Network::Dev.params()
    }

    fn file(nonce: u64) -> TransferFile {
        let public = signer("alice").public().clone();
        let to = signer("bob").public().address();
        let transaction = Transaction::new(TransactionFields {
            sender: if nonce == 0 { Sender::Key(public.clone()) } else { Sender::Address(public.address()) },
            nonce,
            fee: Mites::new(70_000),
            valid_until: None,
            outputs: vec![Output { to, amount: Mites::new(5) }],
            memo: b"hello".to_vec(),
        });
        TransferFile::unsigned(params(), public, transaction.unwrap())
    }

    fn signed(nonce: u64) -> TransferFile {
        let transfer = signer("alice").sign(file(nonce).transaction().clone(), params().genesis_id()).unwrap();
        file(nonce).with_signature(transfer.signature().as_bytes()).unwrap()
    }

    #[test]
    fn a_file_comes_back_as_it_was_with_and_without_signature() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("transfer");
        for (file, standing) in
            [(file(0), Standing::Unsigned), (file(7), Standing::Unsigned), (signed(7), Standing::Valid)]
        {
            std::fs::write(&path, file.to_text()).unwrap();
            let read = TransferFile::read(&path, params()).unwrap();
            assert_eq!((read.standing().unwrap(), &read), (standing, &file));
        }
    }

    #[test]
    fn the_size_is_the_same_before_and_after_signing() {
        assert_eq!(file(7).size_bytes().unwrap(), signed(7).size_bytes().unwrap());
        assert_eq!(signed(7).size_bytes().unwrap(), signed(7).signed().unwrap().to_canonical().len());
    }

    #[test]
    fn a_signature_of_another_key_or_another_transfer_is_refused() {
        let transaction = file(7).transaction().clone();
        let message = transaction.message(params().genesis_id());
        let bob = dev::key(&"bob".parse().unwrap()).unwrap().sign(&message, &mut rand_core::OsRng).unwrap();
        let other = signed(8).signed().unwrap().signature().clone();
        for signature in [bob.as_bytes(), other.as_bytes(), &[1; 255], &[]] {
            let error = file(7).with_signature(signature).unwrap_err();
            assert_eq!((error.code(), error.exit()), ("BAD_SIGNATURE", Exit::Verification));
        }
    }

    #[test]
    fn a_changed_transfer_no_longer_has_a_valid_signature() {
        let Draft::Signed(old) = &signed(7).draft else { panic!("it is signed") };
        let forged = SignedTransaction::new(file(8).transaction().clone(), old.signature().clone()).unwrap();
        let forged = TransferFile { draft: Draft::Signed(forged), ..file(8) };
        assert!(matches!(forged.standing().unwrap(), Standing::Invalid(_)));
        assert!(matches!(forged.signed(), Err(TransferFileError::BadSignature(_))));
    }

    #[test]
    fn a_file_of_another_network_or_with_another_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("transfer");
        std::fs::write(&path, file(7).to_text()).unwrap();
        let error = TransferFile::read(&path, Network::Main.params()).unwrap_err();
        assert_eq!(error.to_string(), "the transfer is for dev, this wallet is on main");
        let foreign = TransferFile { public: signer("bob").public().clone(), ..file(7) };
        std::fs::write(&path, foreign.to_text()).unwrap();
        assert!(matches!(TransferFile::read(&path, params()), Err(TransferFileError::ForeignKey { .. })));
    }
}
