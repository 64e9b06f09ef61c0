//! Other people's programs that keys and signatures are exchanged with. Where one is not installed, its tests say so and
//! pass; where `CI` is set, they fail.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Whether all these programs are there.
pub(crate) fn have(programs: &[&str]) -> bool {
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let missing = programs.iter().find(|program| !folders.iter().any(|folder| folder.join(program).is_file()));
    found(missing.is_none(), missing.copied().unwrap_or_default())
}

/// SoftHSM's module.
pub(crate) fn softhsm() -> Option<&'static str> {
    let places = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
        "/usr/local/lib/softhsm/libsofthsm2.so",
        "/opt/homebrew/lib/softhsm/libsofthsm2.so",
    ];
    let module = places.into_iter().find(|path| Path::new(path).exists());
    (found(module.is_some(), "libsofthsm2.so") && have(&["softhsm2-util"])).then_some(module).flatten()
}

fn found(is_there: bool, what: &str) -> bool {
    if !is_there {
        assert!(std::env::var_os("CI").is_none(), "{what} is not installed");
        let text = format!("SKIPPED: {what} is not installed, so there is nothing to compare with\n");
        // Not through eprintln, which is not shown for a test that passes.
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    }
    is_there
}

/// Runs a program that must succeed; gives its stdout.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    pipe(program, arguments, b"")
}

/// Runs a program that must succeed, with these bytes on its stdin; gives its stdout.
pub(crate) fn pipe(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    run_in(Command::new(program).args(arguments), input)
}

/// Runs a prepared command that must succeed.
pub(crate) fn run_in(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that takes no input may have closed it.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// An ssh-agent of one's own, ended with the test.
pub(crate) struct Agent {
    pub(crate) socket: String,
    pid: String,
}

impl Agent {
    pub(crate) fn start(socket: &Path) -> Self {
        let socket = socket.display().to_string();
        // It listens before it goes to the background.
        let said = String::from_utf8(run("ssh-agent", &["-s", "-a", &socket])).unwrap();
        let pid = said.split("SSH_AGENT_PID=").nth(1).unwrap().split(';').next().unwrap().to_owned();
        Self { socket, pid }
    }

    pub(crate) fn add(&self, arguments: &[&str]) {
        run_in(Command::new("ssh-add").arg("-q").args(arguments).env("SSH_AUTH_SOCK", &self.socket), b"");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Already gone is fine too.
        let _ = Command::new("kill").arg(&self.pid).status();
    }
}
