//! The subcommand `miner`: mines for somebody on another node.

use std::num::NonZeroUsize;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::{HostPort, Malformed};

/// Mining on another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteMining {
    /// Its public API.
    pub node: HostPort,
    /// Who is paid, in bech32m; that node knows its network.
    pub address: String,
    /// How many threads search.
    pub threads: NonZeroUsize,
}

pub(super) fn subcommand() -> Command {
    let node = Arg::new("node")
        .long("node")
        .value_name("URL")
        .required(true)
        .value_parser(url)
        .help("Public API of the node that makes templates, such as http://127.0.0.1:50051");
    let address =
        Arg::new("address").long("address").value_name("ADDRESS").required(true).help("Who is paid, in bech32m");
    let threads = Arg::new("threads")
        .long("threads")
        .value_name("N")
        .default_value("1")
        .value_parser(value_parser!(u16).range(1..=1_024))
        .help("How many threads search, 1 to 1024");
    Command::new("miner").about("Mine on another node, until stopped").arg(node).arg(address).arg(threads)
}

/// What the command line asks for, if it asks for this.
pub(super) fn read(matches: &ArgMatches) -> Option<RemoteMining> {
    let matches = matches.subcommand_matches("miner")?;
    Some(RemoteMining {
        node: matches.get_one::<HostPort>("node").cloned()?,
        address: matches.get_one::<String>("address").cloned()?,
        threads: NonZeroUsize::new(usize::from(*matches.get_one::<u16>("threads")?))?,
    })
}

/// `http://HOST:PORT`; there is no TLS.
fn url(text: &str) -> Result<HostPort, Malformed> {
    const EXPECTED: Malformed = Malformed::new("http://HOST:PORT, such as http://127.0.0.1:50051");
    let rest = text.strip_prefix("http://").ok_or(EXPECTED)?;
    rest.strip_suffix('/').unwrap_or(rest).parse().map_err(|_| EXPECTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_line(line: &str) -> Result<Option<RemoteMining>, clap::Error> {
        let command = super::super::options::command();
        Ok(read(&command.try_get_matches_from(line.split(' '))?))
    }

    #[test]
    fn a_miner_names_a_node_an_address_and_how_many_threads() {
        let mining =
            read_line("n miner --node http://node.example:50051/ --address far1x --threads 3").unwrap().unwrap();
        assert_eq!(mining.node, "node.example:50051".parse().unwrap());
        assert_eq!((mining.address.as_str(), mining.threads.get()), ("far1x", 3));
        let mining = read_line("n miner --address far1x --node http://[::1]:7").unwrap().unwrap();
        assert_eq!(mining.threads.get(), 1);
        assert_eq!(read_line("n run").unwrap(), None);
    }

    #[test]
    fn what_makes_no_sense_is_a_mistake_of_usage() {
        for line in [
            "n miner",
            "n miner --node http://h:1",
            "n miner --address far1x",
            "n miner --node https://h:1 --address far1x",
            "n miner --node h:1 --address far1x",
            "n miner --node http://h --address far1x",
            "n miner --node http://h:1/x --address far1x",
            "n miner --node http://h:1 --address far1x --threads 0",
            "n miner --node http://h:1 --address far1x --threads 1025",
        ] {
            read_line(line).expect_err(line);
        }
    }
}
