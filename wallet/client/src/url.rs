//! Where a node's public API is.

use std::{fmt, str::FromStr};

use tonic::transport::Uri;

/// Address of a node's public API: `http://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeUrl(Uri);

/// Why a text is not the URL of a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeUrlError {
    /// Another form.
    #[error("{0:?} is not a node's URL, expected http://HOST:PORT")]
    Form(String),
    /// TLS, which this build has no library for.
    #[error("{0:?} asks for TLS, which this client does not speak yet; expected http://HOST:PORT")]
    Tls(String),
}

impl NodeUrl {
    /// The URI.
    #[must_use]
    pub const fn uri(&self) -> &Uri {
        &self.0
    }

    /// Whether the connection stays on this machine; others are readable by everyone between.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let host = self.0.host().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl FromStr for NodeUrl {
    type Err = NodeUrlError;

    fn from_str(text: &str) -> Result<Self, NodeUrlError> {
        let wrong = || NodeUrlError::Form(text.chars().take(200).collect());
        let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| wrong())?;
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        match uri.scheme_str() {
            Some("https") => Err(NodeUrlError::Tls(text.to_owned())),
            Some("http") if bare && uri.host().is_some_and(|host| !host.is_empty()) && uri.port_u16().is_some() => {
                Ok(Self(uri))
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_string().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_host_and_port_and_nothing_else() {
        let url: NodeUrl = "http://127.0.0.1:50051/".parse().unwrap();
        assert_eq!((url.to_string().as_str(), url.is_local()), ("http://127.0.0.1:50051", true));
        assert!("http://[::1]:1".parse::<NodeUrl>().unwrap().is_local());
        assert!(!"http://node.example:1".parse::<NodeUrl>().unwrap().is_local());
        for wrong in ["127.0.0.1:50051", "http://host", "http://host:1/path", "ftp://host:1", ""] {
            assert!(matches!(wrong.parse::<NodeUrl>(), Err(NodeUrlError::Form(_))), "{wrong:?}");
        }
        assert!(matches!("https://host:1".parse::<NodeUrl>(), Err(NodeUrlError::Tls(_))));
    }
}
