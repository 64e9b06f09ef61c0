//! Where the admin socket of a data directory is: made by the node that holds the directory's lock, found by commands.

use std::{
    io,
    path::{Path, PathBuf, absolute},
};

use crate::{
    admin::{SOCKET_FILE, SOCKET_PATH_FILE},
    config::Config,
    env::{
        Disk, Env, LocalSocket,
        disk::{read_whole, write_atomically},
        is_short_path,
    },
    node::StartError,
};

/// A path is no longer than this.
const MAX_PATH_BYTES: u64 = 4_096;

/// Listens on the admin socket. To be called with the data directory's lock held: whatever socket is there is a dead
/// node's. None if the network of this environment has no such sockets, as a simulated one.
pub(super) async fn listen(config: &Config, env: &Env) -> Result<Option<LocalSocket>, StartError> {
    let wanted = path_in(&config.data_dir).map_err(|source| failed(&config.data_dir, source))?;
    forget(&**env.disk(), &config.data_dir);
    let socket = match env.net().listen_local(&wanted).await {
        Ok(socket) => socket,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            tracing::warn!("no admin socket: this environment has none");
            return Ok(None);
        }
        Err(source) => return Err(failed(&wanted, source)),
    };
    if socket.path != wanted {
        let named = config.data_dir.join(SOCKET_PATH_FILE);
        let path = socket.path.display();
        tracing::warn!(wanted = %wanted.display(), %path, "the admin socket's path is too long, using a short one");
        write_atomically(&**env.disk(), &named, format!("{path}\n").as_bytes())
            .map_err(|source| failed(&named, source))?;
    }
    Ok(Some(socket))
}

/// Removes what says where an earlier socket was, and that socket if its node was killed.
pub(super) fn forget(disk: &dyn Disk, data_dir: &Path) {
    let named = data_dir.join(SOCKET_PATH_FILE);
    let Some(path) = read_path(disk, &named) else { return };
    let outcome = disk.remove(&named).and_then(|()| match path.parent() {
        // Only what a node made for this alone.
        Some(home) if is_short_path(&path) && disk.exists(home)? => disk.remove_dir_all(home),
        _ => Ok(()),
    });
    if let Err(error) = outcome {
        tracing::debug!(path = %path.display(), %error, "a dead node's socket cannot be removed");
    }
}

/// Where a node on this data directory has its admin socket, if it runs.
pub(crate) fn locate(disk: &dyn Disk, data_dir: &Path) -> io::Result<PathBuf> {
    match read_path(disk, &data_dir.join(SOCKET_PATH_FILE)) {
        Some(path) => Ok(path),
        None => path_in(data_dir),
    }
}

/// Absolute, so that node and command mean the same whatever directory each was started in.
fn path_in(data_dir: &Path) -> io::Result<PathBuf> {
    Ok(absolute(data_dir)?.join(SOCKET_FILE))
}

fn read_path(disk: &dyn Disk, named: &Path) -> Option<PathBuf> {
    let text = String::from_utf8(read_whole(disk, named, MAX_PATH_BYTES).ok()?).ok()?;
    Some(PathBuf::from(text.trim_end_matches('\n'))).filter(|path| path.is_absolute())
}

fn failed(path: &Path, source: io::Error) -> StartError {
    StartError::AdminSocket { path: path.to_owned(), source }
}
