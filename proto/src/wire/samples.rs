//! Values for the tests of conversions: well-formed, not signed by anyone.

use proptest::{collection::vec, prelude::*};

use crate::{
    Account, Address, Bits, Block, BlockId, Coinbase, Hash, Header, Height, Mites, Output, PublicKey, RangeNode,
    Sender, Signature, SignedTransaction, TimeMs, Transaction, Work,
    proof::{AccountProof, ProofStep},
    tx::TransactionFields,
};

/// A key in its canonical encoding; that its modulus has no known factors does not matter here.
pub(super) fn key(seed: u8) -> PublicKey {
    let mut spki = hex::decode("30820122300d06092a864886f70d01010105000382010f003082010a0282010100").unwrap();
    spki.push(0x80 | seed);
    spki.extend([seed; 254]);
    spki.push(1);
    spki.extend([2, 3, 1, 0, 1]);
    PublicKey::from_spki(&spki).unwrap()
}

/// A transfer with so many outputs: from a key at nonce 0, from an address above.
pub(super) fn transfer(nonce: u64, outputs: usize) -> SignedTransaction {
    let output = |n: usize| Output { to: Address::from_bytes([n as u8; 32]), amount: Mites::new(n as u64 + 1) };
    let transaction = Transaction::new(TransactionFields {
        sender: if nonce == 0 { Sender::Key(key(9)) } else { Sender::Address(Address::from_bytes([9; 32])) },
        nonce,
        fee: Mites::new(40_000),
        valid_until: None,
        outputs: (0..outputs).map(output).collect(),
        memo: b"rent".to_vec(),
    });
    SignedTransaction::new(transaction.unwrap(), Signature::from_bytes(&[7; 256]).unwrap()).unwrap()
}

pub(super) fn address() -> impl Strategy<Value = Address> {
    any::<[u8; 32]>().prop_map(Address::from_bytes)
}

pub(super) fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash::from_bytes)
}

pub(super) fn signed_transaction() -> impl Strategy<Value = SignedTransaction> {
    let sender = prop_oneof![
        any::<u8>().prop_map(|seed| (Sender::Key(key(seed)), 0)),
        (address(), 1..u64::MAX).prop_map(|(address, nonce)| (Sender::Address(address), nonce)),
    ];
    let output = (address(), 1..1_u64 << 50).prop_map(|(to, amount)| Output { to, amount: Mites::new(amount) });
    let length = prop_oneof![Just(256_usize), Just(384), Just(512)];
    let signature = length.prop_flat_map(|length| vec(any::<u8>(), length));
    (sender, 0..1_u64 << 50, any::<u64>(), vec(output, 1..=64), vec(any::<u8>(), 0..=256), signature).prop_map(
        |((sender, nonce), fee, until, outputs, memo, signature)| {
            let transaction = Transaction::new(TransactionFields {
                sender,
                nonce,
                fee: Mites::new(fee),
                valid_until: Some(Height::new(until)),
                outputs,
                memo,
            });
            SignedTransaction::new(transaction.unwrap(), Signature::from_bytes(&signature).unwrap()).unwrap()
        },
    )
}

pub(super) fn header() -> impl Strategy<Value = Header> {
    (any::<[u8; 32]>(), hash(), hash(), any::<u64>(), any::<u32>(), any::<u64>()).prop_map(
        |(previous, commitment, tx_root, time, bits, nonce)| Header {
            previous: BlockId::from_bytes(previous),
            commitment,
            tx_root,
            time: TimeMs::new(time),
            bits: Bits::from_compact(bits),
            nonce,
        },
    )
}

pub(super) fn coinbase() -> impl Strategy<Value = Coinbase> {
    (any::<u64>(), address(), any::<u64>(), vec(any::<u8>(), 0..=64)).prop_map(|(height, to, amount, tag)| Coinbase {
        height: Height::new(height),
        to,
        amount: Mites::new(amount),
        tag,
    })
}

pub(super) fn block() -> impl Strategy<Value = Block> {
    (header(), coinbase(), vec(signed_transaction(), 0..4)).prop_map(|(header, coinbase, transactions)| {
        let mut block = Block { header, coinbase, transactions };
        block.header.tx_root = block.tx_root();
        block
    })
}

pub(super) fn account() -> impl Strategy<Value = Account> {
    (any::<u64>(), any::<u64>(), any::<u64>(), hash()).prop_map(|(balance, next_nonce, entries, history)| Account {
        balance: Mites::new(balance),
        next_nonce,
        entries,
        history,
    })
}

pub(super) fn account_proof() -> impl Strategy<Value = AccountProof> {
    let step = (any::<u8>(), hash()).prop_map(|(bit, sibling)| ProofStep { bit, sibling });
    let leaf = proptest::option::of((address(), account()));
    (leaf, vec(step, 0..=256)).prop_map(|(leaf, steps)| AccountProof { leaf, steps })
}

pub(super) fn range_node() -> impl Strategy<Value = RangeNode> {
    (hash(), any::<u64>(), work(), any::<u64>(), any::<u64>()).prop_map(|(commit, count, work, first, last)| {
        RangeNode { commit, count, work, first_time: TimeMs::new(first), last_time: TimeMs::new(last) }
    })
}

pub(super) fn work() -> impl Strategy<Value = Work> {
    any::<u128>().prop_map(Work::new)
}
