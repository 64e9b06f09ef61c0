//! Pieces with accounts: sorted, each with the key that it has sent with.

use super::{CheckpointFault, MAX_PIECE_BYTES, PIECE_ACCOUNTS};
use crate::{
    Account, Address, PublicKey,
    codec::{Canonical, DecodeError, Reader, put_bytes, put_count},
    keys::MAX_SPKI_BYTES,
};

/// Bytes of an account without a key.
const ACCOUNT_BYTES: usize = 32 + 56 + 4;

/// One account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointAccount {
    /// Its address.
    pub address: Address,
    /// Its state after the checkpoint's block.
    pub account: Account,
    /// Its key, if it has sent.
    pub key: Option<PublicKey>,
}

impl CheckpointAccount {
    fn encode(&self, out: &mut Vec<u8>) {
        self.address.encode(out);
        self.account.encode(out);
        put_bytes(out, self.key.as_ref().map_or(&[], PublicKey::as_spki));
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, CheckpointFault> {
        let address = Address::decode(reader)?;
        let account = Account::decode(reader)?;
        let spki = reader.bytes("key", MAX_SPKI_BYTES)?;
        let (next_nonce, has_key) = (account.next_nonce, !spki.is_empty());
        if has_key != (next_nonce > 0) {
            return Err(CheckpointFault::KeyPresence { address, next_nonce, key: has_key });
        }
        if !has_key {
            return Ok(Self { address, account, key: None });
        }
        let key = PublicKey::from_spki(spki).map_err(|source| CheckpointFault::Key { address, source })?;
        let found = key.address();
        if found != address {
            return Err(CheckpointFault::ForeignKey { address, found });
        }
        Ok(Self { address, account, key: Some(key) })
    }
}

/// The bytes of a piece with these accounts.
#[must_use]
pub fn encode_accounts(accounts: &[CheckpointAccount]) -> Vec<u8> {
    let mut out = Vec::new();
    put_count(&mut out, accounts.len());
    accounts.iter().for_each(|account| account.encode(&mut out));
    out
}

/// Reads a piece with `count` accounts, all of which stand behind `after`, the last one of the piece before.
///
/// # Errors
/// The first rule that is broken \[R-CKP-04 to -07\].
pub fn decode_accounts(
    bytes: &[u8],
    count: u64,
    after: Option<&Address>,
) -> Result<Vec<CheckpointAccount>, CheckpointFault> {
    if bytes.len() > MAX_PIECE_BYTES {
        return Err(DecodeError::TooLarge { what: "a piece", size: bytes.len(), max: MAX_PIECE_BYTES }.into());
    }
    let mut reader = Reader::new(bytes);
    let most = usize::try_from(PIECE_ACCOUNTS).unwrap_or(usize::MAX);
    let found = reader.count("accounts of a piece", most, ACCOUNT_BYTES)?;
    if found as u64 != count {
        return Err(CheckpointFault::ItemCount { found: found as u64, expected: count });
    }
    let mut accounts = Vec::with_capacity(found);
    let mut before = after.copied();
    for _ in 0..found {
        let account = CheckpointAccount::decode(&mut reader)?;
        let address = account.address;
        if let Some(before) = before.filter(|before| *before >= address) {
            return Err(CheckpointFault::AddressOrder { before, address });
        }
        before = Some(address);
        accounts.push(account);
    }
    reader.finish()?;
    Ok(accounts)
}
