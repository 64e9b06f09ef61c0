//! The two programs together, as a person runs them.

use std::sync::Arc;

use farthing::Network;

use crate::harness::{
    keys::{ALICE, BOB, CAROL},
    process::{Options, Place},
    wallet::Wallet,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_wallet_pays_through_a_node_that_mines_and_proves_the_balance() {
    let params = Arc::new(Network::Dev.params().clone());
    let place = Place::new("the node", &params);
    let node = place.start(&Options { mine: Some(CAROL.address()), ..Options::default() }).await;
    let wallet = Wallet::of(&node);
    for name in ["alice", "bob"] {
        wallet.json(&["key", "import", "--dev", name, "--no-passphrase"]);
    }
    let before = wallet.json(&["balance", "bob"]);
    wallet.json(&["send", "bob", "12.5", "--from", "alice", "--wait", "2", "--yes"]);
    let after = wallet.json(&["balance", "bob"]);
    let mites = |balance: &serde_json::Value| {
        balance["accounts"][0]["balance_mites"]
            .as_str()
            .and_then(|text| text.parse::<u64>().ok())
            .expect("a number of mites")
    };
    assert_eq!(mites(&after) - mites(&before), 1_250_000_000, "{before} {after}");
    let mut api = node.api().await;
    let alice = api.account(&ALICE.address()).await.expect("genesis funds alice");
    assert_eq!(alice.next_nonce, 1);
    assert_eq!(api.account(&BOB.address()).await.map(|bob| bob.balance.get()), Some(mites(&after)));
    assert!(node.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wallet_says_what_to_do_when_the_node_is_gone() {
    let params = Arc::new(Network::Dev.params().clone());
    let place = Place::new("the node", &params);
    let node = place.start(&Options::default()).await;
    let wallet = Wallet::of(&node);
    assert_eq!(wallet.json(&["status"])["nodes"][0]["tip_height"], 0);
    node.kill();
    let run = wallet.run(&["status"], "");
    assert_eq!(run.code, Some(6), "{run:?}");
    assert!(run.stderr.contains("error[") && run.stdout.contains("dev"), "what needs no node is told: {run:?}");
}
