//! Runs the built wallet as a person or a script would.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "cli/backup.rs"]
mod backup;
#[path = "cli/contacts.rs"]
mod contacts;
#[path = "cli/exits.rs"]
mod exits;
#[path = "cli/fake_chain.rs"]
mod fake_chain;
#[path = "cli/fake_ledger.rs"]
mod fake_ledger;
#[path = "cli/fake_node.rs"]
mod fake_node;
#[path = "cli/fake_streams.rs"]
mod fake_streams;
#[path = "cli/following.rs"]
mod following;
#[path = "cli/harness.rs"]
mod harness;
#[path = "cli/health.rs"]
mod health;
#[path = "cli/history.rs"]
mod history;
#[path = "cli/interop.rs"]
mod interop;
#[path = "cli/key_changes.rs"]
mod key_changes;
#[path = "cli/key_forms.rs"]
mod key_forms;
#[path = "cli/keys.rs"]
mod keys;
#[path = "cli/kills.rs"]
mod kills;
#[path = "cli/lies.rs"]
mod lies;
#[path = "cli/messages.rs"]
mod messages;
#[path = "cli/networks.rs"]
mod networks;
#[path = "cli/node.rs"]
mod node;
#[path = "cli/offline.rs"]
mod offline;
#[path = "cli/outbox.rs"]
mod outbox;
#[path = "cli/pay.rs"]
mod pay;
#[path = "cli/quorum.rs"]
mod quorum;
#[path = "cli/receipts.rs"]
mod receipts;
#[path = "cli/receive.rs"]
mod receive;
#[path = "cli/refused.rs"]
mod refused;
#[path = "cli/screens.rs"]
mod screens;
#[path = "cli/send.rs"]
mod send;
#[path = "cli/send_screen.rs"]
mod send_screen;
#[path = "cli/session.rs"]
mod session;
#[path = "cli/session_again.rs"]
mod session_again;
#[path = "cli/settings.rs"]
mod settings;
#[path = "cli/sign_only.rs"]
mod sign_only;
#[path = "cli/signers.rs"]
mod signers;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/tools.rs"]
mod tools;
#[path = "cli/transcript_cases.rs"]
mod transcript_cases;
#[path = "cli/transcripts.rs"]
mod transcripts;
#[path = "cli/tx_files.rs"]
mod tx_files;
#[path = "cli/tx_replace.rs"]
mod tx_replace;
#[path = "cli/tx_standing.rs"]
mod tx_standing;
