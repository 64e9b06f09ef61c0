//! `tx bump`, `tx cancel`, `tx show` and `tx wait`: of two transfers with one nonce one is mined.

use serde_json::Value;

use super::{
    MITES_PER_FAR, alice, dev, fate_of, holds, id, join, mine, mites, paid_by_alice, payee, proven, read_until, rest,
    said, show, start, state, waiting,
};
use crate::harness::{gate::Gate, process::Place, wallet::Wallet};

/// Sends to an account that is to be opened, and gives the transfer's id.
fn send(wallet: &Wallet, to: &str) -> String {
    id(&wallet.json(&["send", to, "1", "--no-wait", "--yes"]))
}

fn replace(wallet: &Wallet, how: &str, what: &str) -> Value {
    wallet.json(&["tx", how, what, "--no-wait", "--yes"])
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_payment_and_its_bump_or_cancellation_one_is_mined_and_both_are_shown_truly() {
    let place = Place::new("the node", &dev());
    let node = start(&place).await;
    let wallet = alice(&node);
    let mut api = node.api().await;

    let first = send(&wallet, &payee(1));
    assert_eq!(state(&wallet, &first), said("pending"));
    let bumped = replace(&wallet, "bump", &first);
    assert_eq!((&bumped["state"], &bumped["replaces"]), (&"pending".into(), &first.as_str().into()));
    assert!(mites(&bumped, "fee_mites") > mites(&show(&wallet, &first), "fee_mites"));
    let old = show(&wallet, &first);
    assert_eq!((&old["state"], &old["replaced_by"]), (&"dropped".into(), &bumped["transaction_id"]));
    let again = replace(&wallet, "bump", &first);
    assert_eq!(again["replaces"], bumped["transaction_id"]);
    assert_eq!(waiting(&mut api).await, 1);
    mine(&place, 1);
    for old in [&first, &id(&bumped)] {
        assert_eq!(state(&wallet, old), proven("replaced"));
        assert_eq!(show(&wallet, old)["replaced_by"], again["transaction_id"]);
        // What is waited for is the payment, and that is made.
        assert_eq!(wallet.json(&["tx", "wait", old])["transaction_id"], again["transaction_id"]);
    }
    assert_eq!(state(&wallet, &id(&again)), proven("mined"));
    assert_eq!(wallet.json(&["tx", "wait", &id(&again)])["confirmations"], 1);
    assert_eq!(holds(&wallet, &payee(1)), MITES_PER_FAR);

    let second = send(&wallet, &payee(2));
    let cancelled = replace(&wallet, "cancel", &second);
    assert!(mites(&cancelled, "fee_mites") < mites(&show(&wallet, &second), "fee_mites"), "it opens no account");
    assert_eq!(waiting(&mut api).await, 1);
    mine(&place, 1);
    assert_eq!((state(&wallet, &second), state(&wallet, &id(&cancelled))), (proven("replaced"), proven("mined")));
    wallet.fails(&["tx", "wait", &second], 7, "REPLACED");
    assert_eq!(holds(&wallet, &payee(2)), 0);

    let third = send(&wallet, &payee(3));
    mine(&place, 1);
    for how in ["bump", "cancel"] {
        wallet.fails(&["tx", how, &third, "--yes"], 7, "ALREADY_MINED");
    }
    assert_eq!(state(&wallet, &third), proven("mined"));
    assert_eq!((holds(&wallet, &payee(3)), paid_by_alice(&mut api).await), (MITES_PER_FAR, 3));
    mine(&place, 6);
    for (one, fate) in [(&second, "superseded"), (&third, "settled")] {
        // Asked once: what is settled is forgotten.
        let wallet = &wallet;
        assert!(fate_of(wallet, one).is_none_or(|found| found == fate), "{one}");
    }
    assert_eq!(super::fates(&wallet).len(), 0);
    assert!(node.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_row_of_payments_one_is_bumped_one_is_cancelled_and_the_others_are_made() {
    let place = Place::new("the node", &dev());
    let node = start(&place).await;
    let wallet = alice(&node);
    let sent = [1, 2, 3, 4].map(|number| send(&wallet, &payee(number)));
    let bumped = replace(&wallet, "bump", &sent[0]);
    let cancelled = replace(&wallet, "cancel", &sent[2]);
    assert_eq!((&bumped["nonce"], &cancelled["nonce"]), (&0.into(), &2.into()));
    assert_eq!(waiting(&mut node.api().await).await, 4);
    mine(&place, 1);
    let held = [1, 2, 3, 4].map(|number| holds(&wallet, &payee(number)));
    assert_eq!(held, [MITES_PER_FAR, MITES_PER_FAR, 0, MITES_PER_FAR]);
    let expected = [proven("replaced"), proven("mined"), proven("replaced"), proven("mined")];
    assert_eq!(sent.map(|sent| state(&wallet, &sent)), expected);
    assert_eq!(paid_by_alice(&mut node.api().await).await, 4);
}

/// The cancellation or bump goes to a node that does not know yet that another one has mined the first transfer.
#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_comes_too_late_pays_once_and_says_so() {
    for (how, code) in [("bump", 0), ("cancel", 7)] {
        let places = [Place::new("the miner", &dev()), Place::new("the other", &dev())];
        let (miner, other) = (start(&places[0]).await, start(&places[1]).await);
        let mut wallet = alice(&miner);
        let first = send(&wallet, &payee(1));
        wallet.ask(other.url());
        let mut child = wallet.spawn(&["tx", how, &first, "--yes"]);
        let stderr = read_until(&mut child, "submitted ");
        mine(&places[0], 1);
        join(&places[1], &other, &miner).await;
        let run = rest(child, stderr);
        assert_eq!(run.code, Some(code), "{run:?}");
        assert!(run.stderr.contains(&first) && run.stderr.contains("mined all the same"), "{run:?}");
        assert_eq!(run.stderr.contains("error[ALREADY_MINED]"), how == "cancel", "{run:?}");
        assert_eq!(state(&wallet, &first), proven("mined"));
        assert_eq!((holds(&wallet, &payee(1)), paid_by_alice(&mut other.api().await).await), (MITES_PER_FAR, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_outlasts_the_nodes_death_and_return() {
    let place = Place::new("the node", &dev());
    let node = start(&place).await;
    let gate = Gate::before(node.rpc).await;
    let mut wallet = alice(&node);
    wallet.ask(gate.url());
    let first = send(&wallet, &payee(1));
    let mut child = wallet.spawn(&["--json", "tx", "wait", &first, "--confirmations", "2"]);
    let stderr = read_until(&mut child, "{\"schema\":1,\"note\":\"waiting for ");
    mine(&place, 1);
    node.kill();
    let node = start(&place).await;
    gate.lead_to(node.rpc);
    mine(&place, 1);
    let run = rest(child, stderr);
    assert_eq!(run.code, Some(0), "{run:?}");
    let found: Value = serde_json::from_str(&run.stdout).expect("one object");
    assert_eq!(
        (&found["state"], &found["verified"], &found["confirmations"]),
        (&"mined".into(), &true.into(), &2.into())
    );
    assert_eq!(holds(&wallet, &payee(1)), MITES_PER_FAR);
    assert!(node.stop().await.success());
}
