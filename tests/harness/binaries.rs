//! The programs and the examples, built once for the profile of this test.
//!
//! `cargo test` does not build the binaries of other packages.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

/// The folder that holds them.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| build(&["--bins"]));

pub(crate) fn node() -> PathBuf {
    program("farthing-node")
}

pub(crate) fn wallet() -> PathBuf {
    program("farthing-wallet")
}

/// An example of this workspace.
pub(crate) fn example(name: &str) -> PathBuf {
    static EXAMPLES: LazyLock<PathBuf> = LazyLock::new(|| build(&["--examples"]).join("examples"));
    let path = EXAMPLES.join(name).with_extension(env::consts::EXE_EXTENSION);
    assert!(path.is_file(), "{} was not built", path.display());
    path
}

fn program(name: &str) -> PathBuf {
    let path = FOLDER.join(name).with_extension(env::consts::EXE_EXTENSION);
    assert!(path.is_file(), "{} was not built", path.display());
    path
}

/// This test stands in `TARGET/PROFILE/deps`, binaries in `TARGET/PROFILE`.
fn build(what: &[&str]) -> PathBuf {
    let test = env::current_exe().expect("a running program has a path");
    let folder = test.parent().and_then(Path::parent).expect("a test stands two folders below the target");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(other) => other,
        None => panic!("{} has no profile", folder.display()),
    };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.arg("build").args(what).args(["--workspace", "--locked", "--profile", profile]);
    // Where this test was built, whatever the environment says by now.
    cargo.arg("--target-dir").arg(folder.parent().expect("a profile stands below the target"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    let output = cargo.output().unwrap_or_else(|error| panic!("{}: {error}", env!("CARGO")));
    assert!(output.status.success(), "the programs do not build:\n{}", String::from_utf8_lossy(&output.stderr));
    folder.to_owned()
}
