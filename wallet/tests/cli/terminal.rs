//! The interactive session on a terminal of its own, as a person meets it. Every wait has a deadline.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use rexpect::{
    reader::Options,
    session::{PtySession, spawn_with_options},
};

use crate::{
    fake_node::{Behaviour, FakeNode},
    harness::Wallet,
    receive::bob_pays_alice,
};

/// How long anything may take to show, in milliseconds.
const DEADLINE: u64 = 60_000;

/// A wallet with alice and bob, and a node that knows alice.
pub(crate) fn alice_and_bob() -> (Wallet, FakeNode) {
    let wallet = Wallet::new();
    let address = wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned();
    wallet.ok(&["key", "import", "--dev", "bob"]);
    let node = FakeNode::start(&address, 0);
    (wallet.with_node(&node.url), node)
}

/// Starts the wallet on a terminal that echoes what is typed, as terminals do.
pub(crate) fn on_a_terminal(wallet: &Wallet, variables: &[(&str, &str)], arguments: &[&str]) -> PtySession {
    let inner = wallet.command(arguments);
    let mut command = Command::new("sh");
    // The wallet takes the place of the shell, and its number.
    command
        .args(["-c", "stty echo $STTY && echo $$ >\"$PID_FILE\" && exec \"$0\" \"$@\""])
        .arg(inner.get_program())
        .args(inner.get_args());
    command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", std::env::var_os("PATH").unwrap()).env("TERM", "xterm-256color");
    command.env("PID_FILE", wallet.path("pid"));
    command.envs(variables.iter().copied());
    spawn_with_options(command, Options::new().timeout_ms(Some(DEADLINE)).strip_ansi_escape_codes(false)).unwrap()
}

pub(crate) const PLAIN: &[(&str, &str)] = &[("NO_COLOR", "1")];

/// A session of alice, at the recipient's question.
pub(crate) fn as_alice(wallet: &Wallet) -> PtySession {
    let mut screen = on_a_terminal(wallet, PLAIN, &["shell"]);
    screen.exp_string("Your name: ").unwrap();
    screen.send_line("alice").unwrap();
    screen.exp_string("You have ").unwrap();
    screen.exp_string("[alice ").unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    screen
}

pub(crate) fn press(screen: &mut PtySession, keys: &str) {
    screen.send(keys).unwrap();
    screen.flush().unwrap();
}

/// The exit code. Its type is another crate's: it is read from what it shows, `Exited(Pid(7), 130)`.
pub(crate) fn code(screen: &PtySession) -> i32 {
    let status = format!("{:?}", screen.process().wait().unwrap());
    let (_, code) = status.strip_prefix("Exited(").and_then(|rest| rest.split_once(", ")).expect(&status);
    code.trim_end_matches(')').parse().unwrap()
}

#[test]
fn a_whole_payment_with_completion_and_a_slip_of_the_finger() {
    let (wallet, node) = alice_and_bob();
    let mut screen = on_a_terminal(&wallet, PLAIN, &[]);
    screen.exp_string("Your name: ").unwrap();
    press(&mut screen, "ali\t");
    screen.exp_string("alice").unwrap();
    press(&mut screen, "\r");
    screen.exp_string("Hello alice. Your address is dfar1").unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    screen.send_line("balnce").unwrap();
    screen.exp_string("Did you mean balance? [Y/n]").unwrap();
    screen.send_line("").unwrap();
    screen.exp_string("alice        1000000 far").unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    screen.send_line("bbo").unwrap();
    screen.exp_string("There is no contact named bbo. Did you mean bob? [Y/n]").unwrap();
    screen.send_line("").unwrap();
    screen.exp_string("Amount in far: ").unwrap();
    screen.send_line("12.5").unwrap();
    screen.exp_string("Send it? [y/N]").unwrap();
    screen.send_line("y").unwrap();
    screen.exp_string("Mined in block 2 (verified").unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    assert_eq!(node.state().submissions, 1);
    // The arrow calls back what was typed last: the amount, then the name.
    press(&mut screen, "\u{1b}[A\u{1b}[A");
    screen.exp_string("bbo").unwrap();
    press(&mut screen, "\u{15}\u{4}");
    screen.exp_string("bye").unwrap();
    screen.exp_eof().unwrap();
    assert_eq!(code(&screen), 0);

    // The next session remembers them too.
    let mut screen = as_alice(&wallet);
    press(&mut screen, "\u{1b}[A\u{1b}[A");
    screen.exp_string("12.5").unwrap();
    press(&mut screen, "\u{15}\u{4}");
    screen.exp_string("bye").unwrap();
}

#[test]
fn a_payment_that_arrives_is_told_above_the_line_being_typed() {
    let (wallet, node) = alice_and_bob();
    let mut screen = as_alice(&wallet);
    press(&mut screen, "bo");
    screen.exp_string("bo").unwrap();
    node.state().arrives(bob_pays_alice(1, 0));
    screen.exp_string("arriving: 1 far from bob \"the \\u{1b}[2Jrent\", pending at the node").unwrap();
    // Drawn again, as it was.
    screen.exp_string("Recipient's name or address: ").unwrap();
    screen.exp_string("bo").unwrap();
    node.state().mine();
    screen.exp_string("received: 1 far from bob").unwrap();
    screen.exp_string("in block 2, verified; balance 1000001 far").unwrap();
    screen.exp_string("bo").unwrap();
    press(&mut screen, "b\r");
    screen.exp_string("Amount in far: ").unwrap();
    screen.send_control('d').unwrap();
    screen.exp_string("bye").unwrap();
}

#[test]
fn ctrl_c_gives_up_a_question_and_twice_the_session() {
    let (wallet, node) = alice_and_bob();
    let mut screen = as_alice(&wallet);
    for _ in 0..2 {
        screen.send_line("bob").unwrap();
        screen.exp_string("Amount in far: ").unwrap();
        screen.send_control('c').unwrap();
        screen.exp_string("given up").unwrap();
        screen.exp_string("Recipient's name or address: ").unwrap();
    }
    screen.send_line("bob").unwrap();
    screen.exp_string("Amount in far: ").unwrap();
    screen.send_line("1").unwrap();
    screen.exp_string("Send it? [y/N]").unwrap();
    screen.send_control('c').unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    screen.send_control('c').unwrap();
    screen.exp_string("interrupted").unwrap();
    screen.exp_eof().unwrap();
    assert_eq!((code(&screen), node.state().submissions), (130, 0));
}

#[test]
fn ctrl_c_while_waiting_gives_up_the_wait_and_the_transfer_is_news() {
    let (wallet, node) = alice_and_bob();
    node.state().mines = false;
    let mut screen = as_alice(&wallet);
    screen.send_line("bob").unwrap();
    screen.exp_string("Amount in far: ").unwrap();
    screen.send_line("2").unwrap();
    screen.exp_string("Send it? [y/N]").unwrap();
    screen.send_line("y").unwrap();
    screen.exp_string("waiting for 1 confirmation").unwrap();
    screen.send_control('c').unwrap();
    screen.exp_string("a line will say when it is mined").unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    node.state().mine();
    screen.exp_string("sent: 2 far to bob, in block 2, verified").unwrap();
    screen.send_control('d').unwrap();
    screen.exp_string("bye").unwrap();
}

#[test]
fn what_was_wrong_with_a_new_passphrase_is_said_at_the_end() {
    let wallet = Wallet::new();
    let mut screen = on_a_terminal(&wallet, PLAIN, &["key", "new", "ben"]);
    for _ in 0..3 {
        screen.exp_string("New passphrase for ben").unwrap();
        press(&mut screen, "short\r");
    }
    let rest = screen.exp_eof().unwrap();
    assert!(rest.contains("error[PASSPHRASE_TOO_SHORT]"), "{rest}");
}

#[test]
fn a_passphrase_is_neither_shown_nor_remembered() {
    let (wallet, _node) = alice_and_bob();
    let mut screen = on_a_terminal(&wallet, PLAIN, &[]);
    let mut shown = String::new();
    let mut step = |screen: &mut PtySession, expected: &str, typed: &str| {
        shown.push_str(&screen.exp_string(expected).unwrap());
        screen.send_line(typed).unwrap();
    };
    step(&mut screen, "Your name: ", "zoe");
    step(&mut screen, "Make one? [Y/n] ", "y");
    step(&mut screen, "network): ", "correct horse");
    step(&mut screen, "The same again: ", "correct horse");
    step(&mut screen, "from the well-known account alice? [Y/n] ", "n");
    step(&mut screen, "Recipient's name or address: ", "contacts");
    step(&mut screen, "Recipient's name or address: ", "quit");
    shown.push_str(&screen.exp_eof().unwrap());
    assert!(shown.contains("contacts") && !shown.contains("horse"), "{shown}");
    let history = wallet.path("wallet/dev/session-history");
    let text = fs::read_to_string(&history).unwrap();
    assert!(text.contains("zoe\ncontacts\n") && !text.contains("horse"), "{text}");
    assert_eq!(fs::metadata(&history).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_lost_node_does_not_end_the_session() {
    let (wallet, node) = alice_and_bob();
    let mut screen = as_alice(&wallet);
    let death = node.next_death();
    node.state().behaviour = Behaviour::DiesWhenAsked;
    death.recv().unwrap();
    screen.exp_string("asking again until it answers").unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    node.state().behaviour = Behaviour::Honest;
    screen.exp_string("the node answers again").unwrap();
    screen.send_line("bob").unwrap();
    screen.exp_string("Amount in far: ").unwrap();
    screen.send_control('d').unwrap();
    screen.exp_string("bye").unwrap();
}

#[test]
fn a_session_begins_without_a_node() {
    let (wallet, _node) = alice_and_bob();
    let wallet = wallet.with_node("http://127.0.0.1:1");
    let mut screen = on_a_terminal(&wallet, PLAIN, &[]);
    screen.exp_string("error[NODE_UNREACHABLE]").unwrap();
    screen.exp_string("Your name: ").unwrap();
    screen.send_line("alice").unwrap();
    screen.exp_string("Recipient's name or address: ").unwrap();
    screen.send_line("receive").unwrap();
    screen.exp_string("dfar1v4nm").unwrap();
    // Half a block, byte by byte.
    let drawn = screen.exp_string("Recipient's name or address: ").unwrap();
    assert!(drawn.contains("\u{e2}\u{96}\u{80}"), "{drawn}");
    screen.send_control('d').unwrap();
    screen.exp_string("bye").unwrap();
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let (wallet, _node) = alice_and_bob();
    let bold = "\u{1b}[1m1000000 far\u{1b}[0m";
    for (variables, arguments, coloured) in [
        (&[][..], &[][..], true),
        (&[("NO_COLOR", "1")][..], &[][..], false),
        (&[][..], &["--no-color"][..], false),
        (&[("TERM", "dumb")][..], &[][..], false),
    ] {
        let mut screen = on_a_terminal(&wallet, variables, arguments);
        screen.exp_string("Your name: ").unwrap();
        screen.send_line("alice").unwrap();
        let shown = screen.exp_string("Recipient's name or address: ").unwrap();
        assert_eq!((shown.contains(bold), shown.contains("1000000 far")), (coloured, true), "{variables:?} {shown:?}");
        // Without an editor nothing moves the cursor.
        let is_dumb = variables.contains(&("TERM", "dumb"));
        assert!(!is_dumb || !shown.contains('\u{1b}'), "{shown:?}");
        screen.send_line("quit").unwrap();
        screen.exp_string("bye").unwrap();
        screen.exp_eof().unwrap();
        assert_eq!(code(&screen), 0);
    }
}

#[test]
fn the_settings_keep_colours_away_too() {
    let wallet = Wallet::new();
    wallet.ok(&["contact", "add", "bob", crate::transcripts::BOB]);
    for coloured in [true, false] {
        let mut screen = on_a_terminal(&wallet, &[], &["contact", "show", "bbo"]);
        let shown = screen.exp_eof().unwrap();
        assert_eq!((shown.contains("\u{1b}["), shown.contains("UNKNOWN_CONTACT")), (coloured, true), "{shown:?}");
        wallet.ok(&["config", "set", "color", "never"]);
    }
}

#[test]
fn a_confirmation_is_in_colours_and_a_pipe_gets_none() {
    let (wallet, _node) = alice_and_bob();
    let bob = crate::transcripts::BOB;
    let (first, second) = (&bob[5..11], &bob[11..17]);
    let mut screen = on_a_terminal(&wallet, &[], &["send", bob, "1", "--account", "alice"]);
    let shown = screen.exp_string("Send it? [y/N] ").unwrap();
    // The address in parts, to be compared one by one.
    assert!(shown.contains(&format!("dfar1\u{1b}[1m{first}\u{1b}[0m{second}\u{1b}[1m")), "{shown:?}");
    assert!(shown.contains("amount  \u{1b}[1m1 far\u{1b}[0m"), "{shown:?}");
    screen.send_line("n").unwrap();
    screen.exp_string("\u{1b}[1m\u{1b}[38;5;160merror[DECLINED]").unwrap();
    let mut screen = on_a_terminal(&wallet, &[], &["balance", "alice"]);
    screen.exp_string("\u{1b}[1m1000000 far\u{1b}[0m (\u{1b}[38;5;28mverified\u{1b}[0m)").unwrap();
    for arguments in [
        &["send", bob, "1", "--account", "alice", "--yes"][..],
        &["send", "alice", "1", "--account", "alice", "--yes"],
        &["send", "bbo", "1", "--account", "alice", "--yes"],
        &["receive", "alice", "--qr", "--amount", "2"],
        &["receive", "alice", "--watch", "--timeout", "1s"],
        &["balance", "--all"],
        &["history", "alice"],
        &["status"],
        &["--help"],
        &["sned"],
    ] {
        let run = wallet.run(arguments);
        let printed = run.stdout + &run.stderr;
        assert!(!printed.is_empty() && !printed.contains('\u{1b}'), "{arguments:?}: {printed:?}");
    }
}
