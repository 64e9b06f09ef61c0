//! The table of all options: each is a flag, an environment variable and a key of the file, of the same name.

use clap::{Arg, ArgAction, Command, builder::Styles};

/// What an option's value looks like in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    /// `true` or `false`; as a flag it needs no value.
    Switch,
    /// Given any number of times; an array in the file, separated by commas in the environment.
    List,
}

/// One option.
#[derive(Debug)]
pub(super) struct Opt {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    value_name: &'static str,
    pub(super) default: Option<&'static str>,
    help: &'static str,
}

impl Opt {
    /// `FARTHING_` and the name in capitals.
    pub(super) fn variable(&self) -> String {
        format!("FARTHING_{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    fn arg(&self) -> Arg {
        let help = match self.default {
            Some(default) => format!("{} [default: {default}]", self.help),
            None => self.help.to_owned(),
        };
        let arg = Arg::new(self.name).long(self.name).help(help).value_name(self.value_name).global(true);
        match self.kind {
            Kind::List => arg.action(ArgAction::Append),
            Kind::Switch => {
                arg.action(ArgAction::Set).num_args(0..=1).require_equals(true).default_missing_value("true")
            }
            Kind::Text | Kind::Number => arg.action(ArgAction::Set),
        }
    }
}

const fn opt(
    name: &'static str,
    kind: Kind,
    value_name: &'static str,
    default: Option<&'static str>,
    help: &'static str,
) -> Opt {
    Opt { name, kind, value_name, default, help }
}

/// Every option but `--config` and `--print-config`, which no file can hold.
pub(super) const OPTIONS: &[Opt] = &[
    opt("network", Kind::Text, "dev|test|main|FILE", Some("dev"), "Network, or the file that describes a private one"),
    opt(
        "data-dir",
        Kind::Text,
        "DIR",
        None,
        "Where the chain is kept [default: farthing/NETWORK in the XDG data home]",
    ),
    opt("rpc-listen", Kind::Text, "ADDRESS:PORT", Some("127.0.0.1:50051"), "Where the public API listens"),
    opt(
        "rpc-allow-remote",
        Kind::Switch,
        "BOOL",
        Some("false"),
        "Let the public API, without TLS, listen beyond loopback",
    ),
    opt(
        "grpc-web",
        Kind::Switch,
        "BOOL",
        Some("false"),
        "Let browsers call the public API from the pages of --cors-origin: gRPC-Web, over HTTP/2 and HTTP/1.1",
    ),
    opt(
        "cors-origin",
        Kind::List,
        "ORIGIN",
        None,
        "An origin whose pages may call, such as https://wallet.example; * lets every page call; can be repeated",
    ),
    opt("p2p-listen", Kind::Text, "ADDRESS:PORT", Some("0.0.0.0:50061"), "Where other nodes are taken"),
    opt("connect", Kind::List, "HOST:PORT", None, "A node to connect to; can be repeated"),
    opt(
        "add-peer",
        Kind::List,
        "HOST:PORT",
        None,
        "A node to try once and to keep in the address book; can be repeated",
    ),
    opt("discover", Kind::List, "HOST:LOW-HIGH", None, "Ports to search for nodes; can be repeated"),
    opt(
        "compact-relay",
        Kind::Text,
        "on|off",
        Some("on"),
        "Take and give blocks near the tip without the transfers that both have",
    ),
    opt(
        "seed-dns",
        Kind::List,
        "NAME[:PORT]",
        None,
        "A name to ask for addresses of nodes [port 50061] while few are known; can be repeated",
    ),
    opt("no-discovery", Kind::Switch, "BOOL", Some("false"), "Dial only the nodes of --connect"),
    opt(
        "sync",
        Kind::Text,
        "full|checkpoint",
        Some("full"),
        "How an empty data directory begins: execute all blocks, or take the accounts of a deep block from peers",
    ),
    opt("sync-depth", Kind::Number, "BLOCKS", Some("1000"), "How deep that block must be; a shorter chain is executed"),
    opt(
        "minimum-work",
        Kind::Number,
        "WORK",
        Some("0"),
        "Total work that the headers must show before a checkpoint is taken, as another node's status shows it",
    ),
    opt("mine", Kind::Text, "ADDRESS", None, "Mine, and credit this address"),
    opt("mine-threads", Kind::Number, "N", Some("1"), "Threads that mine"),
    opt("mine-when", Kind::Number, "N", Some("0"), "Mine only once so many transfers wait"),
    opt("mine-max", Kind::Number, "N", None, "Take at most so many transfers into a block"),
    opt("mine-wait", Kind::Number, "SECONDS", None, "Mine fewer than --mine-when once a transfer has waited so long"),
    opt("panels", Kind::Text, "on|off|auto", Some("auto"), "Show each block on stdout; auto: if it is a terminal"),
    opt("transaction-index", Kind::Text, "on|off", Some("on"), "Keep the place of every transaction by its id"),
    opt("index-cache-mib", Kind::Number, "MIB", Some("16"), "Memory for the index's cache"),
    opt("checkpoint-every", Kind::Number, "BLOCKS", Some("1000"), "Keep the accounts at about every so many blocks"),
    opt("mempool-mib", Kind::Number, "MIB", Some("64"), "Memory for waiting transfers"),
    opt("key-cache", Kind::Number, "KEYS", Some("65536"), "How many parsed public keys are remembered"),
    opt("finality-depth", Kind::Number, "BLOCKS", None, "Never undo a block that has so many others on top"),
    opt("log", Kind::Text, "FILTER", Some("info"), "What is logged, such as info or farthing_node::peers=debug"),
    opt("log-format", Kind::Text, "human|json", Some("human"), "Form of the log on stderr"),
    opt("ready-file", Kind::Text, "FILE", None, "Write the bound addresses here, as JSON, once serving"),
];

pub(super) const CONFIG: &str = "config";
pub(super) const PRINT_CONFIG: &str = "print-config";

/// The option of this name.
pub(super) fn find(name: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|option| option.name == name)
}

/// The command line.
pub(super) fn command() -> Command {
    Command::new("farthing-node")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A node of the Farthing ledger: takes transfers, mines, relays and keeps the chain")
        .after_help(
            "Every option can also be set by the environment, as FARTHING_RPC_LISTEN for --rpc-listen, and in the file \
             given by --config, as rpc-listen = \"...\". A flag wins over the environment, which wins over the file.",
        )
        .styles(Styles::plain())
        .args(OPTIONS.iter().map(Opt::arg))
        .arg(
            Arg::new(CONFIG)
                .long(CONFIG)
                .value_name("FILE")
                .global(true)
                .help("Read options from a TOML file (or FARTHING_CONFIG)"),
        )
        .arg(
            Arg::new(PRINT_CONFIG)
                .long(PRINT_CONFIG)
                .global(true)
                .action(ArgAction::SetTrue)
                .help("Print the effective configuration and where each value comes from, and stop"),
        )
        .subcommand(Command::new("run").about("Run the node (the default)"))
        .subcommand(Command::new("verify").about("Check a data directory without changing it"))
        .subcommand(Command::new("reindex").about("Rebuild the index of a data directory from its blocks"))
        .subcommand(super::remote::subcommand())
        .subcommands(super::commands::subcommands())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows that `docs/operating.md` shall have.
    fn rows() -> String {
        let row = |option: &Opt| {
            let default = option.default.map_or_else(|| "–".to_owned(), |default| format!("`{default}`"));
            let name = format!("`--{} {}`", option.name, option.value_name).replace('|', "\\|");
            format!("| {name} | {default} | {} |\n", option.help)
        };
        OPTIONS.iter().map(row).collect()
    }

    #[test]
    fn the_operators_page_has_every_option_as_it_is() {
        let page = include_str!("../../../docs/operating.md");
        let table = page.split("|---|---|---|\n").nth(1).and_then(|rest| rest.split("<!-- /options").next());
        let table = table.expect("the page has a table of options between its markers");
        assert_eq!(table, rows(), "docs/operating.md should have these rows:\n{}", rows());
    }
}
