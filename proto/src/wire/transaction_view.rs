//! Transactions for readers: the typed form with ids and texts, which a reader recomputes rather than believes.

use super::{WireError, WireFault, field, v1};
use crate::{Params, SignedTransaction, TxId};

/// A transaction as readers of this network see it.
#[must_use]
pub fn transaction_view(params: &Params, signed: &SignedTransaction) -> v1::TransactionView {
    transaction_view_with_id(params, signed, signed.transaction().id(params.genesis_id()))
}

/// As [`transaction_view`], for callers that have computed the id already.
#[must_use]
pub fn transaction_view_with_id(params: &Params, signed: &SignedTransaction, id: TxId) -> v1::TransactionView {
    let transaction = signed.transaction();
    let sender = transaction.sender_address();
    v1::TransactionView {
        transaction_id: field::bytes32(id.as_bytes()),
        transaction_id_hex: id.to_string(),
        wire_id: field::bytes32(signed.wire_id().as_bytes()),
        sender_address: field::bytes32(sender.as_bytes()),
        sender_address_text: params.prefix.format(&sender),
        transaction: Some(signed.into()),
        output_address_texts: transaction.outputs().iter().map(|output| params.prefix.format(&output.to)).collect(),
        size_bytes: field::size(signed.size_bytes()),
    }
}

/// Reads a view back. Everything that follows from the transaction is computed here and held against the view.
///
/// # Errors
/// If the transaction is missing or malformed, or an id in the view is not its own.
pub fn read_transaction_view(
    params: &Params,
    view: v1::TransactionView,
) -> Result<(TxId, SignedTransaction), WireError> {
    let signed: SignedTransaction = field::required("transaction", view.transaction)?;
    let id = signed.transaction().id(params.genesis_id());
    let derived = [
        ("transaction_id", &view.transaction_id, id.to_bytes()),
        ("wire_id", &view.wire_id, signed.wire_id().to_bytes()),
        ("sender_address", &view.sender_address, signed.transaction().sender_address().to_bytes()),
    ];
    for (field, found, expected) in derived {
        if found.as_ref() != expected.as_slice() {
            return Err(WireError::new(field, WireFault::Mismatch { other: "transaction" }));
        }
    }
    Ok((id, signed))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{params::Network, wire::samples};

    proptest! {
        #[test]
        fn a_view_reads_back_with_its_id(signed in samples::signed_transaction()) {
            let params = Network::Dev.params();
            let view = transaction_view(params, &signed);
            prop_assert_eq!(view.transaction_id_hex.parse(), Ok(signed.transaction().id(params.genesis_id())));
            prop_assert_eq!(params.prefix.parse(&view.sender_address_text), Ok(signed.transaction().sender_address()));
            prop_assert_eq!(view.output_address_texts.len(), signed.transaction().outputs().len());
            let id = signed.transaction().id(params.genesis_id());
            prop_assert_eq!(read_transaction_view(params, view), Ok((id, signed)));
        }
    }

    #[test]
    fn a_view_whose_ids_are_not_the_transactions_is_refused() {
        let params = Network::Dev.params();
        let good = transaction_view(params, &samples::transfer(1, 2));
        type Change = fn(&mut v1::TransactionView);
        let table: [(Change, &str); 5] = [
            (|v| v.transaction = None, "transaction: is required"),
            (
                |v| v.transaction.as_mut().unwrap().outputs[1].address = vec![0; 9].into(),
                "transaction.outputs[1].address: expected 32 bytes, got 9",
            ),
            (|v| v.transaction_id = vec![0; 32].into(), "transaction_id: does not match transaction"),
            (|v| v.wire_id = vec![0; 32].into(), "wire_id: does not match transaction"),
            (|v| v.sender_address = vec![0; 32].into(), "sender_address: does not match transaction"),
        ];
        for (change, expected) in table {
            let mut view = good.clone();
            change(&mut view);
            assert_eq!(read_transaction_view(params, view).unwrap_err().to_string(), expected);
        }
        let other_network = read_transaction_view(Network::Test.params(), good).unwrap_err();
        assert_eq!(other_network.to_string(), "transaction_id: does not match transaction");
    }
}
