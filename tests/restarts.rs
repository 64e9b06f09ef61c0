//! Nodes that die and come back, and data that is taken from them.

use farthing::{
    TxId,
    wire::{TransactionStanding, v1},
};

use crate::harness::{
    api::{Api, Standing},
    eventually,
    keys::{ALICE, BOB, CAROL},
    networks,
    process::{Options, Place, Running},
};

/// Waits until a node stands at this height at least, and gives where it stands.
async fn height_reaches(api: &mut Api, height: u64) -> Standing {
    eventually(&format!("height {height}"), async || match Standing::of(api).await {
        standing if standing.height >= height => Ok(standing),
        standing => Err(format!("height {}", standing.height)),
    })
    .await
}

/// Submits transfers of alice's, and gives their ids.
async fn pay(api: &mut Api, params: &farthing::Params, count: u64) -> Vec<TxId> {
    let first = api.next_nonce(&ALICE.address()).await.expect("the node answers");
    let mut ids = Vec::new();
    for nonce in first..first + count {
        let transfer = ALICE.pay(params, nonce, BOB.address(), 1);
        ids.push(api.submit(&transfer).await.expect("a good transfer").id);
    }
    ids
}

async fn all_mined(api: &mut Api, ids: &[TxId]) {
    for id in ids {
        eventually("an acknowledged transfer is mined", async || match api.standing(*id).await {
            Ok(Some(TransactionStanding::Mined { .. })) => Ok(()),
            other => Err(format!("{id}: {other:?}")),
        })
        .await;
    }
}

/// Starts a line of nodes; the first one mines, if that is wanted.
async fn start_line(places: &[Place], mining: bool) -> Vec<Running<'_>> {
    let mut nodes: Vec<Running<'_>> = Vec::new();
    for place in places {
        let connect = nodes.last().map(|before| before.p2p).into_iter().collect();
        let mine = (mining && nodes.is_empty()).then(|| CAROL.address());
        nodes.push(place.start(&Options { connect, mine, ..Options::default() }).await);
    }
    nodes
}

#[tokio::test(flavor = "multi_thread")]
async fn four_nodes_killed_at_once_come_back_with_their_chain_and_every_transfer() {
    let params = networks::quick();
    let places: Vec<_> = (0..4).map(|at| Place::new(&format!("node {at}"), &params)).collect();
    let nodes = start_line(&places, true).await;
    let mut seen = Vec::new();
    let mut ids = Vec::new();
    for node in &nodes {
        let mut api = node.api().await;
        ids.extend(pay(&mut api, &params, 5).await);
        seen.push(height_reaches(&mut api, 10).await);
        // The next node's transfers follow these, so it must know them.
        all_mined(&mut nodes[3].api().await, &ids).await;
    }
    let mut last = nodes[3].api().await;
    ids.extend(pay(&mut last, &params, 20).await);
    for node in nodes {
        node.kill();
    }

    let nodes = start_line(&places, false).await;
    let mut first = nodes[0].api().await;
    for (at, (node, seen)) in nodes.iter().zip(&seen).enumerate() {
        let mut api = node.api().await;
        let kept = api.block_at(seen.height).await.expect("the node answers").map(|block| block.block_id_hex);
        assert_eq!(kept.as_ref(), Some(&seen.tip), "node {at} lost a block that it had shown");
        eventually("all nodes agree again", async || {
            match (Standing::of(&mut api).await, Standing::of(&mut first).await) {
                (here, there) if here == there => Ok(()),
                (here, there) => Err(format!("{} at {}, {} at {}", here.tip, here.height, there.tip, there.height)),
            }
        })
        .await;
    }
    let mut last = nodes[3].api().await;
    for id in &ids {
        let standing = last.standing(*id).await.expect("the node answers");
        let kept = matches!(standing, Some(TransactionStanding::Mined { .. } | TransactionStanding::Pending));
        assert!(kept, "{id}: {standing:?}");
    }
    for node in nodes {
        assert!(node.stop().await.success());
    }
    // Life goes on: what waited is mined by the others' miner.
    let nodes = start_line(&places, true).await;
    all_mined(&mut nodes[3].api().await, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_its_index_its_checkpoints_or_both_comes_back_the_same() {
    let params = networks::quick();
    let place = Place::new("the node", &params);
    let node = place.start(&Options { mine: Some(CAROL.address()), ..Options::default() }).await;
    let mut api = node.api().await;
    let mut ids = Vec::new();
    for round in 1..=6 {
        ids.extend(pay(&mut api, &params, 5).await);
        height_reaches(&mut api, round * 5).await;
    }
    all_mined(&mut api, &ids).await;
    assert!(node.stop().await.success());

    let mut node = place.start(&Options::default()).await;
    let before = Standing::of(&mut node.api().await).await;
    for (parts, clean) in [
        (vec!["index"], true),
        (vec!["checkpoints"], true),
        (vec!["index", "checkpoints"], true),
        (vec!["index"], false),
        (vec!["checkpoints"], false),
        (vec!["index", "checkpoints"], false),
    ] {
        if clean {
            assert!(node.stop().await.success());
        } else {
            node.kill();
        }
        for part in &parts {
            assert!(place.delete(part), "there is no {part}");
        }
        node = place.start(&Options::default()).await;
        let mut api = node.api().await;
        assert_eq!(Standing::of(&mut api).await, before, "without {parts:?}, after a clean end: {clean}");
        all_mined(&mut api, &ids).await;
        let alice = api.account(&ALICE.address()).await.expect("alice is still there");
        assert_eq!(alice.next_nonce, ids.len() as u64);
    }
    assert!(node.stop().await.success());
    for command in ["verify", "reindex", "verify"] {
        let (status, text) = place.command(command);
        assert!(status.success(), "{command}: {text}");
    }
    let node = place.start(&Options::default()).await;
    assert_eq!(Standing::of(&mut node.api().await).await, before, "after a reindex");
}

/// The block at a height as a node shows it, but for how deep it is.
async fn block_at(api: &mut Api, height: u64) -> v1::BlockView {
    let view = api.block_at(height).await.expect("the node answers").expect("there is a block");
    v1::BlockView { confirmations: 0, ..view }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_block_ends_the_chain_until_a_peer_gives_a_good_copy() {
    let params = networks::quick();
    let places: Vec<_> = (0..2).map(|at| Place::new(&format!("node {at}"), &params)).collect();
    let mut nodes = start_line(&places, true).await;
    let ids = pay(&mut nodes[0].api().await, &params, 5).await;
    all_mined(&mut nodes[1].api().await, &ids).await;
    height_reaches(&mut nodes[1].api().await, 20).await;
    let whole = nodes.pop().expect("two nodes");
    for node in nodes {
        assert!(node.stop().await.success());
    }
    let (before, damaged) = {
        let mut api = whole.api().await;
        (Standing::of(&mut api).await, [block_at(&mut api, 5).await, block_at(&mut api, 12).await])
    };
    // Without checkpoints and an index, the node has to execute its blocks again and meets both.
    assert!(places[0].delete("checkpoints") && places[0].delete("index"));
    for block in &damaged {
        places[0].damage_behind(&block.header_bytes);
    }
    let (status, text) = places[0].command("verify");
    assert!(!status.success() && text.contains(&damaged[0].block_id_hex), "{text}");

    // It remembers where the other node is.
    let alone = Options { more: vec!["--no-discovery".to_owned()], ..Options::default() };
    let node = places[0].start(&alone).await;
    let mut api = node.api().await;
    assert_eq!(Standing::of(&mut api).await.height, 4, "alone, it stands before the damaged block");
    assert!(node.stop().await.success());
    let node = places[0].start(&Options { connect: vec![whole.p2p], ..Options::default() }).await;
    let mut api = node.api().await;
    eventually("the node is whole again", async || match Standing::of(&mut api).await {
        standing if standing == before => Ok(()),
        standing => Err(format!("height {} of {}", standing.height, before.height)),
    })
    .await;
    for block in &damaged {
        assert_eq!(block_at(&mut api, block.height).await, *block);
    }
    assert!(node.stop().await.success());
    let (status, text) = places[0].command("verify");
    assert!(status.success(), "{text}");
}
