//! The typed objects that are the same in all files, as the domain's types.

use farthing::{
    Account, Coinbase, Header, Height, Mites, Output, PublicKey, Sender, Signature, SignedTransaction, TimeMs,
    Transaction,
    params::{Allocation, ParamsFields, Retarget},
    tx::TransactionFields,
};

use super::Case;

pub(crate) fn mites(case: Case<'_>, key: &str) -> Mites {
    Mites::new(case.number(key))
}

pub(crate) fn header(case: Case<'_>) -> Header {
    assert_eq!(case.small::<u16>("version"), 1, "{case}");
    Header {
        previous: case.hash("previous"),
        commitment: case.hash("commitment"),
        tx_root: case.hash("tx_root"),
        time: TimeMs::new(case.number("time_ms")),
        bits: case.bits("bits"),
        nonce: case.number("nonce"),
    }
}

pub(crate) fn coinbase(case: Case<'_>) -> Coinbase {
    Coinbase {
        height: Height::new(case.number("height")),
        to: case.hash("to_address"),
        amount: mites(case, "amount_mites"),
        tag: case.bytes("tag"),
    }
}

pub(crate) fn account(case: Case<'_>) -> Account {
    Account {
        balance: mites(case, "balance_mites"),
        next_nonce: case.number("next_nonce"),
        entries: case.number("entries"),
        history: case.hash("history"),
    }
}

pub(crate) fn signed_transaction(case: Case<'_>) -> SignedTransaction {
    assert_eq!(case.small::<u8>("version"), 1, "{case}");
    let sender = if case.has("public_key_spki") {
        Sender::Key(PublicKey::from_spki(&case.bytes("public_key_spki")).expect("a key of a valid case"))
    } else {
        Sender::Address(case.hash("sender_address"))
    };
    let output = |case: Case<'_>| Output { to: case.hash("to_address"), amount: mites(case, "amount_mites") };
    let transaction = Transaction::new(TransactionFields {
        sender,
        nonce: case.number("nonce"),
        fee: mites(case, "fee_mites"),
        valid_until: Some(Height::new(case.number("valid_until_height"))),
        outputs: case.list("outputs").into_iter().map(output).collect(),
        memo: case.bytes("memo"),
    });
    let signature = Signature::from_bytes(&case.bytes("signature")).expect("a signature of a valid case");
    SignedTransaction::new(transaction.expect("a valid case"), signature).expect("a valid case")
}

pub(crate) fn parameters(case: Case<'_>) -> ParamsFields {
    let allocation = |case: Case<'_>| Allocation { address: case.hash("address"), amount: mites(case, "amount_mites") };
    ParamsFields {
        name: case.text("name").to_owned(),
        prefix: case.text("prefix").parse().expect("a prefix of a valid case"),
        genesis_time: TimeMs::new(case.number("genesis_time_ms")),
        genesis_bits: case.bits("genesis_bits"),
        limit_bits: case.bits("limit_bits"),
        target_spacing_ms: case.number("target_spacing_ms"),
        retarget: match case.text("retarget") {
            "none" => Retarget::None,
            "asert" => Retarget::Asert,
            other => panic!("{case}: retarget {other}"),
        },
        half_life_ms: case.number("half_life_ms"),
        reward_delay: case.number("reward_delay_blocks"),
        max_block_bytes: case.number("max_block_bytes"),
        max_signature_units: case.number("max_signature_units"),
        max_openings: case.number("max_openings"),
        opening_cost: mites(case, "opening_cost_mites"),
        initial_subsidy: mites(case, "initial_subsidy_mites"),
        halving_interval: case.number("halving_interval_blocks"),
        allocations: case.list("allocations").into_iter().map(allocation).collect(),
    }
}
