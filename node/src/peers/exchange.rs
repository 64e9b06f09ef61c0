//! Telling one another of nodes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use farthing::{TimeMs, wire::peer as wire};
use tokio::time::sleep;

use super::{
    blame::Misdeed,
    book::{Book, NetGroup, SeenAddress},
    client::Client,
    convert::Malformed,
    handshake::host_from_text,
    limits::{EXCHANGE_INTERVAL, MAX_ADDRESSES, MAX_HOST_BYTES, SAME_ADDRESSES_TIME},
    network::Inner,
    remote::PullError,
    session::{Session, lock},
};
use crate::env::Random;

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

/// The addresses that this node tells of: the same to everybody for a while, whoever asks how often. So asking costs
/// little, and the book is not read out by asking again and again.
#[derive(Debug, Default)]
pub(super) struct Told {
    addresses: Arc<[SeenAddress]>,
    chosen_at: Option<Duration>,
    /// The book had no more.
    are_all: bool,
}

impl Told {
    fn of(&mut self, book: &Book, random: &dyn Random, wall: TimeMs, now: Duration) -> Arc<[SeenAddress]> {
        let is_new = self.chosen_at.is_some_and(|at| now.saturating_sub(at) < SAME_ADDRESSES_TIME);
        // What fits an answer is told in full: in a small network all find each other at once.
        let are_all = book.len() <= MAX_ADDRESSES;
        if !is_new || self.are_all || are_all {
            self.addresses = book.sample(random, MAX_ADDRESSES, wall).into();
            (self.chosen_at, self.are_all) = (Some(now), are_all);
        }
        Arc::clone(&self.addresses)
    }
}

/// Some addresses that this node knows.
pub(super) fn known(inner: &Inner) -> Vec<wire::PeerAddress> {
    let (now, wall) = (inner.elapsed(), inner.env.clock().now());
    let addresses = {
        let mut state = lock(&inner.state);
        let state = &mut *state;
        state.told.of(&state.book, &**inner.env.random(), wall, now)
    };
    let to_wire = |seen: &SeenAddress| wire::PeerAddress {
        host: seen.address.ip().to_string(),
        port: seen.address.port().into(),
        last_seen_ms: seen.last_seen.get(),
    };
    addresses.iter().map(to_wire).collect()
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
    use crate::{
        env::SeededRandom,
        peers::book::{Salt, Source},
    };

    #[test]
    fn whoever_asks_again_is_told_the_same_for_a_while_unless_all_fits_an_answer() {
        let (mut told, random) = (Told::default(), SeededRandom::new(7));
        let mut book = Book::new(true, Salt::from_bytes([3; 32]));
        let (wall, later) = (TimeMs::new(1_000_000), SAME_ADDRESSES_TIME - Duration::from_secs(1));
        let learn = |book: &mut Book, number: u16| {
            let [high, low] = number.to_be_bytes();
            let address = SocketAddr::from(([low, high, 1, 1], 1));
            book.learn(SeenAddress { address, last_seen: wall }, Source::Operator, wall);
        };
        learn(&mut book, 1);
        assert_eq!(told.of(&book, &random, wall, Duration::ZERO).len(), 1);
        learn(&mut book, 2);
        assert_eq!(told.of(&book, &random, wall, Duration::ZERO).len(), 2, "there is little to tell, and all is told");
        for number in 0..1_000 {
            learn(&mut book, number);
        }
        assert!(book.len() > 3 * MAX_ADDRESSES, "{}", book.len());
        let first = told.of(&book, &random, wall, Duration::ZERO);
        assert_eq!(first.len(), MAX_ADDRESSES);
        assert_eq!(told.of(&book, &random, wall, later), first);
        assert_ne!(told.of(&book, &random, wall, SAME_ADDRESSES_TIME), first);
    }

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
