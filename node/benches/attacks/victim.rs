//! The node that is attacked: the real program, on the dev network, mining.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use farthing::Network;
use tempfile::TempDir;

use crate::ledger::params;

pub(crate) struct Victim {
    child: Child,
    pub(crate) rpc: SocketAddr,
    pub(crate) p2p: SocketAddr,
    _data: TempDir,
}

impl Victim {
    pub(crate) fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let ready = data.path().join("ready.json");
        let here = std::env::current_exe().unwrap();
        let program = here.parent().and_then(Path::parent).unwrap().join("farthing-node");
        assert!(program.exists(), "build the program first: cargo build --release -p farthing-node");
        // Transfers are mined, so that the honest payer does not run into what one account may have waiting.
        let miner = Network::Dev.params().prefix.format(&params().allocations[0].address);
        let child = Command::new(program)
            .args(["--network", "dev", "--rpc-listen", "127.0.0.1:0", "--p2p-listen", "127.0.0.1:0", "--log", "error"])
            .args(["--no-discovery", "--mine", &miner, "--data-dir"])
            .arg(data.path())
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        let text = loop {
            assert!(begin.elapsed() < Duration::from_secs(60), "the node does not start");
            match fs::read_to_string(&ready) {
                Ok(text) if text.trim_end().ends_with('}') => break text,
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let ready: serde_json::Value = serde_json::from_str(&text).unwrap();
        let address = |name: &str| ready[name].as_str().unwrap().parse().unwrap();
        Self { child, rpc: address("rpc"), p2p: address("p2p"), _data: data }
    }

    /// Resident memory (proc(5), `VmRSS`).
    pub(crate) fn resident_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
    }

    /// Time of processors that it has used (proc(5), `utime` and `stime`, in hundredths of a second).
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks: u64 = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// It must still be there, and end well.
    pub(crate) fn stop(mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "the node has ended under the attack");
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success(), "the node did not end well");
    }
}
