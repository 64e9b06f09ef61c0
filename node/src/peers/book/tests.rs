//! The book keeps its bounds under a flood, and its promises about who is picked.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::env::SeededRandom;

const NOW: TimeMs = TimeMs::new(1_800_000_000_000);

fn at(address: SocketAddr) -> SeenAddress {
    SeenAddress { address, last_seen: NOW }
}

fn v4(a: u8, b: u8, c: u8, d: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
}

fn source(number: u8) -> NetGroup {
    NetGroup::V4([5, number])
}

#[test]
fn a_flood_of_one_group_stays_within_the_groups_share_and_spares_whom_we_met() {
    let mut book = Book::new(false);
    let met = v4(8, 8, 0, 1, 1);
    book.connected(met, NOW);
    for number in 0..10_000_u16 {
        let [c, d] = number.to_be_bytes();
        book.learn(at(v4(8, 8, c, d, 9)), source(d), NOW);
    }
    assert_eq!(book.len(), MAX_BOOK_GROUP);
    assert!(book.entry(met).unwrap().met);
}

#[test]
fn one_informer_cannot_fill_the_book() {
    let mut book = Book::new(false);
    for number in 0..20_000_u16 {
        let [a, b] = number.to_be_bytes();
        book.learn(at(v4(20 + a, b, 1, 1, 9)), source(1), NOW);
    }
    assert_eq!(book.len(), MAX_BOOK_SOURCE);
    assert_eq!(book.learn(at(v4(9, 9, 9, 9, 9)), source(2), NOW), Learned::New);
}

#[test]
fn the_whole_book_is_bounded_and_a_newcomer_takes_a_place_of_the_largest_group() {
    let mut book = Book::new(false);
    for number in 0..60_000_u32 {
        let [_, b, c, d] = (number * 7).to_be_bytes();
        book.learn(at(v4(20 + c % 100, d, b, c, 9)), source(d), NOW);
        assert!(book.len() <= MAX_BOOK);
    }
    assert_eq!(book.len(), MAX_BOOK);
    assert_eq!(book.learn(at(v4(9, 9, 9, 9, 9)), source(2), NOW), Learned::New);
    assert_eq!(book.len(), MAX_BOOK);
}

#[test]
fn what_cannot_be_dialled_from_anywhere_is_learnt_on_private_networks_only() {
    let mut public = Book::new(false);
    let mut private = Book::new(true);
    let loopback = at("127.0.0.1:50061".parse().unwrap());
    assert_eq!(public.learn(loopback, source(1), NOW), Learned::Refused);
    assert_eq!(private.learn(loopback, source(1), NOW), Learned::New);
    for nobody in ["0.0.0.0:1", "224.0.0.1:1", "127.0.0.1:0"] {
        assert_eq!(private.learn(at(nobody.parse().unwrap()), source(1), NOW), Learned::Refused, "{nobody}");
    }
    let mapped = at("[::ffff:127.0.0.1]:50061".parse().unwrap());
    assert_eq!(private.learn(mapped, source(1), NOW), Learned::Known);
    let stale = SeenAddress { last_seen: TimeMs::new(0), ..at(v4(8, 8, 8, 8, 1)) };
    assert_eq!(public.learn(stale, source(1), NOW), Learned::Refused);
}

#[test]
fn a_failed_address_waits_before_it_is_picked_again_and_is_given_up_in_the_end() {
    let random = SeededRandom::new(1);
    let mut book = Book::new(false);
    let address = v4(8, 8, 8, 8, 1);
    book.learn(at(address), source(1), NOW);
    let pick = |book: &Book, now| book.pick(&random, now, &BTreeSet::new(), |_| true);
    assert_eq!(pick(&book, Duration::ZERO), Some(address));
    book.failed(address, Duration::ZERO, 0.5);
    assert_eq!(pick(&book, Duration::ZERO), None);
    assert_eq!(pick(&book, Duration::from_secs(2)), Some(address));
    for _ in 0..10 {
        book.failed(address, Duration::ZERO, 0.5);
    }
    assert_eq!(book.len(), 0);
}

#[test]
fn groups_in_use_are_picked_last() {
    let random = SeededRandom::new(1);
    let mut book = Book::new(false);
    let in_use: BTreeSet<NetGroup> = [NetGroup::V4([8, 8])].into();
    for last in 0..200 {
        book.learn(at(v4(8, 8, 0, last, 1)), source(1), NOW);
    }
    let other = v4(9, 9, 9, 9, 1);
    book.learn(at(other), source(1), NOW);
    for _ in 0..50 {
        assert_eq!(book.pick(&random, Duration::ZERO, &in_use, |_| true), Some(other));
    }
    assert!(book.pick(&random, Duration::ZERO, &in_use, |address| *address != other).is_some());
}

#[test]
fn what_was_written_is_there_in_the_next_run() {
    let store = MemoryBookStore::default();
    let mut book = Book::new(true);
    for last in 1..=5 {
        book.learn(at(v4(127, 0, 0, last, 1)), source(1), NOW);
    }
    book.connected(v4(127, 0, 0, 5, 1), NOW);
    book.forget(v4(127, 0, 0, 1, 1));
    for (key, record) in book.take_changes() {
        match record {
            Some(record) => store.put(Shelf::Addresses, &key, &record).unwrap(),
            None => store.remove(Shelf::Addresses, &key).unwrap(),
        }
    }
    assert!(book.take_changes().is_empty());
    let mut records = store.load(Shelf::Addresses).unwrap();
    records.push((b"127.0.0.1:9".to_vec(), b"damaged".to_vec()));
    let mut next = Book::new(true);
    assert_eq!(next.restore(records), 1);
    assert_eq!(next.len(), 4);
    assert!(next.entry(v4(127, 0, 0, 5, 1)).unwrap().met);
}

#[test]
fn a_sample_holds_only_addresses_that_lately_answered_or_were_not_tried() {
    let random = SeededRandom::new(1);
    let mut book = Book::new(true);
    for last in 0..=200 {
        book.learn(at(v4(127, 0, 0, last, 1)), source(1), NOW);
    }
    book.failed(v4(127, 0, 0, 1, 1), Duration::ZERO, 0.5);
    let sample = book.sample(&random, 100, NOW);
    assert_eq!(sample.len(), 100);
    assert_eq!(book.sample(&random, 1_000, NOW).len(), 200);
}

proptest! {
    #[test]
    fn its_counts_agree_with_its_contents(steps in prop::collection::vec((0_u8..4, 0_u8..6, 0_u8..6, 0_u8..3), 0..200)) {
        let mut book = Book::new(true);
        for (step, group, host, informer) in steps {
            let address = v4(30, group, 0, host + 1, 1);
            match step {
                0 | 1 => drop(book.learn(at(address), source(informer), NOW)),
                2 => book.failed(address, Duration::ZERO, 0.5),
                _ => book.forget(address),
            }
            prop_assert_eq!(book.len(), book.groups.values().map(BTreeMap::len).sum::<usize>());
            prop_assert_eq!(book.len(), book.per_source.values().sum::<usize>());
            prop_assert!(book.groups.values().all(|entries| !entries.is_empty()));
        }
    }
}
