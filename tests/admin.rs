//! Looking after running nodes with the program's own commands, over the admin socket.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
    sync::Arc,
};

use farthing::{Network, Params};
use serde_json::Value;

use super::harness::{
    keys, networks,
    process::{Options, Place},
    until,
};

/// What a command answers to a program.
fn json(place: &Place, arguments: &[&str]) -> Value {
    let (code, out, err) = place.ask(&[arguments, &["--json"]].concat());
    assert_eq!(code, 0, "{arguments:?}: {err}");
    let answer: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"));
    assert_eq!(answer["schema"], 1);
    answer
}

/// The error that a command ends with, as a program reads it, and its exit code.
fn refused(place: &Place, arguments: &[&str]) -> (i32, String) {
    let (code, out, err) = place.ask(&[arguments, &["--json"]].concat());
    assert!(out.is_empty(), "{arguments:?}: {out}");
    let answer: Value = serde_json::from_str(&err).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {err}"));
    assert_eq!((&answer["schema"], &answer["error"]["exit"]), (&1.into(), &code.into()));
    (code, answer["error"]["code"].as_str().expect("a code").to_owned())
}

/// Waits until the list of peers is as it should be.
async fn listed(place: &Place, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    until(what, || {
        let list = json(place, &["peers", "list"]);
        if is_it(&list) { Ok(list) } else { Err(list.to_string()) }
    })
    .await
}

fn outbound(list: &Value) -> usize {
    let peers = list["peers"].as_array().expect("a list");
    peers.iter().filter(|peer| peer["direction"] == "outbound").count()
}

fn test_network() -> Arc<Params> {
    Arc::new(Network::Test.params().clone())
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").mode() & 0o7777
}

#[tokio::test]
async fn peers_are_added_listed_removed_banned_over_a_restart_and_unbanned() {
    let params = networks::quick();
    let (here, there) = (Place::new("here", &params), Place::new("there", &params));
    let (node, other) = (here.start(&Options::default()).await, there.start(&Options::default()).await);
    let address = other.p2p.to_string();

    assert_eq!(json(&here, &["peers", "add", &address])["already_kept"], false);
    assert_eq!(json(&here, &["peers", "add", &address])["already_kept"], true);
    let list = listed(&here, "a session with the other node", |list| outbound(list) == 1).await;
    let peer = &list["peers"][0];
    assert_eq!((&peer["address"], &peer["listen_address"]), (&address.clone().into(), &address.clone().into()));
    assert_eq!((&peer["score"], &peer["height"]), (&0.into(), &0.into()));
    assert_eq!(peer["node_id"], json(&there, &["status"])["node_id"]);
    assert!(peer["connected_at_ms"].as_u64() <= peer["last_heard_at_ms"].as_u64());
    assert_eq!((&list["kept"][0]["address"], &list["kept"][0]["last_error"]), (&address.clone().into(), &Value::Null));
    let list = json(&there, &["peers", "list"]);
    assert_eq!((&list["peers"][0]["direction"], &list["kept"]), (&"inbound".into(), &Value::Array(Vec::new())));
    let (_, table, _) = here.ask(&["peers", "list"]);
    assert!(table.starts_with("ADDRESS") && table.contains(&address) && table.contains("outbound"), "{table}");

    let removed = json(&here, &["peers", "remove", &address]);
    assert_eq!((&removed["sessions_ended"], &removed["was_kept"]), (&1.into(), &true.into()));
    // The other node may dial back: it knows this one by now.
    listed(&here, "no session is kept", |list| outbound(list) == 0 && list["kept"] == Value::Array(Vec::new())).await;

    let banned = json(&here, &["peers", "ban", &address, "--for", "2h", "--reason", "too loud"]);
    assert_eq!((&banned["ban"]["target"], &banned["ban"]["reason"]), (&address.clone().into(), &"too loud".into()));
    listed(&here, "nobody is left", |list| list["peers"] == Value::Array(Vec::new())).await;
    assert_eq!(refused(&here, &["peers", "add", &address]), (1, "PEER_BANNED".to_owned()));
    json(&there, &["peers", "add", &node.p2p.to_string()]);
    let told = |list: &Value| list["kept"][0]["last_error"].as_str().is_some_and(|error| error.contains("too loud"));
    listed(&there, "the banned node is told why", told).await;

    assert!(node.stop().await.success());
    let node = here.start(&Options::default()).await;
    let list = json(&here, &["peers", "list"]);
    assert_eq!(list["bans"], Value::Array(vec![banned["ban"].clone()]), "a ban outlives the run");
    let again = node.p2p.to_string();
    json(&there, &["peers", "add", &again]);
    let told = |list: &Value| {
        let kept = list["kept"].as_array().expect("a list").iter().find(|kept| kept["address"] == again.as_str());
        kept.and_then(|kept| kept["last_error"].as_str()).is_some_and(|error| error.contains("too loud"))
    };
    listed(&there, "it is told again", told).await;
    assert_eq!(json(&here, &["peers", "list"])["peers"], Value::Array(Vec::new()));

    json(&here, &["peers", "unban", &address]);
    assert_eq!(refused(&here, &["peers", "unban", &address]), (1, "NOT_BANNED".to_owned()));
    let has_peer = |list: &Value| list["peers"].as_array().is_some_and(|peers| peers.len() == 1);
    listed(&here, "the other node is back", has_peer).await;
}

#[tokio::test]
async fn blocks_are_mined_on_request_on_dev_and_nowhere_else() {
    let dev = Place::new("dev", &Arc::new(Network::Dev.params().clone()));
    let node = dev.start(&Options::default()).await;
    let to = Network::Dev.params().prefix.format(&keys::all().next().expect("four keys").address());
    let mined = json(&dev, &["mine", "3", "--to", &to]);
    let heights: Vec<_> = mined["blocks"].as_array().expect("a list").iter().map(|block| &block["height"]).collect();
    assert_eq!(heights, [1, 2, 3]);
    let status = json(&dev, &["status"]);
    assert_eq!((&status["tip_height"], &status["tip_id"]), (&3.into(), &mined["blocks"][2]["block_id"]));
    assert_eq!(refused(&dev, &["mine", "1"]), (1, "NO_REWARD_ADDRESS".to_owned()));
    assert!(node.stop().await.success());
    let first = keys::all().next().expect("four keys").address();
    let _node =
        dev.start(&Options { mine: Some(first), more: vec!["--mine-when=9".into()], ..Options::default() }).await;
    assert_eq!(json(&dev, &["mine", "1"])["blocks"][0]["height"], 4, "for whom the node mines by itself");

    let test = Place::new("test", &test_network());
    let _node = test.start(&Options::default()).await;
    let to = test_network().prefix.format(&first);
    assert_eq!(refused(&test, &["mine", "1", "--to", &to]), (1, "NOT_MINED_ON_REQUEST".to_owned()));
    let (code, _, err) = test.ask(&["mine", "1", "--to", &to]);
    assert!(code == 1 && err.contains("--mine ADDRESS"), "{err}");
}

#[tokio::test]
async fn a_node_that_is_told_to_stop_has_ended_well_when_the_command_returns() {
    let place = Place::new("stopped", &networks::quick());
    let mut node = place.start(&Options::default()).await;
    let stopped = json(&place, &["stop"]);
    assert_eq!((&stopped["stopped"], &stopped["process_id"]), (&true.into(), &node.id().into()));
    let status = node.has_ended().expect("it has ended by now");
    assert_eq!(status.code(), Some(0));
    assert!(!place.data().join("admin.sock").exists());
}

#[tokio::test]
async fn the_socket_is_the_own_users_alone_and_a_second_node_does_not_touch_it() {
    let place = Place::new("first", &networks::quick());
    let node = place.start(&Options::default()).await;
    let socket = node.admin_socket();
    assert_eq!(socket, place.data().join("admin.sock"));
    let inode = || fs::symlink_metadata(&socket).expect("it is there").ino();
    assert!(fs::symlink_metadata(&socket).expect("it is there").file_type().is_socket());
    assert_eq!(mode(&socket), 0o600);
    let before = inode();
    let mut second = place.spawn(&Options::default());
    let status = until("the second one gives up", || second.has_ended().ok_or_else(|| "it runs".to_owned())).await;
    assert_eq!(status.code(), Some(1));
    assert_eq!((inode(), mode(&socket)), (before, 0o600));
    assert_eq!(json(&place, &["status"])["process_id"], node.id());
}

#[tokio::test]
async fn a_killed_nodes_socket_is_found_dead_and_then_replaced() {
    let place = Place::new("killed", &networks::quick());
    let node = place.start(&Options::default()).await;
    let socket = node.admin_socket();
    node.kill();
    assert!(socket.exists(), "a killed node leaves its socket");
    assert_eq!(refused(&place, &["status"]), (6, "NO_NODE".to_owned()));
    let (code, _, err) = place.ask(&["status"]);
    let advice = format!("no node runs on {}: start one with", place.data().display());
    assert!(code == 6 && err.contains(&advice), "{err}");
    let node = place.start(&Options::default()).await;
    assert_eq!(json(&place, &["status"])["process_id"], node.id());
    assert_eq!(mode(&socket), 0o600);
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_gets_a_short_one_that_commands_find() {
    let place = Place::new("long", &networks::quick()).with_data(&format!("{}/data", "d".repeat(120)));
    let node = place.start(&Options::default()).await;
    let socket = node.admin_socket();
    let home = socket.parent().expect("a directory").to_owned();
    assert!(place.data().join("admin.sock").as_os_str().len() > 107 && socket.as_os_str().len() <= 107);
    assert_eq!((mode(&home), mode(&socket)), (0o700, 0o600));
    assert_eq!(json(&place, &["status"])["admin_socket"], socket.display().to_string());
    node.kill();
    assert_eq!(refused(&place, &["status"]), (6, "NO_NODE".to_owned()));
    let node = place.start(&Options::default()).await;
    assert!(!home.exists(), "what the killed node left is gone");
    let home = node.admin_socket().parent().expect("a directory").to_owned();
    assert_eq!(json(&place, &["stop"])["stopped"], true);
    assert!(!home.exists() && !place.data().join("admin.path").exists());
}

#[tokio::test]
async fn mistakes_of_usage_and_missing_nodes_have_their_exit_codes() {
    let place = Place::new("never started", &networks::quick());
    assert_eq!(refused(&place, &["peers", "list"]), (6, "NO_NODE".to_owned()));
    assert!(!place.data().exists(), "asking makes nothing");
    for arguments in [&["peers", "add", "nowhere"][..], &["peers"], &["mine", "0"], &["mine"], &["status", "now"]] {
        let (code, _, err) = place.ask(arguments);
        assert!(code == 2 && !err.is_empty(), "{arguments:?}: {err}");
    }
}
