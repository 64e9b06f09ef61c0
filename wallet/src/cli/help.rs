//! The command line as people meet it: its commands in groups, those that one needs first in the first.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

use super::Cli;

/// Heads of the groups, and the commands below each.
const GROUPS: [(&str, &[&str]); 4] = [
    ("To begin", &["init", "shell", "status", "doctor"]),
    ("Money", &["address", "receive", "balance", "history", "send", "pay", "tx", "resubmit"]),
    ("Names, keys, messages", &["contact", "key", "message"]),
    ("Settings and shells", &["network", "config", "completions", "man"]),
];

/// What stands below everything.
const AFTER: &str = "farthing-wallet COMMAND --help tells more, with what each command takes.";

/// Ends the long form.
const EXITS: &str = "Exit codes: 0 done, 1 other, 2 usage, 3 declined, 4 wrong passphrase, 5 not enough money, \
                     6 node unreachable, 7 rejected by the node, 8 submitted but not confirmed, \
                     9 the node's answer failed verification, 130 interrupted.";

/// The command line, with its help.
#[must_use]
pub fn command() -> Command {
    let command = Cli::command();
    let mut groups = String::new();
    for (head, names) in GROUPS {
        let _ = write!(groups, "{head}:\n{}\n", lines(&command, names));
    }
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}Options, for every command:\n{{options}}\
         {{after-help}}"
    );
    command.help_template(template).after_help(AFTER).after_long_help(format!("{AFTER}\n\n{EXITS}"))
}

fn lines(command: &Command, names: &[&str]) -> String {
    let line = |name: &&str| {
        let about = command.find_subcommand(name).and_then(Command::get_about).map(ToString::to_string);
        format!("  {name:<12} {}\n", about.unwrap_or_default())
    };
    names.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_command_is_in_one_group_and_on_one_line_of_a_small_terminal() {
        let command = command();
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let all: BTreeSet<&str> = command.get_subcommands().map(Command::get_name).collect();
        assert_eq!(grouped.iter().copied().collect::<BTreeSet<_>>(), all);
        assert_eq!(grouped.len(), all.len());
        let help = command.clone().render_help().to_string();
        for name in grouped {
            let line = help.lines().find(|line| line.starts_with(&format!("  {name} "))).unwrap();
            assert!(line.chars().count() <= 80 && line.len() > 20, "{line}");
        }
        let place = |text: &str| help.find(text).unwrap();
        assert!(place("\n  init ") < place("\n  send ") && place("\n  send ") < place("--network"), "{help}");
    }
}
