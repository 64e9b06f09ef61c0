//! A chain that begins with a checkpoint: headers without bodies up to one block, and the accounts after it.
//!
//! Three things carry it, besides the checkpoint itself, which is kept like any other and never removed: the file of
//! headers, records of the block log with the keys of all accounts that have sent, and, as the last, one record that
//! says that the chain begins there. Only with that one has it happened: see `docs/crash-ordering.md`.

mod begin;
mod headers;
mod spool;

use std::sync::Arc;

use farthing::{
    Coinbase, Height,
    checkpoint::{CheckpointFault, Layout},
    codec::{Canonical as _, DecodeError, Reader, put_count},
};
use farthing_consensus::HeaderContext;

pub use headers::HeaderFile;
pub use spool::Spool;

use super::{LogPlace, StoreError};

/// Name of the file of headers below the block that the chain begins with, in the data directory.
pub const BASE_HEADERS: &str = "headers.base";
/// Name of the file of headers while they are fetched.
pub const FETCHED_HEADERS: &str = "headers.part";
/// Most coinbases that can wait: the longest `reward_delay` that parameters may have.
const MAX_COINBASES: usize = 10_000;

/// Where a chain begins that was not executed from genesis on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The block whose accounts were taken. Its body, and all below it but genesis, are not here.
    pub tip: HeaderContext,
    /// Coinbases of the last blocks up to it, the oldest first: those that were not yet credited.
    pub coinbases: Vec<Arc<Coinbase>>,
}

impl Base {
    /// The lowest height above genesis whose body is here, once it is.
    #[must_use]
    pub const fn lowest_body(&self) -> Height {
        self.tip.height().next()
    }

    /// The coinbase of a block that was not yet credited at the base.
    #[must_use]
    pub fn coinbase_at(&self, height: Height) -> Option<&Arc<Coinbase>> {
        self.coinbases.iter().find(|coinbase| coinbase.height == height)
    }

    /// What its record holds.
    fn contents(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_count(&mut out, self.coinbases.len());
        self.coinbases.iter().for_each(|coinbase| coinbase.encode(&mut out));
        out
    }

    fn coinbases_from(contents: &[u8]) -> Result<Vec<Arc<Coinbase>>, DecodeError> {
        let mut reader = Reader::new(contents);
        let count = reader.count("coinbases", MAX_COINBASES, 8 + 32 + 8 + 4)?;
        let coinbases = (0..count).map(|_| Coinbase::decode(&mut reader).map(Arc::new)).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(coinbases)
    }
}

/// The record with which the chain begins, and where it stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BasePlace {
    pub(crate) height: Height,
    pub(crate) id: farthing::BlockId,
    pub(crate) place: LogPlace,
}

/// All that a store needs to begin with a checkpoint.
#[derive(Debug)]
pub struct Beginning {
    /// All headers from the first above genesis up to the checkpoint's block, and no more.
    pub headers: HeaderFile,
    /// What the pieces are.
    pub layout: Layout,
    /// The pieces, all of them. Their file goes when nobody needs it any more.
    pub pieces: Arc<Spool>,
}

/// Why a store does not begin with a checkpoint. Nothing of it is in force then.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// It is not the checkpoint of its block.
    #[error(transparent)]
    Fault(#[from] CheckpointFault),
    /// The chain has blocks already.
    #[error("the chain has a tip at height {0} already; only an empty data directory can begin with a checkpoint")]
    NotEmpty(Height),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
