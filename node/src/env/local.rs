//! Unix sockets of the machine: made so that nobody but the own user can ever connect, and found again by other
//! processes of that user.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::{
        fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
        net::SocketAddr as UnixAddress,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::net::{UnixListener, UnixStream};

use super::{Admission, Connection, Listener, Random, SystemRandom};

/// Where a socket goes whose own path is too long for a socket's address.
const SHORT_HOMES: &str = "/tmp";
const SHORT_HOME_PREFIX: &str = "farthing-";
/// Within the directory of a socket: where it is made. No longer than any socket's name, so that it fits too.
const WORKSHOP: &str = ".sock";

/// A bound Unix socket, and where it is. It is removed when its listener is dropped.
#[derive(Debug)]
pub struct LocalSocket {
    /// Takes the connections.
    pub listener: Box<dyn Listener>,
    /// Its path: the one asked for, or one in a private directory of a short name.
    pub path: PathBuf,
}

/// Whether a path fits a socket's address: 107 bytes on Linux.
pub fn fits_socket(path: &Path) -> bool {
    UnixAddress::from_pathname(path).is_ok()
}

/// Whether a path is one that [`LocalSocket`] falls back to: `/tmp/farthing-*/NAME`.
pub fn is_short_path(path: &Path) -> bool {
    let home = path.parent().filter(|home| home.parent() == Some(Path::new(SHORT_HOMES)));
    let name = home.and_then(Path::file_name).and_then(std::ffi::OsStr::to_str);
    name.is_some_and(|name| name.starts_with(SHORT_HOME_PREFIX))
}

/// Listens at a path, in the place of whatever socket was there, or at a short one if the path does not fit.
pub(super) fn listen(path: &Path) -> io::Result<LocalSocket> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a path without a name"))?;
    let mut mark = Mark { path: path.to_owned(), place: None, home: None };
    if !fits_socket(path) {
        let home = short_home()?;
        mark = Mark { path: home.join(name), place: None, home: Some(home) };
    }
    let listener = bind_privately(&mark.path)?;
    let made = fs::symlink_metadata(&mark.path)?;
    mark.place = Some((made.dev(), made.ino()));
    let path = mark.path.clone();
    Ok(LocalSocket { listener: Box::new(SystemLocalListener { listener, mark }), path })
}

/// A socket can be connected to from the moment it listens, with the rights that the umask leaves. So it is made in a
/// directory that nobody else can enter, gets its mode there, and is then moved to its name.
#[expect(clippy::disallowed_methods, reason = "this is where local sockets enter")]
fn bind_privately(path: &Path) -> io::Result<UnixListener> {
    let workshop = path.with_file_name(WORKSHOP);
    let made = workshop.join("s");
    // What a process left that was killed here.
    ignore_missing(fs::remove_file(&made))?;
    ignore_missing(fs::remove_dir(&workshop))?;
    DirBuilder::new().mode(0o700).create(&workshop)?;
    let listener = UnixListener::bind(&made)?;
    fs::set_permissions(&made, Permissions::from_mode(0o600))?;
    fs::rename(&made, path)?;
    fs::remove_dir(&workshop)?;
    Ok(listener)
}

/// A new directory with a short name that only the own user can enter. Its name cannot be foreseen, so nobody can take
/// it first.
fn short_home() -> io::Result<PathBuf> {
    let random: &dyn Random = &SystemRandom;
    let name = format!("{SHORT_HOME_PREFIX}{}", hex::encode(random.array::<8>()));
    let home = Path::new(SHORT_HOMES).join(name);
    DirBuilder::new().mode(0o700).create(&home)?;
    Ok(home)
}

fn ignore_missing(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Connects to a socket of this machine.
#[expect(clippy::disallowed_methods, reason = "this is where local sockets enter")]
pub(super) async fn dial(path: &Path) -> io::Result<Connection> {
    let stream = UnixStream::connect(path).await?;
    let process = stream.peer_cred()?.pid().and_then(|pid| u32::try_from(pid).ok());
    Ok(Connection::local(stream, process))
}

#[derive(Debug)]
struct SystemLocalListener {
    listener: UnixListener,
    mark: Mark,
}

impl Listener for SystemLocalListener {
    fn local_addr(&self) -> io::Result<std::net::SocketAddr> {
        Ok(super::net::OWN_MACHINE)
    }

    fn describe(&self) -> String {
        self.mark.path.display().to_string()
    }

    fn accept<'a>(&'a mut self, admits: &'a mut Admission<'a>) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async move {
            let stream = loop {
                let (stream, _) = self.listener.accept().await?;
                if admits(super::net::OWN_MACHINE) {
                    break stream;
                }
            };
            let process = stream.peer_cred()?.pid().and_then(|pid| u32::try_from(pid).ok());
            Ok(Connection::local(stream, process))
        })
    }
}

/// What a listener leaves on the disk. Removes it, unless another socket has taken its place.
#[derive(Debug)]
struct Mark {
    path: PathBuf,
    /// Device and inode of the socket, once it is there.
    place: Option<(u64, u64)>,
    /// A directory that was made for it alone.
    home: Option<PathBuf>,
}

impl Drop for Mark {
    #[expect(clippy::disallowed_methods, reason = "this is where local sockets enter")]
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path).ok().map(|found| (found.dev(), found.ino()));
        // What cannot be removed is replaced by the next one to listen here.
        if found.is_some() && found == self.place {
            let _ = fs::remove_file(&self.path);
        }
        if let Some(home) = &self.home {
            let _ = fs::remove_dir(home);
        }
    }
}

/// A process of this machine whose end can be waited for.
#[derive(Debug)]
pub struct ProcessWatch {
    #[cfg(target_os = "linux")]
    descriptor: std::os::fd::OwnedFd,
}

#[cfg(target_os = "linux")]
impl ProcessWatch {
    /// Watches a process. To be called while it is known to run, or its number may be another's.
    ///
    /// # Errors
    /// If there is none, or the system cannot tell.
    pub fn new(process: u32) -> io::Result<Self> {
        use rustix::process::{Pid, PidfdFlags, pidfd_open};
        let pid = i32::try_from(process).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { descriptor: pidfd_open(pid, PidfdFlags::empty())? })
    }

    /// Blocks until the process has ended; false if it has not after this time.
    ///
    /// # Errors
    /// The cause, as the system gives it.
    pub fn wait(&self, at_most: Duration) -> io::Result<bool> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let timeout = Timespec::try_from(at_most).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut descriptors = [PollFd::new(&self.descriptor, PollFlags::IN)];
        Ok(poll(&mut descriptors, Some(&timeout))? > 0)
    }
}

#[cfg(not(target_os = "linux"))]
impl ProcessWatch {
    /// Watches a process.
    ///
    /// # Errors
    /// Always: this system has no means for it.
    pub fn new(_process: u32) -> io::Result<Self> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    /// Never called.
    ///
    /// # Errors
    /// Always.
    pub fn wait(&self, _at_most: Duration) -> io::Result<bool> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "looks at the real disk")]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::env::{Net as _, SystemNet};

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    async fn talks(socket: &mut LocalSocket) {
        let (dialled, accepted) =
            tokio::join!(SystemNet.dial_local(&socket.path), async { socket.listener.accept(&mut |_| true).await });
        let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
        assert_eq!(dialled.process(), Some(std::process::id()));
        assert!(accepted.peer().ip().is_loopback());
        let (mut near, mut far) = (dialled.into_io(), accepted.into_io());
        near.write_all(b"ping").await.unwrap();
        let mut read = [0; 4];
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"ping");
    }

    #[tokio::test]
    async fn a_socket_is_the_own_users_alone_and_is_gone_with_its_listener() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let mut socket = SystemNet.listen_local(&path).await.unwrap();
        assert_eq!((socket.path.as_path(), mode(&path)), (path.as_path(), 0o600));
        assert_eq!(socket.listener.describe(), path.display().to_string());
        talks(&mut socket).await;
        drop(socket);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left");
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_the_late_end_of_its_listener_does_not_take_the_new_one_away() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let stale = SystemNet.listen_local(&path).await.unwrap();
        // As left by a process that was killed in the midst of it.
        fs::create_dir(directory.path().join(WORKSHOP)).unwrap();
        fs::write(directory.path().join(WORKSHOP).join("s"), b"").unwrap();
        let mut fresh = SystemNet.listen_local(&path).await.unwrap();
        drop(stale);
        talks(&mut fresh).await;
    }

    #[tokio::test]
    async fn a_path_that_does_not_fit_gets_a_short_one_in_a_directory_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("d".repeat(120));
        fs::create_dir(&home).unwrap();
        let path = home.join("admin.sock");
        assert!(!fits_socket(&path));
        let mut socket = SystemNet.listen_local(&path).await.unwrap();
        let home = socket.path.parent().unwrap().to_owned();
        assert!(fits_socket(&socket.path) && is_short_path(&socket.path) && !is_short_path(&path));
        assert_eq!((mode(&home), mode(&socket.path)), (0o700, 0o600));
        talks(&mut socket).await;
        drop(socket);
        assert!(!home.exists());
    }

    #[test]
    fn the_longest_path_that_fits_has_107_bytes() {
        let of = |bytes: usize| PathBuf::from(format!("/{}", "a".repeat(bytes - 1)));
        assert!(fits_socket(&of(107)) && !fits_socket(&of(108)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_end_of_a_process_is_seen_even_before_its_parent_has_asked() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let watch = ProcessWatch::new(child.id()).unwrap();
        assert!(!watch.wait(Duration::ZERO).unwrap());
        drop(child.stdin.take());
        assert!(watch.wait(Duration::from_secs(30)).unwrap());
        child.wait().unwrap();
    }
}
