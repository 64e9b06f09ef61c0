//! The programs themselves: the wallet against a node that began with a checkpoint, and kills on the way.

use std::{fs, sync::Arc};

use farthing::Network;
use farthing_node::store::BASE_HEADERS;

use crate::harness::{
    api::Standing,
    eventually,
    keys::{ALICE, BOB, CAROL},
    process::{Options, Place, Running},
    until,
    wallet::Wallet,
};

/// Files that appear one after the other while a node begins.
const STAGES: [&str; 7] =
    ["lock", "blocks", "headers.part", "checkpoints/snap.download.generating", BASE_HEADERS, "range", "never"];

/// A node with a checkpoint that is twenty blocks deep.
async fn full(place: &Place) -> Running<'_> {
    let more = vec!["--checkpoint-every=10".to_owned()];
    let node = place.start(&Options { more, ..Options::default() }).await;
    let to = Network::Dev.params().prefix.format(&CAROL.address());
    let mut api = node.api().await;
    let transfer = ALICE.pay(Network::Dev.params(), 0, BOB.address(), 3);
    api.submit(&transfer).await.expect("a good transfer");
    let mine = |count: &str| {
        let (code, out, err) = place.ask(&["mine", count, "--to", &to]);
        assert_eq!(code, 0, "{out}{err}");
    };
    mine("12");
    let checkpoints = place.data().join("checkpoints");
    eventually("a checkpoint is written", async || {
        let written = fs::read_dir(&checkpoints).map_err(|error| error.to_string())?;
        let names: Vec<_> = written.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        if names.iter().any(|name| name.ends_with(".ckpt")) { Ok(()) } else { Err(format!("{names:?}")) }
    })
    .await;
    mine("25");
    node
}

fn options(node: &Running<'_>) -> Options {
    let more = ["--sync=checkpoint", "--sync-depth=20", "--no-discovery"].map(str::to_owned).to_vec();
    Options { connect: vec![node.p2p], more, ..Options::default() }
}

async fn is_in_step(node: &Running<'_>, expected: &Standing) {
    let mut api = node.api().await;
    eventually("it is in step", async || match Standing::of(&mut api).await {
        found if found == *expected => Ok(()),
        found => Err(format!("{found:?}")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wallet_reads_and_spends_through_a_node_that_began_with_a_checkpoint() {
    let params = Arc::new(Network::Dev.params().clone());
    let places = [Place::new("the full node", &params), Place::new("the new node", &params)];
    let first = full(&places[0]).await;
    let standing = Standing::of(&mut first.api().await).await;
    let node = places[1].start(&options(&first)).await;
    is_in_step(&node, &standing).await;
    let (code, out, err) = places[1].ask(&["status"]);
    assert!(code == 0 && out.contains("began with the checkpoint at 1"), "{out}{err}");
    let wallet = Wallet::of(&node);
    for name in ["alice", "bob"] {
        wallet.json(&["key", "import", "--dev", name, "--no-passphrase"]);
    }
    let mites = |balance: &serde_json::Value| balance["accounts"][0]["balance_mites"].to_string();
    let before = wallet.json(&["balance", "alice"]);
    let other = Wallet::of(&first);
    other.json(&["key", "import", "--dev", "alice", "--no-passphrase"]);
    assert_eq!(mites(&before), mites(&other.json(&["balance", "alice"])));
    wallet.json(&["send", "bob", "1", "--from", "alice", "--wait", "0", "--yes"]);
    let to = params.prefix.format(&CAROL.address());
    let (code, _, err) = places[1].ask(&["mine", "1", "--to", &to]);
    assert_eq!(code, 0, "{err}");
    let after = wallet.json(&["balance", "alice"]);
    assert_ne!(mites(&before), mites(&after));
    // What happened below is told by nobody here, and the wallet says why.
    let run = wallet.run(&["history", "alice"], "");
    assert!(run.code != Some(0) && run.stderr.contains("--sync full"), "{run:?}");
    assert!(node.stop().await.success());
    let (status, text) = places[1].command("verify");
    assert!(status.success(), "{text}");
    assert!(first.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_of_the_beginning_leaves_a_node_that_begins_again() {
    let params = Arc::new(Network::Dev.params().clone());
    let source = Place::new("the full node", &params);
    let first = full(&source).await;
    let standing = Standing::of(&mut first.api().await).await;
    let place = Place::new("the new node", &params);
    let mut stages = 0;
    // What is there tells how far it has come; the last is never there, so that the node has begun by then.
    for (round, stage) in STAGES.into_iter().enumerate() {
        let mut process = place.spawn(&options(&first));
        let path = place.data().join(stage);
        until(&format!("stage {stage}"), || match (path.exists(), place.data().join(BASE_HEADERS).exists()) {
            (true, _) => Ok(()),
            // It was faster than the look.
            (false, true) if process.serving().is_ok() => Ok(()),
            found => Err(format!("{found:?}")),
        })
        .await;
        process.kill();
        stages += u32::from(path.exists());
        let node = place.start(&options(&first)).await;
        is_in_step(&node, &standing).await;
        let (code, out, err) = place.ask(&["status"]);
        assert!(code == 0 && out.contains("began with the checkpoint at 1"), "round {round}: {out}{err}");
        node.kill();
        let again = place.start(&Options { more: vec!["--no-discovery".into()], ..Options::default() }).await;
        assert_eq!(Standing::of(&mut again.api().await).await, standing, "round {round}");
        again.kill();
        fs::remove_dir_all(place.data()).expect("a dead node's data can be removed, for the next round");
    }
    // Some stages are over before they are seen; those whose files stay are not.
    assert!(stages >= 4, "{stages} of {} stages were hit", STAGES.len());
    assert!(first.stop().await.success());
}
