//! Short ids: six bytes that stand for a transaction in one sender's compact form of one block.

use farthing::{Header, WireId, hash::sha256};
use siphasher::sip::SipHasher24;

/// Bytes of a short id on the wire.
pub(super) const SHORT_ID_BYTES: usize = 6;
/// Bytes of a sender's salt.
pub(super) const SALT_BYTES: usize = 8;

/// Random bytes of the sender. Nobody can know them beforehand, and so nobody can choose transactions that collide.
pub(super) type Salt = [u8; SALT_BYTES];

/// Stands for a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ShortId([u8; SHORT_ID_BYTES]);

impl ShortId {
    pub(super) const fn from_bytes(bytes: [u8; SHORT_ID_BYTES]) -> Self {
        Self(bytes)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; SHORT_ID_BYTES] {
        &self.0
    }
}

/// What a short id is computed under: one block and one salt.
#[derive(Debug, Clone)]
pub(super) struct ShortIdKey(SipHasher24);

impl ShortIdKey {
    /// The first 16 bytes of SHA-256(header ‖ salt).
    pub(super) fn new(header: &Header, salt: &Salt) -> Self {
        let digest = sha256(&[&header.to_bytes(), salt]);
        let (key, _) = digest.split_first_chunk::<16>().expect("a digest has 32 bytes");
        Self(SipHasher24::new_with_key(key))
    }

    /// The lower six bytes, little-endian, of SipHash-2-4 of the wire id.
    pub(super) fn short_id(&self, id: &WireId) -> ShortId {
        let [a, b, c, d, e, f, _, _] = self.0.hash(id.as_bytes()).to_le_bytes();
        ShortId([a, b, c, d, e, f])
    }
}
