//! A node in a process of its own: started, killed, and started again on the same data.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
};

use farthing::{Address, Params};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{api::Api, binaries, networks, until};

/// Lines of a log that are shown when a test fails.
const LOG_TAIL: usize = 60;

/// A node's folder, which outlives its processes.
pub(crate) struct Place {
    name: String,
    params: Arc<Params>,
    folder: TempDir,
    network: String,
    /// Where the data is, below the folder.
    data: PathBuf,
}

/// What a start may differ in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Nodes to connect to.
    pub(crate) connect: Vec<SocketAddr>,
    /// Mine for this address.
    pub(crate) mine: Option<Address>,
    /// Anything else.
    pub(crate) more: Vec<String>,
}

impl Place {
    /// A folder for a node of this network: a built-in one, or one that is written beside the data as a file.
    pub(crate) fn new(name: &str, params: &Arc<Params>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let network = if farthing::Network::by_name(&params.name).is_some() {
            params.name.clone()
        } else {
            let path = folder.path().join("network.toml");
            networks::write(params, &path);
            path.display().to_string()
        };
        Self { name: name.to_owned(), params: Arc::clone(params), folder, network, data: PathBuf::from("data") }
    }

    /// The same with the data elsewhere below the folder.
    pub(crate) fn with_data(mut self, data: &str) -> Self {
        self.data = PathBuf::from(data);
        self
    }

    /// The network as the programs' `--network` takes it.
    pub(crate) fn network(&self) -> &str {
        &self.network
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join(&self.data)
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("node.log")
    }

    fn ready_file(&self) -> PathBuf {
        self.folder.path().join("ready.json")
    }

    /// Starts a process and returns at once, before it serves.
    pub(crate) fn spawn(&self, options: &Options) -> Process<'_> {
        let log = File::options().create(true).append(true).open(self.log()).expect("the log can be written");
        let mut command = Command::new(binaries::node());
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.args(["--network", &self.network, "--rpc-listen", "127.0.0.1:0", "--p2p-listen", "127.0.0.1:0"]);
        command.arg("--data-dir").arg(self.data()).arg("--ready-file").arg(self.ready_file());
        for address in &options.connect {
            command.args(["--connect", &address.to_string()]);
        }
        if let Some(address) = options.mine {
            command.args(["--mine", &self.params.prefix.format(&address)]);
        }
        command.args(&options.more);
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", binaries::node().display()));
        Process { place: self, child, ended: None }
    }

    /// Starts a process and waits until it serves.
    pub(crate) async fn start(&self, options: &Options) -> Running<'_> {
        let mut process = self.spawn(options);
        let (rpc, p2p) = process.ready().await;
        Running { process, rpc, p2p }
    }

    /// Runs one of the node's own commands, such as `verify`, on the data, and gives what it printed.
    pub(crate) fn command(&self, name: &str) -> (ExitStatus, String) {
        let mut command = Command::new(binaries::node());
        command.env_clear().stdin(Stdio::null()).arg(name).args(["--network", &self.network]);
        let output = command.arg("--data-dir").arg(self.data()).output().expect("the program starts");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status, text)
    }

    /// Asks the node that runs on the data: its exit code, and what it printed on stdout and on stderr.
    pub(crate) fn ask(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(binaries::node());
        command.env_clear().stdin(Stdio::null()).args(["--network", &self.network]);
        let output = command.arg("--data-dir").arg(self.data()).args(arguments).output().expect("the program starts");
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.code().expect("it ends by itself"), out, err)
    }

    /// Changes a byte behind this header in the block log, as a failing drive would.
    pub(crate) fn damage_behind(&self, header: &[u8]) {
        for entry in fs::read_dir(self.data().join("blocks")).expect("a stopped node's log can be read") {
            let path = entry.expect("a directory entry").path();
            let mut segment = fs::read(&path).expect("a segment can be read");
            if let Some(at) = segment.windows(header.len()).position(|window| window == header) {
                segment[at + header.len() + 3] ^= 1;
                return fs::write(&path, segment).expect("a segment can be written");
            }
        }
        panic!("the block log does not hold that header");
    }

    /// Removes a part of the data, and says whether there was one.
    pub(crate) fn delete(&self, part: &str) -> bool {
        let path = self.data().join(part);
        path.is_dir() && fs::remove_dir_all(&path).map(|()| true).expect("a stopped node's data can be removed")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_TAIL)..];
            eprintln!("--- the log of {} ends with:\n{}\n---", self.name, tail.join("\n"));
        }
    }
}

/// A process, killed at the latest when this is dropped.
pub(crate) struct Process<'a> {
    place: &'a Place,
    child: Child,
    ended: Option<ExitStatus>,
}

impl Process<'_> {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its status, if it has ended by now.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("a child can be asked");
        }
        self.ended
    }

    /// Where a process listens, if it serves by now.
    pub(crate) fn serving(&mut self) -> Result<(SocketAddr, SocketAddr), String> {
        if let Some(status) = self.has_ended() {
            panic!("{} has ended by itself: {status}", self.place.name);
        }
        let text = fs::read(self.place.ready_file()).map_err(|error| format!("ready file: {error}"))?;
        let ready: Value = serde_json::from_slice(&text).expect("a ready file is written whole or not at all");
        if ready["pid"] != self.child.id() {
            return Err("the ready file is that of an earlier process".to_owned());
        }
        let address = |field: &str| ready[field].as_str().and_then(|text| text.parse().ok()).expect("an address");
        Ok((address("rpc"), address("p2p")))
    }

    async fn ready(&mut self) -> (SocketAddr, SocketAddr) {
        let what = format!("{} serves", self.place.name);
        until(&what, || self.serving()).await
    }

    /// SIGKILL: whatever it does, it does no more.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("a killed child ends");
    }

    /// SIGTERM, and waits for its end.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let what = format!("{} stops", self.place.name);
        until(&what, || self.has_ended().ok_or_else(|| "it runs".to_owned())).await
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("a child that was not waited for can be signalled");
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that serves.
pub(crate) struct Running<'a> {
    process: Process<'a>,
    pub(crate) rpc: SocketAddr,
    pub(crate) p2p: SocketAddr,
}

impl Running<'_> {
    pub(crate) async fn api(&self) -> Api {
        Api::connect(&self.process.place.params, self.rpc).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.rpc)
    }

    pub(crate) fn network(&self) -> &str {
        self.process.place.network()
    }

    /// Path of the admin socket as the ready file has it.
    pub(crate) fn admin_socket(&self) -> PathBuf {
        let text = fs::read(self.process.place.ready_file()).expect("a node that serves has a ready file");
        let ready: Value = serde_json::from_slice(&text).expect("a ready file is written whole or not at all");
        ready["admin"].as_str().expect("a path").into()
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its status, if it has ended by now.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.process.has_ended()
    }

    pub(crate) fn kill(self) {
        self.process.kill();
    }

    pub(crate) async fn stop(self) -> ExitStatus {
        self.process.stop().await
    }
}
