//! What every command prints, in words and as JSON, when all is well and at its commonest mistake; one snapshot a command.
//! A command without a case in [`crate::transcript_cases`] fails the test.

use std::process::Stdio;

use serde_json::Value;

use crate::{
    fake_node::FakeNode,
    harness::{Run, Wallet},
    transcript_cases::{CASES, Case, PENDING},
};

/// Most lines of a result, items of a list and characters of a text that a snapshot shows.
const MAX_LINES: usize = 16;
const MAX_ITEMS: usize = 6;
const MAX_CHARACTERS: usize = 300;

/// Addresses of the development network's accounts, which are the same for ever; all others are random here.
pub(crate) const ALICE: &str = "dfar1v4nmv0m34s9dm8jshxx8shrvhmxed393xgzffw8dxgl0fvdp7keq65zmrm";
pub(crate) const BOB: &str = "dfar1p68ah8uz0lasftzf7yqxuweh8ekxw06e9fvfaepchpcu6j305aqssaa543";

/// Alice's wallet with a contact, some files, and a node on which she holds her allocation.
struct World {
    wallet: Wallet,
    node: FakeNode,
}

impl World {
    fn new(case: &Case) -> Self {
        let node = FakeNode::start(ALICE, 0);
        node.state().clock_is_right();
        let world = Self { wallet: Wallet::new().with_node(&node.url), node };
        world.wallet.file("passphrase", "correct horse\n");
        world.wallet.file("wrong", "battery staple\n");
        world.wallet.file("payees.csv", &format!("name,address\nbob,{BOB}\nben,{BOB}\n"));
        world.wallet.file("bad.csv", &format!("Bob,{BOB}\nben,dfar1qq\n"));
        world.wallet.file("occupied", "");
        for (name, text) in case.files {
            world.wallet.file(name, text);
        }
        if let Some(prepare) = case.node {
            prepare(&world.node);
        }
        for arguments in case.before {
            let run = world.run(arguments);
            assert_eq!(run.code, 0, "before {}: {arguments:?}: {}", case.command, run.stderr);
        }
        world
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let place = self.node.url.trim_start_matches("http://");
        let arguments: Vec<&str> = arguments.iter().map(|one| if *one == "PLACE" { place } else { *one }).collect();
        let mut command = self.wallet.command(&arguments);
        command.current_dir(self.wallet.path("")).stdin(Stdio::null());
        Run::from(command.output().unwrap())
    }

    /// Runs a command and writes down what it printed.
    fn transcribe(&self, arguments: &[&str]) -> (i32, String) {
        let run = self.run(arguments);
        let is_json = arguments.contains(&"--json");
        let shown = arguments.iter().map(|one| if one.contains(' ') { format!("'{one}'") } else { (*one).to_owned() });
        let mut text = format!("$ farthing-wallet {}\n", shown.collect::<Vec<_>>().join(" "));
        if is_json && !run.stdout.is_empty() {
            for line in run.stdout.lines() {
                let mut value: Value = serde_json::from_str(line).unwrap();
                assert_eq!(value["schema"], 1, "{arguments:?}");
                assert_amounts_are_texts(&value);
                shorten(&mut value);
                text += &format!("{value:#}\n");
            }
        } else {
            for line in run.stdout.lines().take(MAX_LINES) {
                text += &format!("{line}\n");
            }
            if run.stdout.lines().count() > MAX_LINES {
                text += "...\n";
            }
        }
        for line in run.stderr.lines() {
            if is_json {
                let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                assert_eq!(value["schema"], 1, "{arguments:?}");
            }
            text += &format!("2> {line}\n");
        }
        text += &format!("[exit {}]\n", run.code);
        (run.code, self.mask(&text))
    }

    /// Leaves out what no two runs share.
    fn mask(&self, text: &str) -> String {
        let folder = self.wallet.path("").display().to_string();
        let text = text.replace(folder.trim_end_matches('/'), "/home/anna").replace(&self.node.url, "http://NODE");
        let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
        let text = text.replace(self.node.url.trim_start_matches("http://"), "NODE");
        let text = mask_addresses(&mask_pem(&text));
        let mut masked = String::new();
        // How old a block is depends on today.
        for line in text.lines().filter(|line| !line.starts_with("2> note: block ")) {
            let mut line = line.to_owned();
            for behind in [" MiB free", " s away from the node's", " days old"] {
                line = mask_number(&line, behind);
            }
            masked += line.trim_end();
            masked += "\n";
        }
        masked
    }
}

/// Money beyond 2^53 mites must survive every reader of JSON.
fn assert_amounts_are_texts(value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let is_money =
                    name.ends_with("_mites") || ["amount", "balance", "fee", "total"].contains(&name.as_str());
                assert!(!is_money || !field.is_number(), "{name} is a number: {field}");
                assert_amounts_are_texts(field);
            }
        }
        Value::Array(items) => items.iter().for_each(assert_amounts_are_texts),
        _ => {}
    }
}

fn shorten(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        Value::Array(items) => {
            let more = items.len() > MAX_ITEMS;
            items.truncate(MAX_ITEMS);
            items.iter_mut().for_each(shorten);
            if more {
                items.push("...".into());
            }
        }
        Value::String(text) if text.chars().count() > MAX_CHARACTERS => {
            *text = text.chars().take(40).chain("...".chars()).collect();
        }
        _ => {}
    }
}

fn mask_number(line: &str, behind: &str) -> String {
    let Some(at) = line.find(behind) else {
        return line.to_owned();
    };
    let (before, rest) = line.split_at(at);
    format!("{}N{rest}", before.trim_end_matches(|c: char| c.is_ascii_digit()))
}

/// Encrypted keys differ each time.
fn mask_pem(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(begin) = rest.find("-----BEGIN ENCRYPTED ") {
        let Some(length) = rest[begin..].find("-----END ") else {
            break;
        };
        masked += &format!("{}-----BEGIN ENCRYPTED ... ", &rest[..begin]);
        rest = &rest[begin + length..];
    }
    masked + rest
}

fn mask_addresses(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("dfar1") {
        let length = rest[at..].find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len() - at);
        let address = &rest[at..at + length];
        let is_random = address.len() == ALICE.len() && ![ALICE, BOB].contains(&address);
        masked += &rest[..at];
        masked += if is_random { "dfar1(random)" } else { address };
        rest = &rest[at + length..];
    }
    masked + rest
}

fn transcript(case: &Case) -> String {
    let with_json = |arguments: &[&'static str]| [arguments, &["--json"]].concat();
    let mut text = String::new();
    for (arguments, is_good) in [(case.good, true), (case.mistake, false)] {
        let (code, words) = World::new(case).transcribe(arguments);
        let (json_code, json) = World::new(case).transcribe(&with_json(arguments));
        assert_eq!(code == 0, is_good, "{}: {words}", case.command);
        assert_eq!(code, json_code, "{}: {json}", case.command);
        assert_ne!(code, 101, "{}: {words}", case.command);
        if !is_good {
            // A complaint about the command line itself is the parser's, and points to --help.
            let helps = words.contains("try: ") || words.contains("--help") || words.contains("tip: ");
            assert!(helps && json.contains("\"try\":["), "{}: {words}{json}", case.command);
        }
        text += &format!("{words}\n{json}\n");
    }
    text
}

/// Every command that does something, such as `contact add`.
fn commands() -> Vec<String> {
    fn walk(command: &clap::Command, before: &str, all: &mut Vec<String>) {
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            let name = format!("{before} {}", inner.get_name()).trim().to_owned();
            if inner.has_subcommands() {
                walk(inner, &name, all);
            } else {
                all.push(name);
            }
        }
    }
    let mut all = Vec::new();
    walk(&farthing_wallet::cli::command(), "", &mut all);
    all
}

#[test]
fn every_command_has_transcripts_of_its_success_and_its_commonest_mistake() {
    let covered = |name: &str| CASES.iter().any(|case| case.command == name);
    let missing: Vec<String> =
        commands().into_iter().filter(|name| !covered(name) && !PENDING.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "add a case to tests/cli/transcript_cases.rs for: {}", missing.join(", "));
    for case in CASES {
        assert!(commands().iter().any(|name| name == case.command), "there is no command {}", case.command);
        assert!(!PENDING.contains(&case.command), "{} is not pending any more", case.command);
        for arguments in [case.good, case.mistake] {
            let text = format!("{} ", arguments.join(" "));
            assert!(text.contains(&format!("{} ", case.command)), "a case of {} runs {text}", case.command);
        }
    }
}

fn compare(case: &Case) {
    let name = case.command.replace([' ', '-'], "_");
    let text = transcript(case);
    insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "transcripts", omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn the_transcripts_are_as_they_were() {
    // All of them, so that one run shows every change.
    let is_changed = |case: &&Case| std::panic::catch_unwind(|| compare(case)).is_err();
    let changed: Vec<&str> = std::thread::scope(|scope| {
        let parts = CASES.chunks(CASES.len().div_ceil(4));
        let threads: Vec<_> =
            parts.map(|part| scope.spawn(move || part.iter().filter(is_changed).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).map(|case| case.command).collect()
    });
    assert!(changed.is_empty(), "changed: {}; if that is meant: INSTA_UPDATE=always cargo test", changed.join(", "));
}

#[test]
fn the_pages_name_every_command() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/wallet.md")).unwrap();
    let missing: Vec<String> = commands()
        .into_iter()
        .filter(|name| !page.contains(&format!("`{name}")) && !PENDING.contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "docs/wallet.md does not name: {}", missing.join(", "));
}
