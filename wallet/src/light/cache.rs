//! What was verified of a chain, kept for the next command: a file of at most 8 KiB with a checksum, replaced in one step,
//! and only by a chain with as much work.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use farthing::{
    BlockId, Header, Height, Params, Work,
    codec::{Canonical as _, Reader},
    hash::sha256,
    header::HEADER_BYTES,
};

use super::chain::{Chain, KEPT};
use crate::disk::{self, DiskError};

/// What the file begins with; the last byte is the form's version.
const MAGIC: &[u8] = b"farthing chain\x01";
/// Magic, genesis id, height, work, headers, checksum.
const MAX_BYTES: u64 = (MAGIC.len() + 32 + 8 + 16 + KEPT * HEADER_BYTES + 32) as u64;
/// How long another command may take to write the file before this one leaves it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The file.
#[derive(Debug, Clone)]
pub struct Cache {
    path: PathBuf,
}

/// What the file holds.
#[derive(Debug)]
pub enum Kept {
    /// Nothing yet.
    Nothing,
    /// A chain.
    Chain(Box<Chain>),
    /// Something that cannot be used, for this reason.
    Damaged(String),
}

impl Cache {
    /// The cache in a network's folder.
    #[must_use]
    pub fn within(home: &Path) -> Self {
        Self { path: home.join("chain.verified") }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it. Whatever is wrong with it, the work can be verified anew.
    #[must_use]
    pub fn read(&self, network: &Params) -> Kept {
        let bytes = match disk::read_private(&self.path, MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() => return Kept::Nothing,
            Err(error) => return Kept::Damaged(error.to_string()),
        };
        match decode(network, &bytes) {
            Some(chain) => Kept::Chain(Box::new(chain)),
            None => Kept::Damaged(format!("{} is damaged", self.path.display())),
        }
    }

    /// Keeps a chain, unless the file has one with more work, which another command may have put there meanwhile. Without
    /// the folder there is nothing to keep it in.
    ///
    /// # Errors
    /// [`DiskError`]; the chain was verified all the same.
    pub fn keep(&self, network: &Params, chain: &Chain) -> Result<(), DiskError> {
        self.write(network, chain, false)
    }

    /// Keeps a chain whatever the file has.
    ///
    /// # Errors
    /// As [`Cache::keep`].
    pub fn begin_anew(&self, network: &Params, chain: &Chain) -> Result<(), DiskError> {
        self.write(network, chain, true)
    }

    fn write(&self, network: &Params, chain: &Chain, anew: bool) -> Result<(), DiskError> {
        let Some(folder) = self.path.parent().filter(|folder| folder.is_dir()) else { return Ok(()) };
        let _lock = disk::lock(&folder.join(".chain.lock"), PATIENCE, &mut || {})?;
        match self.read(network) {
            Kept::Chain(kept) if !anew && kept.work() > chain.work() => Ok(()),
            _ => disk::replace_private(&self.path, &encode(network, chain)),
        }
    }
}

fn encode(network: &Params, chain: &Chain) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(network.genesis_id().as_bytes());
    bytes.extend_from_slice(&chain.height().get().to_le_bytes());
    bytes.extend_from_slice(&chain.work().get().to_le_bytes());
    chain.headers().iter().for_each(|header| header.encode(&mut bytes));
    let sum = sha256(&[&bytes]);
    bytes.extend_from_slice(&sum);
    bytes
}

fn decode(network: &Params, bytes: &[u8]) -> Option<Chain> {
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
    if sha256(&[body]) != sum {
        return None;
    }
    let mut reader = Reader::new(body.strip_prefix(MAGIC)?);
    if BlockId::decode(&mut reader).ok()? != *network.genesis_id() {
        return None;
    }
    let (height, work) = (reader.u64("height").ok()?, reader.u128("work").ok()?);
    let mut headers = Vec::new();
    while reader.remaining() > 0 {
        headers.push(Header::decode(&mut reader).ok()?);
    }
    Chain::of_kept(headers, Height::new(height), Work::new(work))
}
