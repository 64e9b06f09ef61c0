//! A transfer's way as a file: built, looked at, signed without a node or with openssl, and handed in.

use std::{fs, process::Command};

use crate::{
    fake_node::{Behaviour, FakeNode},
    harness::Wallet,
};

/// A wallet with alice's key; no node answers it.
fn alice() -> (Wallet, String) {
    let wallet = Wallet::new();
    let address = wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned();
    (wallet, address)
}

fn online() -> (Wallet, FakeNode) {
    let (wallet, address) = alice();
    let node = FakeNode::start(&address, 0);
    (wallet.with_node(&node.url), node)
}

const OFFLINE: [&str; 7] = ["tx", "build", "--nonce", "7", "--fee", "0.001", "alice"];

/// The path of a file that was built beside a wallet without a node.
fn built(wallet: &Wallet) -> String {
    let path = wallet.path("transfer").display().to_string();
    wallet.ok(&[&OFFLINE[..], &["1.5", "--memo", "from the cellar", "--out", &path]].concat());
    path
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn built_here_signed_there_handed_in_here() {
    let (wallet, node) = online();
    let (cellar, _) = alice();
    let path = wallet.path("transfer").display().to_string();
    let built = wallet.json(&["tx", "build", "alice", "1.5", "--memo", "rent", "--out", &path]);
    assert_eq!(
        (&built["state"], &built["signature"], &built["nonce"]),
        (&"unsigned".into(), &"none".into(), &0.into())
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), built["transfer_file"].as_str().unwrap());
    let signed_path = cellar.path("signed").display().to_string();
    let signed = cellar.json(&["tx", "sign", &path, "--out", &signed_path, "--yes"]);
    assert_eq!((&signed["state"], &signed["signature"]), (&"signed".into(), &"valid".into()));
    assert_eq!((&signed["transaction_id"], &signed["size_bytes"]), (&built["transaction_id"], &built["size_bytes"]));
    assert_eq!(node.state().submissions, 0);
    let sent = wallet.json(&["tx", "broadcast", &signed_path, "--wait", "1", "--yes"]);
    assert_eq!((&sent["state"], &sent["verified"]), (&"mined".into(), &true.into()));
    assert_eq!((&sent["transaction_id"], &sent["memo"]), (&built["transaction_id"], &"rent".into()));
    let history = wallet.json(&["history"]);
    assert_eq!(history["entries"][0]["id"], built["transaction_id"]);
    // The next one is planned behind it.
    assert_eq!(wallet.json(&["tx", "build", "alice", "1"])["nonce"], 1);
}

#[test]
fn without_out_the_file_is_printed_and_can_be_piped() {
    let (wallet, _) = alice();
    let text = wallet.ok(&[&OFFLINE[..], &["1.5"]].concat());
    assert!(text.starts_with("-----BEGIN FARTHING TRANSFER 1-----\n"), "{text}");
    let path = wallet.file("printed", &text);
    let mut command = wallet.command(&["tx", "inspect", "-"]);
    let output = command.stdin(fs::File::open(&path).unwrap()).output().unwrap();
    assert_eq!(output.stdout, wallet.ok(&["tx", "inspect", &path]).as_bytes());
    let signed = wallet.ok(&["tx", "sign", &path, "--yes"]);
    let path = wallet.file("signed", &signed);
    assert!(wallet.ok(&["tx", "inspect", &path]).contains("signature  valid"));
}

#[test]
fn inspection_shows_every_field() {
    let (wallet, address) = alice();
    wallet.ok(&["contact", "add", "shop", DAVE]);
    let path = wallet.path("transfer").display().to_string();
    let arguments = ["1.5", "shop", "0.25", CAROL, "3", "--memo", "a\u{1b}[2Jb", "--valid-until", "77", "--out", &path];
    wallet.ok(&[&OFFLINE[..], &arguments].concat());
    let shown = wallet.ok(&["tx", "inspect", &path]);
    for expected in [
        "network    dev (genesis ",
        &format!("from       alice, {address}\n"),
        &format!("to         shop, {DAVE}\n  amount   0.25 far\n"),
        &format!("to         {CAROL} (no contact)\n  amount   3 far\n"),
        "together   4.75 far to 3 recipients\n",
        "fee        0.001 far\n",
        "total      4.751 far leave the account\n",
        "nonce      7\n",
        "until      block 77\n",
        "memo       \"a\\u{1b}[2Jb\" (public for ever)\n",
        "signature  none yet\n",
    ] {
        assert!(shown.contains(expected), "{expected:?} in {shown}");
    }
    let json = wallet.json(&["tx", "inspect", &path]);
    assert_eq!((&json["amount_mites"], &json["total"]), (&"475000000".into(), &"4.751".into()));
    assert_eq!((&json["outputs"][1]["to_name"], &json["outputs"][1]["to"]), (&"shop".into(), &DAVE.into()));
    assert!(json["outputs"][2].get("to_name").is_none());
    assert_eq!(
        (&json["valid_until"], &json["network"], &json["signature"]),
        (&77.into(), &"dev".into(), &"none".into())
    );
}

const CAROL: &str = "dfar1czs28xkpm7vgerh3k84qtzqyw4wwpdtxaw0h4sjyerr37agcsedq7jy2sw";
const DAVE: &str = "dfar1zpsk3udw8pn927t6y4k983746ugdf6jswzpm0nyfvx8p5ps4jl3q543fef";

#[test]
fn openssl_signs_what_the_wallet_wrote_and_gets_the_same_signature() {
    let (wallet, _) = alice();
    let path = built(&wallet);
    let [message, signature, key, by_openssl] =
        ["message", "signature", "alice.pem", "by-openssl"].map(|name| wallet.path(name).display().to_string());
    wallet.ok(&["tx", "inspect", &path, "--message-out", &message]);
    wallet.ok(&["key", "export", "alice", "--unencrypted", "--confirm-name", "alice", "--out", &key]);
    openssl(&["dgst", "-sha256", "-sign", &key, "-out", &signature, &message]);
    wallet.ok(&["tx", "sign", &path, "--signature", &signature, "--out", &by_openssl]);
    let own = wallet.ok(&["tx", "sign", &path, "--yes"]);
    assert_eq!(fs::read_to_string(&by_openssl).unwrap(), own);
    // A wallet without any key attaches it too: the file has what is needed to check it.
    let stranger = Wallet::new();
    assert_eq!(stranger.ok(&["tx", "sign", &path, "--signature", &signature]), own);
    openssl(&["dgst", "-sha1", "-sign", &key, "-out", &signature, &message]);
    stranger.fails(&["tx", "sign", &path, "--signature", &signature], 9, "BAD_SIGNATURE");
    let short = wallet.file("short", "abc");
    stranger.fails(&["tx", "sign", &path, "--signature", &short], 9, "BAD_SIGNATURE");
    let long = wallet.file("long", &"x".repeat(600));
    stranger.fails(&["tx", "sign", &path, "--signature", &long], 1, "FILE_TOO_LONG");
    wallet.fails(&["tx", "inspect", &path, "--message-out", &message], 1, "FILE_EXISTS");
}

#[test]
fn a_file_that_was_changed_is_refused_and_named() {
    let (wallet, _) = alice();
    let path = built(&wallet);
    let text = fs::read_to_string(&path).unwrap();
    let middle = text.len() / 2;
    let other = if text.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let changed = wallet.file("changed", &format!("{}{other}{}", &text[..middle], &text[middle + 1..]));
    for command in [&["tx", "inspect"][..], &["tx", "sign", "--yes"], &["tx", "broadcast", "--yes"]] {
        let stderr = wallet.fails(&[command, &[changed.as_str()]].concat(), 2, "BAD_TRANSFER_FILE");
        assert!(stderr.contains("checksum"), "{stderr}");
    }
    let later = wallet.file("later", &text.replace("TRANSFER 1-", "TRANSFER 2-"));
    let stderr = wallet.fails(&["tx", "inspect", &later], 2, "BAD_TRANSFER_FILE");
    assert!(stderr.contains("it has version 2, this wallet reads 1"), "{stderr}");
    let huge = wallet.file("huge", &"A".repeat(17 * 1024));
    wallet.fails(&["tx", "inspect", &huge], 1, "FILE_TOO_LONG");
    wallet.fails(&["tx", "inspect", "nowhere"], 1, "FILE_MISSING");
}

#[test]
fn a_file_is_signed_only_by_its_payer_on_its_network_and_once() {
    let (wallet, _) = alice();
    let path = built(&wallet);
    wallet.fails(&["tx", "sign", &path], 3, "CONFIRMATION_NEEDED");
    let stranger = Wallet::new();
    stranger.fails(&["tx", "sign", &path, "--yes"], 2, "NO_SUCH_KEY");
    wallet.ok(&["key", "import", "--dev", "bob"]);
    wallet.fails(&["tx", "sign", &path, "--account", "bob", "--yes"], 2, "OTHER_ACCOUNT");
    let stderr = Wallet::on("main").fails(&["tx", "inspect", &path], 2, "WRONG_NETWORK");
    assert!(stderr.contains("the transfer is for dev, this wallet is on main"), "{stderr}");
    let signed = wallet.file("signed", &wallet.ok(&["tx", "sign", &path, "--yes"]));
    wallet.fails(&["tx", "sign", &signed, "--yes"], 2, "ALREADY_SIGNED");
    wallet.fails(&["tx", "broadcast", &path, "--yes"], 2, "NOT_SIGNED");
    wallet.fails(&["tx", "broadcast", &signed, "--yes"], 6, "NODE_UNREACHABLE");
    wallet.fails(&["tx", "sign", &path, "--out", &path, "--yes"], 1, "FILE_EXISTS");
}

#[test]
fn building_checks_words_money_and_nonce() {
    let (wallet, node) = online();
    wallet.fails(&["tx", "build", "alice", "1", "alice"], 2, "BAD_PAYMENTS");
    wallet.fails(&["tx", "build", "alice", "one"], 2, "BAD_AMOUNT");
    wallet.fails(&["tx", "build", "zoe", "1"], 2, "UNKNOWN_CONTACT");
    wallet.fails(&["tx", "build", "alice", "2000000"], 5, "INSUFFICIENT_FUNDS");
    wallet.fails(&["tx", "build", CAROL, "1", "--fee", "0.01"], 2, "FEE_TOO_LOW");
    wallet.fails(&[&["tx", "build"][..], &["alice", "1"].repeat(65)].concat(), 2, "BAD_PAYMENTS");
    assert_eq!(wallet.run(&["tx", "build", "alice", "1", "--nonce", "3"]).code, 2);
    assert_eq!(wallet.run(&["tx", "build", "alice"]).code, 2);
    // Two strangers are opened, one of them is paid twice.
    let built = wallet.json(&["tx", "build", CAROL, "1", DAVE, "2", CAROL, "3", "alice", "4"]);
    let (fee, size) =
        (built["fee_mites"].as_str().unwrap().parse::<u64>().unwrap(), built["size_bytes"].as_u64().unwrap());
    assert_eq!(fee, 20_000_000 + 100 * size);
    node.state().behaviour = Behaviour::Boasts;
    wallet.fails(&["tx", "build", "alice", "1"], 9, "VERIFICATION_FAILED");
    let low = wallet.run(&["tx", "build", CAROL, "1", "--nonce", "3", "--fee", "0.0001"]);
    assert!(
        low.stderr.contains("nodes relay this transfer for") && low.stderr.contains("adds 0.1 far"),
        "{}",
        low.stderr
    );
}

#[test]
fn building_plans_as_sending_does() {
    let (wallet, node) = online();
    node.state().rate = 150;
    let build = |more: &[&str]| wallet.json(&[&["tx", "build"], more].concat());
    let mites = |value: &serde_json::Value, field: &str| value[field].as_str().unwrap().parse::<u64>().unwrap();
    let fee = |speed: &str| mites(&build(&["alice", "1", "--fee", speed]), "fee_mites");
    assert_eq!((fee("fast"), fee("slow")), (2 * fee("normal"), fee("normal")));
    assert_eq!(
        mites(&build(&["alice", "1"]), "fee_mites"),
        mites(&wallet.json(&["send", "alice", "1", "--dry-run"]), "fee_mites")
    );
    let all = build(&[CAROL, "max"]);
    assert_eq!(mites(&all, "amount_mites") + mites(&all, "fee_mites"), 100_000_000_000_000);
    let stderr = wallet.fails(&["tx", "build", CAROL, "max", DAVE, "1"], 2, "BAD_AMOUNT");
    assert!(stderr.contains("max goes to one recipient, and there are 2"), "{stderr}");
    wallet.fails(&["tx", "build", CAROL, "1", "--max-fee", "0.1"], 2, "FEE_TOO_HIGH");
    wallet.fails(&["tx", "build", "alice", "1", "--fee", "1"], 2, "FEE_TOO_HIGH");
    node.state().rate = 1_000_000;
    wallet.fails(&["tx", "build", "alice", "1"], 2, "FEE_TOO_HIGH");
    node.state().rate = 100;
    let run = wallet.run(&["tx", "build", CAROL, "1", DAVE, "2", "alice", "4"]);
    for part in
        ["sum     7 far in 3 payments", "of it 0.2 far to open recipients' new accounts", "what it gets stays there"]
    {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    // Without a node the bounds hold, too, and so do they on the machine that signs.
    let dear = ["tx", "build", CAROL, "1", "--nonce", "0", "--fee", "0.2"];
    wallet.fails(&dear, 2, "FEE_TOO_HIGH");
    let path = wallet.file("dear", &wallet.ok(&[&dear[..], &["--max-fee", "0.2"]].concat()));
    let stderr = wallet.fails(&["tx", "sign", &path], 3, "CONFIRMATION_NEEDED");
    assert!(stderr.contains("warning: the fee of 0.2 far is above 0.15 far"), "{stderr}");
}

#[test]
fn what_is_handed_in_is_waited_for_unless_told_otherwise() {
    let (wallet, node) = online();
    let file = |name: &str, nonce: &str| {
        let built = wallet.file(name, &wallet.ok(&["tx", "build", "alice", "1", "--nonce", nonce, "--fee", "0.001"]));
        wallet.file(&format!("{name}.signed"), &wallet.ok(&["tx", "sign", &built, "--yes"]))
    };
    let first = file("first", "0");
    let sent = wallet.json(&["tx", "broadcast", &first, "--yes"]);
    assert_eq!((&sent["verified"], &sent["confirmations"]), (&true.into(), &1.into()));
    node.state().mines = false;
    let later = file("later", "2");
    let run = wallet.run(&["tx", "broadcast", &later, "--no-wait", "--yes"]);
    assert!(run.code == 0 && run.stdout.contains(" queued"), "{}", run.stderr);
    assert!(run.stderr.contains("warning: the node keeps it aside: its nonce is 2"), "{}", run.stderr);
    let stderr = wallet.fails(&["tx", "broadcast", &later, "--yes", "--timeout", "1s"], 8, "UNCONFIRMED");
    assert!(stderr.contains("try: farthing-wallet tx wait "), "{stderr}");
    // Another one with the same nonce is warned of, the same one is not.
    assert!(!stderr.contains("has the nonce 2 too"), "{stderr}");
    let other = wallet.file("other", &wallet.ok(&["tx", "build", "alice", "7", "--nonce", "2", "--fee", "0.001"]));
    let other = wallet.file("other.signed", &wallet.ok(&["tx", "sign", &other, "--yes"]));
    let stderr = wallet.fails(&["tx", "broadcast", &other, "--no-wait", "--no-input"], 3, "CONFIRMATION_NEEDED");
    assert!(stderr.contains("has the nonce 2 too: only one of the two can be mined"), "{stderr}");
}

#[test]
fn a_lost_answer_leaves_the_transfer_in_the_outbox() {
    let (wallet, node) = online();
    let signed = wallet.ok(&["tx", "build", "alice", "1"]);
    let path = wallet.file("transfer", &signed);
    let signed = wallet.file("signed", &wallet.ok(&["tx", "sign", &path, "--yes"]));
    wallet.fails(&["tx", "broadcast", &signed], 3, "CONFIRMATION_NEEDED");
    node.state().behaviour = Behaviour::LosesAnswers;
    wallet.fails(&["tx", "broadcast", &signed, "--yes"], 8, "ANSWER_LOST");
    node.state().behaviour = Behaviour::Honest;
    assert_eq!(wallet.json(&["resubmit"])["transfers"][0]["fate"], "pending");
    node.state().mine();
    // Handed in once more, it is the same transfer.
    assert_eq!(wallet.json(&["tx", "broadcast", &signed, "--yes"])["state"], "mined");
    assert_eq!(wallet.json(&["history"])["entries_total"], 1);
}
