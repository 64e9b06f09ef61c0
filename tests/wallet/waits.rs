//! Commands that wait, while blocks are undone, nodes die and mempools are lost.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout},
};

use serde_json::Value;

use super::{
    MITES_PER_FAR, alice, dev, fate_of, fates, holds, id, join, mine, paid_by_alice, payee, proven, read_until, rest,
    said, start, state, waiting,
};
use crate::harness::{
    gate::{Gate, Held},
    keys::BOB,
    process::Place,
    wallet::Wallet,
};

/// The next line of a wallet that runs with `--json`.
fn next(stdout: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    stdout.read_line(&mut line).expect("the wallet prints UTF-8");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

/// SIGKILL.
fn kill(mut child: Child) {
    child.kill().expect("a child that was not waited for can be killed");
    child.wait().expect("a killed child ends");
}

fn bob(wallet: Wallet) -> Wallet {
    wallet.json(&["key", "import", "--dev", "bob", "--no-passphrase"]);
    wallet
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_that_are_watched_for_are_told_undone_and_told_again_and_counted_once() {
    let places = [Place::new("the node", &dev()), Place::new("the other", &dev())];
    let (node, other) = (start(&places[0]).await, start(&places[1]).await);
    let (payer, receiver) = (alice(&node), bob(Wallet::of(&node)));
    let bob = dev().prefix.format(&BOB.address());
    let before = holds(&receiver, &bob);
    let mut child = receiver.spawn(&["--json", "receive", "bob", "--amount", "2", "--watch"]);
    let stderr = read_until(&mut child, "{\"schema\":1,\"note\":\"waiting for payments");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    assert_eq!(next(&mut stdout)["amount"], "2", "what is asked for comes first");

    let first = id(&payer.json(&["send", &bob, "1", "--no-wait", "--yes"]));
    let told = next(&mut stdout);
    assert_eq!(
        (&told["event"], &told["id"], &told["verified"]),
        (&"pending".into(), &first.as_str().into(), &false.into())
    );
    mine(&places[0], 1);
    let told = next(&mut stdout);
    assert_eq!(
        (&told["event"], &told["id"], &told["verified"]),
        (&"mined".into(), &first.as_str().into(), &true.into())
    );
    mine(&places[1], 2);
    join(&places[0], &node, &other).await;
    let told = next(&mut stdout);
    assert_eq!((&told["event"], &told["id"]), (&"undone".into(), &first.as_str().into()));
    mine(&places[0], 1);
    let told = next(&mut stdout);
    assert_eq!((&told["event"], &told["block_height"]), (&"mined".into(), &3.into()));
    // It was received twice and undone once: there is only one far.
    let second = id(&payer.json(&["send", &bob, "1", "--no-wait", "--yes"]));
    assert_eq!(next(&mut stdout)["id"], second.as_str());
    mine(&places[0], 1);
    let told = next(&mut stdout);
    assert_eq!((&told["event"], &told["id"]), (&"mined".into(), &second.as_str().into()));
    child.stdout = Some(stdout.into_inner());
    let run = rest(child, stderr);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{run:?}");
    assert_eq!(holds(&receiver, &bob), before + 2 * MITES_PER_FAR);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_waits_for_confirmations_is_confirmed_after_its_block_was_undone() {
    let places = [Place::new("the node", &dev()), Place::new("the other", &dev())];
    let (node, other) = (start(&places[0]).await, start(&places[1]).await);
    let wallet = alice(&node);
    let mut child = wallet.spawn(&["--json", "send", &payee(1), "1", "--wait", "3", "--yes"]);
    let stderr = read_until(&mut child, "{\"schema\":1,\"note\":\"submitted ");
    mine(&places[0], 2);
    mine(&places[1], 3);
    join(&places[0], &node, &other).await;
    assert_eq!(waiting(&mut node.api().await).await, 1);
    mine(&places[0], 3);
    let run = rest(child, stderr);
    assert_eq!(run.code, Some(0), "{run:?}");
    let sent: Value = serde_json::from_str(&run.stdout).expect("one object");
    assert_eq!(
        (&sent["block_height"], &sent["confirmations"], &sent["verified"]),
        (&4.into(), &3.into(), &true.into())
    );
    assert_eq!(holds(&wallet, &payee(1)), MITES_PER_FAR);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_goes_on_at_another_node_when_the_first_one_dies() {
    let places = [Place::new("the first", &dev()), Place::new("the second", &dev())];
    let (first, second) = (start(&places[0]).await, start(&places[1]).await);
    let mut wallet = alice(&first);
    wallet.ask(format!("{},{}", first.url(), second.url()));
    let mut child = wallet.spawn(&["--json", "send", &payee(1), "1", "--wait", "2", "--yes"]);
    let stderr = read_until(&mut child, "{\"schema\":1,\"note\":\"submitted ");
    first.kill();
    mine(&places[1], 2);
    let run = rest(child, stderr);
    assert_eq!(run.code, Some(0), "{run:?}");
    let sent: Value = serde_json::from_str(&run.stdout).expect("one object");
    assert_eq!((&sent["block_height"], &sent["verified"]), (&1.into(), &true.into()));
    assert_eq!((holds(&wallet, &payee(1)), paid_by_alice(&mut second.api().await).await), (MITES_PER_FAR, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_killed_while_it_waits_is_gone_on_with() {
    let place = Place::new("the node", &dev());
    let node = start(&place).await;
    let wallet = alice(&node);
    let file = wallet.file("payroll.csv", &format!("recipient,amount\n{},1\n{},2\n", payee(1), payee(2)));
    for (number, words) in (1..).zip([vec!["send", &payee(3), "1", "--yes"], vec!["pay", &file, "--yes"]]) {
        let mut child = wallet.spawn(&words);
        let _stderr = read_until(&mut child, "submitted ");
        kill(child);
        mine(&place, 1);
        assert_eq!(wallet.json(&words)["resumed"], true, "{words:?}");
        assert_eq!(paid_by_alice(&mut node.api().await).await, number);
    }
    for (number, far) in [(1, 1), (2, 2), (3, 1)] {
        assert_eq!(holds(&wallet, &payee(number)), far * MITES_PER_FAR);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_the_node_forgot_is_handed_in_again_and_mined_once() {
    let place = Place::new("the node", &dev());
    let node = start(&place).await;
    let mut wallet = alice(&node);
    let first = id(&wallet.json(&["send", &payee(1), "1", "--no-wait", "--yes"]));
    node.kill();
    fs::remove_file(place.data().join("mempool.journal")).expect("there is a journal");
    let node = start(&place).await;
    wallet.ask(node.url());
    assert_eq!(state(&wallet, &first), said("unknown"));
    wallet.fails(&["tx", "wait", &first, "--timeout", "1s"], 8, "NOT_SEEN");
    assert_eq!(waiting(&mut node.api().await).await, 0);
    assert_eq!(fate_of(&wallet, &first).as_deref(), Some("resubmitted"));
    mine(&place, 1);
    assert_eq!((state(&wallet, &first), holds(&wallet, &payee(1))), (proven("mined"), MITES_PER_FAR));
}

/// Another wallet with the same key uses the nonce that the second transaction of a payroll was made with.
#[tokio::test(flavor = "multi_thread")]
async fn a_payroll_whose_nonce_is_taken_midway_says_who_was_not_paid() {
    let place = Place::new("the node", &dev());
    let node = start(&place).await;
    let gate = Gate::before(node.rpc).await;
    let (mut wallet, copy) = (alice(&node), alice(&node));
    wallet.ask(gate.url());
    let rows: String = (0..64).map(|_| format!("{},1\n", payee(1))).collect();
    let file = wallet.file("payroll.csv", &format!("recipient,amount\n{rows}{},1\n", payee(2)));
    gate.hold("SubmitTransaction", 1, Held::There);
    let child = wallet.spawn(&["pay", &file, "--yes"]);
    gate.has_held().await;
    kill(child);
    let rival = copy.json(&["send", &payee(3), "1", "--no-wait", "--yes"]);
    assert_eq!(rival["nonce"], 1);
    // The node keeps the rival, which pays as much.
    let run = wallet.run(&["pay", &file, "--no-wait", "--yes"], "");
    assert_eq!(run.code, Some(8), "{run:?}");
    mine(&place, 1);
    let run = wallet.run(&["--json", "pay", &file, "--yes"], "");
    assert_eq!(run.code, Some(7), "{run:?}");
    let told: Value = serde_json::from_str(&run.stdout).expect("one object");
    let states: Vec<_> = told["transactions"].as_array().expect("a list").iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["mined", "not_paid"], "{told}");
    let held = [1, 2, 3].map(|number| holds(&wallet, &payee(number)));
    assert_eq!(held, [64 * MITES_PER_FAR, 0, MITES_PER_FAR]);
    mine(&place, 6);
    fates(&wallet);
    wallet.fails(&["pay", &file, "--resume", "--no-wait", "--yes"], 7, "NOT_PAID");
    assert_eq!((paid_by_alice(&mut node.api().await).await, waiting(&mut node.api().await).await), (2, 0));
}
