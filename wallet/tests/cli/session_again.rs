//! A session that is killed in the middle of a payment: the same answers pay a second time only if the person says that they
//! mean another payment. And what else must not send money by accident.

use std::{
    fs,
    sync::mpsc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rexpect::{ReadUntil, session::PtySession};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    fake_node::{Behaviour, FakeNode},
    following::followed,
    harness::Wallet,
    kills::{Dice, number},
    terminal::{PLAIN, alice_and_bob, as_alice, code, on_a_terminal},
};

const FAR: u64 = farthing::amount::MITES_PER_FAR;

/// Ends a wallet's program as nothing else can be ended.
fn kill(wallet: &Wallet, screen: &PtySession) {
    let pid: i32 = fs::read_to_string(wallet.path("pid")).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    let status = format!("{:?}", screen.process().wait().unwrap());
    assert!(status.contains("SIGKILL"), "{status}");
}

/// Answers up to the confirmation, and confirms.
fn pay_bob(screen: &mut PtySession, amount: &str) {
    screen.send_line("bob").unwrap();
    screen.exp_string("Amount in far: ").unwrap();
    screen.send_line(amount).unwrap();
}

fn confirm(screen: &mut PtySession) {
    screen.exp_string("Send it? [y/N]").unwrap();
    screen.send_line("y").unwrap();
}

/// How often the node's blocks pay so much.
fn times_paid(node: &FakeNode, mites: u64) -> usize {
    node.state().paid().iter().filter(|paid| **paid == mites).count()
}

#[test]
fn a_killed_session_asks_before_the_same_answers_pay_again() {
    let (wallet, node) = alice_and_bob();
    node.state().mines = false;
    let mut screen = as_alice(&wallet);
    pay_bob(&mut screen, "2");
    confirm(&mut screen);
    screen.exp_string("waiting for 1 confirmation").unwrap();
    kill(&wallet, &screen);

    // The next one says it by itself, and asks.
    let mut screen = on_a_terminal(&wallet, PLAIN, &["shell"]);
    screen.exp_string("Your name: ").unwrap();
    screen.send_line("alice").unwrap();
    screen.exp_string("The end of this was not told yet:").unwrap();
    screen.exp_string("2 far to bob, signed 2").unwrap();
    screen.exp_string("submitted; it waits to be mined").unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    pay_bob(&mut screen, "2");
    screen.exp_string("The same was begun before:").unwrap();
    screen.exp_string("2 far to bob, signed 2").unwrap();
    screen.exp_string("the same payment, or another one? [SAME/another] ").unwrap();
    screen.send_line("perhaps").unwrap();
    screen.exp_string("please answer same").unwrap();
    // An empty line pays nothing.
    screen.send_line("").unwrap();
    screen.exp_string("waiting for 1 confirmation").unwrap();
    node.state().mine();
    screen.exp_string("Mined in block 2 (verified").unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    assert_eq!((times_paid(&node, 2 * FAR), node.state().submissions), (1, 1));

    // It was told: the same answers are another payment, and are confirmed as any.
    node.state().mines = true;
    pay_bob(&mut screen, "2");
    confirm(&mut screen);
    screen.exp_string("Mined in block 3 (verified").unwrap();
    assert_eq!(times_paid(&node, 2 * FAR), 2);
}

#[test]
fn only_another_one_pays_the_same_once_more() {
    let (wallet, node) = alice_and_bob();
    node.state().behaviour = Behaviour::LosesAnswers;
    let mut screen = as_alice(&wallet);
    pay_bob(&mut screen, "3");
    confirm(&mut screen);
    screen.exp_string("error[ANSWER_LOST]").unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    kill(&wallet, &screen);
    node.state().behaviour = Behaviour::Honest;
    node.state().mine_many(8);
    assert_eq!(times_paid(&node, 3 * FAR), 1);

    // What is settled for good is asked about at once; an empty line leaves everything as it is.
    let mut screen = on_a_terminal(&wallet, PLAIN, &["shell"]);
    screen.exp_string("Your name: ").unwrap();
    screen.send_line("alice").unwrap();
    screen.exp_string("mined: it is paid").unwrap();
    screen.exp_string("Ask before the same is paid once more? [Y/n]").unwrap();
    screen.send_line("").unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    pay_bob(&mut screen, "3");
    screen.exp_string("[SAME/another] ").unwrap();
    screen.send_line("another").unwrap();
    screen.exp_string("Send it? [y/N]").unwrap();
    screen.send_line("n").unwrap();
    screen.exp_string("Nothing was sent.").unwrap();
    // No other one was made, so that it is asked about as before.
    pay_bob(&mut screen, "3");
    screen.exp_string("[SAME/another] ").unwrap();
    screen.send_line("another").unwrap();
    confirm(&mut screen);
    screen.exp_string("Mined in block").unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    assert_eq!(times_paid(&node, 3 * FAR), 2);
    pay_bob(&mut screen, "3");
    screen.exp_string("Send it? [y/N]").unwrap();
}

#[test]
fn a_wait_that_was_given_up_leaves_the_payment_known() {
    let (wallet, node) = alice_and_bob();
    node.state().mines = false;
    let mut screen = as_alice(&wallet);
    pay_bob(&mut screen, "2");
    confirm(&mut screen);
    screen.exp_string("waiting for 1 confirmation").unwrap();
    screen.send_control('c').unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    pay_bob(&mut screen, "2");
    screen.exp_string("[SAME/another] ").unwrap();
    screen.send_control('c').unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    // Whoever leaves now is told what is open, and so is whoever comes back.
    screen.send_line("quit").unwrap();
    screen.exp_string("You were not told the end of this: 2 far to bob").unwrap();
    screen.exp_string("bye").unwrap();
    node.state().streams = true;
    let mut screen = on_a_terminal(&wallet, PLAIN, &["shell", "--quiet"]);
    screen.exp_string("Your name: ").unwrap();
    screen.send_line("alice").unwrap();
    screen.exp_string("The end of this was not told yet:").unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    // The news tell its end.
    followed(&node);
    node.state().mine();
    screen.exp_string("sent: 2 far to bob, in block 2, verified").unwrap();
    pay_bob(&mut screen, "2");
    screen.exp_string("Send it? [y/N]").unwrap();
    screen.send_control('d').unwrap();
    screen.exp_eof().unwrap();
    assert_eq!((code(&screen), node.state().submissions), (0, 1));
}

/// Makes one payment in sessions that are killed at such moments after the person agreed, in milliseconds; the last one is not.
/// Gives how many kills there were, and how many of them found the payment handed in and not told.
fn pay_until_done(wallet: &Wallet, node: &FakeNode, mites: u64, moments: &[u64]) -> (u64, u64) {
    let amount = farthing::Mites::new(mites).to_string();
    let before = node.state().submissions;
    let mut kills = moments.iter();
    let (mut done, mut late) = (0, 0);
    loop {
        // Half of them wait for a block that does not come, until they are killed.
        let waits = kills.as_slice().first().is_some_and(|moment| moment % 2 == 0);
        node.state().mines = !waits;
        if !waits {
            // What waits already: only what is handed in from now on is mined by itself.
            node.state().mine();
        }
        let mut screen = on_a_terminal(wallet, PLAIN, &["shell"]);
        screen.exp_string("Your name: ").unwrap();
        screen.send_line("alice").unwrap();
        let until = |text: &str| ReadUntil::String(text.into());
        let (name, asks) = ("Recipient's name or address: ", "Ask before the same is paid once more? [Y/n]");
        // Earlier payments whose end was not told are asked about too.
        while screen.exp_any(vec![until(name), until(asks)]).unwrap().1 == asks {
            screen.send_line("").unwrap();
        }
        pay_bob(&mut screen, &amount);
        let asked = screen.exp_any(vec![until("Send it? [y/N] "), until("[SAME/another] ")]).unwrap().1;
        screen.send_line(if asked.starts_with("Send") { "y" } else { "same" }).unwrap();
        let Some(moment) = kills.next() else {
            screen.exp_any(vec![until("Mined in block"), until("It is paid")]).unwrap();
            return (done, late);
        };
        // Nothing comes through this channel: what is waited for is the moment of the kill.
        let (_open, never) = mpsc::channel::<()>();
        let _ = never.recv_timeout(Duration::from_millis(*moment));
        kill(wallet, &screen);
        done += 1;
        let last_words = screen.exp_eof().unwrap();
        if ["Mined in block", "It is paid"].iter().any(|told| last_words.contains(told)) {
            return (done, late);
        }
        late += u64::from(node.state().submissions > before);
        // Now and then so deep that nothing can change it.
        node.state().mine_many(usize::try_from(moment % 8).unwrap());
    }
}

/// A longer round prints what it did: `FARTHING_KILLS=200 cargo test -p farthing-wallet --test cli session_is_killed --
/// --nocapture`; `FARTHING_SEED=N` repeats its choices.
#[test]
#[allow(clippy::print_stdout, reason = "the figures of a long round are read by people")]
fn at_whatever_moment_a_session_is_killed_its_repetition_pays_once() {
    let kills = number("FARTHING_KILLS").unwrap_or(8);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = number("FARTHING_SEED").unwrap_or(now).max(1);
    println!("FARTHING_SEED={seed}");
    let (wallet, node) = alice_and_bob();
    let mut dice = Dice(seed);
    let (mut done, mut payments, mut late) = (0, 0, 0);
    while done < kills {
        let moments: Vec<u64> = (0..=dice.below(3)).map(|_| dice.below(200)).collect();
        let (killed, killed_late) = pay_until_done(&wallet, &node, 1_000 + payments, &moments);
        assert_eq!(times_paid(&node, 1_000 + payments), 1, "{moments:?}");
        (payments, done, late) = (payments + 1, done + killed, late + killed_late);
    }
    assert_eq!(node.state().paid().len() as u64, payments);
    println!(
        "kills {done} (of them {late} after it was handed in and before it was told), payments {payments}, each paid once"
    );
}

#[test]
fn what_was_typed_before_the_question_does_not_confirm_a_payment() {
    let (wallet, node) = alice_and_bob();
    // Lines are read as they come: as if a whole conversation was pasted.
    let mut screen = on_a_terminal(&wallet, &[("TERM", "dumb")], &["shell"]);
    screen.exp_string("Your name: ").unwrap();
    screen.send_line("alice").unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    screen.send("bob\n1\ny\ny\n").unwrap();
    screen.flush().unwrap();
    screen.exp_string("Send it? [y/N] ").unwrap();
    screen.send_line("").unwrap();
    screen.exp_string("Nothing was sent.").unwrap();
    screen.send_line("quit").unwrap();
    screen.exp_string("bye").unwrap();
    assert_eq!(node.state().submissions, 0);
    // So it is with a command.
    let mut screen = on_a_terminal(&wallet, PLAIN, &["send", "bob", "1", "--account", "alice"]);
    screen.send("y\ny\n").unwrap();
    screen.flush().unwrap();
    screen.exp_string("Send it? [y/N] ").unwrap();
    screen.send_line("n").unwrap();
    screen.exp_string("you said no").unwrap();
    assert_eq!(node.state().submissions, 0);
}

#[test]
fn all_that_there_is_is_asked_about_again_once_it_is_less() {
    let (wallet, node) = alice_and_bob();
    node.state().mines = false;
    let mut screen = as_alice(&wallet);
    pay_bob(&mut screen, "max");
    screen.exp_string("Send it? [y/N]").unwrap();
    // Meanwhile something else is paid.
    wallet.ok(&["send", "bob", "5", "--account", "alice", "--no-wait", "--yes"]);
    screen.send_line("y").unwrap();
    screen.exp_string("left    0 far").unwrap();
    screen.exp_string("That has changed. Send it? [y/N]").unwrap();
    screen.send_line("n").unwrap();
    screen.exp_string("Nothing was sent.").unwrap();
    assert_eq!(node.state().submissions, 1);
}

#[test]
fn a_wait_lasts_as_long_as_was_said() {
    let (wallet, node) = alice_and_bob();
    node.state().mines = false;
    let mut screen = on_a_terminal(&wallet, PLAIN, &["shell", "--timeout", "1s"]);
    screen.exp_string("Your name: ").unwrap();
    screen.send_line("alice").unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    pay_bob(&mut screen, "2");
    confirm(&mut screen);
    screen.exp_string("error[UNCONFIRMED]").unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
}
