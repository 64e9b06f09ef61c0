//! The examples that follow the chain, run as programs: killed at random moments and sent over a reorganisation, they
//! end with exactly what the nodes hold.
//!
//! `FARTHING_PYTHON` names the interpreter for the one in Python, with its requirements installed and its stubs made;
//! `.ci/run python` sets it. Without it that test is skipped.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use farthing::Height;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore as _, SeedableRng as _},
};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, types::ValueRef};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{
    binaries,
    cluster::Cluster,
    fabric::everybody,
    keys::{ALICE, BOB, CAROL, DAVE},
    ledger::{assert_rebuilds, mine},
    networks, until,
};

/// How often a follower is killed while it reads its chain, and again while it leaves that for another one.
const KILLS: u64 = 8;
/// Blocks of that chain: more than a follower reads between two kills.
const BLOCKS: u64 = 150;
/// How long a follower may take to show that it reads; one that stands at the tip already never does.
const LONGEST_START: Duration = Duration::from_secs(3);
/// The longest time from then to the kill, in milliseconds: a few frames.
const LONGEST_MS: u32 = 20;
/// From this depth on a payment is told.
const DEPTH: u64 = 2;

/// Two nodes that cannot see each other yet, and a place for a follower's files.
struct World {
    cluster: Cluster,
    folder: TempDir,
    network: PathBuf,
    nonce: u64,
    random: ChaCha8Rng,
}

/// One of the examples: how to start it, and how to see that it did something.
struct Kind<'a> {
    start: &'a dyn Fn(&World) -> Follower,
    place: &'a dyn Fn() -> String,
}

/// A running follower, killed at the latest when this is dropped.
struct Follower(Child);

impl Follower {
    /// SIGKILL, while it runs: one that ended by itself has failed.
    fn kill(mut self) {
        let ended = self.0.try_wait().expect("a child can be asked");
        assert!(ended.is_none(), "the follower has ended by itself: {ended:?}");
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl World {
    async fn new() -> Self {
        let cluster = Cluster::start(networks::quick(), 2, everybody).await;
        cluster.fabric.link(|_, _| false);
        for at in 0..2 {
            cluster.connected(at, 0).await;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let network = folder.path().join("network.toml");
        networks::write(&cluster.params, &network);
        Self { cluster, folder, network, nonce: 0, random: ChaCha8Rng::seed_from_u64(0xf011) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn node(&self) -> String {
        self.cluster.node(0).rpc_address().to_string()
    }

    /// Mines a block at the first node with a payment to bob in it.
    async fn pay(&mut self) {
        let transfer = ALICE.pay(&self.cluster.params, self.nonce, BOB.address(), 3);
        self.nonce += 1;
        mine(self.cluster.chain(0), vec![transfer], CAROL.address()).await;
    }

    /// Starts the follower again and again, and kills it each time soon after it began to read: in the midst of its work.
    async fn kill_repeatedly(&mut self, follower: &Kind<'_>) {
        let mut seen = (follower.place)();
        for _ in 0..KILLS {
            let running = (follower.start)(self);
            let begin = Instant::now();
            while (follower.place)() == seen && begin.elapsed() < LONGEST_START {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let moment = Duration::from_millis((self.random.next_u32() % LONGEST_MS).into());
            tokio::time::sleep(moment).await;
            running.kill();
            seen = (follower.place)();
        }
    }

    /// Lets the chain grow, and kills the follower while it reads it.
    async fn grow(&mut self, follower: &Kind<'_>) {
        for _ in 0..BLOCKS {
            self.pay().await;
        }
        self.kill_repeatedly(follower).await;
    }

    /// The same while the branch is left for a longer one, and until everything that it carried is mined again.
    async fn reorganise(&mut self, follower: &Kind<'_>) {
        let length = self.cluster.tip(0).height().get();
        for _ in 0..=length {
            mine(self.cluster.chain(1), Vec::new(), DAVE.address()).await;
        }
        let better = self.cluster.tip(1);
        let watching = (follower.start)(self);
        self.cluster.fabric.link(everybody);
        self.cluster.settle(&[0, 1], &better).await;
        watching.kill();
        self.kill_repeatedly(follower).await;
        let mut blocks = 0;
        while self.cluster.chain(0).view().account(&ALICE.address()).map(|alice| alice.next_nonce) != Some(self.nonce) {
            self.cluster.mine(0, CAROL.address()).await;
            blocks += 1;
            assert!(blocks < 1_000, "what the branch carried is never mined");
        }
        for _ in 0..DEPTH {
            self.cluster.mine(0, CAROL.address()).await;
        }
        assert_rebuilds(self.cluster.chain(0)).await;
    }

    /// The balances as the first node holds them, in the network's texts.
    fn balances(&self) -> BTreeMap<String, u64> {
        let (view, prefix) = (self.cluster.chain(0).view(), &self.cluster.params.prefix);
        view.accounts.iter().map(|(address, entry)| (prefix.format(address), entry.account.balance.get())).collect()
    }

    /// Starts the follower once more, waits until it stands at the tip, and compares.
    async fn compare(&self, database: &Path, follower: &Kind<'_>) {
        let _running = (follower.start)(self);
        let tip = self.cluster.tip(0);
        until("the follower stands at the tip", || match stands_at(database) {
            Ok(Some((height, id))) if height as u64 == tip.height().get() && id == tip.id().as_bytes() => Ok(()),
            other => Err(format!("{other:?} instead of {} {}", tip.height(), tip.id())),
        })
        .await;
        let held = self.balances();
        assert_eq!(held.len(), 4, "alice, bob, carol and dave");
        assert_eq!(read_balances(database, &self.cluster.params.prefix), held);
    }
}

fn open(database: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

fn stands_at(database: &Path) -> rusqlite::Result<Option<(i64, Vec<u8>)>> {
    let top = "SELECT height, id FROM blocks ORDER BY height DESC LIMIT 1";
    open(database)?.query_row(top, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

fn read_balances(database: &Path, prefix: &farthing::AddressPrefix) -> BTreeMap<String, u64> {
    let connection = open(database).expect("a follower's database");
    let mut statement = connection.prepare("SELECT address, mites FROM balances").expect("a table of balances");
    let rows = statement.query_map([], |row| {
        let address = match row.get_ref(0)? {
            ValueRef::Blob(bytes) => prefix.format(&bytes.try_into().expect("32 bytes")),
            text => text.as_str().expect("bytes or a text").to_owned(),
        };
        Ok((address, row.get::<_, i64>(1)? as u64))
    });
    rows.expect("rows").collect::<rusqlite::Result<_>>().expect("balances")
}

fn spawn(command: &mut Command) -> Follower {
    Follower(command.stdin(Stdio::null()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_in_rust_that_is_killed_holds_the_nodes_balances_over_a_reorganisation() {
    let mut world = World::new().await;
    let database = world.file("ledger.sqlite");
    let start = |world: &World| {
        let mut command = Command::new(binaries::example("follow_sqlite"));
        command.arg("--network").arg(&world.network).arg("--node").arg(format!("http://{}", world.node()));
        // A node that is not there, and the other one.
        command.args(["--node", "http://127.0.0.1:1"]).arg(world.file("ledger.sqlite")).stderr(Stdio::null());
        spawn(&mut command)
    };
    let kind = Kind { start: &start, place: &|| format!("{:?}", stands_at(&database).ok()) };
    world.grow(&kind).await;
    world.compare(&database, &kind).await;
    world.reorganise(&kind).await;
    world.compare(&database, &kind).await;
    world.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_in_python_that_is_killed_holds_the_nodes_balances_over_a_reorganisation() {
    let Some(python) = env::var_os("FARTHING_PYTHON") else {
        eprintln!("skipped: FARTHING_PYTHON is not set; .ci/run python sets it up");
        return;
    };
    let mut world = World::new().await;
    let database = world.file("ledger.sqlite");
    let start = move |world: &World| {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/python_follower/follow.py");
        let mut command = Command::new(&python);
        command.arg(program).arg("--network").arg(&world.network).args(["--node", &world.node()]);
        command.args(["--node", "127.0.0.1:1"]).arg(world.file("ledger.sqlite")).stderr(Stdio::null());
        spawn(&mut command)
    };
    let kind = Kind { start: &start, place: &|| format!("{:?}", stands_at(&database).ok()) };
    world.grow(&kind).await;
    world.compare(&database, &kind).await;
    world.reorganise(&kind).await;
    world.compare(&database, &kind).await;
    world.cluster.stop().await;
}

#[test]
fn the_allocations_of_the_example_in_python_are_those_of_dev() {
    let file: toml::Table = include_str!("../examples/python_follower/dev.toml").parse().expect("TOML");
    let text = |each: &toml::Value, field: &str| each[field].as_str().expect("a text").to_owned();
    let listed = file["allocations"].as_array().expect("a list").iter();
    let listed: BTreeMap<_, _> = listed.map(|each| (text(each, "address"), text(each, "amount_far"))).collect();
    let params = farthing::Network::Dev.params();
    let given = params.allocations.iter();
    let given: BTreeMap<_, _> =
        given.map(|each| (params.prefix.format(&each.address), each.amount.to_string())).collect();
    assert_eq!(listed, given);
}

/// What stands after these lines: the payments told and not taken back.
fn standing(lines: &str) -> (BTreeSet<(String, String, u64)>, usize) {
    let (mut standing, mut retracted) = (BTreeSet::new(), 0);
    // A line that the program was killed over is not whole; it is printed again.
    for line in lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let text = |field: &str| line[field].as_str().expect("a text").to_owned();
        let payment = (text("block"), text("transaction"), line["output"].as_u64().expect("a number"));
        match text("type").as_str() {
            "payment" => drop(standing.insert(payment)),
            "retraction" => {
                retracted += 1;
                standing.remove(&payment);
            }
            other => panic!("{other}"),
        }
    }
    (standing, retracted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_of_a_miner_finds_blocks_for_the_address_that_it_is_given() {
    let world = World::new().await;
    let mut command = Command::new(binaries::example("miner"));
    command.arg("--node").arg(format!("http://{}", world.node())).args(["--blocks", "3"]);
    command.arg(world.cluster.params.prefix.format(&DAVE.address())).stdout(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it runs").expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let accepted: Vec<_> = lines.iter().filter(|line| line["verdict"] == "BLOCK_VERDICT_ACCEPTED").collect();
    assert_eq!(accepted.len(), 3, "{lines:?}");
    let chain = world.cluster.chain(0);
    for (height, line) in (1..).zip(accepted) {
        let id = chain.best_at(Height::new(height)).await.expect("the store reads").expect("up to the tip");
        assert_eq!((line["height"].as_u64(), line["block"].as_str()), (Some(height), Some(id.to_string().as_str())));
        let block = chain.block(id).await.expect("the store reads").expect("it is there");
        assert_eq!(block.coinbase.to, DAVE.address());
    }
    world.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notifier_that_is_killed_tells_every_deep_payment_and_takes_back_those_that_leave() {
    let mut world = World::new().await;
    let out = world.file("lines");
    let start = |world: &World| {
        let lines = fs::File::options().create(true).append(true).open(world.file("lines")).expect("a file");
        let mut command = Command::new(binaries::example("payment_notifier"));
        command.arg("--network").arg(&world.network).arg("--node").arg(format!("http://{}", world.node()));
        command.args(["--depth", &DEPTH.to_string()]).arg("--state").arg(world.file("state.json"));
        command.arg(world.cluster.params.prefix.format(&BOB.address())).stdout(lines).stderr(Stdio::null());
        spawn(&mut command)
    };
    let state = world.file("state.json");
    let kind = Kind { start: &start, place: &|| fs::read_to_string(&state).unwrap_or_default() };
    world.grow(&kind).await;
    let follower = start(&world);
    let all_but_the_tip = world.nonce + 1 - DEPTH;
    until("the payments of the first branch are told", || {
        match standing(&fs::read_to_string(&out).unwrap_or_default()).0.len() as u64 {
            found if found == all_but_the_tip => Ok(()),
            found => Err(format!("{found} of {all_but_the_tip}")),
        }
    })
    .await;
    follower.kill();
    world.reorganise(&kind).await;

    let chain = world.cluster.chain(0);
    let mut expected = BTreeSet::new();
    for height in 1..=world.cluster.tip(0).height().get() + 1 - DEPTH {
        let id = chain.best_at(Height::new(height)).await.expect("the store reads").expect("up to the tip");
        let block = chain.block(id).await.expect("the store reads").expect("every body is there");
        for signed in &block.transactions {
            let transaction = signed.transaction().id(world.cluster.params.genesis_id());
            expected.insert((id.to_string(), transaction.to_string(), 0));
        }
    }
    assert_eq!(expected.len() as u64, world.nonce, "every payment of alice's is deep");
    let _follower = start(&world);
    until("every payment is told, and no other stands", || {
        let found = standing(&fs::read_to_string(&out).expect("lines")).0;
        if found == expected { Ok(()) } else { Err(format!("{} of {}", found.len(), expected.len())) }
    })
    .await;
    let (_, retracted) = standing(&fs::read_to_string(&out).expect("lines"));
    assert!(retracted > 0, "nothing was taken back, although the branch was left");
    world.cluster.stop().await;
}
