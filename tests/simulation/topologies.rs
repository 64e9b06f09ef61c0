//! A burst of blocks crosses networks of several shapes, in the time that their links take and not much more.

use std::time::Duration;

use crate::shapes::{Shape, carry};

/// Three times over a link of 20 ms: told of, asked for, sent. What the steps of 5 ms add is below this.
const ASKED_FOR: Duration = Duration::from_millis(90);
/// A node that was dialled gets one block from its dialler for each time there and back, so that the last of fifty comes
/// after two seconds; nothing that waits for a deadline comes as soon.
const ONE_BY_ONE: Duration = Duration::from_millis(2_200);

fn carries(shape: Shape) {
    let apart = carry(shape, Duration::from_secs(1), false).unwrap_or_else(|why| panic!("{why}"));
    println!("{shape:?}, blocks a second apart: {apart}");
    assert!(apart.median <= ASKED_FOR && apart.worst <= ASKED_FOR);
    let at_once = carry(shape, Duration::ZERO, false).unwrap_or_else(|why| panic!("{why}"));
    println!("{shape:?}, blocks at once: {at_once}");
    assert!(at_once.worst < ONE_BY_ONE);
}

#[test]
fn a_line_of_sixteen_carries_a_burst_from_end_to_end() {
    carries(Shape::Line);
}

#[test]
fn a_ring_of_sixteen_carries_a_burst_both_ways_round() {
    carries(Shape::Ring);
}

#[test]
fn a_star_of_sixteen_carries_a_burst_from_a_point_to_all() {
    carries(Shape::Star);
}

#[test]
fn a_random_network_of_sixteen_carries_a_burst_to_all() {
    carries(Shape::Random);
}
