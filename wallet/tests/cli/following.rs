//! News over the streams of a node: told when they come rather than when somebody asks, proven all the same, and told too
//! where there is no stream or it breaks.

use std::time::{Duration, Instant};

use crate::{
    fake_node::{Behaviour, FakeNode},
    receive::{alice, bob_pays_alice, next, watching},
    terminal::{alice_and_bob, as_alice, press},
};

/// Longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until somebody follows the node.
pub(crate) fn followed(node: &FakeNode) {
    let started = Instant::now();
    while !node.state().is_followed() {
        assert!(started.elapsed() < PATIENCE, "nobody follows");
        std::thread::yield_now();
    }
}

#[test]
fn a_node_with_streams_is_not_asked_again_and_again() {
    let questions = |streams: bool| {
        let (wallet, address) = alice();
        let node = FakeNode::start(&address, 0);
        node.state().streams = streams;
        let wallet = wallet.with_node(&node.url);
        assert_eq!(wallet.run(&["receive", "--watch", "--timeout", "7s"]).code, 0);
        node.state().account_questions
    };
    // Without: about once a second. With: to begin, and as each stream says how it is.
    assert!(questions(false) >= 6);
    let asked = questions(true);
    assert!(asked <= 5, "{asked}");
}

#[test]
fn what_a_stream_tells_is_shown_at_once_and_proven() {
    let (wallet, address) = alice();
    let node = FakeNode::start(&address, 0);
    node.state().streams = true;
    let wallet = wallet.with_node(&node.url);
    let (mut child, mut lines) = watching(&wallet, &["--amount", "3"]);
    next(&mut lines);
    followed(&node);
    node.state().arrives(bob_pays_alice(1, 0));
    let pending = next(&mut lines);
    assert_eq!((&pending["event"], &pending["verified"]), (&"pending".into(), &false.into()));
    node.state().mine();
    let mined = next(&mut lines);
    assert_eq!((&mined["event"], &mined["verified"], &mined["id"]), (&"mined".into(), &true.into(), &pending["id"]));
    // A stream that breaks is asked for again; what happens meanwhile is told.
    {
        let mut state = node.state();
        state.behaviour = Behaviour::DiesWhenAsked;
        state.hang_up();
    }
    node.state().arrives(bob_pays_alice(2, 1));
    node.state().mine();
    node.state().behaviour = Behaviour::Honest;
    let mut last = next(&mut lines);
    while last["event"] != "mined" {
        last = next(&mut lines);
    }
    assert_eq!(&last["amount"], "2");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_stream_is_not_believed() {
    let (wallet, address) = alice();
    let node = FakeNode::start(&address, 0);
    node.state().streams = true;
    let wallet = wallet.with_node(&node.url);
    let (mut child, mut lines) = watching(&wallet, &["--amount", "1"]);
    next(&mut lines);
    followed(&node);
    // The stream shows the block, and the proof is of another one.
    node.state().behaviour = Behaviour::ForgesTheProof;
    node.state().arrives(bob_pays_alice(1, 0));
    assert_eq!(&next(&mut lines)["event"], "pending");
    node.state().mine();
    node.state().arrives(bob_pays_alice(2, 1));
    // The next thing told is not the first payment as mined.
    assert_eq!(&next(&mut lines)["event"], "pending");
    node.state().behaviour = Behaviour::Honest;
    let mined = next(&mut lines);
    assert_eq!((&mined["event"], &mined["amount"], &mined["verified"]), (&"mined".into(), &"1".into(), &true.into()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_session_follows_too_and_asks_the_next_question_with_the_new_balance() {
    let (wallet, node) = alice_and_bob();
    node.state().streams = true;
    let mut screen = as_alice(&wallet);
    followed(&node);
    press(&mut screen, "bo");
    screen.exp_string("bo").unwrap();
    node.state().arrives(bob_pays_alice(1, 0));
    screen.exp_string("pending at the node, not verified").unwrap();
    node.state().mine();
    screen.exp_string("in block 2, verified; balance 1000001 far").unwrap();
    screen.exp_string("bo").unwrap();
    press(&mut screen, "\u{15}\u{4}");
    screen.exp_string("bye").unwrap();
}
