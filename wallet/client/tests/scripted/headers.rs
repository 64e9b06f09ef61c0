//! Headers, checked one against the other, up to their true end.

use farthing::{
    Height,
    codec::Canonical as _,
    wire::{ChainPoint, v1},
};
use farthing_client::{Error, Headers, HeadersFrom, verify::VerifyError};
use tonic::Code;

use crate::{
    node::{Node, builder, chain, client, point},
    queries::why,
};

/// The messages of one stream of headers, and how it breaks if it does.
pub(crate) type HeaderParts = Vec<Result<v1::GetHeadersResponse, (Code, &'static str)>>;

fn tip(of: &[farthing::Block]) -> ChainPoint {
    point(of.len() as u64 - 1, 20)
}

/// A message with the headers of a chain from one height to below another.
fn message(of: &[farthing::Block], from: usize, to: usize) -> v1::GetHeadersResponse {
    let headers_bytes = of[from..to].iter().map(|block| block.header.to_canonical().into()).collect();
    let run = v1::HeaderRun { headers_bytes, first_height: from as u64 };
    let event = Some(v1::get_headers_response::Event::Headers(run));
    v1::GetHeadersResponse { event, tip: Some((&tip(of)).into()) }
}

#[tokio::test]
async fn headers_go_on_behind_the_last_one_on_another_node_when_the_line_breaks() {
    let (first, second) = (Node::start().await, Node::start().await);
    let ours = chain(9, 9, 0);
    first.state().headers.extend([vec![Ok(message(&ours, 2, 4)), Err((Code::Unavailable, "STOPPING"))]]);
    second.state().headers.extend([vec![Ok(message(&ours, 4, 6)), Ok(message(&ours, 6, 9))]]);
    let mut headers = client([&first, &second]).headers(HeadersFrom::Height(Height::new(2)), None);
    let mut heights = Vec::new();
    while let Some(batch) = headers.next().await.unwrap() {
        let expected = ours[usize::try_from(batch.first.get()).unwrap()..].iter().map(farthing::Block::id);
        assert!(batch.headers.iter().map(|(id, _)| *id).eq(expected.take(batch.headers.len())));
        heights.push((batch.first.get(), batch.headers.len()));
    }
    assert_eq!(heights, [(2, 2), (4, 2), (6, 3)]);
    let start = second.state().headers_asked.pop().unwrap().start;
    let id = ours[3].id().to_bytes().to_vec().into();
    assert_eq!(start, Some(v1::get_headers_request::Start::AfterBlockId(id)));
}

#[tokio::test]
async fn headers_that_are_not_one_chain_or_have_no_work_are_not_believed() {
    let (ours, theirs) = (chain(6, 6, 0), chain(6, 2, 7));
    let mut mixed = ours.clone();
    mixed[4] = theirs[4].clone();
    let mut lazy = ours.clone();
    while lazy[3].header.has_work() {
        lazy[3].header.nonce += 1;
    }
    type Expected = fn(&VerifyError) -> bool;
    let cases: [(Vec<v1::GetHeadersResponse>, Expected); 4] = [
        (vec![message(&mixed, 2, 6)], |error| matches!(error, VerifyError::Parent { .. })),
        // Also across messages.
        (vec![message(&ours, 2, 4), message(&mixed, 4, 5)], |error| matches!(error, VerifyError::Parent { .. })),
        (vec![message(&ours, 3, 5)], |error| matches!(error, VerifyError::BlockHeight { .. })),
        (vec![message(&lazy, 2, 4)], |error| matches!(error, VerifyError::NoWork(_))),
    ];
    for (at, (messages, expected)) in cases.into_iter().enumerate() {
        let node = Node::start().await;
        node.state().headers.push_back(messages.into_iter().map(Ok).collect());
        let once = builder([&node]).retry(farthing_client::RetryPolicy::never()).build().unwrap();
        let mut headers = once.headers(HeadersFrom::Height(Height::new(2)), None);
        let error = loop {
            match headers.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("case {at} was believed"),
                Err(error) => break why(error),
            }
        };
        assert!(expected(&error), "case {at}: {error}");
    }
}

/// Heights of the first of each batch, and how many there are, up to the end.
async fn all(headers: &mut Headers) -> Result<Vec<(u64, usize)>, Error> {
    let mut batches = Vec::new();
    while let Some(batch) = headers.next().await? {
        batches.push((batch.first.get(), batch.headers.len()));
    }
    Ok(batches)
}

#[tokio::test]
async fn a_stream_that_ends_early_is_not_taken_for_the_end() {
    let ours = chain(9, 9, 0);
    let from = HeadersFrom::Height(Height::new(2));
    let progress = v1::GetHeadersResponse {
        event: Some(v1::get_headers_response::Event::Progress(v1::Progress {})),
        tip: Some((&tip(&ours)).into()),
    };
    let node = Node::start().await;
    node.state().tip = Some(tip(&ours));
    // Behind some headers, behind a sign of life, without a word, and at last at the end.
    node.state().headers.extend([
        vec![Ok(message(&ours, 2, 5))],
        vec![Ok(progress)],
        vec![],
        vec![Ok(message(&ours, 5, 7)), Ok(message(&ours, 7, 9))],
    ]);
    assert_eq!(all(&mut client([&node]).headers(from, None)).await.unwrap(), [(2, 3), (5, 2), (7, 2)]);
    assert_eq!(node.state().headers_asked.len(), 4);
    // A height to stop at is an end too, and one above the tip is none.
    for (stop, expected) in [(6, vec![(2, 3), (5, 2)]), (99, vec![(2, 3), (5, 4)])] {
        let node = Node::start().await;
        let end = usize::try_from(stop + 1).unwrap().min(9);
        node.state().headers.extend([vec![Ok(message(&ours, 2, 5))], vec![Ok(message(&ours, 5, end))]]);
        let mut headers = client([&node]).headers(from, Some(Height::new(stop)));
        assert_eq!(all(&mut headers).await.unwrap(), expected, "up to {stop}");
    }
}

#[tokio::test]
async fn nothing_behind_the_tip_is_the_end_and_nothing_at_all_of_a_node_that_has_more_is_an_error() {
    let ours = chain(9, 9, 0);
    let node = Node::start().await;
    node.state().tip = Some(tip(&ours));
    let behind = |at: usize| HeadersFrom::After(Height::new(at as u64), ours[at].id());
    assert_eq!(all(&mut client([&node]).headers(behind(8), None)).await.unwrap(), []);
    assert_eq!(node.state().headers_asked.len(), 1);
    let error = all(&mut client([&node]).headers(behind(7), None)).await.unwrap_err();
    assert!(matches!(&error, Error::Interrupted { code: Code::Ok, .. }), "{error:?}");
}

#[tokio::test]
async fn a_node_that_takes_over_and_lacks_the_last_header_is_passed_over() {
    let ours = chain(9, 9, 0);
    let (first, lagging, last) = (Node::start().await, Node::start().await, Node::start().await);
    first.state().headers.extend([vec![Ok(message(&ours, 2, 5)), Err((Code::Unavailable, "STOPPING"))]]);
    lagging.state().will("headers", [crate::node::Deed::Refuse(Code::NotFound, "CURSOR_UNKNOWN", None)]);
    last.state().headers.extend([vec![Ok(message(&ours, 5, 9))]]);
    let from = HeadersFrom::Height(Height::new(2));
    let mut headers = client([&first, &lagging, &last]).headers(from, None);
    assert_eq!(all(&mut headers).await.unwrap(), [(2, 3), (5, 4)]);
    // One that was asked to begin there says what it says.
    let alone = Node::start().await;
    alone.state().will("headers", [crate::node::Deed::Refuse(Code::NotFound, "CURSOR_UNKNOWN", None)]);
    let from = HeadersFrom::After(Height::new(4), ours[4].id());
    let error = all(&mut client([&alone]).headers(from, None)).await.unwrap_err();
    assert!(error.is_refused_for("CURSOR_UNKNOWN"), "{error:?}");
    assert_eq!(alone.state().calls("headers"), 1);
}
