//! Every exit code, provoked. Scripts rely on them: above all on 8, after which nobody may simply pay again.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _},
    process::Stdio,
};

use farthing_wallet::error::Exit;
use tonic::Code;

use crate::{
    fake_node::{Behaviour, FakeNode},
    harness::{Wallet, fixture},
    transcripts::ALICE,
};

/// Alice's wallet and her node, which does wrong what it is told to.
fn with_node(behaviour: Behaviour) -> (Wallet, FakeNode) {
    let node = FakeNode::start(ALICE, 0);
    node.state().behaviour = behaviour;
    let wallet = Wallet::new().with_node(&node.url);
    wallet.ok(&["key", "import", "--dev", "alice"]);
    (wallet, node)
}

fn code_of(behaviour: Behaviour, arguments: &[&str], error: &str) -> i32 {
    let (wallet, _node) = with_node(behaviour);
    let run = wallet.run(arguments);
    assert!(run.stderr.contains(&format!("error[{error}]")), "{arguments:?}: {}", run.stderr);
    run.code
}

fn wrong_passphrase() -> i32 {
    let wallet = Wallet::on("main");
    let (right, wrong) = (wallet.file("right", "battery staple\n"), wallet.file("wrong", "battery stable\n"));
    wallet.ok(&["key", "import", &fixture("pkcs8_2048.pem"), "--name", "a", "--passphrase-file", &right]);
    let arguments = ["key", "passwd", "a", "--passphrase-file", &wrong, "--new-passphrase-file", &right];
    wallet.run(&arguments).code
}

fn interrupted() -> i32 {
    let (wallet, node) = with_node(Behaviour::Honest);
    node.state().mines = false;
    let mut command = wallet.command(&["send", "alice", "1", "--wait", "1", "--yes"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("submitted ") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "the wallet ended before it waited");
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    stderr.read_to_string(&mut line).unwrap();
    child.wait().unwrap().code().unwrap()
}

#[test]
fn every_exit_code_is_provoked() {
    const SEND: &[&str] = &["send", "alice", "1", "--yes"];
    let honest = Behaviour::Honest;
    let refuses = Behaviour::Refuses(Code::FailedPrecondition, "FEE_TOO_LOW");
    let ok = Wallet::new().run(&["config", "path"]).code;
    let provoked = [
        (Exit::Ok, ok),
        (Exit::Other, code_of(honest, &["contact", "import", "/nowhere.csv"], "FILE_MISSING")),
        (Exit::Usage, code_of(honest, &["send", "alice", "1,5"], "BAD_AMOUNT")),
        (Exit::Declined, code_of(honest, &["send", "alice", "1"], "CONFIRMATION_NEEDED")),
        (Exit::WrongPassphrase, wrong_passphrase()),
        (Exit::Funds, code_of(honest, &["send", "alice", "1000000", "--yes"], "INSUFFICIENT_FUNDS")),
        (Exit::Unreachable, code_of(honest, &["balance", "--node", "http://127.0.0.1:1"], "NODE_UNREACHABLE")),
        (Exit::Rejected, code_of(refuses, SEND, "REJECTED")),
        (Exit::Unconfirmed, code_of(Behaviour::LosesAnswers, SEND, "ANSWER_LOST")),
        (Exit::Verification, code_of(Behaviour::Boasts, &["balance"], "VERIFICATION_FAILED")),
        (Exit::Interrupted, interrupted()),
    ];
    for (exit, code) in provoked {
        assert_eq!(i32::from(exit.code()), code, "{exit:?}");
    }
    let all: BTreeSet<u8> = Exit::ALL.map(Exit::code).into();
    assert_eq!(provoked.map(|(exit, _)| exit.code()).into_iter().collect::<BTreeSet<u8>>(), all);
}

#[test]
fn help_and_page_name_every_exit_code() {
    let help = Wallet::new().ok(&["--help"]);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/wallet.md")).unwrap();
    for exit in Exit::ALL {
        let code = exit.code();
        assert!(help.contains(&format!("{code} ")), "--help does not name {code}");
        assert!(page.contains(&format!("| {code} |")), "docs/wallet.md does not name {code}");
    }
}
