//! Networks: listed, added, used, and looked for on ports.

use std::net::TcpListener;

use crate::{fake_node::FakeNode, harness::Wallet};

const OURS: &str = "name = \"ours\"\nprefix = \"our\"\ngenesis_time_ms = 1793491200000\n";

/// A wallet for which nothing but its folder is said in the environment.
fn run(wallet: &Wallet, arguments: &[&str]) -> (i32, String, String) {
    let output = wallet.command(arguments).env_remove("FARTHING_NETWORK").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_known_networks_are_listed_and_the_one_in_use_is_marked() {
    let wallet = Wallet::new();
    let list = wallet.json(&["network", "list"]);
    let names: Vec<&str> =
        list["networks"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["main", "test", "dev"]);
    assert_eq!((&list["networks"][2]["in_use"], &list["networks"][0]["in_use"]), (&true.into(), &false.into()));
    let (code, shown, _) = run(&wallet, &["network", "list"]);
    assert!(code == 0 && shown.starts_with("* main         known  genesis "), "{shown}");
}

#[test]
fn a_private_network_is_added_under_its_name_and_used() {
    let wallet = Wallet::new();
    let file = wallet.file("anything.toml", OURS);
    let added = wallet.json(&["network", "add", &file]);
    assert_eq!(
        (&added["name"], &added["kind"], &added["address_prefix"]),
        (&"ours".into(), &"added".into(), &"our".into())
    );
    // The file may go now, and a second time does nothing.
    assert_eq!(wallet.json(&["network", "add", &file])["genesis_id"], added["genesis_id"]);
    std::fs::remove_file(&file).unwrap();
    let (code, shown, _) = run(
        &wallet,
        &["--network", "ours", "key", "new", "me", "--passphrase-file", &wallet.file("p", "long enough, I hope")],
    );
    assert!(code == 0 && shown.contains(" our1"), "{shown}");
    let (code, _, stderr) = run(&wallet, &["network", "use", "ours"]);
    assert_eq!(code, 0, "{stderr}");
    let (_, shown, _) = run(&wallet, &["address"]);
    assert!(shown.starts_with("our1"), "{shown}");
    let (_, shown, _) = run(&wallet, &["network", "list"]);
    assert!(shown.contains("* ours         added  genesis ") && shown.contains("  main "), "{shown}");
    // What the file of the settings says gives way to the environment, which is told.
    let (_, _, stderr) = run(&wallet, &["network", "use", "dev", "--network", "ours"]);
    assert!(stderr.contains("goes before the network in the file"), "{stderr}");
    let (_, shown, _) = run(&wallet, &["config", "get", "network"]);
    assert_eq!(shown, "dev\n");
    assert_eq!(run(&wallet, &["config", "set", "network", "ours"]).0, 0);
    assert!(run(&wallet, &["address"]).1.starts_with("our1"));
}

#[test]
fn a_name_stands_for_one_network_only() {
    let wallet = Wallet::new();
    wallet.ok(&["network", "add", &wallet.file("ours.toml", OURS)]);
    let other = wallet.file("other.toml", &OURS.replace("00000", "00001"));
    wallet.fails(&["network", "add", &other], 2, "NETWORK_NAME_TAKEN");
    let dev = wallet.file("dev.toml", &OURS.replace("ours", "dev"));
    wallet.fails(&["network", "add", &dev], 2, "BAD_NETWORK");
    wallet.fails(&["network", "add", &wallet.file("bad.toml", "name = 7")], 2, "BAD_NETWORK");
    wallet.fails(&["network", "add", "nowhere.toml"], 2, "BAD_NETWORK");
    wallet.fails(&["network", "use", "mian"], 2, "BAD_NETWORK");
}

#[test]
fn nodes_on_a_range_of_ports_are_found_and_told_apart() {
    let wallet = Wallet::new();
    let address = wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned();
    let node = FakeNode::start(&address, 0);
    let port: u16 = node.url.rsplit_once(':').unwrap().1.parse().unwrap();
    let range = format!("127.0.0.1:{}-{}", port.saturating_sub(2), port.saturating_add(2));
    let found = wallet.json(&["network", "find", &range]);
    let is_it = |node: &&serde_json::Value| node["url"].as_str().unwrap().ends_with(&format!(":{port}"));
    let seen = found["nodes"].as_array().unwrap().iter().find(is_it).unwrap();
    assert_eq!((&seen["network"], &seen["same_genesis"], &seen["synced"]), (&"dev".into(), &true.into(), &true.into()));
    assert_eq!((&seen["version"], &seen["height"]), (&"fake-node/1".into(), &node.state().chain.height().into()));
    node.state().syncing = true;
    let one = format!("127.0.0.1:{port}");
    let other = Wallet::on("test").json(&["network", "find", &one]);
    assert_eq!((&other["nodes"][0]["same_genesis"], &other["nodes"][0]["synced"]), (&false.into(), &false.into()));
    let shown = Wallet::on("test").ok(&["network", "find", &one]);
    assert!(shown.contains("dev      ANOTHER genesis") && shown.contains("fetching blocks up to"), "{shown}");
}

#[test]
fn a_range_without_nodes_says_so() {
    let wallet = Wallet::new();
    // Bound, so that nobody else takes the port; nothing answers there.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let place = format!("127.0.0.1:{}", silent.local_addr().unwrap().port());
    let stderr = wallet.fails(&["network", "find", &place], 6, "NO_NODE_FOUND");
    assert!(stderr.contains("open, but not the public API of a node: "), "{stderr}");
    wallet.fails(&["network", "find", "127.0.0.1"], 2, "BAD_PLACE");
    wallet.fails(&["network", "find", "127.0.0.1:1-60000"], 2, "BAD_PLACE");
}
