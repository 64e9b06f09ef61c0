//! Precedence, origins, and every way in which a configuration is refused.

use std::path::Path;

use super::*;
use crate::{env::MemDisk, tasks::Chain};

const ALICE: &str = "6567b63f71ac0add9e50b98c785c6cbecd96c4b1320494b8ed323ef4b1a1f5b2";

fn alice() -> String {
    let bytes: [u8; 32] = hex::decode(ALICE).unwrap().try_into().unwrap();
    Network::Dev.params().prefix.format(&Address::from_bytes(bytes))
}

fn disk_with(file: &str) -> MemDisk {
    let disk = MemDisk::new();
    disk.create(Path::new("/node.toml")).unwrap().append(file.as_bytes()).unwrap();
    disk
}

fn load_with(file: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Result<Invocation, ConfigError> {
    let mut all = vec!["farthing-node", "--config", "/node.toml"];
    all.extend(arguments);
    let home = [("HOME", "/home/operator")];
    let variables = variables.iter().chain(&home).map(|(name, value)| (name.into(), value.into()));
    load(all.into_iter().map(OsString::from), variables, &disk_with(file))
}

fn run(file: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Config {
    match load_with(file, variables, arguments) {
        Ok(Invocation::Run(config)) => config,
        other => panic!("{other:?}"),
    }
}

fn refused(file: &str, variables: &[(&str, &str)], arguments: &[&str]) -> String {
    let error = load_with(file, variables, arguments).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    Chain(&error).to_string()
}

#[test]
fn without_anything_a_dev_node_listens_on_loopback_below_the_home() {
    let config = run("", &[], &[]);
    assert_eq!(config.params.name, "dev");
    assert_eq!(config.data_dir, Path::new("/home/operator/.local/share/farthing/dev"));
    assert_eq!(config.rpc_listen, "127.0.0.1:50051".parse().unwrap());
    assert_eq!(config.p2p_listen, "0.0.0.0:50061".parse().unwrap());
    assert_eq!(config.mining, None);
    let xdg = run("", &[("XDG_DATA_HOME", "/xdg")], &["--network", "test"]);
    assert_eq!(xdg.data_dir, Path::new("/xdg/farthing/test"));
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = "log = \"warn\"\nrpc-listen = \"127.0.0.1:1\"\np2p-listen = \"127.0.0.1:2\"\n";
    let variables = [("FARTHING_RPC_LISTEN", "127.0.0.1:3"), ("FARTHING_P2P_LISTEN", "127.0.0.1:4")];
    let config = run(file, &variables, &["--p2p-listen", "127.0.0.1:5"]);
    assert_eq!(config.log_filter, "warn");
    assert_eq!(config.rpc_listen.port(), 3);
    assert_eq!(config.p2p_listen.port(), 5);
}

#[test]
fn lists_come_from_repeated_flags_commas_or_arrays() {
    let expected: Vec<HostPort> = vec!["a:1".parse().unwrap(), "[::1]:2".parse().unwrap()];
    assert_eq!(run("connect = [\"a:1\", \"[::1]:2\"]", &[], &[]).connect, expected);
    assert_eq!(run("", &[("FARTHING_CONNECT", "a:1, [::1]:2")], &[]).connect, expected);
    assert_eq!(run("", &[], &["--connect", "a:1", "--connect", "[::1]:2"]).connect, expected);
    assert_eq!(run("", &[], &["--discover", "127.0.0.1:5-9"]).discover[0].ports().count(), 5);
    assert_eq!(run("", &[], &["--add-peer", "a:1", "--add-peer", "[::1]:2"]).add_peer, expected);
    let seeds = run("", &[("FARTHING_SEED_DNS", "seed.example, other.example:7")], &[]).seed_dns;
    assert_eq!(seeds, ["seed.example:50061".parse().unwrap(), "other.example:7".parse().unwrap()]);
}

#[test]
fn a_node_discovers_others_unless_told_otherwise() {
    assert!(!run("", &[], &[]).no_discovery);
    assert!(run("", &[], &["--no-discovery"]).no_discovery);
    assert!(run("no-discovery = true", &[], &[]).no_discovery);
    assert!(!run("no-discovery = true", &[], &["--no-discovery=false"]).no_discovery);
}

#[test]
fn mining_is_read_whole() {
    let address = alice();
    let arguments = ["--mine", &address, "--mine-threads=2", "--mine-when=4", "--mine-max=8", "--mine-wait=10"];
    let mining = run("", &[], &arguments).mining.unwrap();
    assert_eq!(hex::encode(mining.address.as_bytes()), ALICE);
    assert_eq!((mining.threads.get(), mining.when), (2, 4));
    assert_eq!(mining.max.unwrap().get(), 8);
    assert_eq!(mining.wait, Some(Duration::from_secs(10)));
}

#[test]
fn the_printed_configuration_names_origins_and_reads_back_the_same() {
    let print = |file: &str, variables: &[(&str, &str)], arguments: &[&str]| match load_with(file, variables, arguments)
    {
        Ok(Invocation::Print(text)) => text,
        other => panic!("{other:?}"),
    };
    let variables = [("FARTHING_CONNECT", "a:1,b:2")];
    let text = print("\nmempool-mib = 32\n", &variables, &["--print-config", "--rpc-allow-remote", "--log", "debug"]);
    for line in [
        "network = \"dev\"  # default",
        "mempool-mib = 32  # /node.toml:2",
        "connect = [\"a:1\", \"b:2\"]  # environment variable FARTHING_CONNECT",
        "rpc-allow-remote = true  # flag --rpc-allow-remote",
        "log = \"debug\"  # flag --log",
        "# mine is not set",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} not in:\n{text}");
    }
    let without_origin = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  # ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(without_origin(&print(&text, &[], &["--print-config"])), without_origin(&text));
}

#[test]
fn the_subcommands_take_the_same_options() {
    assert!(
        matches!(load_with("", &[], &["verify", "--data-dir", "/d"]), Ok(Invocation::Verify(c)) if c.data_dir == Path::new("/d"))
    );
    assert!(
        matches!(load_with("", &[], &["--data-dir", "/d", "reindex"]), Ok(Invocation::Reindex(c)) if c.data_dir == Path::new("/d"))
    );
    assert!(matches!(load_with("", &[], &["run"]), Ok(Invocation::Run(_))));
}

#[test]
fn a_broken_file_is_refused_with_its_line() {
    assert_eq!(
        refused("log = \"info\"\n\nlogg = \"info\"\n", &[], &[]),
        "/node.toml:3: unknown key \"logg\"; `farthing-node --help` lists the options"
    );
    assert_eq!(refused("\nmempool-mib = \"many\"", &[], &[]), "/node.toml:2: mempool-mib must be a number");
    assert_eq!(refused("connect = \"a:1\"", &[], &[]), "/node.toml:1: connect must be an array of texts");
    assert!(refused("log = \"info\"\nlog = = 1", &[], &[]).starts_with("/node.toml:2: "));
    let arguments = ["farthing-node", "--config", "/none.toml"].map(OsString::from);
    let error = load(arguments, [], &MemDisk::new()).unwrap_err();
    assert!(Chain(&error).to_string().starts_with("cannot read /none.toml: "));
}

#[test]
fn a_value_that_means_nothing_is_refused_with_its_origin_and_what_was_expected() {
    assert_eq!(
        refused("", &[("FARTHING_PANELS", "maybe")], &[]),
        "panels = \"maybe\" (environment variable FARTHING_PANELS): expected on, off or auto"
    );
    assert_eq!(
        refused("key-cache = 0", &[], &[]),
        "key-cache = \"0\" (/node.toml:1): expected a number from 1 to 16777216"
    );
    for arguments in [
        ["--rpc-listen", "localhost"],
        ["--connect", "host"],
        ["--discover", "host:9-8"],
        ["--add-peer", "host"],
        ["--seed-dns", "seed.example:0"],
        ["--log", "farthing_node=loud"],
        ["--log-format", "xml"],
        ["--index-cache-mib", "-1"],
        ["--network", "/no/such/file"],
        ["--data-dir", ""],
        ["--mine", "bob"],
    ] {
        let message = refused("", &[], &[&format!("{}={}", arguments[0], arguments[1])]);
        assert!(message.contains(&format!("(flag {})", arguments[0])), "{message}");
        assert!(message.contains("expected"), "{message}");
    }
}

#[test]
fn a_mining_address_of_another_network_is_refused() {
    let message = refused("", &[], &["--network", "test", "--mine", &alice()]);
    assert!(message.contains("the address is for a network with prefix \"dfar\", this one has \"tfar\""), "{message}");
}

#[test]
fn the_public_api_beyond_loopback_needs_consent() {
    assert!(refused("", &[], &["--rpc-listen", "0.0.0.0:50051"]).contains("give --rpc-allow-remote if that is meant"));
    run("", &[], &["--rpc-listen", "0.0.0.0:50051", "--rpc-allow-remote"]);
    run("", &[], &["--rpc-listen", "[::1]:50051"]);
}

#[test]
fn both_listeners_on_one_port_are_refused_unless_the_system_chooses() {
    assert!(refused("", &[], &["--p2p-listen", "0.0.0.0:50051"]).contains("are the same port"));
    run("", &[], &["--rpc-listen", "127.0.0.1:0", "--p2p-listen", "127.0.0.1:0"]);
}

#[test]
fn mining_options_without_mining_or_against_each_other_are_refused() {
    assert_eq!(refused("mine-when = 4", &[], &[]), "mine-when (/node.toml:1) has no effect without --mine ADDRESS");
    let address = alice();
    let arguments = ["--mine", &address, "--mine-when", "9", "--mine-max", "8"];
    assert_eq!(refused("", &[], &arguments), "mine-when = 9 is more than mine-max = 8");
}

#[test]
fn a_private_network_is_read_from_its_file() {
    let disk = disk_with("name = \"ours\"\nprefix = \"ofar\"\ngenesis_time_ms = 1793491200000\n");
    let arguments = ["farthing-node", "--network", "/node.toml", "--data-dir", "/d"].map(OsString::from);
    match load(arguments, [], &disk) {
        Ok(Invocation::Run(config)) => assert_eq!(config.params.name, "ours"),
        other => panic!("{other:?}"),
    }
    let broken = disk_with("name = \"ours\"\n");
    let arguments = ["farthing-node", "--network", "/node.toml", "--data-dir", "/d"].map(OsString::from);
    let error = load(arguments, [], &broken).unwrap_err();
    assert!(Chain(&error).to_string().starts_with("/node.toml does not describe a network: "));
}

#[test]
fn an_unknown_flag_is_refused_and_help_is_not_an_error() {
    assert!(refused("", &[], &["--fast"]).contains("--fast"));
    let help = load_with("", &[], &["--help"]).unwrap_err();
    assert_eq!(help.exit_code(), 0);
    assert!(help.to_string().contains("--rpc-allow-remote"));
}

#[test]
fn without_a_home_the_data_directory_must_be_given() {
    let error = load([OsString::from("farthing-node")], [], &MemDisk::new()).unwrap_err();
    assert_eq!(error.to_string(), "neither XDG_DATA_HOME nor HOME is set; give --data-dir");
}

#[test]
fn how_a_node_begins_is_an_option_and_full_unless_it_is_given() {
    assert_eq!(run("", &[], &[]).sync, SyncMode::Full);
    assert_eq!(run("", &[], &["--sync-depth", "7"]).sync, SyncMode::Full, "the depth alone asks for nothing");
    let given = run("sync = \"checkpoint\"\nsync-depth = 50\n", &[("FARTHING_MINIMUM_WORK", "12345")], &[]);
    assert_eq!(given.sync, SyncMode::Checkpoint { depth: 50, minimum_work: Work::new(12_345) });
    let every = run("", &[], &["--checkpoint-every", "200"]).checkpoints;
    assert_eq!((every.every_blocks, every.deep_blocks), (200, 1_000), "as deep as --sync-depth asks for");
    let rarely = run("", &[], &["--checkpoint-every", "5000"]).checkpoints;
    assert_eq!((rarely.every_blocks, rarely.deep_blocks), (5_000, 5_000));
    assert!(refused("", &[], &["--sync", "fast"]).contains("full or checkpoint"));
    assert!(refused("", &[], &["--sync-depth", "0"]).contains("a number of blocks from 1"));
    assert!(refused("", &[], &["--minimum-work", "much"]).contains("minimum-work"));
    assert!(refused("", &[], &["--checkpoint-every", "9"]).contains("from 10"));
}

#[test]
fn browsers_are_served_only_where_the_operator_names_their_pages() {
    let named = |text: &str| text.parse::<server::Origin>().unwrap();
    assert_eq!(run("", &[], &[]).web, None);
    let file = "grpc-web = true\ncors-origin = [\"https://wallet.example\", \"http://localhost:8080\"]\n";
    let origins = vec![named("https://wallet.example"), named("http://localhost:8080")];
    assert_eq!(run(file, &[], &[]).web, Some(WebSettings { origins }));
    let all = run("", &[("FARTHING_GRPC_WEB", "true")], &["--cors-origin", "*"]).web;
    assert_eq!(all, Some(WebSettings { origins: vec![server::Origin::Any] }));
    let alone = refused("", &[], &["--grpc-web"]);
    assert!(alone.contains("serves no browser without --cors-origin"), "{alone}");
    let off = refused("", &[], &["--cors-origin", "https://wallet.example"]);
    assert!(off.contains("has no effect without --grpc-web"), "{off}");
    let bad = refused("", &[], &["--grpc-web", "--cors-origin", "https://wallet.example/"]);
    assert!(bad.contains("without a path"), "{bad}");
}
