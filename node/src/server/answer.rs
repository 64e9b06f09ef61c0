//! An answer on its way: it holds its call's place, and each piece of it is watched until it was really sent.
//!
//! HTTP/2 takes a message as soon as the client's window has one byte of room, and then keeps the rest: that a body is
//! used up does not mean that anything was sent. What was sent is dropped, though, so each piece knows by its own end.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{future::BoxFuture, task::AtomicWaker};
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use super::{
    delivery::{Delivery, WaitingPiece},
    line::{CallOrigin, Sending, SessionMark},
    meters::Entered,
    slots::Slot,
};

/// Largest piece, one frame of HTTP/2: however large a message is, a slow client only has to take this much within the
/// stall time.
const PIECE_BYTES: usize = 16 * 1024;
/// Most pieces of one answer that wait to be sent. What waits leaves as fast as the socket takes it, so that more would make
/// nothing quicker: it would only be kept for clients that do not read, 400 KiB for each of their streams.
const PIECES_AHEAD: usize = 4;

/// The place that a call takes, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _own: Option<OwnedSemaphorePermit>,
    _shared: Option<Slot>,
    /// Counts it among the calls of its method.
    _entered: Option<Entered>,
}

impl Place {
    /// One of the connection's own.
    pub(super) const fn own(place: OwnedSemaphorePermit, entered: Option<Entered>) -> Self {
        Self { _own: Some(place), _shared: None, _entered: entered }
    }

    /// One of those that all connections share.
    pub(super) const fn shared(slot: Slot, entered: Option<Entered>) -> Self {
        Self { _own: None, _shared: Some(slot), _entered: entered }
    }
}

/// What an answer holds until it has been sent. In the extensions of a response, on its way to [`SendingLayer`].
#[derive(Clone, Debug)]
pub(super) struct Held {
    _until_sent: Arc<(Place, Option<SessionMark>)>,
    origin: Option<CallOrigin>,
    /// Of a stream that wants to know how far it was taken.
    delivery: Option<Delivery>,
}

impl Held {
    pub(super) fn new(
        place: Place,
        origin: Option<CallOrigin>,
        session: Option<SessionMark>,
        delivery: Option<Delivery>,
    ) -> Self {
        Self { _until_sent: Arc::new((place, session)), origin, delivery }
    }
}

/// Wraps the bodies of answers once they are as they go out: pieces that another layer makes new are watched too.
#[derive(Clone, Copy, Debug)]
pub(super) struct SendingLayer;

impl<S> Layer<S> for SendingLayer {
    type Service = SendingService<S>;

    fn layer(&self, inner: S) -> SendingService<S> {
        SendingService(inner)
    }
}

/// A service whose answers hold their places until they have been sent.
#[derive(Clone, Debug)]
pub(super) struct SendingService<S>(S);

impl<S> Service<Request<Body>> for SendingService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            Ok(match answer.extensions_mut().remove::<Held>() {
                Some(held) => answer.map(|body| Body::new(CountedBody::new(body, held))),
                None => answer,
            })
        })
    }
}

/// A response body that holds its call's place until it has been sent.
#[derive(Debug)]
pub(super) struct CountedBody {
    body: Body,
    /// What is left of the frame that is being handed out.
    rest: Bytes,
    ahead: Arc<Ahead>,
    held: Held,
}

impl CountedBody {
    fn new(body: Body, held: Held) -> Self {
        Self { body, rest: Bytes::new(), ahead: Arc::default(), held }
    }

    fn next_piece(&mut self) -> Frame<Bytes> {
        let bytes = self.rest.split_to(self.rest.len().min(PIECE_BYTES));
        let sending = self.held.origin.as_ref().map(CallOrigin::sending);
        let waiting = self.held.delivery.as_ref().map(Delivery::piece);
        let (held, ahead) = (self.held.clone(), Ahead::one_more(&self.ahead));
        let piece = Piece { bytes, _held: held, _ahead: ahead, _sending: sending, _waiting: waiting };
        Frame::data(Bytes::from_owner(piece))
    }
}

/// How many pieces of an answer wait to be sent.
#[derive(Debug, Default)]
struct Ahead {
    pieces: AtomicUsize,
    /// Wakes the body when one was sent.
    sent: AtomicWaker,
}

impl Ahead {
    /// Until there is room for another one.
    fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        // First, so that a piece that is sent between the two is not missed.
        self.sent.register(cx.waker());
        if self.pieces.load(Ordering::Acquire) < PIECES_AHEAD { Poll::Ready(()) } else { Poll::Pending }
    }

    fn one_more(this: &Arc<Self>) -> OneAhead {
        this.pieces.fetch_add(1, Ordering::AcqRel);
        OneAhead(Arc::clone(this))
    }
}

/// A piece among those.
struct OneAhead(Arc<Ahead>);

impl Drop for OneAhead {
    fn drop(&mut self) {
        self.0.pieces.fetch_sub(1, Ordering::AcqRel);
        self.0.sent.wake();
    }
}

/// Bytes that wait to be sent.
struct Piece {
    bytes: Bytes,
    _held: Held,
    _ahead: OneAhead,
    _sending: Option<Sending>,
    _waiting: Option<WaitingPiece>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        ready!(this.ahead.poll_room(cx));
        if this.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) if data.is_empty() => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(data) => this.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        Poll::Ready(Some(Ok(this.next_piece())))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.rest.is_empty() { self.body.size_hint() } else { SizeHint::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, net::SocketAddr};

    use tonic::transport::server::TcpConnectInfo;

    use super::*;
    use crate::server::{
        MethodTable, ServerSettings,
        line::Line,
        slots::{Share, Slots},
    };

    /// A body of one large frame.
    struct Once(Option<Bytes>);

    impl HttpBody for Once {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    /// Polls a body by hand, and sees whether it was woken.
    struct ByHand<'a> {
        body: &'a mut CountedBody,
        woken: Arc<Woken>,
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl ByHand<'_> {
        fn poll(&mut self) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            let waker = Arc::clone(&self.woken).into();
            Pin::new(&mut *self.body).poll_frame(&mut Context::from_waker(&waker))
        }

        fn was_woken(&self) -> bool {
            self.woken.0.load(Ordering::Relaxed) > 0
        }
    }

    /// A body that never ends.
    struct Endless;

    impl HttpBody for Endless {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[7; 40_000])))))
        }
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_four_pieces_and_another_for_each_that_it_takes() {
        let peer: SocketAddr = "192.0.2.1:9".parse().unwrap();
        let slots = Slots::new(Share { total: 1, per_prefix: 1 }, false);
        let place = Place::shared(slots.take(peer.ip()).unwrap(), None);
        let mut body = CountedBody::new(Body::new(Endless), Held::new(place, None, None, None));
        let mut unsent = std::collections::VecDeque::new();
        for turn in 0..20 {
            let mut next = ByHand { body: &mut body, woken: Arc::default() };
            while unsent.len() <= PIECES_AHEAD
                && let Poll::Ready(frame) = next.poll()
            {
                unsent.push_back(frame.unwrap().unwrap().into_data().unwrap());
            }
            assert_eq!((unsent.len(), next.was_woken()), (PIECES_AHEAD, false), "turn {turn}");
            drop(unsent.pop_front());
            assert!(next.was_woken(), "turn {turn}");
        }
    }

    #[tokio::test]
    async fn a_large_message_leaves_in_pieces_and_its_place_is_free_when_the_last_was_sent() {
        let message: Vec<u8> = (0..40_000_u32).map(|at| at.to_le_bytes()[0]).collect();
        let peer: SocketAddr = "192.0.2.1:9".parse().unwrap();
        let line = Arc::new(Line::new(&ServerSettings::public(MethodTable::new()), peer));
        let tcp = TcpConnectInfo { local_addr: None, remote_addr: Some(peer) };
        let slots = Slots::new(Share { total: 1, per_prefix: 1 }, false);
        let place = Place::shared(slots.take(peer.ip()).unwrap(), None);
        let origin = CallOrigin::new(tcp, Arc::clone(&line));
        let body = Body::new(Once(Some(message.clone().into())));
        let mut body = CountedBody::new(body, Held::new(place, Some(origin), None, None));
        let mut unsent = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            unsent.push(frame.unwrap().into_data().unwrap());
        }
        let lengths: Vec<usize> = unsent.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [16_384, 16_384, 7_232]);
        assert_eq!(unsent.concat(), message);
        drop(body);
        while let Some(piece) = unsent.pop() {
            assert!(line.cut_at().is_some(), "what waits is seen");
            slots.take(peer.ip()).unwrap_err();
            drop(piece);
        }
        assert!(line.cut_at().is_none());
        slots.take(peer.ip()).unwrap();
    }
}
