//! The header range over the best chain: a file of 72-byte nodes, written in place, made again when in doubt.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use farthing::{
    codec::Canonical as _,
    range::{RANGE_NODE_BYTES, RangeNode, RangePeaks, leaf_position, peak_positions},
};

use super::StoreError;
use crate::env::{Disk, DiskFile};

/// The open file.
#[derive(Debug)]
pub(crate) struct RangeFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
}

impl RangeFile {
    /// Opens the file, making it if need be. Its name need not be durable: without it, it is made again.
    pub(crate) fn open(disk: &dyn Disk, path: PathBuf) -> Result<Self, StoreError> {
        let exists = disk.exists(&path).map_err(StoreError::io("looking for the header range", &path))?;
        let file = if exists { disk.open(&path) } else { disk.create(&path) };
        let file = file.map_err(StoreError::io("opening the header range", &path))?;
        Ok(Self { file, path })
    }

    /// The node at a position.
    pub(crate) fn node(&self, position: u64) -> Result<RangeNode, StoreError> {
        let mut bytes = [0; RANGE_NODE_BYTES];
        let read = self.file.read_exact_at(position * RANGE_NODE_BYTES as u64, &mut bytes);
        read.map_err(StoreError::io("reading the header range", &self.path))?;
        RangeNode::from_canonical(&bytes).map_err(|source| StoreError::Decode { what: "a header range node", source })
    }

    /// Writes nodes behind those of the first `kept` headers.
    pub(crate) fn put(&self, kept: u64, nodes: &[RangeNode]) -> Result<(), StoreError> {
        let mut bytes = Vec::with_capacity(nodes.len() * RANGE_NODE_BYTES);
        for node in nodes {
            node.encode(&mut bytes);
        }
        let written = self.file.write_all_at(leaf_position(kept) * RANGE_NODE_BYTES as u64, &bytes);
        written.map_err(StoreError::io("writing the header range", &self.path))
    }

    /// The peaks over the first `count` headers, as the file has them; none if those bytes are no peaks.
    pub(crate) fn peaks(&self, count: u64) -> Option<RangePeaks> {
        let peaks: Result<Vec<_>, _> = peak_positions(count).into_iter().map(|at| self.node(at)).collect();
        RangePeaks::from_peaks(peaks.ok()?).filter(|peaks| peaks.count() == count)
    }

    /// Makes it durable.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(StoreError::unknown("syncing the header range", &self.path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
