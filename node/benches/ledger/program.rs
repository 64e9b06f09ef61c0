//! The real program, in a process of its own.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Starts the real program on a data directory and waits until it serves.
pub(crate) fn spawn(dir: &Path) -> (Child, f64) {
    let ready = dir.join("ready.json");
    let _ = fs::remove_file(&ready);
    let program = program();
    assert!(program.exists(), "build the program first: cargo build --release -p farthing-node");
    let begin = Instant::now();
    let child = Command::new(program)
        .args(["--network", "dev", "--rpc-listen", "127.0.0.1:0", "--p2p-listen", "127.0.0.1:0", "--log", "warn"])
        .arg("--data-dir")
        .arg(dir)
        .arg("--ready-file")
        .arg(&ready)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    while fs::read(&ready).map_or(true, |text| text.is_empty()) {
        assert!(begin.elapsed() < Duration::from_secs(600), "the node does not start");
        std::thread::sleep(Duration::from_millis(2));
    }
    (child, begin.elapsed().as_secs_f64())
}

fn program() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    here.parent().and_then(Path::parent).unwrap().join("farthing-node")
}

pub(crate) fn terminate(child: &mut Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    child.wait().unwrap();
}

/// Resident memory of a process in MiB (proc(5), `VmRSS`).
pub(crate) fn resident_mib(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
}

/// Where the program that was started on this directory serves its public API.
pub(crate) fn rpc_of(dir: &Path) -> SocketAddr {
    let ready: serde_json::Value = serde_json::from_slice(&fs::read(dir.join("ready.json")).unwrap()).unwrap();
    ready["rpc"].as_str().unwrap().parse().unwrap()
}
