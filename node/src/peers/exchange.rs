//! Telling one another of nodes.

use std::net::SocketAddr;

use farthing::{TimeMs, wire::peer as wire};
use tokio::time::sleep;

use super::{
    blame::Misdeed,
    book::{NetGroup, SeenAddress},
    client::Client,
    convert::Malformed,
    handshake::host_from_text,
    limits::{EXCHANGE_INTERVAL, MAX_ADDRESSES, MAX_HOST_BYTES},
    network::Inner,
    remote::PullError,
    session::{Session, lock},
};

/// Exchanges addresses at the start of a session and every few minutes. The dialler asks.
pub(super) async fn run(inner: &Inner, session: &Session, client: &Client) {
    loop {
        match exchange(inner, session, client).await {
            Ok(()) => {}
            Err(PullError::Misdeed(misdeed)) => {
                inner.blame(session, &misdeed);
                return;
            }
            Err(error) => {
                tracing::debug!(peer = %session.who.address, %error, "no addresses were exchanged");
            }
        }
        // Spread, so that not all sessions of a node exchange at once.
        sleep(EXCHANGE_INTERVAL.mul_f64(0.5 + inner.env.random().fraction())).await;
    }
}

async fn exchange(inner: &Inner, session: &Session, client: &Client) -> Result<(), PullError> {
    let told = client.exchange_peers(known(inner)).await?;
    learn(inner, session, &told).map_err(Misdeed::from)?;
    Ok(())
}

/// Some addresses that this node knows.
pub(super) fn known(inner: &Inner) -> Vec<wire::PeerAddress> {
    let now = inner.env.clock().now();
    let sample = lock(&inner.state).book.sample(&**inner.env.random(), MAX_ADDRESSES, now);
    let to_wire = |seen: SeenAddress| wire::PeerAddress {
        host: seen.address.ip().to_string(),
        port: seen.address.port().into(),
        last_seen_ms: seen.last_seen.get(),
    };
    sample.into_iter().map(to_wire).collect()
}

/// Takes addresses that a peer told of.
pub(super) fn learn(inner: &Inner, session: &Session, told: &[wire::PeerAddress]) -> Result<(), Malformed> {
    if told.len() > MAX_ADDRESSES {
        return Err(Malformed::TooMany { field: "peers", found: told.len(), max: MAX_ADDRESSES });
    }
    let source = NetGroup::of(session.who.address.ip());
    let seen = told.iter().map(address_from_wire).collect::<Result<Vec<_>, _>>()?;
    for seen in seen {
        inner.learn(seen, source);
    }
    Ok(())
}

fn address_from_wire(told: &wire::PeerAddress) -> Result<SeenAddress, Malformed> {
    if told.host.len() > MAX_HOST_BYTES {
        return Err(Malformed::TooMany { field: "peers.host", found: told.host.len(), max: MAX_HOST_BYTES });
    }
    let port = u16::try_from(told.port).ok().filter(|port| *port != 0);
    let port =
        port.ok_or(Malformed::OutOfRange { field: "peers.port", found: told.port.into(), expected: "1 to 65535" })?;
    let host = host_from_text("peers.host", &told.host)?;
    Ok(SeenAddress { address: SocketAddr::new(host, port), last_seen: TimeMs::new(told.last_seen_ms) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_ip_address_with_a_port() {
        let told = |host: &str, port| wire::PeerAddress { host: host.to_owned(), port, last_seen_ms: 7 };
        let read = address_from_wire(&told("::ffff:192.0.2.1", 1)).unwrap();
        assert_eq!(read.address, "192.0.2.1:1".parse().unwrap());
        for (host, port) in [("node.example", 1), ("192.0.2.1", 0), ("192.0.2.1", 65_536), ("", 1)] {
            assert!(address_from_wire(&told(host, port)).is_err(), "{host}:{port}");
        }
        assert!(address_from_wire(&told(&"1".repeat(65), 1)).is_err());
    }
}
