//! A node that lies is caught, and what the person reads then.

use std::sync::OnceLock;

use farthing::{Address, Params};

use crate::{
    fake_node::{Behaviour, FakeNode},
    harness::Wallet,
};

/// A network whose work is trivial and that nobody begins anew every day, as they do the development network.
const NETWORK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/lies.toml");

fn params() -> &'static Params {
    static PARAMS: OnceLock<Params> = OnceLock::new();
    PARAMS.get_or_init(|| std::fs::read_to_string(NETWORK).unwrap().parse().unwrap())
}

const WHO: Address = Address::from_bytes([5; 32]);

fn node(blocks: usize) -> FakeNode {
    let node = FakeNode::on(params(), WHO, 1_000);
    node.state().mine_many(blocks - 1);
    node
}

/// A wallet with a contact who has 1,000 far at a node with so many blocks.
fn wallet(blocks: usize) -> (Wallet, FakeNode) {
    let node = node(blocks);
    let wallet = Wallet::on(NETWORK).with_node(&node.url);
    wallet.ok(&["contact", "add", "payee", &params().prefix.format(&WHO)]);
    (wallet, node)
}

/// Alice on the development network, after three payments to herself.
fn alice() -> (Wallet, FakeNode) {
    let wallet = Wallet::new();
    let address = wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned();
    let node = FakeNode::start(&address, 0);
    let wallet = wallet.with_node(&node.url);
    for far in ["1", "2", "3"] {
        wallet.ok(&["send", "alice", far, "--yes"]);
    }
    (wallet, node)
}

/// What the person reads, without what differs from run to run.
fn shown(wallet: &Wallet, node: &FakeNode, stderr: &str) -> String {
    stderr.replace(&wallet.path("wallet").display().to_string(), "[wallet]").replace(&node.url, "[node]")
}

/// Lies from now on, and what `balance` says then.
fn caught(behaviour: Behaviour, code: &str) -> String {
    let (wallet, node) = wallet(120);
    node.state().behaviour = behaviour;
    let stderr = wallet.fails(&["balance", "payee"], 9, code);
    shown(&wallet, &node, &stderr)
}

/// Lies about alice's history, and what `history` says then.
fn caught_in_history(behaviour: Behaviour) -> String {
    let (wallet, node) = alice();
    node.state().behaviour = behaviour;
    let stderr = wallet.fails(&["history"], 9, "VERIFICATION_FAILED");
    shown(&wallet, &node, &stderr)
}

#[test]
fn an_inflated_balance_is_caught() {
    insta::assert_snapshot!(caught(Behaviour::Boasts, "VERIFICATION_FAILED"));
}

#[test]
fn a_forged_account_proof_is_caught() {
    insta::assert_snapshot!(caught(Behaviour::ForgesTheProof, "VERIFICATION_FAILED"));
}

#[test]
fn a_forged_absence_is_caught() {
    insta::assert_snapshot!(caught(Behaviour::ForgesAbsence, "VERIFICATION_FAILED"));
}

#[test]
fn a_block_mined_beside_the_chain_is_caught() {
    insta::assert_snapshot!(caught(Behaviour::SwapsTheHeader, "NOT_ON_CHAIN"));
}

#[test]
fn another_height_than_the_blocks_is_caught() {
    insta::assert_snapshot!(caught(Behaviour::StatesAnotherHeight, "VERIFICATION_FAILED"));
}

#[test]
fn a_chain_proof_without_one_of_its_samples_is_caught() {
    insta::assert_snapshot!(caught(Behaviour::OmitsASample, "CHAIN_NOT_PROVEN"));
}

#[test]
fn a_chain_proof_with_fewer_samples_is_caught() {
    insta::assert_snapshot!(caught(Behaviour::TakesFewerSamples, "CHAIN_NOT_PROVEN"));
}

#[test]
fn a_chain_proof_that_claims_more_work_is_caught() {
    insta::assert_snapshot!(caught(Behaviour::ClaimsMoreWork, "CHAIN_NOT_PROVEN"));
}

#[test]
fn headers_without_work_are_caught() {
    let (wallet, node) = wallet(120);
    node.state().chain.forge(80);
    node.state().mine();
    let stderr = wallet.fails(&["balance", "payee"], 9, "CHAIN_NOT_PROVEN");
    insta::assert_snapshot!(shown(&wallet, &node, &stderr));
}

#[test]
fn a_chain_from_another_first_block_is_caught() {
    let (wallet, node) = wallet(120);
    node.state().begin_elsewhere(120);
    let stderr = wallet.fails(&["balance", "payee"], 9, "CHAIN_NOT_PROVEN");
    insta::assert_snapshot!(shown(&wallet, &node, &stderr));
}

#[test]
fn a_stale_tip_is_caught_by_whoever_has_seen_a_newer_one() {
    let (wallet, node) = wallet(120);
    wallet.ok(&["balance", "payee"]);
    node.state().shown = Some(100);
    let stderr = wallet.fails(&["balance", "payee"], 9, "STALE_NODE");
    insta::assert_snapshot!(shown(&wallet, &node, &stderr));
    node.state().shown = Some(20);
    wallet.fails(&["balance", "payee"], 9, "LESS_WORK");
}

#[test]
fn the_status_says_how_the_chain_was_verified_or_why_not() {
    let (wallet, node) = wallet(120);
    let status = wallet.json(&["status"]);
    let chain = &status["nodes"][0]["chain"];
    assert_eq!((&chain["verified"], &chain["height"], &chain["work"]), (&true.into(), &120.into(), &"242".into()));
    assert_eq!((&chain["samples_per_halving"], &chain["half_forged_passes"]), (&25.into(), &"2^-50".into()));
    node.state().shown = Some(100);
    let chain = &wallet.json(&["status"])["nodes"][0]["chain"];
    assert_eq!((&chain["verified"], &chain["code"]), (&false.into(), &"STALE_NODE".into()));
    let text = wallet.ok(&["status"]);
    assert!(text.contains("chain     not verified: ") && text.contains("[STALE_NODE]"), "{text}");
}

#[test]
fn a_node_that_lags_by_little_is_believed_and_that_is_said() {
    let (wallet, node) = wallet(120);
    wallet.ok(&["balance", "payee"]);
    node.state().shown = Some(118);
    let run = wallet.run(&["balance", "payee"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "payee        1000 far (verified)\n"), "{}", run.stderr);
    assert!(
        run.stderr.contains("what changed up to block 120, which this wallet has seen elsewhere"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_fork_with_less_work_is_caught_by_whoever_has_seen_more() {
    let (wallet, node) = wallet(120);
    wallet.ok(&["balance", "payee"]);
    node.state().go_back_to(60);
    node.state().mark = 1;
    node.state().mine_many(50);
    let stderr = wallet.fails(&["balance", "payee"], 9, "LESS_WORK");
    insta::assert_snapshot!(shown(&wallet, &node, &stderr));
    // With more work it is the chain.
    node.state().mine_many(11);
    assert_eq!(wallet.json(&["balance", "payee"])["accounts"][0]["proof"]["header_height"], 121);
}

#[test]
fn a_header_that_breaks_a_rule_is_caught_behind_known_ones() {
    let (wallet, node) = wallet(120);
    wallet.ok(&["balance", "payee"]);
    node.state().chain.forge(120);
    node.state().mine_many(2);
    let stderr = wallet.fails(&["balance", "payee"], 9, "VERIFICATION_FAILED");
    insta::assert_snapshot!(shown(&wallet, &node, &stderr));
}

#[test]
fn a_new_header_in_the_past_is_caught() {
    let (wallet, node) = wallet(120);
    wallet.ok(&["balance", "payee"]);
    node.state().mine_many(2);
    node.state().behaviour = Behaviour::ForgesAHeader;
    let stderr = wallet.fails(&["balance", "payee"], 9, "CHAIN_NOT_PROVEN");
    insta::assert_snapshot!(shown(&wallet, &node, &stderr));
}

#[test]
fn a_history_without_end_is_caught() {
    let (wallet, node) = alice();
    node.state().claim_entries(u64::MAX);
    wallet.fails(&["history"], 9, "VERIFICATION_FAILED");
}

#[test]
fn a_hidden_payment_is_caught() {
    insta::assert_snapshot!(caught_in_history(Behaviour::HidesThePayment));
}

#[test]
fn a_history_cut_short_is_caught() {
    insta::assert_snapshot!(caught_in_history(Behaviour::CutsTheHistory));
}

#[test]
fn entries_in_another_order_are_caught() {
    insta::assert_snapshot!(caught_in_history(Behaviour::SwapsEntries));
}

#[test]
fn an_altered_entry_is_caught() {
    insta::assert_snapshot!(caught_in_history(Behaviour::AltersAnEntry));
}

#[test]
fn a_transfer_that_is_only_said_to_be_mined_is_not_believed() {
    let (wallet, node) = alice();
    node.state().behaviour = Behaviour::PretendsToMine;
    let stderr = wallet.fails(&["send", "alice", "1", "--wait", "1", "--yes"], 9, "VERIFICATION_FAILED");
    let error = stderr.lines().skip_while(|line| !line.starts_with("error")).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(shown(&wallet, &node, &error));
}

#[test]
fn blocks_above_a_transfer_that_are_only_said_to_be_there_do_not_count() {
    let (wallet, node) = alice();
    node.state().behaviour = Behaviour::CountsTooMany;
    let command = ["send", "alice", "1", "--wait", "3", "--timeout", "2s", "--yes"];
    let stderr = wallet.fails(&command, 8, "UNCONFIRMED");
    assert!(stderr.contains("has 1 of 3 confirmations"), "{stderr}");
    node.state().behaviour = Behaviour::Honest;
    node.state().mine_many(2);
    wallet.ok(&["send", "alice", "1", "--wait", "3", "--timeout", "2s", "--yes"]);
}

/// What one block commits to costs no more than one block: neither the heights of a history nor the headers before it.
#[test]
fn a_payment_that_one_block_alone_puts_into_the_past_is_not_believed() {
    // Among the last headers, which the wallet keeps, and far below them.
    for blocks in [10, 100] {
        one_block_alone(blocks);
    }
}

fn one_block_alone(blocks: usize) {
    let (wallet, node) = alice();
    node.state().mine_many(blocks);
    wallet.ok(&["balance"]);
    node.state().mines = false;
    let id = wallet.json(&["send", "alice", "4", "--no-wait", "--yes"])["transaction_id"].as_str().unwrap().to_owned();
    node.state().forge_a_payment(6);
    let stderr = wallet.fails(&["tx", "show", &id], 9, "VERIFICATION_FAILED");
    assert!(stderr.contains("where the chain whose work it showed has another one"), "{stderr}");
    wallet.fails(&["tx", "wait", &id, "--confirmations", "6"], 9, "VERIFICATION_FAILED");
    // Nor is it forgotten as paid.
    wallet.fails(&["resubmit"], 9, "VERIFICATION_FAILED");
    assert_eq!(wallet.json(&["status"])["wallet"]["open_transfers"], 1);
}

#[test]
fn a_lost_fork_is_caught_even_if_it_lost_by_one_block() {
    let (wallet, node) = wallet(120);
    wallet.ok(&["balance", "payee"]);
    node.state().go_back_to(118);
    node.state().mark = 1;
    node.state().mine();
    wallet.fails(&["balance", "payee"], 9, "LESS_WORK");
    node.state().mine_many(2);
    wallet.ok(&["balance", "payee"]);
}

/// What a wallet that has seen nothing can know: the work that it is shown, in words, and what the person knows already.
#[test]
fn the_first_chain_that_one_node_shows_is_told_with_its_work_and_held_against_the_least() {
    let (wallet, node) = wallet(120);
    let stderr = wallet.run(&["balance", "payee"]).stderr;
    assert!(stderr.contains("warning: this wallet has seen no chain of the network lies before"), "{stderr}");
    assert!(stderr.contains("its 120 blocks took 242 attempts, less than a second of one processor core"), "{stderr}");
    assert!(!wallet.run(&["balance", "payee"]).stderr.contains("no chain of the network"), "told once");
    let stranger = Wallet::on(NETWORK).with_node(&node.url);
    let who = params().prefix.format(&WHO);
    let settings = |work: &str| {
        let text = format!("network = \"{NETWORK}\"\nminimum_work = \"{work}\"\n");
        std::fs::write(stranger.path("wallet/config.toml"), text).unwrap();
    };
    std::fs::create_dir_all(stranger.path("wallet")).unwrap();
    settings("243");
    let stderr = stranger.fails(&["balance", &who], 9, "TOO_LITTLE_WORK");
    assert!(stderr.contains("has work 242 up to block 120, less than the minimum_work 243"), "{stderr}");
    settings("242");
    let run = stranger.run(&["balance", &who]);
    assert!(run.code == 0 && !run.stderr.contains("no chain of the network"), "{}", run.stderr);
}

#[test]
fn what_was_verified_is_not_fetched_again() {
    let (wallet, node) = wallet(120);
    for _ in 0..3 {
        wallet.ok(&["balance", "payee"]);
        node.state().mine();
    }
    assert_eq!(node.state().chain_proofs, 1);
}

#[test]
fn a_damaged_cache_is_told_and_made_anew() {
    let (wallet, node) = wallet(120);
    wallet.ok(&["balance", "payee"]);
    let path = wallet.path("wallet/lies/chain.verified");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let run = wallet.run(&["balance", "payee"]);
    assert!(run.code == 0 && run.stderr.contains("chain.verified is damaged"), "{}", run.stderr);
    let run = wallet.run(&["balance", "payee"]);
    assert!(run.code == 0 && !run.stderr.contains("damaged"), "{}", run.stderr);
    assert_eq!(node.state().chain_proofs, 2);
}

#[test]
fn a_development_network_may_be_begun_anew() {
    let (wallet, node) = alice();
    wallet.ok(&["balance"]);
    node.state().mine_many(20);
    wallet.ok(&["balance"]);
    node.state().go_back_to(0);
    node.state().mark = 1;
    node.state().mine_many(2);
    let run = wallet.run(&["balance"]);
    assert!(run.code == 0 && run.stderr.contains("it counts as begun anew"), "{}", run.stderr);
    let run = wallet.run(&["balance"]);
    assert!(run.code == 0 && !run.stderr.contains("begun anew"), "{}", run.stderr);
}
