//! The real program: it starts, says where, serves, refuses a twin, and stops when asked.
#![allow(clippy::disallowed_methods, reason = "meets the program from outside, on the real machine")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tonic::transport::Endpoint;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

const PATIENCE: Duration = Duration::from_secs(30);
/// What the log says on the first signal.
const DRAINING: &str = "a second signal stops at once";
/// What it says once the time for open calls is over.
const CUT: &str = "cutting their connections";

/// A running program, killed when the test ends however it ends.
struct Process {
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_farthing-node"))
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built with this test");
        Self { child }
    }

    fn node(data_dir: &Path, ready: &Path) -> Self {
        let (data_dir, ready) = (data_dir.to_str().expect("UTF-8"), ready.to_str().expect("UTF-8"));
        let listen = ["--rpc-listen", "127.0.0.1:0", "--p2p-listen", "127.0.0.1:0"];
        Self::start(&[&listen[..], &["--data-dir", data_dir, "--ready-file", ready]].concat())
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("the process runs");
    }

    fn wait(&mut self, patience: Duration) -> ExitStatus {
        wait_for("the process to end", patience, || self.child.try_wait().expect("it is our child"))
    }

    /// Waits for its clean end after a signal to stop, and gives its log. A node that had to drop parts of itself at
    /// its deadline says that it failed, so that code and log tell a clean end from one that came too late, however
    /// fast the machine is.
    fn drains(self) -> String {
        let (code, _, log) = self.output();
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains(DRAINING), "it says that it drains: {log}");
        assert!(log.lines().any(|line| line.ends_with(": stopped")), "it says that it has drained: {log}");
        log
    }

    /// Everything it said on stdout and stderr.
    fn output(mut self) -> (Option<i32>, String, String) {
        let status = self.wait(PATIENCE);
        let (mut out, mut err) = (String::new(), String::new());
        self.child.stdout.take().expect("piped").read_to_string(&mut out).expect("UTF-8");
        self.child.stderr.take().expect("piped").read_to_string(&mut err).expect("UTF-8");
        (status.code(), out, err)
    }
}

/// Looks until there is something to see.
fn wait_for<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < patience, "waited {patience:?} for {what}");
        // Paces the looking, so that the waiting does not take the core from the one waited for.
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn ready(path: &Path) -> serde_json::Value {
    wait_for("the ready file", PATIENCE, || fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()))
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

async fn health(address: &serde_json::Value) -> i32 {
    let url = format!("http://{}", address.as_str().expect("an address"));
    let channel = Endpoint::from_shared(url).expect("a URL").connect().await.expect("the node listens");
    let request = HealthCheckRequest { service: String::new() };
    HealthClient::new(channel).check(request).await.expect("it answers").into_inner().status
}

#[tokio::test]
async fn a_node_serves_on_the_ports_it_announced_and_stops_cleanly_on_sigterm_and_sigint() {
    for signal in [Signal::TERM, Signal::INT] {
        let directory = directory();
        let path = directory.path().join("ready.json");
        let node = Process::node(directory.path(), &path);
        let ready = ready(&path);
        assert_eq!(ready["network"], "dev");
        assert_eq!(ready["pid"], node.child.id());
        assert_eq!(health(&ready["rpc"]).await, 1, "SERVING");
        assert_eq!(health(&ready["p2p"]).await, 1, "SERVING");
        node.signal(signal);
        // Off the async thread, so that the clients of this test answer what the node tells them meanwhile.
        let log = tokio::task::spawn_blocking(move || node.drains()).await.expect("it drains");
        assert!(!log.contains(CUT), "nobody had to be cut: {log}");
    }
}

#[test]
fn the_command_that_stops_a_node_does_not_keep_it_from_ending() {
    let directory = directory();
    let path = directory.path().join("ready.json");
    let node = Process::node(directory.path(), &path);
    ready(&path);
    let data_dir = directory.path().to_str().expect("UTF-8");
    let (code, out, _) = Process::start(&["stop", "--data-dir", data_dir]).output();
    assert_eq!(code, Some(0), "{out}");
    let (code, _, log) = node.output();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains(CUT), "its connection was closed, not cut at the deadline: {log}");
}

#[tokio::test]
async fn an_open_stream_does_not_keep_a_node_from_stopping_in_time() {
    let directory = directory();
    let path = directory.path().join("ready.json");
    let node = Process::node(directory.path(), &path);
    let url = format!("http://{}", ready(&path)["rpc"].as_str().expect("an address"));
    let channel = Endpoint::from_shared(url).expect("a URL").connect().await.expect("the node listens");
    let request = HealthCheckRequest { service: String::new() };
    let mut watch = HealthClient::new(channel).watch(request).await.expect("it answers").into_inner();
    watch.message().await.expect("a first status");
    node.signal(Signal::TERM);
    // This blocks the client's thread too: it hears nothing of the stop and keeps its stream.
    let log = node.drains();
    assert!(log.contains(CUT), "{log}");
}

#[tokio::test]
async fn a_second_signal_ends_a_draining_node_at_once() {
    let directory = directory();
    let path = directory.path().join("ready.json");
    let mut node = Process::node(directory.path(), &path);
    let url = format!("http://{}", ready(&path)["rpc"].as_str().expect("an address"));
    let channel = Endpoint::from_shared(url).expect("a URL").connect().await.expect("the node listens");
    let request = HealthCheckRequest { service: String::new() };
    let mut watch = HealthClient::new(channel).watch(request).await.expect("it answers").into_inner();
    watch.message().await.expect("a first status");
    node.signal(Signal::TERM);
    let mut log = BufReader::new(node.child.stderr.take().expect("piped")).lines().map(|line| line.expect("UTF-8"));
    assert!(log.any(|line| line.contains(DRAINING)), "the log says that the node drains");
    node.signal(Signal::INT);
    assert_eq!(node.wait(PATIENCE).code(), Some(130));
    let rest: Vec<String> = log.collect();
    // The open stream alone would have kept it until its connection is cut, and then it would have stopped cleanly.
    let waited = |line: &String| line.contains(CUT) || line.ends_with(": stopped");
    assert!(!rest.iter().any(waited), "{rest:?}");
}

#[test]
fn a_second_node_on_the_same_data_is_refused_and_names_the_first() {
    let directory = directory();
    let path = directory.path().join("ready.json");
    let first = Process::node(directory.path(), &path);
    ready(&path);
    let second = Process::node(directory.path(), &directory.path().join("second.json"));
    let (code, _, stderr) = second.output();
    assert_eq!(code, Some(1));
    let expected = format!(
        "the data directory {} is in use by another farthing-node (process {})",
        directory.path().display(),
        first.child.id()
    );
    assert!(stderr.contains(&expected), "{stderr}");
    assert!(!directory.path().join("second.json").exists());
    assert!(path.exists(), "the first one's ready file is untouched");
}

#[test]
fn a_node_killed_outright_leaves_no_lock_behind() {
    let directory = directory();
    let path = directory.path().join("ready.json");
    let mut first = Process::node(directory.path(), &path);
    ready(&path);
    first.signal(Signal::KILL);
    first.wait(PATIENCE);
    let second = Process::node(directory.path(), &path);
    wait_for("the second node", PATIENCE, || (ready(&path)["pid"] == second.child.id()).then_some(()));
}

#[test]
fn a_busy_port_is_named_with_its_option() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let directory = directory();
    let data_dir = directory.path().to_str().expect("UTF-8");
    let arguments = ["--rpc-listen", &address, "--p2p-listen", "127.0.0.1:0", "--data-dir", data_dir];
    let (code, _, stderr) = Process::start(&arguments).output();
    assert_eq!(code, Some(1));
    let advice = "choose another port, or stop what uses this one";
    assert!(stderr.contains(&format!("cannot listen on {address} (rpc-listen): {advice}: ")), "{stderr}");
}

#[test]
fn a_bad_flag_exits_with_2_and_says_what_was_expected() {
    let (code, _, stderr) = Process::start(&["--data-dir", "never-made", "--panels", "maybe"]).output();
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--panels") && stderr.contains("expected on, off or auto"), "{stderr}");
    let (code, _, stderr) = Process::start(&["--no-such-flag"]).output();
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--no-such-flag"), "{stderr}");
}

#[test]
fn the_configuration_is_printed_without_starting_anything() {
    let directory = directory();
    let data_dir = directory.path().join("data");
    let arguments = ["--print-config", "--data-dir", data_dir.to_str().expect("UTF-8")];
    let (code, stdout, stderr) = Process::start(&arguments).output();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("rpc-listen = \"127.0.0.1:50051\"  # default"), "{stdout}");
    assert!(!data_dir.exists());
}

/// Where bob of the dev network is paid.
const BOB: &str = "dfar1v4nmv0m34s9dm8jshxx8shrvhmxed393xgzffw8dxgl0fvdp7keq65zmrm";

async fn height(address: &str) -> u64 {
    use farthing::wire::v1::{GetNodeInfoRequest, ledger_service_client::LedgerServiceClient};
    let mut client = LedgerServiceClient::connect(format!("http://{address}")).await.expect("the node listens");
    let info = client.get_node_info(GetNodeInfoRequest {}).await.expect("it answers").into_inner();
    info.tip.expect("a node has a tip").height
}

#[tokio::test]
async fn a_miner_of_its_own_mines_on_a_node_outlives_its_restart_and_ends_on_a_signal() {
    let directory = directory();
    let path = directory.path().join("ready.json");
    let mut node = Process::node(directory.path(), &path);
    let address = ready(&path)["rpc"].as_str().expect("an address").to_owned();
    let url = format!("http://{address}");
    let miner = Process::start(&["miner", "--node", &url, "--address", BOB]);
    let mut reached = 0;
    for restarted in [false, true] {
        if restarted {
            node.signal(Signal::KILL);
            node.wait(PATIENCE);
            fs::remove_file(&path).expect("the node had written it");
            let (data_dir, ready_file) = (directory.path().to_str().expect("UTF-8"), path.to_str().expect("UTF-8"));
            // On the same port, for that is where the miner looks.
            let listen = ["--rpc-listen", &address, "--p2p-listen", "127.0.0.1:0"];
            node = Process::start(&[&listen[..], &["--data-dir", data_dir, "--ready-file", ready_file]].concat());
            ready(&path);
            assert!(height(&address).await >= reached, "blocks that were accepted are on the disk");
        }
        let begin = Instant::now();
        // Its blocks come every two seconds in the mean.
        while height(&address).await <= reached {
            assert!(begin.elapsed() < 2 * PATIENCE, "no block in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        reached = height(&address).await;
    }
    miner.signal(Signal::INT);
    let (code, _, log) = miner.output();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("found a block") && log.contains("no templates"), "{log}");
}

#[test]
fn a_miner_that_the_node_will_never_serve_says_why() {
    let directory = directory();
    let path = directory.path().join("ready.json");
    let _node = Process::node(directory.path(), &path);
    let url = format!("http://{}", ready(&path)["rpc"].as_str().expect("an address"));
    let (code, _, log) = Process::start(&["miner", "--node", &url, "--address", "far1nonsense"]).output();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("the node refuses: address_text:"), "{log}");
}
