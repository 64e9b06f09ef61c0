//! Transfers: one sender, 1 to 64 outputs, one signature \[R-TX\].

use crate::{
    Address, BlockId, Height, Mites, PublicKey, Signature, TxId, WireId,
    codec::{Canonical, DecodeError, Reader, put_bytes, put_count},
    hash::{sha256, tag},
    keys::{MAX_SPKI_BYTES, SignatureError, VerifyingKey},
    limits::{MAX_MEMO_BYTES, MAX_OUTPUTS, MAX_TRANSACTION_BYTES},
};

/// The only version there is \[R-TX-02\].
pub const TRANSACTION_VERSION: u8 = 1;
/// What every signed message begins with.
const MESSAGE_DOMAIN: &[u8] = b"farthing transaction\0";

/// Who pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    /// The key itself: in an account's first transaction, and only there \[R-TX-03\].
    Key(PublicKey),
    /// The address of a key that an earlier transaction carried.
    Address(Address),
}

impl Sender {
    /// The paying account.
    #[must_use]
    pub fn address(&self) -> Address {
        match self {
            Self::Key(key) => key.address(),
            Self::Address(address) => *address,
        }
    }
}

/// One payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// Who receives.
    pub to: Address,
    /// How much; more than zero.
    pub amount: Mites,
}

/// Why a transaction's fields do not fit together, before any signature or state is looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// No outputs, or too many \[R-TX-04\].
    #[error("{0} outputs, expected 1 to 64")]
    OutputCount(usize),
    /// An output of nothing \[R-TX-05\].
    #[error("output {0} pays nothing; every output must pay at least one mite")]
    ZeroAmount(usize),
    /// A memo that is too long \[R-TX-06\].
    #[error("the memo has {0} bytes, at most 256 are allowed")]
    MemoTooLong(usize),
    /// The key form outside nonce 0, or the address form at nonce 0 \[R-TX-03\].
    #[error("nonce {nonce} with the sender as {form}; the first transaction carries the key, later ones the address")]
    SenderForm {
        /// The nonce.
        nonce: u64,
        /// `key` or `address`.
        form: &'static str,
    },
    /// Outputs and fee add up to more than an amount can hold \[R-TX-07\].
    #[error("outputs and fee add up to more than can be written")]
    Overflow,
    /// Larger than a transaction may be \[R-TX-01\].
    #[error("{0} bytes, at most 4096 are allowed")]
    TooLarge(usize),
}

impl TransactionError {
    /// Id of the rule in SPEC.md.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "R-TX-01",
            Self::SenderForm { .. } => "R-TX-03",
            Self::OutputCount(_) => "R-TX-04",
            Self::ZeroAmount(_) => "R-TX-05",
            Self::MemoTooLong(_) => "R-TX-06",
            Self::Overflow => "R-TX-07",
        }
    }
}

/// What the sender signs. Always well-formed: the context-free rules were checked when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    sender: Sender,
    sender_address: Address,
    nonce: u64,
    fee: Mites,
    valid_until: Option<Height>,
    outputs: Vec<Output>,
    memo: Vec<u8>,
    total: Mites,
}

/// The fields of a [`Transaction`] before they are checked.
#[derive(Debug, Clone)]
pub struct TransactionFields {
    /// Who pays.
    pub sender: Sender,
    /// Number of the sender's earlier transactions.
    pub nonce: u64,
    /// Fee, opening costs included.
    pub fee: Mites,
    /// Last height that may include it.
    pub valid_until: Option<Height>,
    /// 1 to 64 payments.
    pub outputs: Vec<Output>,
    /// At most 256 bytes, public for ever.
    pub memo: Vec<u8>,
}

impl Transaction {
    /// Checks the fields against each other.
    ///
    /// # Errors
    /// The first rule broken; see [`TransactionError`].
    pub fn new(fields: TransactionFields) -> Result<Self, TransactionError> {
        let TransactionFields { sender, nonce, fee, valid_until, outputs, memo } = fields;
        if outputs.is_empty() || outputs.len() > MAX_OUTPUTS {
            return Err(TransactionError::OutputCount(outputs.len()));
        }
        if let Some(at) = outputs.iter().position(|output| output.amount.is_zero()) {
            return Err(TransactionError::ZeroAmount(at));
        }
        if memo.len() > MAX_MEMO_BYTES {
            return Err(TransactionError::MemoTooLong(memo.len()));
        }
        match (&sender, nonce) {
            (Sender::Key(_), 0) | (Sender::Address(_), 1..) => {}
            (Sender::Key(_), _) => return Err(TransactionError::SenderForm { nonce, form: "key" }),
            (Sender::Address(_), 0) => return Err(TransactionError::SenderForm { nonce, form: "address" }),
        }
        let total = Mites::checked_sum(outputs.iter().map(|output| output.amount))
            .and_then(|sum| sum.checked_add(fee))
            .ok_or(TransactionError::Overflow)?;
        let valid_until = valid_until.filter(|height| *height != Height::GENESIS);
        Ok(Self { sender_address: sender.address(), sender, nonce, fee, valid_until, outputs, memo, total })
    }

    /// Who pays, in the form that the transaction carries.
    #[must_use]
    pub const fn sender(&self) -> &Sender {
        &self.sender
    }

    /// The paying account.
    #[must_use]
    pub const fn sender_address(&self) -> Address {
        self.sender_address
    }

    /// Number of the sender's earlier transactions.
    #[must_use]
    pub const fn nonce(&self) -> u64 {
        self.nonce
    }

    /// The fee, opening costs included.
    #[must_use]
    pub const fn fee(&self) -> Mites {
        self.fee
    }

    /// The last height that may include it.
    #[must_use]
    pub const fn valid_until(&self) -> Option<Height> {
        self.valid_until
    }

    /// The payments.
    #[must_use]
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The memo.
    #[must_use]
    pub fn memo(&self) -> &[u8] {
        &self.memo
    }

    /// What leaves the sender's account: all outputs and the fee.
    #[must_use]
    pub const fn total(&self) -> Mites {
        self.total
    }

    /// What is signed on the network with this genesis \[R-TX-09\].
    #[must_use]
    pub fn message(&self, genesis: &BlockId) -> Vec<u8> {
        let mut message = Vec::with_capacity(512);
        message.extend_from_slice(MESSAGE_DOMAIN);
        genesis.encode(&mut message);
        self.encode(&mut message);
        message
    }

    /// Id of this transaction on the network with this genesis: the digest that is signed \[R-TX-10\].
    #[must_use]
    pub fn id(&self, genesis: &BlockId) -> TxId {
        TxId::from_bytes(sha256(&[&self.message(genesis)]))
    }
}

impl Canonical for Transaction {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(TRANSACTION_VERSION);
        match &self.sender {
            Sender::Key(key) => {
                out.push(0);
                put_bytes(out, key.as_spki());
            }
            Sender::Address(address) => {
                out.push(1);
                address.encode(out);
            }
        }
        out.extend_from_slice(&self.nonce.to_le_bytes());
        self.fee.encode(out);
        out.extend_from_slice(&self.valid_until.map_or(0, Height::get).to_le_bytes());
        put_count(out, self.outputs.len());
        for output in &self.outputs {
            output.to.encode(out);
            output.amount.encode(out);
        }
        put_bytes(out, &self.memo);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = reader.u8("transaction version")?;
        if version != TRANSACTION_VERSION {
            return Err(DecodeError::UnknownVersion {
                what: "transaction",
                found: version.into(),
                expected: TRANSACTION_VERSION.into(),
            });
        }
        let sender = match reader.u8("sender")? {
            0 => {
                let spki = reader.bytes("sender key", MAX_SPKI_BYTES)?;
                Sender::Key(PublicKey::from_spki(spki)?)
            }
            1 => Sender::Address(Address::decode(reader)?),
            value => return Err(DecodeError::UnknownChoice { field: "sender", value }),
        };
        let nonce = reader.u64("nonce")?;
        let fee = Mites::decode(reader)?;
        let valid_until = Some(Height::decode(reader)?);
        let count = reader.count("outputs", MAX_OUTPUTS, 40)?;
        let mut outputs = Vec::with_capacity(count);
        for _ in 0..count {
            outputs.push(Output { to: Address::decode(reader)?, amount: Mites::decode(reader)? });
        }
        let memo = reader.bytes("memo", MAX_MEMO_BYTES)?.to_vec();
        Ok(Self::new(TransactionFields { sender, nonce, fee, valid_until, outputs, memo })?)
    }
}

/// A transaction with a signature of the right length; whether it verifies is a separate question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTransaction {
    transaction: Transaction,
    signature: Signature,
    wire_id: WireId,
    size: usize,
}

impl SignedTransaction {
    /// Joins a transaction and its signature.
    ///
    /// # Errors
    /// [`TransactionError::TooLarge`].
    pub fn new(transaction: Transaction, signature: Signature) -> Result<Self, TransactionError> {
        let mut bytes = Vec::with_capacity(512);
        transaction.encode(&mut bytes);
        put_bytes(&mut bytes, signature.as_bytes());
        if bytes.len() > MAX_TRANSACTION_BYTES {
            return Err(TransactionError::TooLarge(bytes.len()));
        }
        Ok(Self { wire_id: wire_id(&bytes), size: bytes.len(), transaction, signature })
    }

    /// What was signed.
    #[must_use]
    pub const fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The signature.
    #[must_use]
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Hash of the signed bytes: Merkle leaf, and id between nodes \[R-TX-11\].
    #[must_use]
    pub const fn wire_id(&self) -> WireId {
        self.wire_id
    }

    /// Size of the canonical bytes.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        self.size
    }

    /// Checks the signature with the sender's key, parsed beforehand \[R-SIG\].
    ///
    /// # Errors
    /// If the signature is not the sender's over this transaction on this network.
    pub fn verify(&self, genesis: &BlockId, key: &VerifyingKey) -> Result<(), SignatureError> {
        key.verify(&self.transaction.message(genesis), &self.signature)
    }
}

/// The wire id of canonical signed bytes.
#[must_use]
pub fn wire_id(signed_bytes: &[u8]) -> WireId {
    WireId::from_bytes(sha256(&[&[tag::TX_LEAF, 1], signed_bytes]))
}

const fn too_large(size: usize) -> DecodeError {
    DecodeError::TooLarge { what: "transaction", size, max: MAX_TRANSACTION_BYTES }
}

impl Canonical for SignedTransaction {
    fn encode(&self, out: &mut Vec<u8>) {
        self.transaction.encode(out);
        put_bytes(out, self.signature.as_bytes());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let transaction = Transaction::decode(reader)?;
        let signature = reader.bytes("signature", crate::keys::MAX_SIGNATURE_BYTES)?;
        Self::new(transaction, Signature::from_bytes(signature)?).map_err(|error| match error {
            TransactionError::TooLarge(size) => too_large(size),
            other => other.into(),
        })
    }

    /// Size first, so that nothing is read of bytes that cannot be a transaction \[R-ENC-05\].
    fn from_canonical(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_TRANSACTION_BYTES {
            return Err(too_large(bytes.len()));
        }
        let mut reader = Reader::new(bytes);
        let transaction = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(transaction)
    }
}
