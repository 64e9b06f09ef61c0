//! Headers ahead of their bodies.

use std::num::NonZeroU64;

use farthing::Header;
use futures_util::FutureExt as _;

use super::{grow, take};
use crate::{
    chain::{HeaderRejection, PutOff, SessionId, Settings},
    testing::{TestChain, dev, mine, solve},
};

/// The headers of a chain of so many blocks on genesis.
async fn headers(blocks: usize) -> Vec<Header> {
    let source = TestChain::start();
    for _ in 0..blocks {
        grow(&source, 1).await;
    }
    source.chain.headers_after(Vec::new(), blocks).await.unwrap()
}

#[tokio::test]
async fn headers_name_the_bodies_to_fetch_and_bodies_in_order_connect() {
    let (source, target) = (TestChain::start(), TestChain::start());
    for _ in 0..12 {
        grow(&source, 1).await;
    }
    let locator = target.chain.locator().await.unwrap();
    let headers = source.chain.headers_after(locator, 2_000).await.unwrap();
    assert_eq!(headers.len(), 12);
    let taken = target.chain.accept_headers(headers, SessionId::new(1)).await.unwrap();
    assert_eq!(taken.last, source.chain.view().tip);
    let mut bodies = target.chain.missing_bodies(taken.last.id());
    assert_eq!(bodies.lowest(5).await.len(), 5);
    assert_eq!(target.chain.best_header(), source.chain.view().tip);
    loop {
        let missing = bodies.lowest(5).await;
        if missing.is_empty() {
            break;
        }
        for id in missing {
            take(&target, &source.chain.block(id).await.unwrap().unwrap()).await.unwrap();
        }
    }
    assert_eq!(target.chain.view().tip, source.chain.view().tip);
    assert_eq!(target.chain.newest_headers(3).await.unwrap(), source.chain.newest_headers(3).await.unwrap());
}

#[tokio::test]
async fn a_locator_finds_the_fork_from_any_height() {
    let (one, two) = (TestChain::start(), TestChain::start());
    for _ in 0..40 {
        let view = grow(&one, 1).await;
        take(&two, &one.chain.block(view.tip.id()).await.unwrap().unwrap()).await.unwrap();
    }
    for _ in 0..3 {
        grow(&one, 1).await;
        grow(&two, 2).await;
    }
    let headers = one.chain.headers_after(two.chain.locator().await.unwrap(), 100).await.unwrap();
    assert!(headers.len() >= 3 && headers.len() < 20, "{}", headers.len());
    let empty = TestChain::start();
    let locator = empty.chain.locator().await.unwrap();
    assert_eq!(one.chain.headers_after(locator, 100).await.unwrap().len(), 43);
}

/// CVE-2019-25220: work is checked before anything is kept.
#[tokio::test]
async fn a_header_without_work_is_refused_and_not_kept() {
    let test = TestChain::start();
    let mut block = mine(&dev(), &test.chain.view(), Vec::new(), 1);
    while block.header.has_work() {
        block.header.nonce += 1;
    }
    let rejection = test.chain.accept_headers(vec![block.header], SessionId::new(1)).await.unwrap_err();
    assert!(matches!(rejection, HeaderRejection::Invalid { at: 0, .. }), "{rejection}");
    assert_eq!(test.chain.header(block.id()).await.unwrap(), None);
    let orphan = solve(mine(&dev(), &test.chain.view(), Vec::new(), 1));
    let mut header = orphan.header;
    header.previous = block.id();
    let header = solve(farthing::Block { header, ..orphan }).header;
    let rejection = test.chain.accept_headers(vec![header], SessionId::new(1)).await.unwrap_err();
    assert!(matches!(rejection, HeaderRejection::Orphan { .. }), "{rejection}");
}

/// Whoever sends headers and hangs up at once would otherwise leave a node waiting for their bodies for ever.
#[tokio::test]
async fn headers_that_are_taken_after_their_session_ended_go_with_it() {
    let target = TestChain::start();
    let session = SessionId::new(1);
    // The writer does not run before this test waits for something.
    let accepted = target.chain.accept_headers(headers(30).await, session).now_or_never();
    assert!(accepted.is_none(), "they stand in line");
    target.chain.forget_headers_of(session).await;
    take(&target, dev().genesis()).await.unwrap();
    assert_eq!(target.chain.best_header(), target.chain.view().tip);
}

/// A hole in the tree would stop all sessions: nobody asks for what is below the best header.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_session_stands_on_stays_although_whoever_told_of_it_leaves_in_the_middle() {
    let headers = headers(120).await;
    let (lower, upper) = headers.split_at(60);
    for finality_depth in [None, NonZeroU64::new(5)] {
        let target = TestChain::with(Settings { finality_depth, ..Settings::default() });
        for round in 0..500 {
            let (one, two) = (SessionId::new(2 * round), SessionId::new(2 * round + 1));
            target.chain.accept_headers(lower.to_vec(), one).await.unwrap();
            let leaving = async {
                // The upper part is being taken.
                while target.chain.best_header().height().get() <= 60 {
                    tokio::task::yield_now().await;
                }
                target.chain.forget_headers_of(one).await;
            };
            let (accepted, ()) = tokio::join!(target.chain.accept_headers(upper.to_vec(), two), leaving);
            assert!(matches!(accepted, Ok(_) | Err(HeaderRejection::Orphan { .. })), "{accepted:?}");
            let best = target.chain.best_header();
            let lowest = target.chain.missing_bodies(best.id()).lowest(1).await;
            let lowest = match lowest.first() {
                Some(lowest) => target.chain.header(*lowest).await.unwrap().unwrap(),
                None => best,
            };
            assert!(target.chain.has_body(lowest.header().previous).await.unwrap() || lowest.height().get() == 0);
            target.chain.forget_headers_of(two).await;
            assert_eq!(target.chain.best_header(), target.chain.view().tip);
        }
    }
}

/// A node whose clock is behind follows, late by as much.
#[tokio::test]
async fn of_a_list_that_ends_ahead_of_the_clock_the_part_before_is_taken() {
    let target = TestChain::start();
    let mut headers = headers(4).await;
    headers[3].time = target.now().saturating_add(61_000);
    headers[3] = solve(farthing::Block { header: headers[3], ..dev().genesis().clone() }).header;
    for (list, known) in [(&headers[..], 2), (&headers[3..], 2), (&headers[2..], 2)] {
        let taken = target.chain.accept_headers(list.to_vec(), SessionId::new(1)).await.unwrap();
        assert_eq!(taken.last.id(), headers[known].id());
        assert!(matches!(taken.put_off, Some(PutOff::AheadOfClock(_))), "{:?}", taken.put_off);
    }
    assert_eq!(target.chain.missing_bodies(headers[2].id()).lowest(9).await.len(), 3);
    target.clock.advance(std::time::Duration::from_secs(2));
    let taken = target.chain.accept_headers(headers.clone(), SessionId::new(1)).await.unwrap();
    assert_eq!((taken.last.id(), taken.put_off), (headers[3].id(), None));
}

#[tokio::test]
async fn what_is_missing_is_counted_by_bodies_for_another_branch_may_be_no_higher() {
    let target = TestChain::start();
    for _ in 0..30 {
        grow(&target, 2).await;
    }
    assert_eq!(target.chain.missing_up_to(24), 0);
    target.chain.accept_headers(headers(31).await, SessionId::new(1)).await.unwrap();
    assert_eq!(target.chain.best_header().height(), target.chain.view().tip.height().next());
    assert_eq!((target.chain.missing_up_to(24), target.chain.missing_up_to(100)), (24, 31));
}
