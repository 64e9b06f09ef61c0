//! Where URLs lead: two names of one place are one node, and one voice.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

use crate::config::NodeUrl;

/// The addresses that a URL leads to; none if its host has none now.
#[derive(Debug)]
pub(super) struct Place(Vec<SocketAddr>);

impl Place {
    /// Looks the host up.
    pub(super) fn of(url: &NodeUrl) -> Self {
        let host = url.uri().host().unwrap_or_default().trim_matches(['[', ']']);
        let addresses = url.uri().port_u16().and_then(|port| (host, port).to_socket_addrs().ok());
        Self(addresses.into_iter().flatten().collect())
    }

    /// Whether both lead to one place. All loopback addresses are this machine.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let key = |address: &SocketAddr| {
            let ip = address.ip().to_canonical();
            let ip = if ip.is_loopback() { IpAddr::from([127, 0, 0, 1]) } else { ip };
            (ip, address.port())
        };
        self.0.iter().any(|one| other.0.iter().any(|two| key(one) == key(two)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_place_are_one_and_other_ports_or_machines_are_not() {
        let same = |one: &str, two: &str| Place::of(&one.parse().unwrap()).is_same(&Place::of(&two.parse().unwrap()));
        for other in [
            "http://localhost:7",
            "http://127.0.0.1:7",
            "http://127.0.0.2:7",
            "http://[::1]:7",
            "http://[::ffff:127.0.0.1]:7",
        ] {
            assert!(same("http://127.0.0.1:7", other), "{other}");
        }
        assert!(same("http://10.0.0.1:7", "http://[::ffff:10.0.0.1]:7"));
        assert!(!same("http://127.0.0.1:7", "http://127.0.0.1:8"));
        assert!(!same("http://10.0.0.1:7", "http://10.0.0.2:7"));
    }
}
