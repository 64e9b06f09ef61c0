//! Contacts: shown, renamed, taken over from files, and never mistaken for one another.

use crate::{fake_node::FakeNode, harness::Wallet};

/// A wallet with alice's key, and the addresses of bob and carol.
fn wallet() -> (Wallet, String, String) {
    let wallet = Wallet::new();
    wallet.ok(&["key", "import", "--dev", "alice"]);
    let other = Wallet::new();
    let address = |name| other.json(&["key", "import", "--dev", name])["address"].as_str().unwrap().to_owned();
    (wallet, address("bob"), address("carol"))
}

#[test]
fn a_contact_is_shown_with_what_was_paid_to_it_as_proven() {
    let (wallet, bob, _) = wallet();
    wallet.ok(&["contact", "add", "ben", &bob]);
    let away = wallet.run(&["contact", "show", "ben"]);
    assert_eq!(away.code, 0, "{}", away.stderr);
    assert!(away.stdout.contains(&bob) && away.stderr.contains("is not known now"), "{}", away.stderr);
    let node = FakeNode::start(wallet.ok(&["address"]).trim(), 0);
    let wallet = wallet.with_node(&node.url);
    assert_eq!(wallet.json(&["contact", "show", "ben"])["dealings"]["paid"]["transfers"], 0);
    wallet.ok(&["send", "ben", "2", "--yes", "--wait", "1"]);
    wallet.ok(&["send", "ben", "3.5", "--yes", "--wait", "1"]);
    let shown = wallet.json(&["contact", "show", "ben"]);
    assert_eq!((&shown["address"], &shown["dealings"]["complete"]), (&bob.into(), &true.into()));
    assert_eq!(shown["dealings"]["paid"]["total"], "5.5");
    assert_eq!(shown["dealings"]["paid"]["transfers"], 2);
    assert_eq!(shown["dealings"]["received"]["total_mites"], "0");
    assert_eq!(wallet.json(&["contact", "show", "ben", "--offline"]).get("dealings"), None);
    wallet.fails(&["contact", "show", "dora"], 2, "UNKNOWN_CONTACT");
}

#[test]
fn a_rename_never_takes_another_ones_place() {
    let (wallet, bob, carol) = wallet();
    wallet.ok(&["contact", "add", "ben", &bob]);
    wallet.ok(&["contact", "add", "cora", &carol]);
    wallet.fails(&["contact", "rename", "ben", "cora"], 2, "CONTACT_TAKEN");
    wallet.fails(&["contact", "rename", "ben", "alice"], 2, "CONTACT_TAKEN");
    wallet.fails(&["contact", "rename", "dora", "d"], 2, "UNKNOWN_CONTACT");
    assert_eq!(wallet.json(&["contact", "rename", "ben", "benjamin"])["name"], "benjamin");
    assert_eq!(wallet.json(&["contact", "list"])["contacts"][0]["address"], bob);
    wallet.fails(&["contact", "show", "ben"], 2, "UNKNOWN_CONTACT");
}

#[test]
fn what_a_contacts_name_or_address_is_already_is_said() {
    let (wallet, _, _) = wallet();
    let alice = wallet.ok(&["address"]);
    let added = wallet.run(&["contact", "add", "al", alice.trim()]);
    assert_eq!((added.code, added.stderr.as_str()), (0, "note: alice has the same address\n"));
    // A key cannot be removed as a contact.
    let taken = wallet.fails(&["contact", "add", "alice", crate::transcripts::BOB], 2, "CONTACT_TAKEN");
    assert!(taken.contains("key rename alice NEW_NAME") && !taken.contains("contact remove"), "{taken}");
}

#[test]
fn a_name_that_looks_like_another_needs_a_yes() {
    let (wallet, bob, carol) = wallet();
    wallet.ok(&["contact", "add", "shop-1", &bob]);
    let stderr = wallet.fails(&["contact", "add", "shopi", &carol], 3, "CONFIRMATION_NEEDED");
    assert!(stderr.contains("\"shopi\" is easily taken for \"shop-1\""), "{stderr}");
    // A key of this wallet counts as well; the same address under two names does not.
    wallet.fails(&["contact", "add", "al1ce", &carol], 3, "CONFIRMATION_NEEDED");
    wallet.ok(&["contact", "add", "shop.1", &bob]);
    wallet.ok(&["contact", "add", "shopi", &carol, "--yes"]);
    wallet.fails(&["contact", "rename", "shopi", "a1ice"], 3, "CONFIRMATION_NEEDED");
    let stderr = wallet.run(&["contact", "add", "Shop", &carol]).stderr;
    assert!(stderr.contains("\"shop\" would do"), "{stderr}");
}

#[test]
fn a_file_of_contacts_is_taken_over_whole_or_not_at_all() {
    let (wallet, bob, carol) = wallet();
    wallet.ok(&["contact", "add", "ben", &bob]);
    let file = wallet.file("contacts.csv", &format!("name,address\nben,{bob}\ncora,{carol}\n"));
    let imported = wallet.json(&["contact", "import", &file]);
    assert_eq!((&imported["known"], &imported["added"][0]["name"]), (&1.into(), &"cora".into()));
    let bad = wallet.file("bad.csv", &format!("Dora,{carol}\ndan,dfar1qqq\ncora,{bob}\nalice,{bob}\nok,{carol}\n"));
    let stderr = wallet.fails(&["contact", "import", &bad], 2, "BAD_IMPORT");
    assert!(stderr.contains("line 1: ") && stderr.contains("line 2: "), "{stderr}");
    let taken = wallet.file("taken.csv", &format!("cora,{bob}\nalice,{bob}\nok,{carol}\n"));
    let stderr = wallet.fails(&["contact", "import", &taken], 2, "BAD_IMPORT");
    assert!(stderr.contains("line 1: \"cora\" already stands for") && stderr.contains("line 2: "), "{stderr}");
    let alike = wallet.file("alike.csv", &format!("c0ra,{bob}\nella,{carol}\ne11a,{bob}\n"));
    let stderr = wallet.fails(&["contact", "import", &alike], 3, "CONFIRMATION_NEEDED");
    assert_eq!(stderr.matches("is easily taken for").count(), 2, "{stderr}");
    assert_eq!(wallet.json(&["contact", "list"])["contacts"].as_array().unwrap().len(), 2);
    wallet.fails(&["contact", "import", "/nowhere.csv"], 1, "FILE_MISSING");
}

#[test]
fn the_contacts_file_of_another_wallet_is_taken_over() {
    let (wallet, bob, carol) = wallet();
    wallet.ok(&["contact", "add", "ben", &bob]);
    wallet.ok(&["contact", "add", "cora", &carol]);
    let other = Wallet::new();
    let file = wallet.path("wallet/dev/contacts.toml").display().to_string();
    assert_eq!(other.json(&["contact", "import", &file])["added"].as_array().unwrap().len(), 2);
    assert_eq!(other.json(&["contact", "list"]), wallet.json(&["contact", "list"]));
}
