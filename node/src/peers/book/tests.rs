//! The book keeps its bounds under a flood, and its promises about who stays and who is picked.

mod model;

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::{
    env::SeededRandom,
    peers::limits::{
        BOOK_BUCKET, BOOK_NEW_BUCKETS, BOOK_NEW_PER_SOURCE, BOOK_TRIED_BUCKET, BOOK_TRIED_BUCKETS,
        BOOK_TRIED_PER_GROUP, MAX_BOOK_CONTESTS,
    },
};

const NOW: TimeMs = TimeMs::new(1_800_000_000_000);
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

fn at(address: SocketAddr) -> SeenAddress {
    SeenAddress { address, last_seen: NOW }
}

fn v4(a: u8, b: u8, c: u8, d: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
}

fn source(number: u8) -> NetGroup {
    NetGroup::V4([5, number])
}

fn book(private: bool) -> Book {
    Book::new(private, Salt::from_bytes([7; 32]))
}

fn tried(book: &Book, address: SocketAddr) -> bool {
    book.is_tried(address)
}

/// Addresses of one network group that share a bucket of the tried, one more than it has room for.
fn rivals() -> Vec<SocketAddr> {
    let mut book = book(false);
    for number in 0..u16::MAX {
        let [c, d] = number.to_be_bytes();
        let address = v4(8, 8, c, d, 9);
        book.connected(address, NOW);
        if !tried(&book, address) {
            let holders = book.buckets.members(Table::Tried, address, Source::Seed);
            return holders.chain([address]).collect();
        }
    }
    unreachable!("eight buckets have room for fewer")
}

#[test]
fn an_address_is_tried_once_a_session_came_about_and_not_before() {
    let mut book = book(false);
    let address = v4(8, 8, 8, 8, 1);
    assert_eq!(book.learn(at(address), source(1), NOW), Learned::New);
    assert!(!tried(&book, address));
    book.connected(address, NOW);
    assert!(tried(&book, address));
    let unheard = v4(9, 9, 9, 9, 1);
    book.connected(unheard, NOW);
    assert!(tried(&book, unheard));
}

#[test]
fn a_flood_of_one_group_by_one_informer_fills_one_bucket_and_spares_whom_we_met() {
    let mut book = book(false);
    let met = v4(8, 8, 0, 1, 1);
    book.connected(met, NOW);
    for number in 0..10_000_u16 {
        let [c, d] = number.to_be_bytes();
        book.learn(at(v4(8, 8, c, d, 9)), source(1), NOW);
    }
    assert_eq!(book.len(), BOOK_BUCKET + 1);
    assert!(tried(&book, met));
}

#[test]
fn one_informer_cannot_fill_the_book() {
    let mut book = book(false);
    for number in 0..60_000_u16 {
        let [a, b] = number.to_be_bytes();
        book.learn(at(v4(20 + a % 60, b, a, 1, 9)), source(1), NOW);
    }
    let most = usize::try_from(BOOK_NEW_PER_SOURCE).unwrap() * BOOK_BUCKET;
    assert!(book.len() <= most && book.len() > most / 2, "{}", book.len());
    assert_eq!(book.learn(at(v4(9, 9, 9, 9, 9)), source(2), NOW), Learned::New);
}

#[test]
fn sessions_with_one_group_fill_few_buckets_of_the_tried() {
    let mut book = book(false);
    for number in 0..10_000_u16 {
        let [c, d] = number.to_be_bytes();
        book.connected(v4(8, 8, c, d, 9), NOW);
    }
    let most = usize::try_from(BOOK_TRIED_PER_GROUP).unwrap() * BOOK_TRIED_BUCKET;
    let in_tried: usize = book.buckets.sizes(Table::Tried).sum();
    assert!(in_tried <= most && in_tried > most / 4, "{in_tried}");
}

#[test]
fn both_tables_are_bounded_under_a_flood_from_everywhere() {
    let mut book = book(false);
    let random = SeededRandom::new(3);
    let random: &dyn Random = &random;
    for _ in 0..120_000 {
        let [a, b, c, d, told, by] = random.array();
        let address = v4(a, b, c, d, 9);
        if told < 64 {
            book.connected(address, NOW);
        } else {
            book.learn(at(address), NetGroup::V4([told, by]), NOW);
        }
    }
    let (new, tried): (Vec<usize>, Vec<usize>) =
        (book.buckets.sizes(Table::New).collect(), book.buckets.sizes(Table::Tried).collect());
    assert!(new.len() as u64 <= BOOK_NEW_BUCKETS && new.iter().all(|size| *size <= BOOK_BUCKET));
    assert!(tried.len() as u64 <= BOOK_TRIED_BUCKETS && tried.iter().all(|size| *size <= BOOK_TRIED_BUCKET));
    assert_eq!(book.len(), new.iter().sum::<usize>() + tried.iter().sum::<usize>());
    // The flood was one: nearly all places are taken.
    assert!(book.len() > 19_000, "{}", book.len());
}

#[test]
fn hearsay_displaces_what_never_answered_but_nothing_that_may_be_good() {
    let mut book = book(false);
    let hosts: Vec<SocketAddr> = (0..=u8::try_from(BOOK_BUCKET).unwrap()).map(|host| v4(8, 8, 0, host, 9)).collect();
    let (last, first) = hosts.split_last().unwrap();
    for host in first {
        assert_eq!(book.learn(at(*host), source(1), NOW), Learned::New);
    }
    assert_eq!(book.learn(at(*last), source(1), NOW), Learned::Refused);
    for _ in 0..3 {
        book.connected(v4(9, 9, 9, 9, 1), NOW);
        book.failed(first[5], Duration::ZERO, 0.5);
    }
    assert_eq!(book.learn(at(*last), source(1), NOW), Learned::New);
    assert!(book.entry(first[5]).is_none());
}

#[test]
fn what_cannot_be_dialled_from_anywhere_is_learnt_on_private_networks_only() {
    let mut public = book(false);
    let mut private = book(true);
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
fn a_failed_address_waits_before_it_is_picked_again_and_is_given_up_if_others_answer() {
    let random = SeededRandom::new(1);
    let mut book = book(false);
    let address = v4(8, 8, 8, 8, 1);
    book.learn(at(address), source(1), NOW);
    let pick = |book: &Book, now| book.pick(&random, now, &BTreeSet::new(), |other| *other == address);
    assert_eq!(pick(&book, Duration::ZERO), Some(address));
    book.failed(address, Duration::ZERO, 0.5);
    assert_eq!(pick(&book, Duration::ZERO), None);
    assert_eq!(pick(&book, Duration::from_secs(2)), Some(address));
    for _ in 0..100 {
        book.failed(address, Duration::ZERO, 0.5);
    }
    assert_eq!(book.len(), 1, "a node without a connection keeps its book");
    for _ in 0..6 {
        book.connected(v4(9, 9, 9, 9, 1), NOW);
        book.failed(address, Duration::ZERO, 0.5);
    }
    assert_eq!(pick(&book, Duration::MAX), None);
}

#[test]
fn what_nobody_saw_for_a_month_ages_out() {
    let mut book = book(false);
    let (old, fresh) = (v4(8, 8, 8, 8, 1), v4(9, 9, 9, 9, 1));
    book.learn(at(old), source(1), NOW);
    book.connected(fresh, NOW);
    let later = NOW.saturating_add(29 * DAY_MS);
    book.expire(later);
    assert_eq!(book.len(), 2);
    book.connected(fresh, later);
    book.expire(NOW.saturating_add(31 * DAY_MS));
    assert!(book.entry(old).is_none() && tried(&book, fresh));
}

#[test]
fn groups_in_use_are_picked_last_from_either_table() {
    let random = SeededRandom::new(1);
    let mut book = book(false);
    let in_use: BTreeSet<NetGroup> = [NetGroup::V4([8, 8])].into();
    for last in 0..60 {
        book.learn(at(v4(8, 8, 0, last, 1)), source(1), NOW);
        book.connected(v4(8, 8, 1, last, 1), NOW);
    }
    let other = v4(9, 9, 9, 9, 1);
    book.learn(at(other), source(1), NOW);
    for _ in 0..50 {
        assert_eq!(book.pick(&random, Duration::ZERO, &in_use, |_| true), Some(other));
    }
    assert!(book.pick(&random, Duration::ZERO, &in_use, |address| *address != other).is_some());
}

#[test]
fn who_was_reached_has_half_of_the_chances_and_groups_share_the_rest_however_many_addresses_each_has() {
    let random = SeededRandom::new(1);
    let mut book = book(false);
    let (met, other) = (v4(8, 8, 8, 8, 1), v4(9, 9, 9, 9, 1));
    book.connected(met, NOW);
    book.learn(at(other), source(1), NOW);
    for last in 0..60 {
        book.learn(at(v4(7, 7, 0, last, 1)), source(2), NOW);
    }
    let mut times: BTreeMap<NetGroup, u32> = BTreeMap::new();
    for _ in 0..4_000 {
        let picked = book.pick(&random, Duration::ZERO, &BTreeSet::new(), |_| true).unwrap();
        *times.entry(NetGroup::of(picked.ip())).or_default() += 1;
    }
    let near = |address: SocketAddr, expected: u32| times[&NetGroup::of(address.ip())].abs_diff(expected) < 200;
    assert!(near(met, 2_667) && near(other, 667) && near(v4(7, 7, 0, 0, 1), 667), "{times:?}");
}

#[test]
fn whoever_holds_a_place_keeps_it_if_it_answers_and_loses_it_if_not() {
    for answers in [true, false] {
        let rivals = rivals();
        let (newcomer, holders) = rivals.split_last().unwrap();
        let mut book = book(false);
        for holder in holders {
            book.connected(*holder, NOW);
        }
        book.connected(*newcomer, NOW);
        assert_eq!(book.contests.len(), 0, "whom this node was with lately is not doubted");
        let later = NOW.saturating_add(DAY_MS);
        book.connected(*newcomer, later);
        assert!(!tried(&book, *newcomer));
        let random = SeededRandom::new(1);
        let doubted = book.pick_to_probe(&random, Duration::ZERO, |_| true).unwrap();
        assert!(holders.contains(&doubted));
        assert_eq!(book.contested().collect::<Vec<_>>(), [doubted]);
        if answers {
            book.connected(doubted, later);
        } else {
            book.failed(doubted, Duration::ZERO, 0.5);
        }
        assert_eq!((tried(&book, doubted), tried(&book, *newcomer)), (answers, !answers));
        assert_eq!(book.contests.len(), 0);
        assert!(book.entry(doubted).is_some(), "it is hearsay again");
    }
}

#[test]
fn claims_on_places_are_bounded() {
    let mut book = book(false);
    let later = NOW.saturating_add(DAY_MS);
    for number in 0..40_000_u16 {
        let [c, d] = number.to_be_bytes();
        let time = if number < 20_000 { NOW } else { later };
        book.connected(v4(20 + d % 40, 1, c, d, 9), time);
        assert!(book.contests.len() <= MAX_BOOK_CONTESTS);
    }
    assert_eq!(book.contests.len(), MAX_BOOK_CONTESTS);
}

fn write(book: &mut Book, store: &MemoryBookStore) {
    let changes = book.take_changes().into_iter().map(|(key, record)| (Shelf::Addresses, key, record));
    store.write(changes.collect()).unwrap();
}

#[test]
fn what_was_written_is_there_in_the_next_run_and_what_cannot_be_read_is_gone_in_the_one_after() {
    let store = MemoryBookStore::default();
    let mut first = book(true);
    for last in 1..=5 {
        first.learn(at(v4(127, 0, 0, last, 1)), source(1), NOW);
    }
    first.connected(v4(127, 0, 0, 5, 1), NOW);
    first.forget(v4(127, 0, 0, 1, 1));
    write(&mut first, &store);
    assert!(first.take_changes().is_empty());
    let damaged = |key: &[u8]| (Shelf::Addresses, key.to_vec(), Some(b"damaged".to_vec()));
    store.write(vec![damaged(b"127.0.0.1:9"), damaged(b"no address")]).unwrap();
    let mut next = book(true);
    assert_eq!(next.restore(store.load(Shelf::Addresses).unwrap()), 2);
    assert_eq!(next.len(), 4);
    assert!(tried(&next, v4(127, 0, 0, 5, 1)));
    write(&mut next, &store);
    let mut after = book(true);
    assert_eq!(after.restore(store.load(Shelf::Addresses).unwrap()), 0);
    assert_eq!(after.len(), 4);
    assert!(after.take_changes().is_empty(), "nothing to write again");
    // However long ago that was: the clock may be wrong, and whom it was with is worth a try.
    let mut much_later = book(true);
    assert_eq!(much_later.restore(store.load(Shelf::Addresses).unwrap()), 0);
    much_later.expire(NOW.saturating_add(40 * DAY_MS));
    assert_eq!(much_later.len(), 1);
    assert!(tried(&much_later, v4(127, 0, 0, 5, 1)));
}

#[test]
fn a_book_of_the_version_before_is_taken_over() {
    let record = |met: u8| {
        let mut record = vec![1];
        farthing::codec::Canonical::encode(&NOW, &mut record);
        record.push(met);
        farthing::codec::put_bytes(&mut record, b"5.1.0.0");
        record.extend_from_slice(&0_u32.to_le_bytes());
        record
    };
    let mut book = book(false);
    let records = vec![(b"8.8.8.8:1".to_vec(), record(1)), (b"9.9.9.9:1".to_vec(), record(0))];
    assert_eq!(book.restore(records), 0);
    assert!(tried(&book, v4(8, 8, 8, 8, 1)) && !tried(&book, v4(9, 9, 9, 9, 1)));
    assert_eq!(book.take_changes().len(), 2, "they are written anew");
}

#[test]
fn a_sample_holds_only_addresses_that_lately_answered_or_were_not_tried() {
    let random = SeededRandom::new(1);
    let mut book = book(true);
    for last in 0..200 {
        book.learn(at(v4(127, 0, 0, last, 1)), source(last), NOW);
    }
    let all = book.len();
    assert!(all > 100, "{all}");
    book.failed(v4(127, 0, 0, 1, 1), Duration::ZERO, 0.5);
    let sample = book.sample(&random, 100, NOW);
    assert_eq!(sample.len(), 100);
    assert_eq!(book.sample(&random, 1_000, NOW).len(), all - 1);
}
