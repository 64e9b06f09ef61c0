//! The wallet is killed when a call is held: it has written down what it does, and the node has heard of it or not. The
//! same command then comes again.

use std::process::Child;

use super::{MITES_PER_FAR, alice, dev, far, fate_of, holds, id, mine, paid_by_alice, payee, start, state, waiting};
use crate::harness::{
    gate::{Gate, Held},
    process::Place,
    wallet::{Run, Wallet},
};

const SUBMIT: &str = "SubmitTransaction";

/// SIGKILL.
fn kill(mut child: Child) {
    child.kill().expect("a child that was not waited for can be killed");
    let status = child.wait().expect("a killed child ends");
    assert_eq!(status.code(), None, "it was killed, and had not ended before");
}

/// Runs a command and kills it when the gate holds its submission but so many.
async fn run_and_kill(wallet: &Wallet, gate: &Gate, arguments: &[&str], but: usize, held: Held) {
    gate.hold(SUBMIT, but, held);
    let child = wallet.spawn(arguments);
    gate.has_held().await;
    kill(child);
}

/// Where, and whether the node mines between the kill and the repetition.
const MOMENTS: [(Held, bool); 4] = [(Held::There, false), (Held::Back, false), (Held::There, true), (Held::Back, true)];

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_command_is_killed_at_the_hand_in_is_made_once_by_the_same_words() {
    let place = Place::new("the node", &dev());
    let node = start(&place).await;
    let gate = Gate::before(node.rpc).await;
    let mut wallet = alice(&node);
    wallet.ask(gate.url());
    let mut api = node.api().await;
    for (number, (held, mines)) in (1..).zip(MOMENTS) {
        let to = payee(number);
        let words = ["send", &to, "1", "--no-wait", "--yes"];
        run_and_kill(&wallet, &gate, &words, 0, held).await;
        assert_eq!(waiting(&mut api).await, u64::from(held == Held::Back));
        if mines {
            mine(&place, 1);
        }
        let repeated = wallet.json(&words);
        assert_eq!(repeated["resumed"], true, "{held:?}, {mines}: {repeated}");
        mine(&place, 1);
        assert_eq!(state(&wallet, &id(&repeated)), super::proven("mined"));
        assert_eq!(holds(&wallet, &to), MITES_PER_FAR, "{held:?}, {mines}");
        assert_eq!(paid_by_alice(&mut api).await, u64::from(number));
    }
    assert!(node.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payroll_whose_command_is_killed_between_its_transactions_is_paid_once() {
    let place = Place::new("the node", &dev());
    let node = start(&place).await;
    let gate = Gate::before(node.rpc).await;
    let mut wallet = alice(&node);
    wallet.ask(gate.url());
    let mut api = node.api().await;
    let (first, last) = (payee(100), payee(101));
    let mut owed = 0;
    for (number, (but, held, mines)) in (1..).zip([
        (0, Held::There, false),
        (0, Held::Back, false),
        (1, Held::There, false),
        (1, Held::There, true),
        (1, Held::Back, false),
        (1, Held::Back, true),
    ]) {
        // Two transactions: 64 rows to the one, one to the other.
        let rows: String = (0..64).map(|_| format!("{first},{}\n", far(number))).collect();
        let file = wallet.file("payroll.csv", &format!("recipient,amount\n{rows}{last},{}\n", far(number)));
        owed += number;
        let words = ["pay", &file, "--no-wait", "--yes"];
        run_and_kill(&wallet, &gate, &words, but, held).await;
        let reached = but as u64 + u64::from(held == Held::Back);
        assert_eq!(waiting(&mut api).await, reached);
        let other = wallet.file("other.csv", &format!("recipient,amount\n{first},1\n"));
        wallet.fails(&["pay", &other, "--yes"], 2, "OTHER_PAYROLL_OPEN");
        if mines {
            mine(&place, 1);
        }
        let repeated = wallet.json(&words);
        assert_eq!(repeated["resumed"], true, "{but}, {held:?}, {mines}: {repeated}");
        mine(&place, 1);
        let told = wallet.json(&["pay", &file, "--resume", "--yes"]);
        let states: Vec<_> = told["transactions"].as_array().expect("a list").iter().map(|one| &one["state"]).collect();
        assert_eq!(states, ["mined"; 2], "{but}, {held:?}, {mines}: {told}");
        wallet.fails(&["pay", &file, "--yes"], 2, "ALREADY_PAID");
        assert_eq!((holds(&wallet, &first), holds(&wallet, &last)), (64 * owed, owed), "{but}, {held:?}, {mines}");
        assert_eq!(paid_by_alice(&mut api).await, 2 * number);
    }
    assert!(node.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payroll_goes_on_when_the_node_died_between_its_transactions() {
    let place = Place::new("the node", &dev());
    let mut node = start(&place).await;
    let gate = Gate::before(node.rpc).await;
    let mut wallet = alice(&node);
    wallet.ask(gate.url());
    for (number, held) in (1..).zip([Held::There, Held::Back]) {
        let rows: String = (0..64).map(|_| format!("{},1\n", payee(number))).collect();
        let file = wallet.file("payroll.csv", &format!("recipient,amount\n{rows}{},1\n", payee(10 + number)));
        let words = ["pay", &file, "--no-wait", "--yes"];
        gate.hold(SUBMIT, 1, held);
        let child = wallet.spawn(&words);
        gate.has_held().await;
        node.kill();
        node = start(&place).await;
        gate.lead_to(node.rpc);
        let run = Run::from(child.wait_with_output().expect("the wallet ends"));
        assert_eq!(run.code, Some(8), "{held:?}: {run:?}");
        assert!(run.stderr.contains("error[ANSWER_LOST]"), "{held:?}: {run:?}");
        assert_eq!(wallet.json(&words)["resumed"], true);
        mine(&place, 1);
        assert_eq!(wallet.json(&["pay", &file, "--resume", "--yes"])["transactions"][1]["state"], "mined");
        let held = [number, 10 + number].map(|number| holds(&wallet, &payee(number)));
        assert_eq!(held, [64 * MITES_PER_FAR, MITES_PER_FAR]);
        assert_eq!(paid_by_alice(&mut node.api().await).await, 2 * u64::from(number));
    }
    assert!(node.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bump_killed_at_the_hand_in_and_made_again_pays_once() {
    let place = Place::new("the node", &dev());
    let node = start(&place).await;
    let gate = Gate::before(node.rpc).await;
    let mut wallet = alice(&node);
    wallet.ask(gate.url());
    let mut api = node.api().await;
    for (number, (held, mines)) in (1..).zip(MOMENTS) {
        let to = payee(number);
        let sent = wallet.json(&["send", &to, "1", "--no-wait", "--yes"]);
        let words = ["tx", "bump", &id(&sent), "--no-wait", "--yes"];
        run_and_kill(&wallet, &gate, &words, 0, held).await;
        assert_eq!(waiting(&mut api).await, 1);
        if mines {
            mine(&place, 1);
            wallet.fails(&words, 7, "ALREADY_MINED");
        } else {
            let repeated = wallet.json(&words);
            assert_eq!((&repeated["state"], &repeated["kind"]), (&"pending".into(), &"bump".into()));
            assert_eq!(waiting(&mut api).await, 1);
            mine(&place, 1);
            assert_eq!(state(&wallet, &id(&repeated)), super::proven("mined"));
            assert_eq!(state(&wallet, &id(&sent)), super::proven("replaced"));
        }
        assert_eq!(holds(&wallet, &to), MITES_PER_FAR, "{held:?}, {mines}");
        assert_eq!(paid_by_alice(&mut api).await, u64::from(number));
    }
    mine(&place, 6);
    super::fates(&wallet);
    assert_eq!(super::fates(&wallet), [], "nothing is left open");
    assert!(node.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_killed_at_the_hand_in_is_made_by_whatever_command_comes_next() {
    let place = Place::new("the node", &dev());
    let node = start(&place).await;
    let gate = Gate::before(node.rpc).await;
    let mut wallet = alice(&node);
    wallet.ask(gate.url());
    let mut api = node.api().await;
    for (number, (held, mines)) in (1..).zip(MOMENTS) {
        let to = payee(number);
        let sent = wallet.json(&["send", &to, "1", "--no-wait", "--yes"]);
        let words = ["tx", "cancel", &id(&sent), "--no-wait", "--yes"];
        run_and_kill(&wallet, &gate, &words, 0, held).await;
        assert_eq!(waiting(&mut api).await, 1);
        // What the node never heard of cannot keep it from mining the payment.
        let is_paid = mines && held == Held::There;
        if mines {
            mine(&place, 1);
        }
        if is_paid {
            wallet.fails(&words, 7, "ALREADY_MINED");
        } else {
            wallet.json(&words);
        }
        if !mines {
            assert_eq!(waiting(&mut api).await, 1);
            mine(&place, 1);
        }
        let expected = if is_paid { "mined" } else { "replaced" };
        assert_eq!(state(&wallet, &id(&sent)), super::proven(expected), "{held:?}, {mines}");
        assert_eq!(fate_of(&wallet, &id(&sent)).as_deref(), Some(if is_paid { "mined" } else { "superseded" }));
        assert_eq!(holds(&wallet, &to), if is_paid { MITES_PER_FAR } else { 0 }, "{held:?}, {mines}");
        assert_eq!(paid_by_alice(&mut api).await, u64::from(number));
    }
    assert!(node.stop().await.success());
}
