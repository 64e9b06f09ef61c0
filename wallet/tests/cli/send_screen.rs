//! What a person sees on the terminal before they say yes, and what they are asked about a payment that was interrupted.

use rexpect::session::PtySession;

use crate::{
    fake_node::{Behaviour, FakeNode},
    harness::Wallet,
    terminal::{PLAIN, code, on_a_terminal},
    transcripts::BOB,
};

/// An address whose first and last characters are those of bob's.
pub(crate) const LIKE_BOB: &str = "dfar1p68ah873ythsftzf7yqxuweh8ekxw06e9fvfaepchpcu6j305aqsv9a543";

/// A wallet with alice's key and bob as a contact, and a node on which she holds her allocation.
fn alice() -> (Wallet, FakeNode) {
    let wallet = Wallet::new();
    let address = wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned();
    wallet.ok(&["contact", "add", "bob", BOB]);
    let node = FakeNode::start(&address, 0);
    (wallet.with_node(&node.url), node)
}

/// Waits for the question, after everything in `shown`, in any place before it.
fn asks(screen: &mut PtySession, question: &str, shown: &[&str]) {
    let before = screen.exp_string(question).unwrap();
    for part in shown {
        assert!(before.contains(part), "{part:?} in {before}");
    }
}

#[test]
fn an_address_that_looks_like_a_known_one_is_warned_of_wherever_it_is_paid() {
    let (wallet, node) = alice();
    let warning = "begins and ends like the address of the contact bob, but is another one";
    let file = wallet.path("transfer").display().to_string();
    let payroll = wallet.file("may.csv", &format!("recipient,amount\n{LIKE_BOB},1\n"));
    for words in [
        &["send", LIKE_BOB, "1", "--no-input"][..],
        &["send", LIKE_BOB, "1", "--dry-run"],
        &["pay", &payroll, "--dry-run"],
        &["tx", "build", LIKE_BOB, "1", "--out", &file],
        &["tx", "sign", &file, "--no-input"],
    ] {
        let run = wallet.run(words);
        assert!(run.stderr.contains("warning: ") && run.stderr.contains(warning), "{words:?}: {}", run.stderr);
    }
    assert_eq!(node.state().submissions, 0);
    for (who, amount) in [("bob", "1"), (BOB, "2")] {
        assert!(!wallet.run(&["send", who, amount, "--yes"]).stderr.contains("begins and ends like"));
    }
    // Who was paid once is known as well, without a name.
    wallet.ok(&["contact", "remove", "bob"]);
    let run = wallet.run(&["send", LIKE_BOB, "1", "--yes"]);
    assert!(run.stderr.contains("begins and ends like the address of an earlier recipient"), "{}", run.stderr);
}

#[test]
fn however_quiet_it_shall_be_a_person_sees_what_they_say_yes_to() {
    let (wallet, node) = alice();
    let mut screen = on_a_terminal(&wallet, PLAIN, &["send", LIKE_BOB, "1", "--quiet"]);
    let shown =
        ["network dev", "from    alice, ", "amount  1 far", "fee     0.1", "nonce   0", "left    ", "warning: "];
    asks(&mut screen, "Send it? [y/N]", &shown);
    screen.send_line("n").unwrap();
    screen.exp_string("error[DECLINED]").unwrap();
    screen.exp_eof().unwrap();
    assert_eq!((code(&screen), node.state().submissions), (3, 0));
    // Without a question it is a note, which quiet leaves out.
    let run = wallet.run(&["send", "bob", "1", "--quiet", "--yes"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
}

#[test]
fn a_person_is_asked_whether_they_mean_the_interrupted_payment_until_they_have_made_another() {
    let (wallet, node) = alice();
    node.state().behaviour = Behaviour::LosesAnswers;
    wallet.fails(&["send", "bob", "1", "--yes"], 8, "ANSWER_LOST");
    node.state().behaviour = Behaviour::Honest;
    let again = || {
        let mut screen = on_a_terminal(&wallet, PLAIN, &["send", "bob", "1", "--no-wait"]);
        asks(&mut screen, "Go on with it, instead of paying once more? [Y/n]", &["and was interrupted."]);
        screen
    };
    // Another one is not made after all: nothing has changed.
    let mut screen = again();
    screen.send_line("n").unwrap();
    asks(&mut screen, "Send it? [y/N]", &["amount  1 far"]);
    screen.send_line("n").unwrap();
    screen.exp_string("error[DECLINED]").unwrap();
    assert_eq!(code(&screen), 3);
    // It is made.
    let mut screen = again();
    screen.send_line("n").unwrap();
    screen.exp_string("Send it? [y/N]").unwrap();
    screen.send_line("y").unwrap();
    screen.exp_eof().unwrap();
    assert_eq!((code(&screen), node.state().submissions), (0, 2));
    // Both are known now; the same words are a third payment.
    let mut screen = on_a_terminal(&wallet, PLAIN, &["send", "bob", "1", "--no-wait"]);
    let shown = screen.exp_string("Send it? [y/N]").unwrap();
    assert!(!shown.contains("was interrupted"), "{shown}");
    screen.send_line("n").unwrap();
    screen.exp_eof().unwrap();
}

#[test]
fn whoever_means_the_interrupted_payment_pays_nothing_more() {
    let (wallet, node) = alice();
    node.state().behaviour = Behaviour::LosesAnswers;
    wallet.fails(&["send", "bob", "1", "--yes"], 8, "ANSWER_LOST");
    node.state().behaviour = Behaviour::Honest;
    node.state().mine();
    let mut screen = on_a_terminal(&wallet, PLAIN, &["send", "bob", "1"]);
    screen.exp_string("Go on with it, instead of paying once more? [Y/n]").unwrap();
    screen.send_line("").unwrap();
    screen.exp_string("of an earlier command; nothing was paid a second time").unwrap();
    screen.exp_eof().unwrap();
    assert_eq!((code(&screen), node.state().submissions), (0, 1));
}
