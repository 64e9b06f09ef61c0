//! The types of option values, each parsed once.

use std::{fmt, num::NonZeroU16, str::FromStr};

/// A host name or address with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    host: String,
    port: NonZeroU16,
}

impl HostPort {
    /// The host: a name, an IPv4 address, or an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port.get()
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Ports of a host, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRange {
    host: String,
    low: NonZeroU16,
    high: NonZeroU16,
}

impl PortRange {
    /// The most ports that one range may have.
    pub const MAX_PORTS: u16 = 1024;

    /// The host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The ports.
    pub fn ports(&self) -> impl Iterator<Item = u16> + use<> {
        self.low.get()..=self.high.get()
    }
}

/// A text that is not of the expected form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(&'static str);

impl Malformed {
    pub(super) const fn new(expected: &'static str) -> Self {
        Self(expected)
    }
}

impl FromStr for HostPort {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        const EXPECTED: Malformed = Malformed("HOST:PORT, such as node.example:50061 or [2001:db8::1]:50061");
        let (host, port) = text.rsplit_once(':').ok_or(EXPECTED)?;
        Ok(Self { host: host_name(host).ok_or(EXPECTED)?, port: port.parse().map_err(|_| EXPECTED)? })
    }
}

/// A name that stands for addresses of nodes, with the port that these listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedName(HostPort);

impl SeedName {
    /// The port where nodes listen unless told otherwise.
    pub const DEFAULT_PORT: NonZeroU16 = NonZeroU16::new(50_061).expect("a literal above 0");

    /// The name with its port.
    pub fn target(&self) -> &HostPort {
        &self.0
    }
}

impl FromStr for SeedName {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        const EXPECTED: Malformed = Malformed("NAME or NAME:PORT, such as seed.example");
        if text.contains(':') {
            return text.parse().map(Self).map_err(|_| EXPECTED);
        }
        Ok(Self(HostPort { host: host_name(text).ok_or(EXPECTED)?, port: Self::DEFAULT_PORT }))
    }
}

impl FromStr for PortRange {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        const EXPECTED: Malformed = Malformed("HOST:LOW-HIGH with at most 1024 ports, such as 127.0.0.1:50061-50064");
        let (host, ports) = text.rsplit_once(':').ok_or(EXPECTED)?;
        let (low, high) = ports.split_once('-').ok_or(EXPECTED)?;
        let (low, high): (NonZeroU16, NonZeroU16) =
            (low.parse().map_err(|_| EXPECTED)?, high.parse().map_err(|_| EXPECTED)?);
        let count = high.get().checked_sub(low.get()).ok_or(EXPECTED)?;
        if count >= Self::MAX_PORTS {
            return Err(EXPECTED);
        }
        Ok(Self { host: host_name(host).ok_or(EXPECTED)?, low, high })
    }
}

/// A host as written before a port; IPv6 needs brackets, or its last group could be taken for the port.
fn host_name(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']')?;
        return inner.parse::<std::net::Ipv6Addr>().is_ok().then(|| inner.to_owned());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (!text.is_empty() && text.len() <= 253 && text.chars().all(plain)).then(|| text.to_owned())
}

/// Whether blocks are shown on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panels {
    /// Always.
    On,
    /// Never.
    Off,
    /// If stdout is a terminal.
    Auto,
}

impl FromStr for Panels {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            "auto" => Ok(Self::Auto),
            _ => Err(Malformed("on, off or auto")),
        }
    }
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(Malformed("human or json")),
        }
    }
}

/// `on`, `off`, `true` or `false`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OnOff(pub(super) bool);

impl FromStr for OnOff {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "on" | "true" => Ok(Self(true)),
            "off" | "false" => Ok(Self(false)),
            _ => Err(Malformed("on or off")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_with_a_port_is_read_and_shown_alike() {
        for text in ["node.example:50061", "127.0.0.1:1", "[2001:db8::1]:65535"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
        assert_eq!("[::1]:5".parse::<HostPort>().unwrap().host(), "::1");
    }

    #[test]
    fn what_is_no_host_with_a_port_is_refused() {
        for text in ["", "host", "host:", ":1", "host:0", "host:65536", "::1:5", "[::1", "[x]:1", "http://a:1", "a b:1"]
        {
            text.parse::<HostPort>().expect_err(text);
        }
    }

    #[test]
    fn a_seed_has_the_usual_port_unless_it_names_another() {
        let seed = |text: &str| text.parse::<SeedName>().map(|seed| seed.target().to_string());
        assert_eq!(seed("seed.example").unwrap(), "seed.example:50061");
        assert_eq!(seed("seed.example:7").unwrap(), "seed.example:7");
        for text in ["", "seed.example:", "seed.example:0", "a b", "::1"] {
            seed(text).expect_err(text);
        }
    }

    #[test]
    fn a_port_range_includes_both_ends_and_is_bounded() {
        let range: PortRange = "127.0.0.1:50061-50064".parse().unwrap();
        assert_eq!(range.ports().collect::<Vec<_>>(), [50061, 50062, 50063, 50064]);
        assert_eq!("h:1-1024".parse::<PortRange>().unwrap().ports().count(), 1024);
        for text in ["h:1-1025", "h:5-4", "h:0-4", "h:1", "h:1-", "1-2", ":1-2"] {
            text.parse::<PortRange>().expect_err(text);
        }
    }
}
