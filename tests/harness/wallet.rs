//! The wallet program, in a folder of its own.

use std::{
    fs,
    io::Write as _,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{PATIENCE, binaries, process::Running};

/// A wallet that holds keys of the dev network and asks one node.
pub(crate) struct Wallet {
    folder: TempDir,
    network: String,
    url: String,
}

/// What a run printed and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Wallet {
    /// An empty wallet that asks this node.
    pub(crate) fn of(node: &Running<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, network: node.network().to_owned(), url: node.url() }
    }

    /// The same wallet asks this node from now on.
    pub(crate) fn ask(&mut self, url: String) {
        self.url = url;
    }

    /// Writes a file beside the wallet, and gives its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).expect("a temporary folder can be written");
        path
    }

    /// Path of a file beside the wallet.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binaries::wallet());
        command.env_clear().env("HOME", self.folder.path()).args(["--network", &self.network, "--node", &self.url]);
        command.arg("--wallet-dir").arg(self.folder.path().join("wallet"));
        // What waits in vain fails soon.
        command.args(["--timeout", &format!("{}s", PATIENCE.as_secs())]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts the program and returns at once.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdin(Stdio::null()).spawn().expect("the wallet starts")
    }

    /// Runs the program with these arguments and this text on its standard input.
    pub(crate) fn run(&self, arguments: &[&str], stdin: &str) -> Run {
        let mut child = self.command(arguments).spawn().expect("the wallet starts");
        // A program that does not read its input may have closed it already.
        let _ = child.stdin.take().expect("piped").write_all(stdin.as_bytes());
        child.wait_with_output().expect("the wallet ends").into()
    }

    /// Runs what must fail with this exit code and this name of the error, and gives its stderr.
    pub(crate) fn fails(&self, arguments: &[&str], code: i32, name: &str) -> String {
        let run = self.run(arguments, "");
        assert_eq!(run.code, Some(code), "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(&format!("error[{name}]: ")), "{arguments:?}: {run:?}");
        run.stderr
    }

    /// Runs what must succeed, and gives its JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let run = self.run(&[&["--json"], arguments].concat(), "");
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", run.stdout))
    }
}

impl From<Output> for Run {
    fn from(Output { status, stdout, stderr }: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the wallet prints UTF-8");
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }
}
