//! What tests are made of: networks, keys that cannot sign, transfers, mined headers.

use farthing::{
    Address, AddressPrefix, Bits, Block, Coinbase, Hash, Header, Height, Mites, Output, Params, PublicKey, Sender,
    Signature, SignedTransaction, TimeMs, Transaction,
    hash::sha256,
    params::{Allocation, ParamsFields, Retarget},
    tx::TransactionFields,
};

/// DER of a 2048-bit SubjectPublicKeyInfo up to the modulus (SPEC section 3).
const SPKI_PREFIX: &str = "30820122300d06092a864886f70d01010105000382010f003082010a0282010100";
/// Balance that [`network`] gives each of its accounts.
pub(crate) const ALLOCATED: u64 = 1_000_000;

/// A well-formed key that nobody holds: a modulus made of hashes, with its top and bottom bits set.
pub(crate) fn key(n: u64) -> PublicKey {
    let mut modulus: Vec<u8> = (0..8_u64).flat_map(|part| sha256(&[&n.to_le_bytes(), &part.to_le_bytes()])).collect();
    modulus[0] |= 0x80;
    modulus[255] |= 1;
    let spki = [hex::decode(SPKI_PREFIX).unwrap(), modulus, vec![2, 3, 1, 0, 1]].concat();
    PublicKey::from_spki(&spki).unwrap()
}

/// Address of [`key`].
pub(crate) fn address(n: u64) -> Address {
    key(n).address()
}

/// A network whose headers take two attempts, with [`ALLOCATED`] for accounts 0 to 3, changed as the test likes.
pub(crate) fn network(change: impl FnOnce(&mut ParamsFields)) -> Params {
    let mut allocations = [0, 1, 2, 3].map(|n| Allocation { address: address(n), amount: Mites::new(ALLOCATED) });
    allocations.sort_by_key(|allocation| allocation.address);
    let mut fields = ParamsFields {
        name: "rules".to_owned(),
        prefix: "rules".parse::<AddressPrefix>().unwrap(),
        genesis_time: TimeMs::new(1_000_000_000),
        genesis_bits: Bits::from_compact(0x207f_ffff),
        limit_bits: Bits::from_compact(0x207f_ffff),
        target_spacing_ms: 10_000,
        retarget: Retarget::None,
        half_life_ms: 3_600_000,
        reward_delay: 0,
        max_block_bytes: 1 << 20,
        max_signature_units: 2_500,
        max_openings: 256,
        opening_cost: Mites::new(100),
        initial_subsidy: Mites::new(5_000),
        halving_interval: 1_000,
        allocations: allocations.to_vec(),
    };
    change(&mut fields);
    Params::new(fields).unwrap()
}

/// A signature of the right length for [`key`], which verifies nothing.
pub(crate) fn signature() -> Signature {
    Signature::from_bytes(&[7; 256]).unwrap()
}

/// A transfer by [`key`] `from`; only its signature is none.
pub(crate) fn transfer(from: u64, nonce: u64, fee: u64, outputs: &[(Address, u64)]) -> SignedTransaction {
    transfer_until(from, nonce, fee, outputs, 0)
}

/// As [`transfer`], valid up to a height.
pub(crate) fn transfer_until(
    from: u64,
    nonce: u64,
    fee: u64,
    outputs: &[(Address, u64)],
    valid_until: u64,
) -> SignedTransaction {
    let sender = if nonce == 0 { Sender::Key(key(from)) } else { Sender::Address(address(from)) };
    let transaction = Transaction::new(TransactionFields {
        sender,
        nonce,
        fee: Mites::new(fee),
        valid_until: Some(Height::new(valid_until)),
        outputs: outputs.iter().map(|(to, amount)| Output { to: *to, amount: Mites::new(*amount) }).collect(),
        memo: Vec::new(),
    });
    SignedTransaction::new(transaction.unwrap(), signature()).unwrap()
}

/// A coinbase to an account that is none of the network's.
pub(crate) fn coinbase(height: u64, amount: u64) -> Coinbase {
    Coinbase { height: Height::new(height), to: address(99), amount: Mites::new(amount), tag: Vec::new() }
}

/// A block whose header commits to its body, with neither work nor parent.
pub(crate) fn block(coinbase: Coinbase, transactions: Vec<SignedTransaction>) -> Block {
    let header = Header {
        previous: farthing::BlockId::ZERO,
        commitment: Hash::ZERO,
        tx_root: Hash::ZERO,
        time: TimeMs::new(0),
        bits: Bits::from_compact(0x207f_ffff),
        nonce: 0,
    };
    let mut block = Block { header, coinbase, transactions };
    block.header.tx_root = block.tx_root();
    block
}

/// Searches the nonce that gives a header its work.
pub(crate) fn mine(mut header: Header) -> Header {
    while !header.has_work() {
        header.nonce += 1;
    }
    header
}
