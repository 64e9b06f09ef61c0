//! The ready file: tells a script that the node serves, and where.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::env::{Disk, disk::write_atomically};

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// Form of the file; 1.
    pub schema: u32,
    /// Name of the network.
    pub network: String,
    /// Id of the genesis block, in hex.
    pub genesis_id: String,
    /// The process.
    pub pid: u32,
    /// Version of the program.
    pub version: &'static str,
    /// Where the public API listens.
    pub rpc: SocketAddr,
    /// Where nodes are taken.
    pub p2p: SocketAddr,
    /// Path of the admin socket.
    pub admin: Option<PathBuf>,
}

impl Ready {
    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// Of the disk.
    pub fn write(&self, disk: &dyn Disk, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        write_atomically(disk, path, &text)
    }
}

/// Removes the file of an earlier run, so that nobody takes it for this one's.
///
/// # Errors
/// Of the disk; a missing file is fine.
pub fn clear(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{MemDisk, disk::read_whole};

    #[test]
    fn the_file_is_json_with_the_bound_addresses_and_can_be_cleared() {
        let disk = MemDisk::new();
        let path = Path::new("/ready.json");
        clear(&disk, path).unwrap();
        let ready = Ready {
            schema: 1,
            network: "dev".to_owned(),
            genesis_id: "00".repeat(32),
            pid: 7,
            version: "0.1.0",
            rpc: "127.0.0.1:50051".parse().unwrap(),
            p2p: "[::]:50061".parse().unwrap(),
            admin: Some("/data/admin.sock".into()),
        };
        ready.write(&disk, path).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&read_whole(&disk, path, 4096).unwrap()).unwrap();
        assert_eq!(read["rpc"], "127.0.0.1:50051");
        assert_eq!(read["p2p"], "[::]:50061");
        assert_eq!(read["admin"], "/data/admin.sock");
        assert_eq!((read["network"].as_str(), read["pid"].as_u64()), (Some("dev"), Some(7)));
        clear(&disk, path).unwrap();
        assert!(!disk.exists(path).unwrap());
    }
}
