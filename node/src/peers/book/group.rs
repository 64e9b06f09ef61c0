//! Network groups: addresses that one party is likely to hold together. And who tells of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use farthing::codec::{DecodeError, Reader, put_bytes};

/// The /16 of an IPv4 address or the /32 of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum NetGroup {
    /// An IPv4 /16.
    V4([u8; 2]),
    /// An IPv6 /32.
    V6([u8; 4]),
}

impl NetGroup {
    /// The group of an address; IPv4 written as IPv6 is IPv4.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                Self::V4([a, b])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.octets();
                Self::V6([a, b, c, d])
            }
        }
    }

    /// Some address of the group: enough to write the group down.
    pub(super) fn to_address(self) -> IpAddr {
        match self {
            Self::V4([a, b]) => Ipv4Addr::new(a, b, 0, 0).into(),
            Self::V6([a, b, c, d]) => {
                Ipv6Addr::new(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]), 0, 0, 0, 0, 0, 0).into()
            }
        }
    }
}

impl NetGroup {
    /// The group as bytes, for keyed hashes.
    pub(in crate::peers) fn to_bytes(self) -> [u8; 5] {
        match self {
            Self::V4([a, b]) => [4, a, b, 0, 0],
            Self::V6([a, b, c, d]) => [6, a, b, c, d],
        }
    }
}

/// Who told of an address first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A node of this network group.
    Group(NetGroup),
    /// A name that the operator gave to ask for addresses.
    Seed,
    /// The operator.
    Operator,
}

impl From<NetGroup> for Source {
    fn from(group: NetGroup) -> Self {
        Self::Group(group)
    }
}

impl Source {
    /// The source as bytes, for keyed hashes.
    pub(super) fn to_bytes(self) -> [u8; 5] {
        match self {
            Self::Group(group) => group.to_bytes(),
            Self::Seed => *b"seed ",
            Self::Operator => *b"self ",
        }
    }

    pub(super) fn encode(self, record: &mut Vec<u8>) {
        let text = match self {
            Self::Group(group) => group.to_address().to_string(),
            Self::Seed => "seed".to_owned(),
            Self::Operator => "operator".to_owned(),
        };
        put_bytes(record, text.as_bytes());
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.text("source", 64)? {
            "seed" => Self::Seed,
            "operator" => Self::Operator,
            address => Self::Group(NetGroup::of(address.parse().map_err(|_| DecodeError::NotText("source"))?)),
        })
    }
}

/// Whether nodes can be expected to be dialled at this address from anywhere (IANA special-purpose registries).
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            let global_unicast = first & 0xe000 == 0x2000;
            let documentation = first == 0x2001 && second == 0x0db8 || first & 0xfff0 == 0x3ff0;
            global_unicast && !documentation
        }
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let this_network = a == 0;
    let shared = a == 100 && b & 0xc0 == 64;
    let protocols = a == 192 && b == 0 && c == 0;
    let benchmarks = a == 198 && b & 0xfe == 18;
    let multicast_or_reserved = a >= 224;
    !(this_network
        || v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_documentation()
        || shared
        || protocols
        || benchmarks
        || multicast_or_reserved)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn groups_are_a_sixteenth_and_a_thirty_second() {
        assert_eq!(NetGroup::of(ip("192.0.2.1")), NetGroup::of(ip("192.0.77.9")));
        assert_ne!(NetGroup::of(ip("192.0.2.1")), NetGroup::of(ip("192.1.2.1")));
        assert_eq!(NetGroup::of(ip("::ffff:192.0.2.1")), NetGroup::of(ip("192.0.2.1")));
        assert_eq!(NetGroup::of(ip("2001:db8:1::1")), NetGroup::of(ip("2001:db8:ffff::2")));
        assert_ne!(NetGroup::of(ip("2001:db8::1")), NetGroup::of(ip("2001:db9::1")));
    }

    #[test]
    fn addresses_that_mean_something_else_elsewhere_are_not_public() {
        for private in [
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "fc00::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
        ] {
            assert!(!is_public(ip(private)), "{private}");
        }
        for public in ["1.1.1.1", "100.128.0.1", "172.32.0.1", "::ffff:8.8.8.8", "2606:4700::1111"] {
            assert!(is_public(ip(public)), "{public}");
        }
    }

    proptest! {
        #[test]
        fn a_group_reads_back_from_its_address(address: IpAddr) {
            let group = NetGroup::of(address);
            let back = NetGroup::of(group.to_address());
            // An IPv6 group of zeros has an address that reads as itself: only mapped addresses change family.
            prop_assert_eq!(back, group);
        }
    }
}
