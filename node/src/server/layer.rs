//! The layer that holds every call to the policy of its method.
//!
//! tonic has deadlines per server and sizes per service only, so this looks at the path. A refusal is a gRPC status,
//! never a reset, so that a client knows what to do.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::timeout;
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use super::{
    answer::{Held, Place},
    delivery::Delivery,
    line::CallOrigin,
    meters::CallMeter,
    methods::{MethodPolicy, MethodTable, Row},
    refusal::{exceeded, late, shed, too_large},
    slots::Slots,
    unsent::{BoundedAnswer, Unsent},
};

/// A gRPC message is preceded by a compression flag and its length, big-endian.
const PREFIX_BYTES: usize = 5;

/// Applies a [`MethodTable`] to every call of a listener.
#[derive(Clone, Debug)]
pub(crate) struct PolicyLayer {
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct Gate {
    methods: MethodTable,
    /// Calls that answer at once.
    short: Slots,
    /// Waits and streams, which would otherwise crowd out the short ones.
    long: Slots,
    /// Bytes of large answers that are not sent yet, where they are limited.
    unsent: Option<Slots>,
    subscriber_stall: Duration,
}

impl PolicyLayer {
    pub(crate) fn new(
        methods: MethodTable,
        (short, long): (Slots, Slots),
        unsent: Option<Slots>,
        subscriber_stall: Duration,
    ) -> Self {
        Self { gate: Arc::new(Gate { methods, short, long, unsent, subscriber_stall }) }
    }
}

impl<S> Layer<S> for PolicyLayer {
    type Service = PolicyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        PolicyService { gate: Arc::clone(&self.gate), inner }
    }
}

/// A service whose calls are held to their policies.
#[derive(Clone, Debug)]
pub(crate) struct PolicyService<S> {
    gate: Arc<Gate>,
    inner: S,
}

impl<S> Service<Request<Body>> for PolicyService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let origin = request.extensions().get::<CallOrigin>().cloned();
        if let Some(origin) = &origin {
            request.extensions_mut().insert(origin.tcp());
            if let Some(leave_by) = origin.leave_by() {
                request.extensions_mut().insert(leave_by);
            }
        }
        let (Row { policy, .. }, place, meter) = match self.gate.admit(request.uri().path(), origin.as_ref()) {
            Ok(admitted) => admitted,
            Err(status) => return Box::pin(async move { Ok(status.into_http()) }),
        };
        if let Some(meter) = meter {
            request.extensions_mut().insert(meter);
        }
        let delivery = policy.long.then(|| Delivery::new(self.gate.subscriber_stall));
        if let Some(delivery) = &delivery {
            request.extensions_mut().insert(delivery.clone());
        }
        let unsent = self.gate.unsent(&policy, origin.as_ref());
        let request = request.map(|body| Body::new(BoundedBody::new(body, &policy)));
        // The service that was polled ready is the one to call; its clone waits for the next request.
        let next = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let response = ready.call(request);
            let mut response = match policy.deadline {
                None => response.await?,
                Some(deadline) => match timeout(deadline, response).await {
                    Ok(response) => response?,
                    Err(_) => return Ok(late(deadline).into_http()),
                },
            };
            // A refusal stands in the headers; it begins no session.
            let begun = policy.session && !response.headers().contains_key("grpc-status");
            let session = origin.as_ref().filter(|_| begun).map(CallOrigin::session);
            if let Some(unsent) = unsent {
                response = response.map(|body| Body::new(BoundedAnswer::new(body, unsent)));
            }
            response.extensions_mut().insert(Held::new(place, origin, session, delivery));
            Ok(response)
        })
    }
}

impl Gate {
    /// Lets a call in, or says why not. Before anything of its request is read.
    fn admit(&self, path: &str, origin: Option<&CallOrigin>) -> Result<(Row, Place, Option<CallMeter>), Status> {
        let row = self.methods.row(path).ok_or_else(|| Status::unimplemented("unknown method"))?;
        let meters = origin.and_then(CallOrigin::meters);
        let entered = meters.map(|meters| meters.enter(row)).transpose().map_err(|excess| exceeded(path, excess))?;
        let meter = meters.map(|meters| CallMeter::new(meters, row));
        if let Some(own) = origin.and_then(|origin| origin.own_place(row.policy.long)) {
            return Ok((*row, Place::own(own, entered), meter));
        }
        let ip = ip_of(origin);
        let slots = if row.policy.long { &self.long } else { &self.short };
        Ok((
            *row,
            Place::shared(slots.take(ip).map_err(|refusal| shed("calls at the same time", refusal))?, entered),
            meter,
        ))
    }
}

impl Gate {
    /// What a call may leave unsent. Streams make one message at a time, and who takes none is let go of.
    fn unsent(&self, policy: &MethodPolicy, origin: Option<&CallOrigin>) -> Option<Unsent> {
        let shared = self.unsent.clone().filter(|_| !policy.long)?;
        Some(Unsent { own: origin.map(CallOrigin::own_answers), shared, ip: ip_of(origin) })
    }
}

fn ip_of(origin: Option<&CallOrigin>) -> IpAddr {
    origin.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), CallOrigin::ip)
}

/// A request body whose messages are refused by their announced length, before they are buffered.
struct BoundedBody {
    body: Body,
    limit: usize,
    many: bool,
    messages: usize,
    prefix: [u8; PREFIX_BYTES],
    prefix_len: usize,
    /// Bytes of the current message that are still to come.
    rest: u64,
}

impl BoundedBody {
    fn new(body: Body, policy: &MethodPolicy) -> Self {
        let (limit, many) = (policy.max_message, policy.many_requests);
        Self { body, limit, many, messages: 0, prefix: [0; PREFIX_BYTES], prefix_len: 0, rest: 0 }
    }

    fn check(&mut self, mut data: &[u8]) -> Result<(), Status> {
        while !data.is_empty() {
            if self.rest > 0 {
                let taken = usize::try_from(self.rest).unwrap_or(usize::MAX).min(data.len());
                self.rest -= taken as u64;
                data = &data[taken..];
                continue;
            }
            let taken = (PREFIX_BYTES - self.prefix_len).min(data.len());
            self.prefix[self.prefix_len..self.prefix_len + taken].copy_from_slice(&data[..taken]);
            self.prefix_len += taken;
            data = &data[taken..];
            if self.prefix_len == PREFIX_BYTES {
                self.begin_message()?;
            }
        }
        Ok(())
    }

    fn begin_message(&mut self) -> Result<(), Status> {
        let [_, length @ ..] = self.prefix;
        let size = u64::from(u32::from_be_bytes(length));
        if size > self.limit as u64 {
            return Err(too_large(size, self.limit));
        }
        self.messages += 1;
        if self.messages > 1 && !self.many {
            return Err(Status::invalid_argument("one request message expected, more were sent"));
        }
        self.prefix_len = 0;
        self.rest = size;
        Ok(())
    }
}

impl HttpBody for BoundedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
            && let Err(status) = self.check(data)
        {
            return Poll::Ready(Some(Err(status)));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::server::methods::calls;

    fn bounded(policy: MethodPolicy) -> BoundedBody {
        BoundedBody::new(Body::empty(), &policy)
    }

    fn message(size: u32) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.resize(PREFIX_BYTES + size as usize, 7);
        bytes
    }

    #[test]
    fn a_message_of_the_limit_passes_in_any_pieces() {
        for piece in [1, 3, 5, 6, 100] {
            let mut body = bounded(MethodPolicy::unary(16, calls(1, 1, 1)));
            for data in message(16).chunks(piece) {
                body.check(data).unwrap();
            }
            assert_eq!((body.rest, body.messages), (0, 1));
        }
    }

    #[test]
    fn a_larger_message_is_refused_by_its_announced_length_alone() {
        let mut body = bounded(MethodPolicy::unary(16, calls(1, 1, 1)));
        let status = body.check(&message(17)[..PREFIX_BYTES]).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.get_details_error_info().unwrap().reason, "REQUEST_TOO_LARGE");
    }

    #[test]
    fn only_a_client_stream_may_send_several_messages_and_each_is_bounded() {
        let two = [message(4), message(4)].concat();
        assert_eq!(
            bounded(MethodPolicy::unary(16, calls(1, 1, 1))).check(&two).unwrap_err().code(),
            Code::InvalidArgument
        );
        let mut stream = bounded(MethodPolicy::client_stream(16, calls(1, 1, 1)));
        stream.check(&two).unwrap();
        stream.check(&message(0)).unwrap();
        stream.check(&message(17)).unwrap_err();
    }
}
