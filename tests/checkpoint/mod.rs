//! Nodes that begin with a peer's checkpoint: against honest peers, lying ones, silent ones, and none.

mod first;
mod liar;
mod lies;
mod processes;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use farthing::{
    Address, Height, Params, TransactionProof, Work,
    chain_proof::ChainProof,
    params::ParamsFields,
    wire::v1::{self, ledger_service_client::LedgerServiceClient},
};
use farthing_consensus::{HeaderContext, verify_chain_proof};
use farthing_node::{
    chain::{CheckpointOffer, EntryCursor},
    config::{Config, SyncMode},
    env::{Env, ManualClock},
    miner::Reward,
    node::Node,
    store::checkpoint::Policy,
};
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

use crate::harness::{
    api::{Api, Standing},
    eventually,
    keys::{ALICE, BOB, CAROL, DAVE},
    networks, until,
};

/// Coinbases wait for so many blocks.
const DELAY: u64 = 7;
/// Blocks between checkpoints of a full node.
const EVERY: u64 = 10;

/// A node without old blocks still proves its chain and what was mined above.
async fn proofs_of_what_is_here(params: &Params, client: &mut LedgerServiceClient<Channel>, mined: &str) {
    let answer = client.get_chain_proof(v1::GetChainProofRequest {}).await.expect("it has all headers").into_inner();
    let proof = ChainProof::try_from(answer.proof.expect("a proof")).expect("well-formed");
    let proven = verify_chain_proof(params, &proof).expect("the chain is worked for");
    assert_eq!(proven.tip.height(), Height::new(40));
    let mut headers = client.get_headers(v1::GetHeadersRequest::default()).await.expect("a stream").into_inner();
    let frame = headers.message().await.expect("it goes on").expect("all at once");
    let Some(v1::get_headers_response::Event::Headers(message)) = frame.event else { panic!("{frame:?}") };
    assert_eq!((message.first_height, message.headers_bytes.len()), (0, 41));
    let id = v1::get_transaction_proof_request::Id::TransactionIdHex(mined.to_owned());
    let request = v1::GetTransactionProofRequest { id: Some(id) };
    let answer = client.get_transaction_proof(request).await.expect("it is here").into_inner();
    let proof = TransactionProof::try_from(answer.proof.expect("a proof")).expect("well-formed");
    let id = mined.parse().expect("an id");
    assert_eq!(proof.verify(params, &id, &proven.tip.id()).expect("it is mined").tip_height, Height::new(40));
}

/// Like [`networks::quick`], with coinbases that have to wait.
fn params() -> Arc<Params> {
    let fields = ParamsFields::clone(&networks::quick());
    Arc::new(Params::new(ParamsFields { reward_delay: DELAY, ..fields }).expect("within the ranges"))
}

fn config(params: &Arc<Params>, folder: &Path, connect: &[SocketAddr]) -> Config {
    let mut config = Config::on_loopback(Arc::clone(params), folder.to_owned());
    config.no_discovery = true;
    config.connect = connect.iter().map(|at| at.to_string().parse().expect("an address")).collect();
    config.checkpoints = Policy {
        every_blocks: EVERY,
        deep_blocks: 2 * EVERY,
        pause: Duration::ZERO,
        reserve_bytes: 0,
        ..Policy::default()
    };
    config
}

/// A node that executes all blocks.
async fn full(params: &Arc<Params>, folder: &Path, connect: &[SocketAddr]) -> Node {
    let env = Env::system().expect("threads");
    Node::start(config(params, folder, connect), env).await.expect("a node starts")
}

/// A node that begins with a checkpoint.
async fn light(params: &Arc<Params>, folder: &Path, depth: u64, connect: &[SocketAddr]) -> Node {
    let mut config = config(params, folder, connect);
    config.sync = SyncMode::Checkpoint { depth, minimum_work: Work::ZERO };
    Node::start(config, Env::system().expect("threads")).await.expect("a node starts")
}

async fn mine(node: &Node, blocks: usize, to: Address) -> HeaderContext {
    let reward = Reward { to, tag: b"test".to_vec() };
    node.miner().mine_blocks(blocks, reward).await.expect("blocks are mined");
    node.chain().view().tip
}

/// Waits until a node has a checkpoint at this height, or one that is given in its place.
async fn has_checkpoint(node: &Node, height: u64) -> CheckpointOffer {
    eventually(&format!("a checkpoint at {height}"), async || {
        node.chain().prepare_offers().await.map_err(|error| error.to_string())?;
        let offers = node.chain().offers();
        let found = offers.iter().find(|offer| offer.height.get() == height).cloned();
        found.ok_or_else(|| format!("{:?}", offers.iter().map(|offer| offer.height.get()).collect::<Vec<_>>()))
    })
    .await
}

/// Blocks in which alice and bob pay, with a checkpoint at every tenth.
async fn grow(node: &Node, params: &Arc<Params>, to: u64) {
    let mut api = Api::connect(params, node.rpc_address()).await;
    for tenth in 1..=to / EVERY {
        for _ in 0..2 {
            for (from, whom) in [(&ALICE, BOB.address()), (&BOB, Address::from_bytes([tenth as u8; 32]))] {
                let nonce = api.next_nonce(&from.address()).await.expect("the node answers");
                api.submit(&from.pay(params, nonce, whom, 2)).await.expect("a good transfer");
            }
            mine(node, EVERY as usize / 2, CAROL.address()).await;
        }
        has_checkpoint(node, tenth * EVERY).await;
    }
}

async fn agrees(node: &Node, tip: &HeaderContext) {
    until("a node has the tip", || match node.chain().view().tip {
        found if found.id() == tip.id() => Ok(()),
        found => Err(format!("height {}", found.height())),
    })
    .await;
}

async fn standing(params: &Arc<Params>, node: &Node) -> Standing {
    Standing::of(&mut Api::connect(params, node.rpc_address()).await).await
}

async fn stop(node: Node) {
    node.tasks().stop();
    node.wait().await.expect("a node stops without a failure");
}

fn folder(of: &TempDir, name: &str) -> std::path::PathBuf {
    of.path().join(name)
}

fn reason(status: &tonic::Status) -> (String, String) {
    let info = status.get_details_error_info().expect("a typed reason");
    (info.reason, info.metadata.get("lowest_height").cloned().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_node_begins_with_a_checkpoint_and_is_as_good_as_any_other_from_there() {
    let (params, folders) = (params(), tempfile::tempdir().expect("a folder"));
    let first = full(&params, &folder(&folders, "full"), &[]).await;
    grow(&first, &params, 60).await;
    let node = light(&params, &folder(&folders, "light"), 20, &[first.p2p_address()]).await;
    agrees(&node, &first.chain().view().tip).await;
    let base = node.chain().base().expect("it began with a checkpoint");
    assert_eq!(base.tip.height().get(), 40);
    assert_eq!(base.coinbases.len() as u64, DELAY);
    assert_eq!(standing(&params, &node).await, standing(&params, &first).await);

    // It follows and it mines, over the heights at which what waited at the checkpoint was credited.
    let tip = mine(&first, 5, DAVE.address()).await;
    agrees(&node, &tip).await;
    let tip = mine(&node, 5, BOB.address()).await;
    agrees(&first, &tip).await;
    assert_eq!(standing(&params, &node).await, standing(&params, &first).await);

    // It serves clients: proofs, and transfers of accounts whose keys stand in no block that it has.
    let mut api = Api::connect(&params, node.rpc_address()).await;
    let nonce = api.next_nonce(&ALICE.address()).await.expect("the node answers");
    assert!(nonce > 0, "alice had sent before the checkpoint");
    api.submit(&ALICE.pay(&params, nonce, BOB.address(), 1)).await.expect("a good transfer");
    let tip = mine(&node, 1, BOB.address()).await;
    agrees(&first, &tip).await;
    assert_eq!(api.account(&ALICE.address()).await.expect("it is there").next_nonce, nonce + 1);
    let info = api.info().await.expect("the node answers");
    assert_eq!(info.lowest_block_height, 41);

    // A restart goes on from there, whatever it is asked to begin with.
    let before = standing(&params, &node).await;
    let data = folder(&folders, "light");
    stop(node).await;
    let node = full(&params, &data, &[first.p2p_address()]).await;
    assert_eq!(standing(&params, &node).await, before);
    assert_eq!(node.chain().lowest_body(), Height::new(41));
    let tip = mine(&first, 12, DAVE.address()).await;
    agrees(&node, &tip).await;
    assert_eq!(standing(&params, &node).await, standing(&params, &first).await);
    stop(node).await;
    stop(first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_below_the_checkpoint_is_refused_by_name_and_peers_are_asked_for_it_in_its_place() {
    let (params, folders) = (params(), tempfile::tempdir().expect("a folder"));
    let first = full(&params, &folder(&folders, "full"), &[]).await;
    grow(&first, &params, 40).await;
    let node = light(&params, &folder(&folders, "light"), 20, &[first.p2p_address()]).await;
    agrees(&node, &first.chain().view().tip).await;
    let mut api = Api::connect(&params, node.rpc_address()).await;
    let pruned = ("BLOCK_PRUNED".to_owned(), "21".to_owned());
    assert_eq!(reason(&api.block_at(7).await.expect_err("it is not here")), pruned);
    assert_eq!(reason(&api.block_at(20).await.expect_err("nor is the checkpoint's own")), pruned);
    assert!(api.block_at(21).await.expect("the node answers").is_some());
    let mut stream = api.subscribe(21).await.expect("from there on it streams");
    assert!(stream.message().await.expect("it goes on").is_some());
    for from in [0, 1, 20] {
        assert_eq!(reason(&api.subscribe(from).await.expect_err("not from there")), pruned, "{from}");
    }
    // An account is followed from there on, and a transfer, but not from below.
    let behind = async |height: u64| {
        let id = first.chain().best_at(Height::new(height)).await.expect("it reads").expect("it has all");
        [&[1][..], &height.to_le_bytes(), id.as_bytes()].concat()
    };
    let account = v1::watch_account_request::Id::AddressText(params.prefix.format(&ALICE.address()));
    let watch = async |cursor: Vec<u8>| {
        let request = v1::WatchAccountRequest { id: Some(account.clone()), cursor: cursor.into() };
        api.raw().watch_account(request).await.map(tonic::Response::into_inner)
    };
    let transfer = Some(v1::watch_transaction_request::Id::TransactionIdHex("ab".repeat(32)));
    for cursor in [vec![1], behind(19).await] {
        assert_eq!(reason(&watch(cursor.clone()).await.expect_err("not from there")), pruned);
        let id = transfer.clone();
        let request = v1::WatchTransactionRequest { id, confirmations: 1, cursor: cursor.into() };
        assert_eq!(reason(&api.raw().watch_transaction(request).await.expect_err("not from there")), pruned);
    }
    let mut frames = watch(behind(20).await).await.expect("from there on");
    let expected = api.account(&ALICE.address()).await.map(|account| v1::Account::from(&account));
    loop {
        let frame = frames.message().await.expect("a frame").expect("it goes on");
        if let Some(v1::watch_account_response::Event::Apply(apply)) = frame.event
            && apply.state.and_then(|state| state.account) == expected
        {
            break;
        }
    }
    // A history is told back to the checkpoint, and then why no further.
    let (entries, _) = node.chain().account_entries(ALICE.address(), None, 100).await.expect("what is above");
    assert!(!entries.is_empty() && entries.iter().all(|entry| entry.height.get() > 20), "{entries:?}");
    let last = entries.last().expect("not empty");
    let mut client = LedgerServiceClient::connect(format!("http://{}", node.rpc_address())).await.expect("it serves");
    let list = |page_token| v1::ListAccountEntriesRequest {
        id: Some(v1::list_account_entries_request::Id::AddressText(params.prefix.format(&ALICE.address()))),
        page_size: 100,
        page_token,
        ..Default::default()
    };
    let page = client.list_account_entries(list(String::new())).await.expect("a page").into_inner();
    assert_eq!(page.entries.len(), entries.len());
    let status = client.list_account_entries(list(page.next_page_token)).await.expect_err("nothing below");
    assert_eq!(reason(&status), pruned);
    let cursor = EntryCursor { entry: last.entry, height: last.height };
    let error = node.chain().account_entries(ALICE.address(), Some(cursor), 5).await.expect_err("nothing below");
    assert!(!error.is_fatal(), "{error}");
    let oldest_first = v1::ListAccountEntriesRequest { order: 2, ..list(String::new()) };
    let status = client.list_account_entries(oldest_first).await.expect_err("the oldest is below");
    assert_eq!(reason(&status), pruned);
    proofs_of_what_is_here(&params, &mut client, &entries[0].id.to_string()).await;

    // A node that executes all blocks gets those that this one lacks from the other, and blames nobody.
    let second = full(&params, &folder(&folders, "second"), &[node.p2p_address()]).await;
    until("it hears of the chain", || match second.network().peers().len() {
        1 => Ok(()),
        found => Err(format!("{found} peers")),
    })
    .await;
    second.network().connect(first.p2p_address().to_string().parse().expect("an address"));
    agrees(&second, &first.chain().view().tip).await;
    for node in [&first, &node, &second] {
        assert_eq!((node.network().bans(), node.network().scores()), (Vec::new(), Vec::new()));
    }
    for node in [second, node, first] {
        stop(node).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_leaves_below_the_checkpoint_is_left_aside_and_nobody_is_blamed() {
    let (params, folders) = (params(), tempfile::tempdir().expect("a folder"));
    let first = full(&params, &folder(&folders, "full"), &[]).await;
    grow(&first, &params, 30).await;
    let node = light(&params, &folder(&folders, "light"), 15, &[first.p2p_address()]).await;
    agrees(&node, &first.chain().view().tip).await;
    let base = node.chain().base().expect("it began with a checkpoint").tip.height().get();
    assert_eq!(base, 10);
    // Another chain from genesis, with more work.
    let other = full(&params, &folder(&folders, "other"), &[]).await;
    mine(&other, 60, DAVE.address()).await;
    node.network().connect(other.p2p_address().to_string().parse().expect("an address"));
    until("the two are connected", || match other.network().peers().len() {
        1 => Ok(()),
        found => Err(format!("{found} peers")),
    })
    .await;
    let tip = mine(&first, 3, CAROL.address()).await;
    agrees(&node, &tip).await;
    // It heard of the heavier branch before or after; either way it stays, and stays connected.
    let heavier = mine(&other, 1, DAVE.address()).await;
    let tip = mine(&first, 1, CAROL.address()).await;
    agrees(&node, &tip).await;
    assert!(heavier.total_work() > tip.total_work());
    assert_eq!((node.network().bans(), node.network().scores()), (Vec::new(), Vec::new()));
    assert_eq!(node.network().peers().len(), 2);
    for node in [node, other, first] {
        stop(node).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_stays_too_short_for_a_checkpoint_is_executed() {
    let (params, folders) = (params(), tempfile::tempdir().expect("a folder"));
    let first = full(&params, &folder(&folders, "full"), &[]).await;
    let tip = mine(&first, 15, CAROL.address()).await;
    let data = folder(&folders, "light");
    let mut config = config(&params, &data, &[first.p2p_address()]);
    config.sync = SyncMode::Checkpoint { depth: 15, minimum_work: Work::ZERO };
    let env = Env::system().expect("threads");
    let clock = ManualClock::new(env.clock().now());
    let node = Node::start(config, env.with_clock(clock.clone())).await.expect("a node starts");
    until("its headers are here", || match node.network().best_header_height().get() {
        15 => Ok(()),
        height => Err(format!("height {height}")),
    })
    .await;
    assert_eq!(node.chain().view().tip.height(), Height::GENESIS, "longer ones may come");
    until("a minute has passed for it, and it executes all blocks", || {
        clock.advance(Duration::from_secs(20));
        match node.chain().view().tip {
            found if found.id() == tip.id() => Ok(()),
            found => Err(format!("height {}", found.height())),
        }
    })
    .await;
    assert_eq!(node.chain().base(), None);
    assert!(!data.join("headers.part").exists(), "what is not needed is removed");
    stop(node).await;
    stop(first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_waits_for_the_work_that_its_operator_asks_for() {
    let (params, folders) = (params(), tempfile::tempdir().expect("a folder"));
    let first = full(&params, &folder(&folders, "full"), &[]).await;
    grow(&first, &params, 30).await;
    let enough = first.chain().view().tip.total_work();
    let mut config = config(&params, &folder(&folders, "light"), &[first.p2p_address()]);
    let minimum_work = Work::new(enough.get() + 1);
    config.sync = SyncMode::Checkpoint { depth: 15, minimum_work };
    let node = Node::start(config, Env::system().expect("threads")).await.expect("a node starts");
    let mut api = Api::connect(&params, node.rpc_address()).await;
    eventually("all headers are there and it goes on waiting", async || {
        let info = api.info().await.map_err(|error| error.to_string())?;
        let progress = info.sync_progress.unwrap_or_default();
        let waits = info.best_header_height == 30 && progress.phase() == v1::SyncPhase::Headers;
        if waits { Ok(()) } else { Err(format!("{info:?}")) }
    })
    .await;
    assert_eq!(node.chain().view().tip.height(), Height::GENESIS);
    let tip = mine(&first, 1, CAROL.address()).await;
    agrees(&node, &tip).await;
    assert!(node.chain().base().is_some());
    stop(node).await;
    stop(first).await;
}
