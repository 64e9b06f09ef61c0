//! Headers ahead of their bodies.

use super::{grow, take};
use crate::{
    chain::{HeaderRejection, SessionId},
    testing::{TestChain, dev, mine, solve},
};

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
    assert_eq!(bodies.lowest(5).len(), 5);
    assert_eq!(target.chain.best_header(), source.chain.view().tip);
    loop {
        let missing = bodies.lowest(5);
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
