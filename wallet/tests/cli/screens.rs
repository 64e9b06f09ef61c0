//! Terminals as they are: narrow, resized, pasted into; and a question that keeps up with the news.

use rexpect::session::PtySession;
use rustix::termios::{Winsize, tcsetwinsize};

use crate::{
    receive::bob_pays_alice,
    terminal::{alice_and_bob, as_alice, on_a_terminal, press},
};

/// What a terminal sends before and behind what is pasted.
const PASTE: (&str, &str) = ("\u{1b}[200~", "\u{1b}[201~");

const NARROW: &[(&str, &str)] = &[("NO_COLOR", "1"), ("STTY", "cols 40")];

fn resize(screen: &PtySession, columns: u16) {
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(screen.process().get_file_handle().unwrap(), size).unwrap();
}

#[test]
fn the_question_keeps_up_with_the_balance() {
    let (wallet, node) = alice_and_bob();
    let mut screen = as_alice(&wallet);
    press(&mut screen, "bo");
    screen.exp_string("bo").unwrap();
    node.state().arrives(bob_pays_alice(1, 0));
    node.state().mine();
    screen.exp_string("balance 1000001 far").unwrap();
    screen.exp_string("[alice 1000001 far] Recipient's name or address: bo").unwrap();
    press(&mut screen, "b\r");
    screen.exp_string("Amount in far: ").unwrap();
}

#[test]
fn forty_columns_are_enough_to_pay_and_to_be_paid() {
    let (wallet, node) = alice_and_bob();
    let mut screen = on_a_terminal(&wallet, NARROW, &["shell"]);
    screen.exp_string("Your name: ").unwrap();
    screen.send_line("alice").unwrap();
    screen.exp_string("[alice 1000000 far] To: ").unwrap();
    node.state().arrives(bob_pays_alice(1, 0));
    node.state().mine();
    screen.exp_string("balance 1000001 far").unwrap();
    screen.exp_string("[alice 1000001 far] To: ").unwrap();
    // A code that fits.
    screen.send_line("receive").unwrap();
    let shown = screen.exp_string("To: ").unwrap();
    let widest = shown.lines().filter(|line| line.contains('\u{e2}')).map(|line| line.trim().chars().count() / 3).max();
    assert!(widest.is_some_and(|widest| (20..=40).contains(&widest)), "{widest:?} {shown}");
    screen.send_line("bob").unwrap();
    screen.exp_string("Amount in far: ").unwrap();
    screen.send_line("2").unwrap();
    screen.exp_string("Send it? [y/N] ").unwrap();
    screen.send_line("y").unwrap();
    screen.exp_string("Mined in block 3").unwrap();
    screen.exp_string("To: ").unwrap();
    screen.send_line("quit").unwrap();
    screen.exp_string("bye").unwrap();
}

#[test]
fn a_code_that_does_not_fit_is_not_drawn_in_pieces() {
    let (wallet, _node) = alice_and_bob();
    let receive = ["receive", "alice", "--qr", "--amount", "12.5", "--label", "Rent for the whole of May"];
    let mut screen = on_a_terminal(&wallet, NARROW, &receive);
    let shown = screen.exp_string("make the terminal wider").unwrap();
    assert!(shown.contains("dfar1v4nm") && shown.contains("the QR code needs"), "{shown}");
    assert!(!shown.contains("\u{e2}\u{96}\u{88}"), "{shown}");
}

#[test]
fn a_window_that_changes_its_size_keeps_the_line() {
    let (wallet, node) = alice_and_bob();
    let mut screen = as_alice(&wallet);
    press(&mut screen, "bo");
    screen.exp_string("bo").unwrap();
    resize(&screen, 30);
    node.state().arrives(bob_pays_alice(1, 0));
    screen.exp_string("pending at the node").unwrap();
    resize(&screen, 120);
    node.state().mine();
    screen.exp_string("balance 1000001 far").unwrap();
    press(&mut screen, "b\r");
    screen.exp_string("Amount in far: ").unwrap();
    screen.send_control('d').unwrap();
    screen.exp_string("bye").unwrap();
}

#[test]
fn what_is_pasted_neither_confirms_nor_answers_several_questions() {
    let (wallet, node) = alice_and_bob();
    let mut screen = as_alice(&wallet);
    press(&mut screen, &format!("{}bob\r1\ry\r{}", PASTE.0, PASTE.1));
    press(&mut screen, "\r");
    screen.exp_string("Those are several lines").unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    screen.send_line("bob").unwrap();
    screen.exp_string("Amount in far: ").unwrap();
    // Typed by a terminal that does not mark what is pasted: the rest is forgotten at the question that counts.
    press(&mut screen, "1\ry\ry\r");
    screen.exp_string("Send it? [y/N] ").unwrap();
    press(&mut screen, &format!("{}y\ry\r{}", PASTE.0, PASTE.1));
    screen.exp_string("y").unwrap();
    screen.send_control('c').unwrap();
    screen.exp_string("given up").unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    screen.send_line("quit").unwrap();
    screen.exp_string("bye").unwrap();
    assert_eq!(node.state().submissions, 0);
}
