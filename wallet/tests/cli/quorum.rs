//! Several nodes: that they agree, and what is said when they do not.

use std::sync::OnceLock;

use farthing::{Address, Params};

use crate::{
    fake_node::{Behaviour, FakeNode},
    harness::Wallet,
};

const NETWORK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/lies.toml");
const WHO: Address = Address::from_bytes([5; 32]);

fn params() -> &'static Params {
    static PARAMS: OnceLock<Params> = OnceLock::new();
    PARAMS.get_or_init(|| std::fs::read_to_string(NETWORK).unwrap().parse().unwrap())
}

/// Nodes of one chain of so many blocks, on which somebody has so much.
fn node(far: u64, blocks: usize) -> FakeNode {
    let node = FakeNode::on(params(), WHO, far);
    node.state().mine_many(blocks - 1);
    node
}

/// A wallet that asks these nodes, and knows whom to ask about.
fn wallet(nodes: &[&FakeNode]) -> Wallet {
    let urls: Vec<&str> = nodes.iter().map(|node| node.url.as_str()).collect();
    let wallet = Wallet::on(NETWORK).with_node(&urls.join(","));
    wallet.ok(&["contact", "add", "payee", &params().prefix.format(&WHO)]);
    wallet
}

/// What the person reads, with letters for the nodes.
fn shown(nodes: &[&FakeNode], text: &str) -> String {
    nodes.iter().zip(["A", "B", "C"]).fold(text.to_owned(), |text, (node, name)| text.replace(&node.url, name))
}

#[test]
fn nodes_that_agree_are_counted() {
    let (a, b) = (node(1_000, 80), node(1_000, 80));
    let wallet = wallet(&[&a, &b]);
    let json = wallet.json(&["balance", "payee", "--quorum", "2"]);
    let account = &json["accounts"][0];
    assert_eq!((&account["balance"], &account["labels"]["balance"]), (&"1000".into(), &"verified".into()));
    assert_eq!(account["labels"]["pending_in"], "agreed by 2 of 2");
    let agreement = &account["proof"]["agreement"];
    assert_eq!((&agreement["agreed"], &agreement["asked"]), (&2.into(), &2.into()));
    assert_eq!(agreement["nodes"][1]["says"], "same");
    let run = wallet.run(&["balance", "payee", "--quorum", "2"]);
    assert!(run.stderr.contains("2 of 2 nodes stand on the same chain:"), "{}", run.stderr);
}

#[test]
fn a_node_that_is_a_little_behind_agrees_and_that_is_said() {
    let (a, b) = (node(1_000, 80), node(1_000, 78));
    let wallet = wallet(&[&b, &a]);
    let run = wallet.run(&["balance", "payee", "--quorum", "2"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("verified against block 80"), "{}", run.stderr);
    assert!(run.stderr.contains("a few blocks behind on the same chain"), "{}", run.stderr);
}

#[test]
fn nodes_that_disagree_for_a_moment_are_asked_again() {
    let (a, b) = (node(1_000, 80), node(1_000, 75));
    {
        // Two blocks were mined at a time, and the node follows the one that lost.
        let mut state = b.state();
        state.mark = 1;
        state.mine_many(4);
    }
    let wallet = wallet(&[&a, &b]);
    let run = std::thread::scope(|scope| {
        let asked = scope.spawn(|| wallet.run(&["balance", "payee", "--quorum", "2"]));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while b.state().chain_proofs == 0 && !asked.is_finished() {
            assert!(std::time::Instant::now() < deadline, "it was never asked");
            std::thread::yield_now();
        }
        let mut state = b.state();
        state.go_back_to(75);
        state.mark = 0;
        state.mine_many(5);
        drop(state);
        asked.join().unwrap()
    });
    assert_eq!((run.code, run.stdout.as_str()), (0, "payee        1000 far (verified)\n"), "{}", run.stderr);
    assert!(b.state().chain_proofs >= 1);
}

#[test]
fn nodes_of_two_chains_disagree_and_both_answers_are_shown() {
    let (a, b) = (node(1_000, 80), node(2_000, 70));
    let wallet = wallet(&[&a, &b]);
    let stderr = wallet.fails(&["balance", "payee", "--quorum", "2"], 9, "NODES_DISAGREE");
    insta::assert_snapshot!(shown(&[&a, &b], &stderr));
}

#[test]
fn a_node_that_is_far_behind_does_not_agree() {
    let (a, b) = (node(1_000, 80), node(1_000, 60));
    let wallet = wallet(&[&a, &b]);
    let stderr = wallet.fails(&["balance", "payee", "--quorum", "2"], 9, "NODES_DISAGREE");
    assert!(stderr.contains("far behind on the same chain"), "{stderr}");
    // One that was seen to have more work is stale by itself.
    wallet.ok(&["balance", "payee"]);
    let alone = ["balance", "payee", "--node", &b.url];
    wallet.fails(&alone, 9, "STALE_NODE");
}

#[test]
fn names_of_one_node_count_once() {
    let (a, b) = (node(1_000, 80), node(1_000, 80));
    let twin = a.url.replace("127.0.0.1", "localhost");
    let wallet = wallet(&[&a]);
    let named = format!("{},{twin}", a.url);
    let run = wallet.run(&["balance", "payee", "--quorum", "2", "--node", &named]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{}", run.stderr);
    assert!(
        run.stderr.contains("QUORUM_TOO_LARGE") && run.stderr.contains("2 nodes are to agree, but one is named"),
        "{}",
        run.stderr
    );
    let named = format!("{named},{}", b.url);
    let run = wallet.run(&["balance", "payee", "--quorum", "2", "--node", &named]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stderr.contains(&format!("warning: {twin} is the same node as {}, and counts once", a.url)),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("2 of 2 nodes stand on the same chain:"), "{}", run.stderr);
}

#[test]
fn one_that_lies_is_named_and_outvoted() {
    let (a, b, c) = (node(1_000, 80), node(1_000, 80), node(1_000, 80));
    a.state().behaviour = Behaviour::ForgesTheProof;
    let wallet = wallet(&[&a, &b, &c]);
    let run = wallet.run(&["balance", "payee", "--quorum", "2"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "payee        1000 far (verified)\n"), "{}", run.stderr);
    let said = shown(&[&a, &b, &c], &run.stderr);
    assert!(said.contains("warning: one of the nodes does not agree: A: the account's proof does not hold"), "{said}");
    assert!(said.contains("2 of 3 nodes stand on the same chain:"), "{said}");
    let stderr = wallet.fails(&["balance", "payee", "--quorum", "3"], 9, "QUORUM_NOT_REACHED");
    assert!(stderr.contains("2 of 3 nodes gave an answer that holds, 3 are to agree:"), "{stderr}");
}

#[test]
fn a_chain_with_more_work_that_one_node_alone_shows_is_not_believed() {
    let (a, b, c) = (node(1_000, 80), node(1_000, 80), node(9_000, 90));
    let wallet = wallet(&[&a, &b, &c]);
    let stderr = wallet.fails(&["balance", "payee", "--quorum", "2"], 9, "NODES_DISAGREE");
    insta::assert_snapshot!(shown(&[&a, &b, &c], &stderr));
}

#[test]
fn too_few_nodes_have_exit_codes_of_their_own() {
    let a = node(1_000, 80);
    let wallet = wallet(&[&a]);
    wallet.fails(&["balance", "payee", "--quorum", "2"], 2, "QUORUM_TOO_LARGE");
    let nodes = format!("{},http://127.0.0.1:1", a.url);
    let stderr = wallet.fails(&["balance", "payee", "--quorum", "2", "--node", &nodes], 6, "QUORUM_NOT_REACHED");
    assert!(stderr.contains("http://127.0.0.1:1: "), "{stderr}");
    wallet.ok(&["balance", "payee", "--quorum", "1", "--node", &nodes]);
}

#[test]
fn without_a_quorum_the_next_node_is_asked_when_one_is_silent_or_lies() {
    let (a, b) = (node(1_000, 80), node(1_000, 80));
    let wallet = wallet(&[&a, &b]);
    a.state().behaviour = Behaviour::ForgesTheProof;
    let run = wallet.run(&["balance", "payee"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "payee        1000 far (verified)\n"), "{}", run.stderr);
    let said = shown(&[&a, &b], &run.stderr);
    assert!(said.contains("warning: A was passed over: the account's proof does not hold"), "{said}");
    let run = wallet.run(&["balance", "payee", "--node", "http://127.0.0.1:1", "--node", &b.url]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("warning: http://127.0.0.1:1 was passed over: "), "{}", run.stderr);
    b.state().behaviour = Behaviour::Boasts;
    wallet.fails(&["balance", "payee"], 9, "VERIFICATION_FAILED");
    wallet.fails(&["balance", "payee", "--node", &format!("{},http://127.0.0.1:1", a.url)], 9, "VERIFICATION_FAILED");
}

#[test]
fn a_transfer_is_handed_in_at_all_nodes_and_what_they_say_of_it_is_counted() {
    let wallet = Wallet::new();
    let address = wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned();
    let (a, b) = (FakeNode::start(&address, 0), FakeNode::start(&address, 0));
    let wallet = wallet.with_node(&format!("{},{}", a.url, b.url));
    for node in [&a, &b] {
        node.state().mines = false;
    }
    wallet.ok(&["send", "alice", "1", "--no-wait", "--yes"]);
    assert_eq!((a.state().submissions, b.state().submissions), (1, 1));
    let run = wallet.run(&["balance", "--quorum", "2"]);
    assert!(run.stdout.contains("leaving (agreed by 2 of 2)"), "{}", run.stdout);
    assert!(wallet.json(&["history", "--quorum", "2"])["proof"]["agreement"].is_object());
    b.state().forget();
    let run = wallet.run(&["balance", "--quorum", "2"]);
    assert!(run.stdout.contains("leaving (unverified)"), "{}", run.stdout);
}
