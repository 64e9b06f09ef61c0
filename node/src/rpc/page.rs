//! Pages: sizes with a default and a bound, and opaque tokens that name where the next one begins.
//!
//! A token is the hex of: version, method, what the method needs, and the first bytes of a hash over all that, so that
//! a token that was mixed up or cut is refused rather than misread.

use std::fmt::Debug;

use farthing::hash::sha256;

use super::{ApiError, Reason};

/// First byte of every token.
const VERSION: u8 = 1;
const CHECK_BYTES: usize = 4;
/// Encoded size at which a page is closed even if it may have more entries: a gRPC client takes 4 MiB by default.
pub(super) const PAGE_BYTES: usize = 3 * 1024 * 1024;

/// Whose token it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    Blocks = 1,
    AccountEntries = 2,
    Mempool = 3,
    OldestEntries = 4,
}

/// Makes a token.
pub(super) fn token(listing: Listing, parts: &[&[u8]]) -> String {
    let mut bytes = vec![VERSION, listing as u8];
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    let check = sha256(&[&bytes]);
    bytes.extend_from_slice(&check[..CHECK_BYTES]);
    hex::encode(bytes)
}

/// Reads the `N` bytes of a token of this listing; none if the token is empty, which means the first page.
pub(super) fn read<const N: usize>(listing: Listing, token: &str) -> Result<Option<[u8; N]>, ApiError> {
    let body = read_bytes(listing, token)?;
    body.map(|body| body.try_into().map_err(|_| invalid())).transpose()
}

/// Reads a token of this listing whose length varies; none if the token is empty, which means the first page.
pub(super) fn read_bytes(listing: Listing, token: &str) -> Result<Option<Vec<u8>>, ApiError> {
    if token.is_empty() {
        return Ok(None);
    }
    let body = |bytes: &[u8]| -> Option<Vec<u8>> {
        let (bytes, check) = bytes.split_last_chunk::<CHECK_BYTES>()?;
        let (head, body) = bytes.split_first_chunk::<2>()?;
        (sha256(&[bytes]).starts_with(check) && *head == [VERSION, listing as u8]).then(|| body.to_vec())
    };
    hex::decode(token).ok().and_then(|bytes| body(&bytes)).map(Some).ok_or_else(invalid)
}

/// The refusal of a token that this method did not make for this request.
pub(super) fn invalid() -> ApiError {
    ApiError::new(
        Reason::InvalidPageToken,
        "page_token: expected next_page_token of an earlier answer of this method to the same request",
    )
    .with("field", "page_token")
}

/// The number of entries asked for, within its bound; 0 means the default.
pub(super) fn size(asked: u32, default: usize, max: usize) -> Result<usize, ApiError> {
    match usize::try_from(asked).unwrap_or(usize::MAX) {
        0 => Ok(default),
        size if size <= max => Ok(size),
        size => {
            let message = format!("page_size: expected 0 to {max}, got {size}");
            Err(ApiError::new(Reason::InvalidField, message).with("field", "page_size"))
        }
    }
}

/// Counts what a page holds.
#[derive(Debug, Default)]
pub(super) struct Budget(usize);

impl Budget {
    /// Whether an entry of this encoded size still fits. The first always does.
    pub(super) fn fits(&mut self, message: &impl prost::Message) -> bool {
        let first = self.0 == 0;
        self.0 = self.0.saturating_add(message.encoded_len().max(1));
        first || self.0 <= PAGE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_for_its_own_listing_only() {
        let made = token(Listing::Blocks, &[&[7; 8], &[9; 32]]);
        let mut expected = [9; 40];
        expected[..8].fill(7);
        assert_eq!(read::<40>(Listing::Blocks, &made), Ok(Some(expected)));
        assert_eq!(read::<40>(Listing::Mempool, &made), Err(invalid()));
        assert_eq!(read::<41>(Listing::Blocks, &made), Err(invalid()));
    }

    #[test]
    fn an_empty_token_means_the_first_page() {
        assert_eq!(read::<40>(Listing::Blocks, ""), Ok(None));
    }

    #[test]
    fn a_token_with_any_character_changed_is_refused() {
        let made = token(Listing::AccountEntries, &[&[1; 48]]);
        for at in 0..made.len() {
            let other = if &made[at..=at] == "0" { "1" } else { "0" };
            let mut changed = made.clone();
            changed.replace_range(at..=at, other);
            assert_eq!(read::<48>(Listing::AccountEntries, &changed), Err(invalid()), "{changed}");
            assert_eq!(read::<48>(Listing::AccountEntries, &made[..at]).ok().flatten(), None);
        }
        assert_eq!(read::<48>(Listing::AccountEntries, "no hex"), Err(invalid()));
    }

    #[test]
    fn a_page_size_has_a_default_and_a_bound() {
        assert_eq!(size(0, 20, 100), Ok(20));
        assert_eq!(size(100, 20, 100), Ok(100));
        assert_eq!(size(101, 20, 100).unwrap_err().to_string(), "page_size: expected 0 to 100, got 101");
    }

    #[test]
    fn a_page_is_closed_at_its_bytes_but_never_empty() {
        let big = farthing::wire::v1::Coinbase { tag: vec![0; PAGE_BYTES].into(), ..Default::default() };
        let mut budget = Budget::default();
        assert!(budget.fits(&big));
        assert!(!budget.fits(&farthing::wire::v1::Coinbase::default()));
    }
}
