//! A wallet folder of its own, and the program run in it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// A wallet's folder, removed at the end of the test.
pub(crate) struct Wallet {
    folder: tempfile::TempDir,
    network: &'static str,
    node: String,
}

/// What a run printed and how it ended.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Wallet {
    /// On the development network; no node listens on port 1.
    pub(crate) fn new() -> Self {
        Self::on("dev")
    }

    pub(crate) fn on(network: &'static str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), network, node: "http://127.0.0.1:1".into() }
    }

    pub(crate) fn with_node(mut self, node: &str) -> Self {
        self.node = node.to_owned();
        self
    }

    pub(crate) const fn network(&self) -> &'static str {
        self.network
    }

    pub(crate) fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().join(inner)
    }

    /// Writes a file beside the wallet and gives its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    }

    /// A command with nothing of the caller's environment that the wallet looks at.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_farthing-wallet"));
        command.args(arguments).stdin(Stdio::null()).env_clear();
        command.env("HOME", self.folder.path()).env("FARTHING_WALLET_DIR", self.path("wallet"));
        command.env("FARTHING_NETWORK", self.network).env("FARTHING_NODE", &self.node);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::from(self.command(arguments).output().unwrap())
    }

    /// Runs what must succeed, and gives its stdout.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, 0, "{arguments:?}: {}", run.stderr);
        run.stdout
    }

    /// Runs what must succeed with `--json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let text = self.ok(&[arguments, &["--json"]].concat());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["schema"], 1);
        value
    }

    /// Runs what must fail, checks exit code and name of the error, that something to try is named, and gives stderr.
    /// Nothing may be on stdout.
    pub(crate) fn fails(&self, arguments: &[&str], code: i32, name: &str) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, code, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(&format!("error[{name}]: ")), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains("\n  try: "), "{arguments:?}: {}", run.stderr);
        assert_eq!(run.stdout, "", "{arguments:?}");
        run.stderr
    }
}

impl Wallet {
    /// Runs what the command line itself refuses.
    pub(crate) fn fails_to_parse(&self, arguments: &[&str]) {
        let run = self.run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{arguments:?}: {}", run.stderr);
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A file beside the import tests.
pub(crate) fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).display().to_string()
}
