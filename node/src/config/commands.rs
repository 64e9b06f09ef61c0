//! The subcommands that ask a running node, as the command line has them.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{HostPort, Malformed};

/// How long a ban lasts unless said otherwise.
const DEFAULT_BAN: &str = "1d";

/// Something asked of a running node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminCommand {
    /// What is asked.
    pub wish: Wish,
    /// Whether the answer is for a program.
    pub json: bool,
}

/// What is asked of a running node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Show peers, kept ones and bans.
    ListPeers,
    /// Keep a session with a node.
    AddPeer(HostPort),
    /// End the sessions with a node, and keep none.
    RemovePeer(HostPort),
    /// Ban a host.
    BanPeer {
        /// Whom.
        target: String,
        /// For how long.
        length: Duration,
        /// Why; may be empty.
        reason: String,
    },
    /// End a ban.
    UnbanPeer {
        /// Whose.
        target: String,
    },
    /// Show how the node is.
    Status,
    /// Mine blocks now.
    Mine {
        /// How many.
        count: u32,
        /// For whom; none: as the node was told.
        to: Option<String>,
    },
    /// Stop the node.
    Stop,
}

/// The subcommands.
pub(super) fn subcommands() -> [Command; 4] {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).value_name(value).help(help).required(true)
    };
    let address = || text("address", "HOST:PORT", "The node").value_parser(|text: &str| text.parse::<HostPort>());
    let target = || text("target", "TARGET", "IP address, ADDRESS/64, or ADDRESS:PORT on loopback, as the list has it");
    let peers = Command::new("peers")
        .about("Look after the peers of a running node")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(asking("list", "Show peers, nodes that a session is kept with, and bans"))
        .subcommand(asking("add", "Keep a session with a node, as --connect does, until the node stops").arg(address()))
        .subcommand(asking("remove", "End the sessions with a node, and keep none with it").arg(address()))
        .subcommand(
            asking("ban", "End the sessions with a host, and take none for a while")
                .arg(target())
                .arg(
                    Arg::new("for")
                        .long("for")
                        .value_name("TIME")
                        .default_value(DEFAULT_BAN)
                        .value_parser(length)
                        .help("For how long: a number with s, m, h or d"),
                )
                .arg(Arg::new("reason").long("reason").value_name("TEXT").default_value("").help("Why, for the log")),
        )
        .subcommand(asking("unban", "End a ban before its time").arg(target()));
    let count = text("count", "N", "How many blocks, 1 to 1000").value_parser(value_parser!(u32).range(1..=1_000));
    let to = Arg::new("to").long("to").value_name("ADDRESS").help("Who is credited [default: the node's --mine]");
    [
        peers,
        asking("status", "Show how a running node is"),
        asking("mine", "Mine blocks now, on a network whose difficulty does not follow time").arg(count).arg(to),
        asking("stop", "Stop a running node, and wait for its end"),
    ]
}

fn asking(name: &'static str, about: &'static str) -> Command {
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue).help("Answer with one JSON object");
    Command::new(name).about(about).arg(json)
}

/// What the command line asks of a running node, if it does.
pub(super) fn read(matches: &ArgMatches) -> Option<AdminCommand> {
    let (name, matches) = match matches.subcommand()? {
        ("peers", matches) => matches.subcommand()?,
        ("status" | "mine" | "stop", _) => matches.subcommand()?,
        _ => return None,
    };
    let text = |id: &str| matches.get_one::<String>(id).cloned();
    let address = || matches.get_one::<HostPort>("address").cloned();
    let wish = match name {
        "list" => Wish::ListPeers,
        "add" => Wish::AddPeer(address()?),
        "remove" => Wish::RemovePeer(address()?),
        "ban" => {
            let length = *matches.get_one::<Duration>("for")?;
            Wish::BanPeer { target: text("target")?, length, reason: text("reason")? }
        }
        "unban" => Wish::UnbanPeer { target: text("target")? },
        "status" => Wish::Status,
        "mine" => Wish::Mine { count: *matches.get_one("count")?, to: text("to") },
        "stop" => Wish::Stop,
        _ => return None,
    };
    Some(AdminCommand { wish, json: matches.get_flag("json") })
}

/// A time such as `90s`, `30m`, `12h` or `7d`.
fn length(text: &str) -> Result<Duration, Malformed> {
    const EXPECTED: Malformed = Malformed::new("a number above 0 with s, m, h or d, such as 12h, and at most 3650d");
    let unit = text.chars().last().ok_or(EXPECTED)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(EXPECTED),
    };
    let number = text.strip_suffix(unit).and_then(|digits| digits.parse::<u64>().ok()).ok_or(EXPECTED)?;
    let total = number.checked_mul(seconds).filter(|total| (1..=315_360_000).contains(total)).ok_or(EXPECTED)?;
    Ok(Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_a_unit_and_an_end() {
        assert_eq!(length("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(length("30m"), Ok(Duration::from_secs(1_800)));
        assert_eq!(length("12h"), Ok(Duration::from_secs(43_200)));
        assert_eq!(length("3650d"), Ok(Duration::from_secs(315_360_000)));
        for text in ["", "s", "90", "0s", "-1s", "1.5h", "3651d", "99999999999999999999d", "1w", "5é"] {
            length(text).expect_err(text);
        }
    }

    fn read_line(line: &str) -> Option<AdminCommand> {
        let command = super::super::options::command();
        read(&command.try_get_matches_from(line.split(' ')).unwrap())
    }

    #[test]
    fn each_command_is_read_with_the_nodes_options_before_or_behind_it() {
        let of = |line: &str| read_line(line).unwrap();
        let address: HostPort = "node.example:50061".parse().unwrap();
        assert_eq!(of("n peers list --json"), AdminCommand { wish: Wish::ListPeers, json: true });
        assert_eq!(of("n --data-dir d peers add node.example:50061").wish, Wish::AddPeer(address.clone()));
        assert_eq!(of("n peers remove node.example:50061 --data-dir d").wish, Wish::RemovePeer(address));
        let (target, reason) = ("192.0.2.1".to_owned(), "loud".to_owned());
        let length = Duration::from_secs(86_400);
        let ban = Wish::BanPeer { target: target.clone(), length, reason };
        assert_eq!(of("n peers ban 192.0.2.1 --reason loud").wish, ban);
        assert_eq!(of("n peers unban 192.0.2.1").wish, Wish::UnbanPeer { target });
        assert_eq!(of("n status"), AdminCommand { wish: Wish::Status, json: false });
        assert_eq!(of("n mine 3 --to dfar1x").wish, Wish::Mine { count: 3, to: Some("dfar1x".to_owned()) });
        assert_eq!(of("n stop").wish, Wish::Stop);
        assert!(read_line("n run").is_none() && read_line("n verify").is_none() && read_line("n").is_none());
    }

    #[test]
    fn what_makes_no_sense_is_a_mistake_of_usage() {
        for line in [
            "n peers",
            "n peers add nowhere",
            "n peers ban",
            "n mine",
            "n mine 0",
            "n mine 1001",
            "n peers ban x --for 1w",
        ] {
            let command = super::super::options::command();
            command.try_get_matches_from(line.split(' ')).expect_err(line);
        }
    }
}
