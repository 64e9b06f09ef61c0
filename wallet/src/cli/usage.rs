//! What is wrong with a command line, in the form of every other error: what, why, and what to try.

use clap::{Arg, Command, Error, error::ErrorKind};

use crate::error::{Exit, Report};

/// What the parser found, once the words were read; `words` are all of them, the program's name included.
#[must_use]
pub fn report(error: &Error, words: &[String]) -> Report {
    let (mut what, mut tries) = (Vec::new(), Vec::new());
    let text = error.render().to_string();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.strip_prefix("tip: ") {
            Some(tip) => tries.push(meaning(tip)),
            None if line.starts_with("Usage: ") || line.starts_with("For more information") => {}
            None => what.push(line.strip_prefix("error: ").unwrap_or(line)),
        }
    }
    let why = std::error::Error::source(error).map(ToString::to_string);
    let mut what = what.join(" ");
    if let Some(why) = &why {
        what = what.strip_suffix(why.as_str()).map_or(what.clone(), |what| what.trim_end_matches(": ").to_owned());
    }
    let (path, usage) = meant(words);
    // With a wrong value the words are in their places; else it helps to see where they belong.
    if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue | ErrorKind::InvalidSubcommand) {
        tries.push(usage);
    }
    tries.push(format!("{path} --help"));
    Report { code: "USAGE", what, why, tries, exit: Exit::Usage.code(), transaction_id: None }
}

/// What the parser takes for a slip of the finger, as the wallet says such things.
fn meaning(tip: &str) -> String {
    let quoted = tip.rsplit_once(": '").and_then(|(what, word)| what.ends_with("exists").then_some(word));
    quoted.map_or_else(|| tip.to_owned(), |word| format!("{}, if you meant that", word.trim_end_matches('\'')))
}

/// The innermost command that was named, as it is typed, and how it is used.
fn meant(words: &[String]) -> (String, String) {
    let mut root = super::command();
    root.build();
    let (mut at, mut path, mut is_value) = (&root, root.get_name().to_owned(), false);
    for word in words.iter().skip(1) {
        if std::mem::take(&mut is_value) {
            continue;
        }
        if word.starts_with('-') {
            is_value = wants_value(at, word);
        } else if let Some(inner) = at.find_subcommand(word) {
            path = format!("{path} {}", inner.get_name());
            at = inner;
        }
    }
    let usage = at.clone().render_usage().to_string();
    (path, usage.trim_start_matches("Usage: ").trim().to_owned())
}

/// Whether the word behind a flag is the flag's.
fn wants_value(command: &Command, flag: &str) -> bool {
    let is_it = |argument: &&Arg| match flag.strip_prefix("--") {
        Some(long) => argument.get_long_and_visible_aliases().is_some_and(|names| names.contains(&long)),
        None => argument.get_short().is_some_and(|short| flag.ends_with(short)),
    };
    let takes = |argument: &Arg| argument.get_num_args().is_some_and(|count| count.min_values() > 0);
    command.get_arguments().find(is_it).is_some_and(takes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Report {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        report(&super::super::command().try_get_matches_from(&words).unwrap_err(), &words)
    }

    #[test]
    fn a_wrong_command_line_is_told_as_every_other_error() {
        let wrong = of("farthing-wallet tx show --network dev");
        assert_eq!(wrong.what, "the following required arguments were not provided: <ID>");
        assert_eq!(wrong.tries, ["farthing-wallet tx show [OPTIONS] <ID>", "farthing-wallet tx show --help"]);
        let slip = of("farthing-wallet blance");
        assert_eq!(slip.what, "unrecognized subcommand 'blance'");
        assert_eq!(slip.tries, ["balance, if you meant that", "farthing-wallet --help"]);
        let value = of("farthing-wallet --account key contact add Bob x");
        assert_eq!(value.what, "invalid value 'Bob' for '<NAME>'");
        assert!(value.why.is_some_and(|why| why.ends_with("\"bob\" would do")));
        assert_eq!(value.tries, ["farthing-wallet contact add --help"]);
        let choice = of("farthing-wallet receive --qr=blue");
        assert_eq!(choice.what, "invalid value 'blue' for '--qr[=<GROUND>]' [possible values: auto, dark, light]");
    }
}
