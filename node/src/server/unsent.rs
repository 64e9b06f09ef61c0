//! Large answers that their clients have not taken yet: how many bytes of them a listener keeps in memory.
//!
//! An answer is written out whole before anything of it is sent, and a client decides how fast it takes it. So what all of
//! them may leave here is bounded. Beyond that an answer is dropped and its call refused, as where there is no place for a
//! call: whoever takes what it asks for hardly notices. One large answer of each connection is always kept.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Status, body::Body};

use super::{
    refusal::shed,
    slots::{Slot, SlotRefusal, Slots},
};

/// Smaller answers are not counted: each call has one at most, and calls are.
const LARGE: usize = 64 * 1024;

/// What one call may leave unsent.
#[derive(Debug)]
pub(super) struct Unsent {
    /// Large answers that the connection always has room for.
    pub(super) own: Option<Arc<Semaphore>>,
    /// Bytes that all connections share.
    pub(super) shared: Slots,
    pub(super) ip: IpAddr,
}

impl Unsent {
    fn hold(&self, bytes: usize) -> Result<Room, SlotRefusal> {
        if let Some(own) = self.own.as_ref().and_then(|own| Arc::clone(own).try_acquire_owned().ok()) {
            return Ok(Room { _own: Some(own), _shared: None });
        }
        Ok(Room { _own: None, _shared: Some(self.shared.take_many(self.ip, bytes)?) })
    }
}

/// Room for an answer, given back when dropped.
struct Room {
    _own: Option<OwnedSemaphorePermit>,
    _shared: Option<Slot>,
}

/// Bytes of an answer that have room until the last of them was sent.
struct Kept {
    bytes: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// An answer that is refused where there is no room for it.
pub(super) struct BoundedAnswer {
    body: Body,
    unsent: Unsent,
    is_refused: bool,
}

impl BoundedAnswer {
    pub(super) const fn new(body: Body, unsent: Unsent) -> Self {
        Self { body, unsent, is_refused: false }
    }

    fn keep(&mut self, bytes: Bytes) -> Result<Frame<Bytes>, Status> {
        match self.unsent.hold(bytes.len()) {
            Ok(room) => Ok(Frame::data(Bytes::from_owner(Kept { bytes, _room: room }))),
            Err(refusal) => {
                self.is_refused = true;
                let mut trailers = HeaderMap::new();
                shed("large answers that wait to be taken", refusal).add_header(&mut trailers)?;
                Ok(Frame::trailers(trailers))
            }
        }
    }
}

impl HttpBody for BoundedAnswer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_refused {
            return Poll::Ready(None);
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            end => return Poll::Ready(end),
        };
        Poll::Ready(Some(match frame.into_data() {
            Ok(data) if data.len() > LARGE => self.keep(data),
            Ok(data) => Ok(Frame::data(data)),
            Err(other) => Ok(other),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.is_refused || self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::server::slots::Share;

    const PEER: [u8; 4] = [192, 0, 2, 1];

    /// A body of one frame.
    struct Once(Option<Bytes>);

    impl HttpBody for Once {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    fn answer(own: &Arc<Semaphore>, shared: &Slots, bytes: usize) -> BoundedAnswer {
        let body = Body::new(Once(Some(Bytes::from(vec![7; bytes]))));
        let unsent = Unsent { own: Some(Arc::clone(own)), shared: shared.clone(), ip: PEER.into() };
        BoundedAnswer::new(body, unsent)
    }

    /// The first frame; then the answer is dropped, as its bytes are not.
    async fn first(mut answer: BoundedAnswer) -> Result<Bytes, HeaderMap> {
        let frame = poll_fn(|cx| Pin::new(&mut answer).poll_frame(cx)).await.unwrap().unwrap();
        frame.into_data().map_err(|other| other.into_trailers().unwrap())
    }

    #[tokio::test]
    async fn what_is_not_taken_is_bounded_and_each_connection_keeps_one_answer_of_its_own() {
        let size = LARGE + 1;
        let shared = Slots::new(Share { total: 10 * size, per_prefix: 2 * size }, false);
        let own = Arc::new(Semaphore::new(1));
        let mut kept = Vec::new();
        for _ in 0..3 {
            kept.push(first(answer(&own, &shared, size)).await.unwrap());
        }
        let refused = first(answer(&own, &shared, size)).await.unwrap_err();
        let status = Status::from_header_map(&refused).unwrap();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        let small = first(answer(&own, &shared, LARGE)).await.unwrap();
        assert_eq!(small.len(), LARGE);
        // A part of one that is still there keeps all of it.
        let mut last = kept.pop().unwrap();
        let rest = last.split_off(size - 1);
        drop(last);
        first(answer(&own, &shared, size)).await.unwrap_err();
        drop(rest);
        let again = first(answer(&own, &shared, size)).await.unwrap();
        // Another connection of the same network has its own.
        let other = Arc::new(Semaphore::new(1));
        first(answer(&other, &shared, size)).await.unwrap();
        drop((kept, again));
        assert_eq!(own.available_permits(), 1);
        shared.take_many(PEER.into(), 2 * size).unwrap();
    }
}
