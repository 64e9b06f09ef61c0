//! A success and the commonest mistake of every command. Files: `passphrase`, `wrong` (another one), `payees.csv`, `bad.csv`,
//! `occupied`, and those of the case. Everything runs in the folder where they lie; `PLACE` stands for where the node listens.

use crate::{
    fake_node::FakeNode,
    transcripts::{ALICE, BOB},
};

/// What is run of a command.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// Its name.
    pub(crate) command: &'static str,
    /// What is run beforehand and must succeed.
    pub(crate) before: &'static [&'static [&'static str]],
    /// Files that it needs.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// What the node is told beforehand.
    pub(crate) node: Option<fn(&FakeNode)>,
    /// What succeeds.
    pub(crate) good: &'static [&'static str],
    /// What fails.
    pub(crate) mistake: &'static [&'static str],
}

/// Commands that have no case yet.
pub(crate) const PENDING: &[&str] = &[
    // On a terminal only, and tested there.
    "shell",
    "key backup",
    "key restore",
    "backup",
    "restore",
];

const IMPORT: &[&str] = &["key", "import", "--dev", "alice"];
const NEW_BOB: &[&str] = &["contact", "add", "bob", BOB];
const SEALED: &[&str] = &["key", "new", "anna", "--passphrase-file", "passphrase"];

const fn case(command: &'static str, good: &'static [&'static str], mistake: &'static [&'static str]) -> Case {
    Case { command, before: &[IMPORT, NEW_BOB], files: &[], node: None, good, mistake }
}

impl Case {
    const fn with(mut self, files: &'static [(&'static str, &'static str)]) -> Self {
        self.files = files;
        self
    }

    const fn on(mut self, node: fn(&FakeNode)) -> Self {
        self.node = Some(node);
        self
    }

    const fn after(mut self, before: &'static [&'static [&'static str]]) -> Self {
        self.before = before;
        self
    }
}

/// What is handed in waits.
fn never_mines(node: &FakeNode) {
    node.state().mines = false;
}

const BUILD: &[&str] =
    &["tx", "build", "bob", "1.5", "--nonce", "0", "--fee", "0.2", "--max-fee", "0.2", "--out", "transfer"];
const SIGN: &[&str] = &["tx", "sign", "transfer", "--out", "signed", "--yes"];
const BROADCAST: &[&str] = &["tx", "broadcast", "signed", "--yes"];
const HAND_IN: &[&str] = &["tx", "broadcast", "signed", "--no-wait", "--yes"];
/// The id of what they send.
const SENT: &str = "98860409944bb297454149f97ae0c87169d1b67af8f561de4b0ddaf5fe2b38ee";

/// That of no transfer.
const NOWHERE: &str = "00000000000000000000000000000000000000000000000000000000000000aa";

/// All of them.
pub(crate) const CASES: &[Case] = &[
    case("init", &["init", "anna", "--no-passphrase"], &["init", "anna"]).after(&[]),
    case("status", &["status"], &["status", "--node", "http://127.0.0.1:1"]),
    case("doctor", &["doctor"], &["doctor", "--node", "http://127.0.0.1:1"]),
    case(
        "key new",
        &["key", "new", "anna", "--passphrase-file", "passphrase"],
        &["key", "new", "alice", "--no-passphrase"],
    ),
    case("key import", &["key", "import", "--dev", "bob"], &["key", "import", "payees.csv"]).after(&[]),
    case("key export", &["key", "export", "alice", "--public"], &["key", "export", "alice"]),
    case("key list", &["key", "list"], &["key", "list", "alice"]),
    case("key show", &["key", "show", "alice"], &["key", "show", "alic"]),
    case("key rename", &["key", "rename", "alice", "al"], &["key", "rename", "alic", "al"]),
    case(
        "key passwd",
        &["key", "passwd", "anna", "--passphrase-file", "passphrase", "--new-passphrase-file", "wrong"],
        &["key", "passwd", "anna", "--passphrase-file", "wrong", "--new-passphrase-file", "passphrase"],
    )
    .after(&[SEALED]),
    case("key remove", &["key", "remove", "alice", "--confirm-name", "alice"], &["key", "remove", "alice"]),
    case("address", &["address"], &["address", "bob"]),
    case("contact add", &["contact", "add", "ben", BOB], &["contact", "add", "b0b", ALICE]),
    case("contact list", &["contact", "list"], &["contact", "list", "bob"]),
    case("contact show", &["contact", "show", "bob"], &["contact", "show", "bbo"]).after(&[
        IMPORT,
        NEW_BOB,
        &["send", "bob", "2.5", "--yes", "--wait", "1"],
    ]),
    case("contact rename", &["contact", "rename", "bob", "robert"], &["contact", "rename", "bob", "alice"]),
    case("contact remove", &["contact", "remove", "bob"], &["contact", "remove", "bbo"]),
    case("contact import", &["contact", "import", "payees.csv"], &["contact", "import", "bad.csv"]),
    case("balance", &["balance"], &["balance", "bbo"]),
    case("history", &["history"], &["history", "bbo"]).after(&[
        IMPORT,
        NEW_BOB,
        &["send", "bob", "2.5", "--memo", "for bread", "--yes"],
    ]),
    case("send", &["send", "bob", "2.5", "--yes", "--wait", "1"], &["send", "bob", "2,5", "--yes"]),
    case("pay", &["pay", "may.csv", "--yes"], &["pay", "slips.csv", "--yes"]).with(&[
        ("may.csv", "recipient,amount,label\nbob,12.5,Rent\nbob,1,Bread\nalice,3,\n"),
        ("slips.csv", "recipient,amount\nbob,1\nbbo,1\nbob,\"1,5\"\n"),
    ]),
    case("tx build", &["tx", "build", "bob", "1.5", "--out", "transfer"], &["tx", "build", "bob"]),
    case("tx inspect", &["tx", "inspect", "transfer"], &["tx", "inspect", "payees.csv"])
        .after(&[IMPORT, NEW_BOB, BUILD]),
    case("tx sign", &["tx", "sign", "transfer", "--yes"], &["tx", "sign", "transfer"]).after(&[IMPORT, NEW_BOB, BUILD]),
    case("tx broadcast", &["tx", "broadcast", "signed", "--yes"], &["tx", "broadcast", "transfer", "--yes"])
        .after(&[IMPORT, NEW_BOB, BUILD, SIGN]),
    case("tx show", &["tx", "show", SENT], &["tx", "show", NOWHERE]).after(&[IMPORT, NEW_BOB, BUILD, SIGN, BROADCAST]),
    case("tx wait", &["tx", "wait", SENT], &["tx", "wait", NOWHERE]).after(&[IMPORT, NEW_BOB, BUILD, SIGN, BROADCAST]),
    case(
        "tx bump",
        &["tx", "bump", SENT, "--max-fee", "0.3", "--no-wait", "--yes"],
        &["tx", "bump", SENT, "--fee", "0.2"],
    )
    .on(never_mines)
    .after(&[IMPORT, NEW_BOB, BUILD, SIGN, HAND_IN]),
    case("tx cancel", &["tx", "cancel", SENT, "--max-fee", "0.3", "--no-wait", "--yes"], &["tx", "cancel", SENT])
        .on(never_mines)
        .after(&[IMPORT, NEW_BOB, BUILD, SIGN, HAND_IN]),
    case("tx prove", &["tx", "prove", SENT], &["tx", "prove", "1b2b"])
        .after(&[IMPORT, NEW_BOB, BUILD, SIGN, BROADCAST]),
    case("tx verify-proof", &["tx", "verify-proof", "receipt"], &["tx", "verify-proof", "signed"]).after(&[
        IMPORT,
        NEW_BOB,
        BUILD,
        SIGN,
        BROADCAST,
        &["tx", "prove", SENT, "--out", "receipt"],
    ]),
    case(
        "message sign",
        &["message", "sign", "--text", "hello", "--account", "alice"],
        &["message", "sign", "--text", "hello", "--account", "bob"],
    ),
    case(
        "message verify",
        &["message", "verify", "--text", "hello", "--signature", "signature", "--by", "alice"],
        &["message", "verify", "--text", "hallo", "--signature", "signature", "--by", "alice"],
    )
    .after(&[IMPORT, &["message", "sign", "--text", "hello", "--out", "signature"]]),
    case("network list", &["network", "list"], &["network", "list", "dev"]),
    case("network add", &["network", "add", "ours.toml"], &["network", "add", "bad.csv"])
        .with(&[("ours.toml", "name = \"ours\"\nprefix = \"our\"\ngenesis_time_ms = 1793491200000\n")]),
    case("network use", &["network", "use", "test"], &["network", "use", "mian"]),
    case("receive", &["receive", "--amount", "2.5", "--label", "Rent for May"], &["receive", "--amount", "2,5"]),
    case("resubmit", &["resubmit"], &["resubmit", "--node", "http://127.0.0.1:1"]),
    case("network find", &["network", "find", "PLACE"], &["network", "find", "127.0.0.1"]),
    case("config get", &["config", "get"], &["config", "get", "netwrok"]),
    case("config set", &["config", "set", "account", "alice"], &["config", "set", "account", "Alice"]),
    case("config unset", &["config", "unset", "account"], &["config", "unset", "acount"]),
    case("config path", &["config", "path"], &["config", "path", "--network", "mian"]),
    case("completions", &["completions", "bash"], &["completions", "tcsh"]),
    case("man", &["man", "pages"], &["man", "occupied"]),
];
