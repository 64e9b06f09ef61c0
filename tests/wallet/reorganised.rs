//! The block with a payment leaves the best chain.

use super::{MITES_PER_FAR, alice, dev, fate_of, holds, id, join, mine, payee, proven, said, show, start, state};
use crate::harness::process::Place;

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_payment_that_is_undone_waits_again_and_is_paid_once() {
    let places = [Place::new("the node", &dev()), Place::new("the other", &dev())];
    let (node, other) = (start(&places[0]).await, start(&places[1]).await);
    let wallet = alice(&node);
    let sent = wallet.json(&["send", &payee(1), "1", "--no-wait", "--id", "rent", "--yes"]);
    mine(&places[0], 2);
    let first = id(&sent);
    assert_eq!(state(&wallet, &first), proven("mined"));
    assert_eq!(show(&wallet, &first)["confirmations"], 2);
    assert_eq!(holds(&wallet, &payee(1)), MITES_PER_FAR);

    mine(&places[1], 3);
    join(&places[0], &node, &other).await;
    assert_eq!(state(&wallet, &first), said("pending"));
    assert_eq!((holds(&wallet, &payee(1)), fate_of(&wallet, &first).as_deref()), (0, Some("pending")));
    assert_eq!(wallet.json(&["history"])["entries_total"], 0);
    let again = wallet.json(&["send", &payee(1), "1", "--no-wait", "--id", "rent", "--yes"]);
    assert_eq!((&again["transaction_id"], &again["state"]), (&sent["transaction_id"], &"pending".into()));

    mine(&places[0], 1);
    assert_eq!(wallet.json(&["tx", "wait", &first])["block_height"], 4);
    assert_eq!((holds(&wallet, &payee(1)), state(&wallet, &first)), (MITES_PER_FAR, proven("mined")));
    assert_eq!(wallet.json(&["history"])["entries_total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_payment_whose_nonce_another_chain_used_is_said_not_to_be_paid() {
    let places = [Place::new("the node", &dev()), Place::new("the other", &dev())];
    let (node, other) = (start(&places[0]).await, start(&places[1]).await);
    let (wallet, copy) = (alice(&node), alice(&other));
    let words = ["send", &payee(1), "1", "--no-wait", "--id", "rent", "--yes"];
    let first = id(&wallet.json(&words));
    mine(&places[0], 2);
    assert_eq!(state(&wallet, &first), proven("mined"));
    // The same key elsewhere.
    let rival = id(&copy.json(&["send", &payee(2), "1", "--no-wait", "--yes"]));
    mine(&places[1], 3);
    join(&places[0], &node, &other).await;

    assert_eq!((state(&wallet, &first), state(&wallet, &rival)), (proven("replaced"), proven("mined")));
    assert_eq!(show(&wallet, &first)["replaced_by"], rival.as_str());
    assert_eq!((holds(&wallet, &payee(1)), holds(&wallet, &payee(2))), (0, MITES_PER_FAR));
    wallet.fails(&["tx", "wait", &first], 7, "REPLACED");
    wallet.fails(&words, 7, "NOT_PAID");
    wallet.fails(&["resubmit"], 7, "REPLACED");
    mine(&places[0], 6);
    wallet.fails(&["resubmit"], 7, "REPLACED");
    wallet.fails(&words, 7, "NOT_PAID");
    assert_eq!(super::fates(&wallet), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_expires_with_the_blocks_of_another_chain_is_said_not_to_be_paid() {
    let places = [Place::new("the node", &dev()), Place::new("the other", &dev())];
    let (node, other) = (start(&places[0]).await, start(&places[1]).await);
    let wallet = alice(&node);
    let [plan, signed] = ["plan", "signed"].map(|name| wallet.path(name));
    wallet.json(&["tx", "build", &payee(1), "1", "--valid-until", "6", "--out", &plan]);
    wallet.json(&["tx", "sign", &plan, "--out", &signed, "--yes"]);
    let first = id(&wallet.json(&["tx", "broadcast", &signed, "--no-wait", "--yes"]));
    let second = id(&wallet.json(&["send", &payee(2), "1", "--no-wait", "--yes"]));
    mine(&places[0], 1);
    assert_eq!([&first, &second].map(|id| state(&wallet, id)), [proven("mined"), proven("mined")]);
    mine(&places[1], 8);
    join(&places[0], &node, &other).await;

    assert_eq!(fate_of(&wallet, &first).as_deref(), Some("expired"));
    assert_eq!(fate_of(&wallet, &second).as_deref(), Some("queued"), "it waits for the nonce of the first one");
    wallet.fails(&["resubmit"], 7, "REPLACED");
    // What is still owed closes the gap.
    let again = wallet.json(&["send", &payee(1), "1", "--no-wait", "--yes"]);
    assert_eq!(again["nonce"], 0);
    mine(&places[0], 1);
    assert_eq!([1, 2].map(|number| holds(&wallet, &payee(number))), [MITES_PER_FAR; 2]);
    assert_eq!(state(&wallet, &first), proven("replaced"));
    assert_eq!([&id(&again), &second].map(|id| state(&wallet, id)), [proven("mined"), proven("mined")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_two_chains_disagree_until_one_chain_has_won() {
    let places = [Place::new("the node", &dev()), Place::new("the other", &dev())];
    let (node, other) = (start(&places[0]).await, start(&places[1]).await);
    let mut wallet = alice(&node);
    let payment = wallet.json(&["send", &payee(1), "1", "--no-wait", "--yes"]);
    wallet.ask(format!("{},{}", node.url(), other.url()));
    let agreed = || wallet.json(&["balance", "alice", "--quorum", "2"])["accounts"][0]["next_nonce"].clone();
    assert_eq!(agreed(), 0);
    mine(&places[0], 1);
    assert_eq!(agreed(), 1, "the other one is behind, on the same chain");
    mine(&places[1], 1);
    let stderr = wallet.fails(&["balance", "alice", "--quorum", "2"], 9, "NODES_DISAGREE");
    assert!([&node, &other].iter().all(|node| stderr.contains(&node.url())), "{stderr}");
    mine(&places[1], 1);
    join(&places[0], &node, &other).await;
    assert_eq!(agreed(), 0);
    mine(&places[0], 1);
    join(&places[1], &other, &node).await;
    assert_eq!((agreed(), state(&wallet, &id(&payment))), (1.into(), proven("mined")));
}
