//! Transactions: the typed form both ways, and the two forms in which one is submitted.

use prost::bytes::Bytes;

use super::{WireError, WireFault, field, v1};
use crate::{
    Height, Mites, Output, PublicKey, Sender, Signature, SignedTransaction, Transaction,
    codec::Canonical as _,
    keys::KeySize,
    tx::{TRANSACTION_VERSION, TransactionError, TransactionFields},
};

impl From<&SignedTransaction> for v1::Transaction {
    fn from(signed: &SignedTransaction) -> Self {
        let transaction = signed.transaction();
        Self {
            version: TRANSACTION_VERSION.into(),
            sender: Some(match transaction.sender() {
                Sender::Key(key) => v1::transaction::Sender::PublicKey(Bytes::copy_from_slice(key.as_spki())),
                Sender::Address(address) => v1::transaction::Sender::SenderAddress(field::bytes32(address.as_bytes())),
            }),
            nonce: transaction.nonce(),
            fee_mites: transaction.fee().get(),
            valid_until_height: transaction.valid_until().map_or(0, Height::get),
            outputs: transaction.outputs().iter().map(v1::TransactionOutput::from).collect(),
            memo: Bytes::copy_from_slice(transaction.memo()),
            signature: Bytes::copy_from_slice(signed.signature().as_bytes()),
        }
    }
}

impl From<&Output> for v1::TransactionOutput {
    fn from(output: &Output) -> Self {
        Self { address: field::bytes32(output.to.as_bytes()), amount_mites: output.amount.get() }
    }
}

impl TryFrom<v1::TransactionOutput> for Output {
    type Error = WireError;

    fn try_from(output: v1::TransactionOutput) -> Result<Self, WireError> {
        Ok(Self { to: field::hash("address", &output.address)?, amount: Mites::new(output.amount_mites) })
    }
}

impl TryFrom<v1::Transaction> for SignedTransaction {
    type Error = WireError;

    fn try_from(message: v1::Transaction) -> Result<Self, WireError> {
        let signature = read_signature(&message.signature)?;
        Self::new(unsigned_transaction(message)?, signature).map_err(in_its_field)
    }
}

fn read_signature(bytes: &[u8]) -> Result<Signature, WireError> {
    Signature::from_bytes(bytes).map_err(|error| WireError::new("signature", error))
}

impl TryFrom<v1::Transaction> for Draft {
    type Error = WireError;

    fn try_from(message: v1::Transaction) -> Result<Self, WireError> {
        if message.signature.is_empty() {
            return Ok(Self::Unsigned(unsigned_transaction(message)?));
        }
        Ok(Self::Signed(message.try_into()?))
    }
}

/// A transfer that may lack its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Draft {
    /// With a signature.
    Signed(SignedTransaction),
    /// Without.
    Unsigned(Transaction),
}

impl Draft {
    /// What is, or is to be, signed.
    #[must_use]
    pub const fn transaction(&self) -> &Transaction {
        match self {
            Self::Signed(signed) => signed.transaction(),
            Self::Unsigned(transaction) => transaction,
        }
    }

    /// The signed transaction; where it lacks its signature, one with zeros in the place of a signature of a key of this
    /// size: for rules that look at sizes only.
    ///
    /// # Errors
    /// If it is too large with a signature.
    pub fn with_placeholder(self, size: KeySize) -> Result<SignedTransaction, TransactionError> {
        match self {
            Self::Signed(signed) => Ok(signed),
            Self::Unsigned(transaction) => {
                let zeros = Signature::from_bytes(&vec![0; size.bytes()]).expect("a length that a signature has");
                SignedTransaction::new(transaction, zeros)
            }
        }
    }
}

/// Reads all fields but the signature.
fn unsigned_transaction(message: v1::Transaction) -> Result<Transaction, WireError> {
    field::version(message.version)?;
    let sender = match message.sender.ok_or_else(|| WireError::missing("sender"))? {
        v1::transaction::Sender::PublicKey(spki) => {
            Sender::Key(PublicKey::from_spki(&spki).map_err(|error| WireError::new("public_key", error))?)
        }
        v1::transaction::Sender::SenderAddress(address) => Sender::Address(field::hash("sender_address", &address)?),
    };
    // Counted before the list is walked.
    if message.outputs.len() > crate::limits::MAX_OUTPUTS {
        return Err(WireError::new("outputs", TransactionError::OutputCount(message.outputs.len())));
    }
    let outputs = message
        .outputs
        .into_iter()
        .enumerate()
        .map(|(at, output)| Output::try_from(output).map_err(|error| error.within_item("outputs", at)))
        .collect::<Result<Vec<_>, _>>()?;
    Transaction::new(TransactionFields {
        sender,
        nonce: message.nonce,
        fee: Mites::new(message.fee_mites),
        valid_until: Some(Height::new(message.valid_until_height)),
        outputs,
        memo: message.memo.into(),
    })
    .map_err(in_its_field)
}

/// Names the field that a rule of transactions is about.
fn in_its_field(error: TransactionError) -> WireError {
    let field = match &error {
        TransactionError::OutputCount(_) | TransactionError::Overflow => "outputs".to_owned(),
        TransactionError::ZeroAmount(at) => format!("outputs[{at}].amount_mites"),
        TransactionError::MemoTooLong(_) => "memo".to_owned(),
        TransactionError::SenderForm { .. } => "sender".to_owned(),
        TransactionError::TooLarge(_) => String::new(),
    };
    WireError::new(field, error)
}

impl TryFrom<v1::SubmitTransactionRequest> for SignedTransaction {
    type Error = WireError;

    fn try_from(request: v1::SubmitTransactionRequest) -> Result<Self, WireError> {
        match request.form {
            None => Err(WireError::missing("form")),
            Some(v1::submit_transaction_request::Form::Transaction(message)) => {
                Self::try_from(message).map_err(|error| error.within("transaction"))
            }
            Some(v1::submit_transaction_request::Form::TransactionBytes(bytes)) => {
                canonical_transaction(&bytes).map_err(|error| error.within("transaction_bytes"))
            }
        }
    }
}

impl TryFrom<v1::SubmitTransactionAndWaitRequest> for SignedTransaction {
    type Error = WireError;

    fn try_from(request: v1::SubmitTransactionAndWaitRequest) -> Result<Self, WireError> {
        use v1::{submit_transaction_and_wait_request::Form, submit_transaction_request};
        let form = request.form.map(|form| match form {
            Form::Transaction(message) => submit_transaction_request::Form::Transaction(message),
            Form::TransactionBytes(bytes) => submit_transaction_request::Form::TransactionBytes(bytes),
        });
        Self::try_from(v1::SubmitTransactionRequest { form })
    }
}

impl TryFrom<v1::SimulateTransactionRequest> for Draft {
    type Error = WireError;

    fn try_from(request: v1::SimulateTransactionRequest) -> Result<Self, WireError> {
        use v1::simulate_transaction_request::Form;
        match request.form {
            None => Err(WireError::missing("form")),
            Some(Form::Transaction(message)) => Self::try_from(message).map_err(|error| error.within("transaction")),
            Some(Form::TransactionBytes(bytes)) => {
                let signed = canonical_transaction(&bytes).map_err(|error| error.within("transaction_bytes"))?;
                Ok(Self::Signed(signed))
            }
        }
    }
}

/// Reads canonical signed bytes, as batches carry them.
///
/// # Errors
/// If they are too long or not the encoding of a transaction.
pub fn canonical_transaction(bytes: &[u8]) -> Result<SignedTransaction, WireError> {
    let max = crate::limits::MAX_TRANSACTION_BYTES;
    if bytes.is_empty() || bytes.len() > max {
        return Err(WireError::new("", WireFault::Count { unit: "bytes", min: 1, max, found: bytes.len() }));
    }
    SignedTransaction::from_canonical(bytes).map_err(|error| WireError::new("", error))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        keys::{KeyError, SignatureError},
        wire::samples::{self, signed_transaction},
    };

    proptest! {
        #[test]
        fn a_transaction_survives_the_wire(signed in signed_transaction()) {
            let message = v1::Transaction::from(&signed);
            prop_assert_eq!(SignedTransaction::try_from(message), Ok(signed));
        }

        #[test]
        fn both_forms_submit_the_same_transaction(signed in signed_transaction()) {
            use v1::submit_transaction_request::Form;
            for form in [Form::Transaction((&signed).into()), Form::TransactionBytes(signed.to_canonical().into())] {
                let request = v1::SubmitTransactionRequest { form: Some(form) };
                prop_assert_eq!(SignedTransaction::try_from(request), Ok(signed.clone()));
            }
        }
    }

    #[test]
    fn a_draft_without_signature_has_the_size_that_it_will_have_with_one() {
        let signed = samples::transfer(7, 5);
        let message = v1::Transaction { signature: Bytes::new(), ..v1::Transaction::from(&signed) };
        let draft = Draft::try_from(message).unwrap();
        assert_eq!(draft, Draft::Unsigned(signed.transaction().clone()));
        let placeholder = draft.with_placeholder(signed.signature().size()).unwrap();
        assert_eq!(placeholder.size_bytes(), signed.size_bytes());
        assert_eq!(Draft::try_from(v1::Transaction::from(&signed)), Ok(Draft::Signed(signed)));
    }

    /// The error of submitting the sample transaction after a change.
    fn refused(change: impl FnOnce(&mut v1::Transaction)) -> WireError {
        let mut message = v1::Transaction::from(&samples::transfer(7, 5));
        change(&mut message);
        let form = v1::submit_transaction_request::Form::Transaction(message);
        SignedTransaction::try_from(v1::SubmitTransactionRequest { form: Some(form) }).unwrap_err()
    }

    #[test]
    fn every_bad_field_is_named_with_its_path() {
        use v1::transaction::Sender::{PublicKey, SenderAddress};
        type Change = Box<dyn FnOnce(&mut v1::Transaction)>;
        let table: Vec<(Change, &str)> = vec![
            (Box::new(|m| m.version = 2), "transaction.version: expected 1 to 1, got 2"),
            (Box::new(|m| m.sender = None), "transaction.sender: is required"),
            (
                Box::new(|m| m.sender = Some(SenderAddress(vec![1; 33].into()))),
                "transaction.sender_address: expected 32 bytes, got 33",
            ),
            (
                Box::new(|m| m.outputs[3].address = vec![1; 31].into()),
                "transaction.outputs[3].address: expected 32 bytes, got 31",
            ),
            (
                Box::new(|m| m.outputs[2].amount_mites = 0),
                "transaction.outputs[2].amount_mites: output 2 pays nothing; every output must pay at least one mite",
            ),
            (Box::new(|m| m.outputs.clear()), "transaction.outputs: 0 outputs, expected 1 to 64"),
            (
                Box::new(|m| m.outputs = vec![m.outputs[0].clone(); 65]),
                "transaction.outputs: 65 outputs, expected 1 to 64",
            ),
            (
                Box::new(|m| m.fee_mites = u64::MAX),
                "transaction.outputs: outputs and fee add up to more than can be written",
            ),
            (
                Box::new(|m| m.memo = vec![0; 257].into()),
                "transaction.memo: the memo has 257 bytes, at most 256 are allowed",
            ),
            (
                Box::new(|m| m.signature = vec![0; 255].into()),
                "transaction.signature: a signature of 255 bytes, expected 256, 384 or 512",
            ),
            (
                Box::new(|m| m.nonce = 0),
                "transaction.sender: nonce 0 with the sender as address; the first transaction carries the key, \
                 later ones the address",
            ),
        ];
        for (change, expected) in table {
            assert_eq!(refused(change).to_string(), expected);
        }
        let error = refused(|m| m.sender = Some(PublicKey(vec![0; 3].into())));
        assert_eq!((error.path(), error.fault()), ("transaction.public_key", &KeyError::Length(3).into()));
        let error = refused(|m| m.signature = Bytes::new());
        let fault = SignatureError::Length { found: 0, expected: "256, 384 or 512" }.into();
        assert_eq!((error.path(), error.fault()), ("transaction.signature", &fault));
    }

    #[test]
    fn a_request_without_a_transaction_says_so() {
        let error = SignedTransaction::try_from(v1::SubmitTransactionRequest { form: None }).unwrap_err();
        assert_eq!(error.to_string(), "form: is required");
    }

    #[test]
    fn canonical_bytes_are_bounded_before_they_are_read_and_read_to_the_end() {
        let submit = |bytes: Vec<u8>| {
            let form = v1::submit_transaction_request::Form::TransactionBytes(bytes.into());
            SignedTransaction::try_from(v1::SubmitTransactionRequest { form: Some(form) }).map_err(|e| e.to_string())
        };
        let error = submit(vec![1; 4097]).unwrap_err();
        assert_eq!(error, "transaction_bytes: expected 1 to 4096 bytes, got 4097");
        let mut bytes = samples::transfer(7, 1).to_canonical();
        bytes.push(0);
        assert_eq!(submit(bytes).unwrap_err(), "transaction_bytes: 1 bytes behind the end");
    }
}
