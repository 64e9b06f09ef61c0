//! Any sequence of events leaves the book as a naive model says, which knows of buckets only that they have room for so
//! many.

use proptest::prelude::*;

use super::*;

/// What may become of an address.
#[derive(Debug, Clone, Copy)]
enum Step {
    Learn { by: u8 },
    Connect,
    Fail,
    Forget,
    Part,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<(Step, SocketAddr)>> {
    let step = prop_oneof![
        4 => (0_u8..4).prop_map(|by| Step::Learn { by }),
        4 => Just(Step::Connect),
        3 => Just(Step::Fail),
        1 => Just(Step::Forget),
        1 => Just(Step::Part),
        1 => Just(Step::Restart),
    ];
    // Few groups and many hosts, so that buckets fill.
    let address = (0_u8..3, any::<u8>()).prop_map(|(group, host)| v4(30, group, 0, host, 1));
    prop::collection::vec((step, address), 0..600)
}

/// All that was told or met and not forgotten: the book may have less, for want of room, never more.
#[derive(Default)]
struct Naive {
    heard: BTreeSet<SocketAddr>,
    met: BTreeSet<SocketAddr>,
}

fn check(book: &Book, naive: &Naive) -> Result<(), TestCaseError> {
    let all: Vec<(SocketAddr, Table)> =
        book.groups.values().flatten().map(|(address, entry)| (*address, entry.table)).collect();
    prop_assert_eq!(book.len(), all.len());
    prop_assert!(book.groups.values().all(|entries| !entries.is_empty()));
    for table in [Table::New, Table::Tried] {
        let count = all.iter().filter(|(_, of)| *of == table).count();
        prop_assert_eq!(book.buckets.sizes(table).sum::<usize>(), count);
        let room = if table == Table::New { BOOK_BUCKET } else { BOOK_TRIED_BUCKET };
        prop_assert!(book.buckets.sizes(table).all(|size| size > 0 && size <= room));
    }
    for (address, table) in &all {
        prop_assert!(naive.heard.contains(address));
        let entry = book.entry(*address).unwrap();
        let mut members = book.buckets.members(*table, *address, entry.source);
        prop_assert!(members.any(|member| member == *address), "it is in its bucket");
        if *table == Table::Tried {
            prop_assert!(naive.met.contains(address), "only whom this node met is tried");
        }
    }
    prop_assert!(book.contested().all(|holder| tried(book, holder)));
    prop_assert!(book.contests.len() <= MAX_BOOK_CONTESTS);
    Ok(())
}

proptest! {
    #[test]
    fn the_book_agrees_with_a_naive_model(steps in steps()) {
        let (mut book, mut naive) = (book(true), Naive::default());
        let store = MemoryBookStore::default();
        let mut now = NOW;
        for (step, address) in steps {
            now = now.saturating_add(60_000_000);
            match step {
                Step::Learn { by } => {
                    let known = book.entry(address).is_some();
                    let seen = SeenAddress { address, last_seen: now };
                    let learned = book.learn(seen, source(by), now);
                    prop_assert_eq!(known, learned == Learned::Known);
                    prop_assert_eq!(book.entry(address).is_some(), learned != Learned::Refused);
                    naive.heard.insert(address);
                }
                Step::Connect => {
                    book.connected(address, now);
                    naive.heard.insert(address);
                    naive.met.insert(address);
                }
                Step::Fail => book.failed(address, Duration::ZERO, 0.5),
                Step::Forget => {
                    book.forget(address);
                    naive.heard.remove(&address);
                    naive.met.remove(&address);
                }
                Step::Part => book.parted(address, now, Duration::ZERO, Duration::ZERO, 0.5),
                Step::Restart => {
                    write(&mut book, &store);
                    let contents = |book: &Book| {
                        let all = book.groups.values().flatten();
                        all.map(|(address, entry)| (*address, entry.table)).collect::<Vec<_>>()
                    };
                    let before = contents(&book);
                    book = super::book(true);
                    prop_assert_eq!(book.restore(store.load(Shelf::Addresses).unwrap()), 0);
                    prop_assert_eq!(contents(&book), before, "a restart loses nobody");
                }
            }
            check(&book, &naive)?;
        }
    }
}
