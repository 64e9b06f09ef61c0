//! `init`: a wallet from nothing, and what its owner should know.

use std::{fmt, path::PathBuf};

use farthing::params::Network;
use serde::Serialize;

use super::key::{self, KeyView};
use crate::{
    cli::{Global, NewKey},
    context::Context,
    error::Result,
    keystore::KeyEntry,
};

#[derive(Serialize)]
struct Made {
    #[serde(flatten)]
    key: KeyView,
    network: String,
    key_file: PathBuf,
    settings: PathBuf,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

/// Sets up a wallet: the folder, a first key, and the settings when there are none.
///
/// # Errors
/// Those of [`key::new`].
pub fn run(context: &mut Context, global: &Global, request: &NewKey) -> Result<()> {
    let entry = key::make(context, request)?;
    let made = Made {
        key: KeyView::new(&context.wallet, &entry),
        network: context.wallet.network().name.clone(),
        key_file: context.wallet.home().join("keys").join(format!("{}.pem", entry.name)),
        settings: context.settings.config().to_owned(),
    };
    context.output.data(&made)?;
    remember(context, global)?;
    if context.output.is_json() {
        return Ok(());
    }
    for line in advice(context, &entry, &made, global) {
        context.output.note(line);
    }
    Ok(())
}

/// Writes the choices down, or says which ones hold instead.
fn remember(context: &mut Context, global: &Global) -> Result<()> {
    let path = context.settings.config().display().to_string();
    if context.remember_choices(global)? {
        return Ok(());
    }
    let (kept, network) = (context.settings.remembered_network()?, &context.wallet.network().name);
    let text = format!("{path} was left as it is: it chooses the network {kept}");
    if kept == *network {
        context.output.note(text);
    } else {
        context.output.warn(format_args!("{text}; every later command needs --network {network} too"));
    }
    Ok(())
}

/// What was made, what to keep safe, and what to do next.
fn advice(context: &Context, entry: &KeyEntry, made: &Made, global: &Global) -> Vec<String> {
    let name = &entry.name;
    let guard = if entry.encrypted { "encrypted with your passphrase" } else { "NOT encrypted" };
    let mut lines = vec![
        format!("made      {name} on the network {}: {}, {guard}", made.network, made.key_file.display()),
        format!("          settings in {}", made.settings.display()),
    ];
    lines.push(
        "back up   farthing-wallet key backup FILE     keys, contacts and settings in one encrypted file".to_owned(),
    );
    if entry.encrypted {
        lines.push(
            "          keep it elsewhere, and the passphrases apart from it: whoever loses the key or its".to_owned(),
        );
        lines.push("          passphrase loses the money, and nobody can bring it back".to_owned());
    } else {
        lines.push("          whoever loses the key file loses the money, whoever finds it has it".to_owned());
    }
    if let Some(folder) = global.wallet_dir.as_ref().filter(|folder| !folder.as_os_str().is_empty()) {
        lines.push(format!(
            "folder    later commands find it with --wallet-dir or FARTHING_WALLET_DIR={}",
            folder.display()
        ));
    }
    let node = context.settings.node();
    lines.push(format!("next      farthing-wallet doctor      is all well, and does the node {node} answer?"));
    lines.push("          farthing-wallet address     give this to whoever shall pay you".to_owned());
    let (network, address) = (&made.network, context.wallet.show(&entry.public.address()));
    if network == "dev" {
        lines.push(format!("          farthing-node --mine {address} --mine-when 1"));
        lines.push("              a node, in another terminal, that mines for you whenever a payment waits".to_owned());
        lines.push("          farthing-wallet key import --dev alice --no-passphrase".to_owned());
        lines.push(format!(
            "          farthing-wallet send {name} 100 --from alice     play money, from an account that everybody has"
        ));
    } else {
        let named = if Network::by_name(network).is_some() { network } else { "FILE" };
        lines.push(format!("          farthing-node --network {named} --mine {address}"));
        lines.push("              or earn it: a node that mines for your address".to_owned());
    }
    if made.network == "main" {
        lines.push(format!(
            "          farthing-wallet init {name} --network dev     to try everything with play money first"
        ));
    }
    lines.push("          farthing-wallet balance     and then: farthing-wallet send TO AMOUNT".to_owned());
    lines
}
