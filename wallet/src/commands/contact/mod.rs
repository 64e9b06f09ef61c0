//! `contact ...`.

use std::fmt;

use farthing::Address;
use serde::Serialize;

use crate::{cli::ContactCommand, contacts::ContactsError, context::Context, error::Result, lookalike, name::Name};

mod import;
mod show;

/// Runs one of them.
///
/// # Errors
/// Whatever stops it.
pub fn run(context: &mut Context, command: &ContactCommand) -> Result<()> {
    match command {
        ContactCommand::Add { name, address } => add(context, name, address),
        ContactCommand::List => list(context),
        ContactCommand::Show { name, offline } => show::run(context, name, *offline),
        ContactCommand::Rename { name, new_name } => rename(context, name, new_name),
        ContactCommand::Remove { name } => remove(context, name),
        ContactCommand::Import { file } => import::run(context, file),
    }
}

#[derive(Serialize)]
struct ContactView {
    name: Name,
    address: String,
}

impl fmt::Display for ContactView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<12} {}", self.name, self.address)
    }
}

#[derive(Serialize)]
struct ContactList {
    network: String,
    contacts: Vec<ContactView>,
}

impl fmt::Display for ContactList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.contacts.iter().try_for_each(|contact| writeln!(f, "{contact}"))
    }
}

/// Remembers an address under a name.
///
/// # Errors
/// A wrong address, a name that stands for someone else, or one that is easily taken for another.
fn add(context: &mut Context, name: &Name, address: &str) -> Result<()> {
    let address = context.wallet.parse_address(address)?;
    check_alike(context, name, &address)?;
    let known = context.wallet.name_of(&address)?.filter(|known| known != name);
    remember(context, name, address)?;
    if let Some(known) = known {
        context.output.note(format_args!("note: {known} has the same address"));
    }
    let view = ContactView { name: name.clone(), address: context.wallet.show(&address) };
    Ok(context.output.data(&view)?)
}

/// Writes a contact down.
///
/// # Errors
/// A name that stands for someone else.
pub fn remember(context: &Context, name: &Name, address: Address) -> Result<()> {
    let _lock = context.wallet.lock()?;
    check_own(context, name, &address)?;
    Ok(context.wallet.contacts()?.add(name, address)?)
}

/// A contact must not be named like a key of this wallet, unless it is that key.
fn check_own(context: &Context, name: &Name, address: &Address) -> Result<()> {
    match context.wallet.keys().entry(name) {
        Ok(own) if own.public.address() != *address => {
            let address = context.wallet.show(&own.public.address());
            Err(ContactsError::OwnKey { name: name.clone(), address }.into())
        }
        _ => Ok(()),
    }
}

/// What a new name for that address is easily taken for: a contact or a key with another address.
fn alike(context: &Context, name: &Name, address: &Address) -> Result<Option<Name>> {
    if let Some(known) = context.wallet.contacts()?.lookalike_of(name, address) {
        return Ok(Some(known.clone()));
    }
    let keys = context.wallet.keys().list()?;
    let own = keys.into_iter().find(|key| key.public.address() != *address && lookalike::are_alike(&key.name, name));
    Ok(own.map(|key| key.name))
}

/// Money follows names: one that looks like another needs a second thought.
fn check_alike(context: &mut Context, name: &Name, address: &Address) -> Result<()> {
    let Some(known) = alike(context, name, address)? else {
        return Ok(());
    };
    context.output.warn(format_args!("{name:?} is easily taken for {known:?}, which has another address"));
    Ok(context.confirm("a name that looks like another", "Use it all the same?")?)
}

/// Gives a contact another name.
///
/// # Errors
/// No such contact; a name that stands for someone else, or is easily taken for another.
fn rename(context: &mut Context, from: &Name, to: &Name) -> Result<()> {
    let contacts = context.wallet.contacts()?;
    let address = contacts.find(from)?;
    check_alike(context, to, &address)?;
    let _lock = context.wallet.lock()?;
    check_own(context, to, &address)?;
    let address = context.wallet.contacts()?.rename(from, to)?;
    let view = ContactView { name: to.clone(), address: context.wallet.show(&address) };
    context.output.note(format_args!("renamed from {from}:"));
    Ok(context.output.data(&view)?)
}

/// Forgets a name.
///
/// # Errors
/// No such contact.
fn remove(context: &mut Context, name: &Name) -> Result<()> {
    let _lock = context.wallet.lock()?;
    let address = context.wallet.contacts()?.remove(name)?;
    let view = ContactView { name: name.clone(), address: context.wallet.show(&address) };
    context.output.note("removed:");
    Ok(context.output.data(&view)?)
}

/// Lists the contacts.
///
/// # Errors
/// A contacts file that cannot be read.
pub fn list(context: &mut Context) -> Result<()> {
    let contacts = context.wallet.contacts()?;
    let view =
        |(name, address): (&Name, &Address)| ContactView { name: name.clone(), address: context.wallet.show(address) };
    let list =
        ContactList { network: context.wallet.network().name.clone(), contacts: contacts.iter().map(view).collect() };
    if list.contacts.is_empty() {
        context.output.note("no contacts yet; add one with: farthing-wallet contact add NAME ADDRESS");
    }
    Ok(context.output.data(&list)?)
}
