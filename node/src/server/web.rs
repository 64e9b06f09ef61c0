//! Browsers: gRPC-Web instead of gRPC, over HTTP/1.1 too, from the pages that the operator names.
//!
//! They come in like all others: what is not gRPC-Web or asks for leave to be is refused here, the rest goes on as gRPC to
//! the policies of the methods. A page that is not named is refused, not only left without the headers that would let it
//! read the answer.

use std::{
    convert::Infallible,
    str::FromStr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::{BoxFuture, Either, Ready, ready};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_TYPE, ORIGIN, RETRY_AFTER},
};
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service, layer::util::Stack};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::{line::CallOrigin, methods::MethodTable};

/// How long a browser may remember that it has leave.
const LEAVE_FOR: Duration = Duration::from_secs(2 * 60 * 60);
/// What clients of gRPC-Web send beside what every request has.
const SENT: [HeaderName; 4] = [
    CONTENT_TYPE,
    HeaderName::from_static("x-grpc-web"),
    HeaderName::from_static("x-user-agent"),
    HeaderName::from_static("grpc-timeout"),
];
/// Where an answer without a message has its status.
const READ: [HeaderName; 3] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
];

/// Which pages browsers may call from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSettings {
    /// Their origins; at least one.
    pub origins: Vec<Origin>,
}

impl WebSettings {
    fn takes(&self, found: &HeaderValue) -> bool {
        self.origins.iter().any(|origin| match origin {
            Origin::Any => true,
            Origin::Only(named) => named == found,
        })
    }
}

/// Where pages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Anywhere: any page that a person on this machine or network opens may call.
    Any,
    /// A scheme, a host and a port, as browsers write them.
    Only(HeaderValue),
}

/// A text that is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "* or SCHEME://HOST[:PORT] in small letters, without a path and a default port, such as https://wallet.example"
)]
pub struct NoOrigin;

impl FromStr for Origin {
    type Err = NoOrigin;

    /// Exact: browsers compare bytes, and an origin that no browser sends would lock its pages out without a word.
    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (scheme, rest) = text.split_once("://").ok_or(NoOrigin)?;
        let default_port = match scheme {
            "https" => ":443",
            "http" => ":80",
            _ => return Err(NoOrigin),
        };
        let authority: http::uri::Authority = rest.parse().map_err(|_| NoOrigin)?;
        let is_exact = authority.as_str() == rest
            && !rest.contains('@')
            && !rest.ends_with(default_port)
            && !rest.ends_with(':')
            && !rest.bytes().any(|byte| byte.is_ascii_uppercase());
        let value = is_exact.then(|| HeaderValue::from_str(text).ok()).flatten();
        value.map(Self::Only).ok_or(NoOrigin)
    }
}

/// Everything that a browser's call passes before it is like any other.
pub(super) type WebLayer = Stack<GrpcWebLayer, Stack<CorsLayer, GateLayer>>;

/// The layer for these pages and methods.
pub(super) fn web_layer(settings: &WebSettings, methods: &MethodTable) -> WebLayer {
    let named = |origin: &Origin| match origin {
        Origin::Any => None,
        Origin::Only(value) => Some(value.clone()),
    };
    let origins: Option<Vec<HeaderValue>> = settings.origins.iter().map(named).collect();
    let cors = CorsLayer::new()
        .allow_origin(origins.map_or_else(AllowOrigin::any, AllowOrigin::list))
        .allow_methods([Method::POST])
        .allow_headers(SENT)
        .expose_headers(READ)
        .max_age(LEAVE_FOR);
    let gate = GateLayer(Arc::new(Gate { settings: settings.clone(), methods: methods.clone() }));
    Stack::new(GrpcWebLayer::new(), Stack::new(cors, gate))
}

/// Refuses what is neither gRPC nor gRPC-Web, and pages that are not named.
#[derive(Clone, Debug)]
pub(super) struct GateLayer(Arc<Gate>);

#[derive(Debug)]
struct Gate {
    settings: WebSettings,
    methods: MethodTable,
}

impl<S> Layer<S> for GateLayer {
    type Service = GateService<S>;

    fn layer(&self, inner: S) -> GateService<S> {
        GateService { gate: Arc::clone(&self.0), inner }
    }
}

/// A service behind the gate.
#[derive(Clone, Debug)]
pub(super) struct GateService<S> {
    gate: Arc<Gate>,
    inner: S,
}

impl<S> Service<Request<Body>> for GateService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future =
        Either<Ready<Result<Response<Body>, Infallible>>, BoxFuture<'static, Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.gate.check(&request) {
            Ok(()) => Either::Right(Box::pin(self.inner.call(request))),
            Err(refusal) => Either::Left(ready(Ok(refusal.answer(request.version())))),
        }
    }
}

impl Gate {
    fn check(&self, request: &Request<Body>) -> Result<(), Refusal> {
        if request.headers().get(ORIGIN).is_some_and(|origin| !self.settings.takes(origin)) {
            return Err(Refusal::Origin);
        }
        if request.method() == Method::OPTIONS {
            return self.take_preflight(request);
        }
        let is_web = request.method() == Method::POST && is_grpc_web(request.headers());
        // Over HTTP/2 it may be gRPC, which is looked at behind this.
        if is_web || request.version() == Version::HTTP_2 { Ok(()) } else { Err(Refusal::NotGrpcWeb) }
    }

    /// Whoever asks for leave to call a method uses up what its calls may, as if it called.
    fn take_preflight(&self, request: &Request<Body>) -> Result<(), Refusal> {
        let row = self.methods.row(request.uri().path()).ok_or(Refusal::NoMethod)?;
        let meters = request.extensions().get::<CallOrigin>().and_then(CallOrigin::meters);
        match meters.map(|meters| meters.enter(row)) {
            Some(Err(excess)) => Err(Refusal::TooOften(excess.wait())),
            _ => Ok(()),
        }
    }
}

/// The exact names that are translated; what else begins so is refused over HTTP/1.1.
fn is_grpc_web(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let rest = kind.strip_prefix("application/grpc-web").map(|rest| rest.strip_prefix("-text").unwrap_or(rest));
    matches!(rest, Some("" | "+proto"))
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error(
        "this node takes no calls from pages of this origin; its operator names those that it takes: --cors-origin"
    )]
    Origin,
    #[error("expected a POST of gRPC-Web, content-type application/grpc-web+proto or application/grpc-web-text+proto")]
    NotGrpcWeb,
    #[error("this node has no such method")]
    NoMethod,
    #[error("too many calls of this method on one connection")]
    TooOften(Duration),
}

impl Refusal {
    fn answer(self, version: Version) -> Response<Body> {
        let mut answer = Response::new(Body::new(self.to_string()));
        *answer.status_mut() = match self {
            Self::Origin => StatusCode::FORBIDDEN,
            Self::NotGrpcWeb => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoMethod => StatusCode::NOT_FOUND,
            Self::TooOften(_) => StatusCode::TOO_MANY_REQUESTS,
        };
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Self::TooOften(wait) = self {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        }
        if version != Version::HTTP_2 {
            // Nothing of its own counts these: another one costs a connection, and those are counted.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_taken_only_as_a_browser_sends_it() {
        for good in ["https://wallet.example", "http://localhost:8080", "http://[::1]:3000", "https://a.b:444"] {
            assert_eq!(good.parse(), Ok(Origin::Only(HeaderValue::from_static(good))));
        }
        assert_eq!("*".parse(), Ok(Origin::Any));
        for bad in [
            "",
            "wallet.example",
            "https://",
            "https://wallet.example/",
            "https://Wallet.example",
            "ftp://wallet.example",
            "https://wallet.example:443",
            "http://wallet.example:80",
            "https://me@wallet.example",
            "https://*.example/a",
            "https://wallet.example:",
            "null",
            "https://wallet.example?x",
        ] {
            assert_eq!(bad.parse::<Origin>(), Err(NoOrigin), "{bad}");
        }
    }
}
