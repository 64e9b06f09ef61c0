//! Settings, completions and man pages: what works before there is a wallet.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::harness::Wallet;

#[test]
fn what_is_set_holds_for_later_commands() {
    let wallet = Wallet::on("");
    assert_eq!(wallet.ok(&["config", "get", "network"]), "main\n");
    assert_eq!(wallet.ok(&["config", "set", "network", "dev"]), "dev\n");
    wallet.ok(&["key", "import", "--dev", "alice"]);
    wallet.ok(&["key", "import", "--dev", "bob"]);
    wallet.fails(&["address"], 2, "WHICH_KEY");
    wallet.ok(&["config", "set", "account", "bob"]);
    assert_eq!(wallet.ok(&["address"]), wallet.ok(&["address", "bob"]));
    let json = wallet.json(&["config", "get", "account"]);
    assert_eq!((&json["value"], &json["from"]), (&"bob".into(), &"file".into()));
    assert_eq!(wallet.json(&["config", "get", "account", "--account", "eve"])["from"], "flag");
    wallet.ok(&["config", "unset", "account"]);
    assert_eq!(wallet.json(&["config", "get", "account"])["value"], serde_json::Value::Null);
}

#[test]
fn a_setting_that_could_not_be_used_is_refused() {
    let wallet = Wallet::new();
    wallet.fails(&["config", "set", "netwrok", "dev"], 2, "UNKNOWN_SETTING");
    wallet.fails(&["config", "set", "network", "mian"], 2, "BAD_NETWORK");
    wallet.fails(&["config", "set", "node", "localhost"], 2, "BAD_NODE_URL");
    wallet.fails(&["config", "set", "timeout", "soon"], 2, "BAD_SETTING");
    assert!(!wallet.path("wallet/config.toml").exists());
}

#[test]
fn settings_that_stop_every_other_command_can_be_mended() {
    let wallet = Wallet::on("");
    fs::create_dir(wallet.path("wallet")).unwrap();
    fs::write(wallet.path("wallet/config.toml"), "# mine\nnetwork = \"mian\"\nfuture = 1\n").unwrap();
    wallet.fails(&["key", "list"], 2, "BAD_CONFIG");
    let run = wallet.run(&["config", "set", "network", "dev"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("does not know") && run.stderr.contains("future"), "{}", run.stderr);
    let text = fs::read_to_string(wallet.path("wallet/config.toml")).unwrap();
    assert_eq!(text, "# mine\nnetwork = \"dev\"\nfuture = 1\n");
    fs::write(wallet.path("wallet/config.toml"), "network = \n").unwrap();
    wallet.fails(&["config", "set", "network", "dev"], 2, "BAD_CONFIG");
}

#[test]
fn settings_and_data_lie_where_xdg_wants_them() {
    let wallet = Wallet::new();
    let run = |arguments: &[&str]| {
        let mut command = wallet.command(arguments);
        command.env_remove("FARTHING_WALLET_DIR").env("XDG_CONFIG_HOME", wallet.path("c"));
        let output = command.env("XDG_DATA_HOME", wallet.path("d")).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["init", "me", "--no-passphrase"]);
    assert!(wallet.path("d/farthing-wallet/dev/keys/me.pem").is_file());
    let settings = wallet.path("c/farthing-wallet/config.toml");
    assert_eq!(fs::metadata(&settings).unwrap().permissions().mode() & 0o7777, 0o600);
    let paths = run(&["config", "path"]);
    assert!(paths.contains(&settings.display().to_string()), "{paths}");
    assert!(paths.contains("d/farthing-wallet/dev/keys\n"), "{paths}");
}

#[test]
fn a_setting_over_which_later_commands_would_stumble_is_warned_of() {
    let wallet = Wallet::new();
    wallet.ok(&["key", "import", "--dev", "alice"]);
    let said = |arguments: &[&str]| wallet.run(&[&["config", "set"], arguments].concat()).stderr;
    assert!(said(&["account", "alcie"]).contains("neither a key nor a contact alcie"));
    assert!(!said(&["account", "alice"]).contains("warning"));
    assert!(said(&["quorum", "2"]).contains("nodes that must agree: 2, nodes to ask: 1"));
    let both = "http://127.0.0.1:1,http://127.0.0.1:2";
    assert!(!said(&["quorum", "2", "--node", both]).contains("warning"));
}

#[test]
fn help_is_there_by_the_word_too() {
    let wallet = Wallet::new();
    assert_eq!(wallet.ok(&["help"]), wallet.ok(&["--help"]));
    assert_eq!(wallet.ok(&["help", "contact", "add"]), wallet.ok(&["contact", "add", "--help"]));
    let all = wallet.ok(&["help"]);
    assert!(all.find("  init ").unwrap() < all.find("Exit codes").unwrap(), "{all}");
}

#[test]
fn a_wrong_command_line_has_the_form_of_every_error() {
    let wallet = Wallet::new();
    let said = wallet.fails(&["blance"], 2, "USAGE");
    assert!(said.contains("try: balance, if you meant that"), "{said}");
    // Also with the variable set, whose flag the parser would show as if it had to be there.
    let missing = wallet.fails(&["tx", "show"], 2, "USAGE");
    assert!(missing.contains("try: farthing-wallet tx show [OPTIONS] <ID>\n"), "{missing}");
    wallet.ok(&["key", "import", "--dev", "alice"]);
    for wrong in [&["send", "alice", "-1"][..], &["receive", "--amount", "-1"], &["tx", "build", "alice", "-1"]] {
        let said = wallet.fails(wrong, 2, "BAD_AMOUNT");
        assert!(said.contains("without sign"), "{said}");
    }
    wallet.fails(&["shell"], 2, "NO_TERMINAL");
}

/// Every command that can be typed, such as `contact add`.
fn commands(command: &clap::Command, before: &str) -> Vec<String> {
    let mut all = Vec::new();
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        let name = format!("{before} {}", inner.get_name()).trim().to_owned();
        all.extend(commands(inner, &name));
        all.push(name);
    }
    all
}

#[test]
fn completions_know_every_command() {
    let wallet = Wallet::new();
    let all = commands(&farthing_wallet::cli::command(), "");
    assert!(all.iter().any(|name| name == "contact add"), "{all:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = wallet.ok(&["completions", shell]);
        for name in &all {
            let last = name.split(' ').next_back().unwrap();
            assert!(script.contains(last), "{shell} does not know {name}");
        }
    }
    assert_eq!(wallet.run(&["completions", "tcsh"]).code, 2);
}

#[test]
fn bash_completes_below_every_command() {
    let wallet = Wallet::new();
    let script = wallet.file("completions", &wallet.ok(&["completions", "bash"]));
    let mut program = format!(". {script}\n");
    let all = commands(&farthing_wallet::cli::command(), "");
    for name in &all {
        let at = name.split(' ').count() + 1;
        program += &format!("COMP_WORDS=(farthing-wallet {name} --js) COMP_CWORD={at}\n");
        program += "_farthing__wallet farthing-wallet --js x; echo \"${COMPREPLY[*]}\"\n";
    }
    let program = wallet.file("program", &program);
    let output = std::process::Command::new("bash").args(["--norc", &program]).output().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().count(), all.len(), "{}", String::from_utf8_lossy(&output.stderr));
    for (name, answer) in all.iter().zip(answers.lines()) {
        assert_eq!(answer, "--json", "{name}");
    }
}

#[test]
fn every_command_has_a_man_page() {
    let wallet = Wallet::new();
    let folder = wallet.path("man");
    let pages = wallet.json(&["man", &folder.display().to_string()]);
    let all = commands(&farthing_wallet::cli::command(), "");
    assert_eq!(pages["pages"].as_array().unwrap().len(), all.len() + 1);
    for name in all {
        let page = folder.join(format!("farthing-wallet-{}.1", name.replace(' ', "-")));
        let text = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        assert!(text.contains(".SH SYNOPSIS") && text.contains(".SH OPTIONS"), "{name}");
    }
    let text = fs::read_to_string(folder.join("farthing-wallet.1")).unwrap();
    assert!(text.contains("Exit codes"), "{text}");
    let file = wallet.file("occupied", "");
    wallet.fails(&["man", &file], 1, "FILE_IO");
}
