//! `pay`: a file of several transactions.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{ALLOCATION, alice, dev, far, holds, mine, mites, payee, start, waiting};
use crate::harness::{
    keys::{BOB, CAROL},
    process::Place,
    wallet::Wallet,
};

/// Rows of a file: a recipient and an amount in mites.
type Rows = Vec<(String, u64)>;

/// A file of these rows.
fn file(wallet: &Wallet, name: &str, rows: &Rows) -> String {
    let lines: String = rows.iter().map(|(to, amount)| format!("{to},{}\n", far(*amount))).collect();
    wallet.file(name, &format!("recipient,amount\n{lines}"))
}

/// Three transactions: accounts to be opened in two of them, one of them in both, and accounts that are there.
fn rows() -> Rows {
    let bob = dev().prefix.format(&BOB.address());
    let carol = dev().prefix.format(&CAROL.address());
    let new = (1..=66).map(|number| (payee(number), 1_000 * u64::from(number)));
    let known = (0..62).map(|number| (bob.clone(), 5 + number));
    new.chain(known).chain([(payee(1), 7), (carol, 50_000_000), (bob.clone(), 3)]).collect()
}

/// Fields of all transactions of a payroll.
fn each<'a>(payroll: &'a Value, field: &str) -> Vec<&'a Value> {
    payroll["transactions"].as_array().expect("a list").iter().map(|one| &one[field]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payroll_of_three_transactions_pays_everybody_once() {
    let place = Place::new("the node", &dev());
    let node = start(&place).await;
    let wallet = alice(&node);
    let mut api = node.api().await;
    let rows = rows();
    let file = file(&wallet, "salaries.csv", &rows);

    // Nothing of this signs or hands in anything.
    let planned = wallet.json(&["pay", &file, "--dry-run"]);
    assert_eq!(each(&planned, "state"), ["would_be_made"; 3]);
    let fees: u64 = planned["transactions"].as_array().expect("a list").iter().map(|one| mites(one, "fee_mites")).sum();
    let amounts: u64 = rows.iter().map(|(_, amount)| amount).sum();
    assert_eq!(mites(&planned, "total_mites"), amounts);
    // 64, 2 and 1 accounts do not exist yet.
    assert!(fees > 67 * 10_000_000 && fees < 68 * 10_000_000, "{fees}");
    let (enough, too_little) = (far(amounts + fees), far(amounts + fees - 1));
    let bound = |bound| ["pay", &file, "--max-total", bound, "--no-wait", "--yes"];
    let stderr = wallet.fails(&bound(&too_little), 2, "TOTAL_TOO_HIGH");
    wallet.fails(&["pay", &file, "--dry-run", "--max-total", &too_little], 2, "TOTAL_TOO_HIGH");
    wallet.fails(&["pay", &file, "--resume", "--yes"], 2, "NOTHING_TO_RESUME");
    wallet.fails(&["pay", &file], 3, "CONFIRMATION_NEEDED");
    assert_eq!((waiting(&mut api).await, super::fates(&wallet).len()), (0, 0));

    // The bound that the refusal names is the one that does.
    let tried = stderr.split("try: --max-total ").nth(1).and_then(|rest| rest.split(',').next()).expect("a bound");
    assert_eq!(tried.parse::<farthing::Mites>().expect("an amount").get(), amounts + fees);
    let paid = wallet.json(&bound(&enough));
    assert_eq!(each(&paid, "state"), ["pending"; 3]);
    assert_eq!(each(&paid, "nonce"), [0, 1, 2]);
    assert_eq!(each(&paid, "transaction_id"), each(&planned, "transaction_id"), "what was shown is what was paid");
    assert_eq!(waiting(&mut api).await, 3);
    wallet.fails(&["pay", &file, "--yes"], 2, "ALREADY_PAID");
    let resumed = wallet.json(&["pay", &file, "--resume", "--no-wait", "--yes"]);
    assert_eq!(resumed["resumed"], true);
    assert_eq!(each(&resumed, "transaction_id"), each(&paid, "transaction_id"));

    mine(&place, 1);
    let mined = wallet.json(&["pay", &file, "--resume", "--yes"]);
    assert_eq!(each(&mined, "verified"), [true; 3]);
    assert_eq!(each(&mined, "block_height"), [1; 3]);
    wallet.fails(&["pay", &file, "--yes"], 2, "ALREADY_PAID");
    // So deep that the outbox forgets them.
    mine(&place, 6);
    assert!(super::fates(&wallet).iter().all(|(_, fate)| fate == "settled"));
    wallet.fails(&["pay", &file, "--yes"], 2, "ALREADY_PAID");
    assert_eq!(each(&wallet.json(&["pay", &file, "--resume", "--yes"]), "state"), ["settled"; 3]);
    assert_eq!(waiting(&mut api).await, 0);

    let mut owed = BTreeMap::<&str, u64>::new();
    for (to, amount) in &rows {
        *owed.entry(to).or_default() += amount;
    }
    for funded in [&*BOB, &*CAROL] {
        let address = dev().prefix.format(&funded.address());
        *owed.get_mut(&*address).expect("they are paid too") += ALLOCATION;
    }
    assert_eq!(owed.len(), 68);
    for (to, amount) in owed {
        assert_eq!(holds(&wallet, to), amount, "{to}");
    }
    let alice = wallet.json(&["balance"]);
    assert_eq!(mites(&alice["accounts"][0], "balance_mites"), ALLOCATION - amounts - fees);
    assert_eq!(alice["accounts"][0]["next_nonce"], 3);
    assert!(node.stop().await.success());
}
