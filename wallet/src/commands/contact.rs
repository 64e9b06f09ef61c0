//! `contact ...`.

use std::fmt;

use farthing::Address;
use serde::Serialize;

use crate::{contacts::ContactsError, context::Context, error::Result, name::Name};

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
/// A wrong address, or a name that stands for someone else.
pub fn add(context: &mut Context, name: &Name, address: &str) -> Result<()> {
    let address = context.wallet.parse_address(address)?;
    remember(context, name, address)?;
    let view = ContactView { name: name.clone(), address: context.wallet.show(&address) };
    Ok(context.output.data(&view)?)
}

/// Writes a contact down.
///
/// # Errors
/// A name that stands for someone else.
pub fn remember(context: &Context, name: &Name, address: Address) -> Result<()> {
    let _lock = context.wallet.lock()?;
    if let Ok(own) = context.wallet.keys().entry(name)
        && own.public.address() != address
    {
        let address = context.wallet.show(&own.public.address());
        return Err(ContactsError::Taken { name: name.clone(), address }.into());
    }
    Ok(context.wallet.contacts()?.add(name, address)?)
}

/// Forgets a name.
///
/// # Errors
/// No such contact.
pub fn remove(context: &mut Context, name: &Name) -> Result<()> {
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
