//! The interactive session: your name, the recipient's name, an amount; confirm; wait until it is mined; again.

use std::time::Duration;

use farthing::{Address, Mites, keys::KeySize, wire::TransactionStanding};

use crate::{
    client::NodeClient,
    commands::{balance, contact, history, key, resubmit, send, status},
    context::{AskError, Context},
    error::{Error, Exit, Result},
    keystore::{FileSigner, KeyEntry, dev},
    name::Name,
    transfer::{Plan, Wish},
};

/// How long the session waits for a transfer to be mined before it goes on.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a new account on the development network is given.
const DEV_GIFT: Mites = Mites::new(1_000 * farthing::amount::MITES_PER_FAR);

const HELP: &str = "\
Answer the questions, or type one of these words at any of them:
  balance    what your accounts hold
  history    what you received and spent
  contacts   the names you gave to addresses
  status     the node and its tip
  help       this text
  quit       leave (so does Ctrl-D)";

/// How a question ended.
enum Answer {
    /// With an answer.
    Text(String),
    /// The person wants to leave.
    Quit,
}

/// Leads the conversation until the person leaves.
///
/// # Errors
/// Only what makes going on pointless: no wallet, no node, a broken terminal.
pub fn run(context: &mut Context) -> Result<()> {
    let client = context.connect()?;
    let network = context.wallet.network().name.clone();
    context.output.note(format_args!("Farthing wallet, network {network}, node {}.", context.settings.node()));
    context.output.note("Type help for help, quit or Ctrl-D to leave.\n");
    let Some(me) = who_are_you(context, &client)? else {
        return farewell(context);
    };
    loop {
        match one_transfer(context, &client, &me) {
            Ok(true) => {}
            Ok(false) => return farewell(context),
            Err(error) if ends_the_session(&error) => return Err(error),
            Err(error) => context.output.error(&error),
        }
        context.output.note("");
    }
}

fn farewell(context: &mut Context) -> Result<()> {
    context.output.note("bye");
    Ok(())
}

/// Errors that every further question would meet again.
fn ends_the_session(error: &Error) -> bool {
    error.code() == "NO_INPUT" || error.exit() == Exit::Interrupted
}

/// Asks until there is an answer that is not a command word.
fn question(context: &mut Context, text: &str, me: Option<&KeyEntry>) -> Result<Answer> {
    loop {
        let Some(line) = context.ask(text)? else {
            return Ok(Answer::Quit);
        };
        let outcome = match line.as_str() {
            "" => continue,
            "quit" | "exit" | "q" => return Ok(Answer::Quit),
            "help" | "?" => {
                context.output.note(HELP);
                Ok(())
            }
            "balance" => balance::run(context, me.map(|me| me.name.as_str())),
            "history" => match me {
                Some(me) => history::run(context, Some(me.name.as_str()), 20),
                None => {
                    context.output.note("say who you are first");
                    Ok(())
                }
            },
            "contacts" => contact::list(context),
            "status" => status::run(context),
            _ => return Ok(Answer::Text(line)),
        };
        if let Err(error) = outcome {
            context.output.error(&error);
        }
    }
}

/// Asks for a name of this wallet, or makes one; none if the person leaves.
fn who_are_you(context: &mut Context, client: &NodeClient) -> Result<Option<KeyEntry>> {
    loop {
        let Answer::Text(text) = question(context, "Your name: ", None)? else {
            return Ok(None);
        };
        let outcome =
            text.to_lowercase().parse::<Name>().map_err(Error::from).and_then(|name| sign_in(context, client, &name));
        match outcome {
            Ok(Some(entry)) => {
                let address = context.wallet.show(&entry.public.address());
                context.output.note(format_args!("Hello {}. Your address is {address}", entry.name));
                return Ok(Some(entry));
            }
            Ok(None) => {}
            Err(error) if ends_the_session(&error) => return Err(error),
            Err(error) => context.output.error(&error),
        }
    }
}

/// The key of that name: there already, well known, or made now. None if the person does not want one.
fn sign_in(context: &mut Context, client: &NodeClient, name: &Name) -> Result<Option<KeyEntry>> {
    if context.wallet.keys().contains(name) {
        return Ok(Some(context.wallet.keys().entry(name)?));
    }
    let on_dev = context.wallet.network().is_dev();
    if on_dev && dev::names().any(|known| known == name.as_str()) {
        context.output.note(format_args!("{name} is one of the development network's well-known accounts."));
        return key::import_dev(context, name, name).map(Some);
    }
    if !context.ask_yes_no(&format!("There is no key named {name} here. Make one?"), true)? {
        return Ok(None);
    }
    let passphrase = context.new_passphrase(name)?;
    context.output.note("searching two large primes ...");
    let entry = key::create(context, name, KeySize::Bits2048, passphrase.as_ref())?;
    if on_dev && context.ask_yes_no(&format!("Fund it with {DEV_GIFT} far from the well-known account alice?"), true)? {
        // A key without money is still a key: what goes wrong here does not undo it.
        if let Err(error) = fund(context, client, entry.public.address()) {
            context.output.error(&error);
        }
    }
    Ok(Some(entry))
}

fn fund(context: &mut Context, client: &NodeClient, to: Address) -> Result<()> {
    let alice: Name = "alice".parse().expect("a valid name");
    let signer = FileSigner::new(dev::key(&alice).expect("alice is well known"));
    let wish = Wish { to, amount: DEV_GIFT, fee: None, valid_until: None, memo: Vec::new() };
    let signed = send::pay(context, client, &signer, wish)?;
    send::wait(context, client, &signed, 1, PATIENCE)?;
    context.output.note(format_args!("{DEV_GIFT} far have arrived."));
    Ok(())
}

/// One round of the conversation; false if the person leaves.
fn one_transfer(context: &mut Context, client: &NodeClient, me: &KeyEntry) -> Result<bool> {
    let Answer::Text(recipient) = question(context, "Recipient's name or address: ", Some(me))? else {
        return Ok(false);
    };
    let Some(to) = find_recipient(context, &recipient)? else {
        return Ok(true);
    };
    let Answer::Text(amount) = question(context, "Amount in far: ", Some(me))? else {
        return Ok(false);
    };
    let wish = Wish { to, amount: send::parse_payment(&amount)?, fee: None, valid_until: None, memo: Vec::new() };
    resubmit::look_after_outbox(context, client)?;
    let network = std::sync::Arc::clone(context.settings.network());
    let plan = Plan::make(client, &network, &me.public, wish.clone())?;
    send::describe(context, me, &plan)?;
    if !context.ask_yes_no("Send it?", false)? {
        context.output.note("Nothing was sent.");
        return Ok(true);
    }
    let signer = context.unlock(&me.name)?;
    let shown = plan.transaction().clone();
    let sending = context.lock_sending()?;
    // While the person was thinking, a block may have come: plan anew, and ask again if it would cost more.
    let plan = Plan::make(client, &network, &me.public, wish)?;
    if plan.transaction().total() > shown.total() {
        send::describe(context, me, &plan)?;
        if !context.ask_yes_no("The fee has changed. Send it?", false)? {
            context.output.note("Nothing was sent.");
            return Ok(true);
        }
    }
    let signed = plan.sign(&*signer, &network)?;
    send::hand_in(context, client, &signed)?;
    drop(sending);
    let confirmed = send::wait(context, client, &signed, 1, PATIENCE)?;
    if let TransactionStanding::Mined { height, .. } = confirmed.status.standing {
        context.output.note(format_args!("Mined in block {height} (verified: it is in your proven history)."));
    }
    context.tell(&confirmed.proof);
    Ok(true)
}

/// Whom a person means; offers to remember an unknown name. None if they change their mind.
fn find_recipient(context: &mut Context, text: &str) -> Result<Option<Address>> {
    let lower = text.to_lowercase();
    let name = match lower.parse::<Name>() {
        Ok(name) if !context.wallet.looks_like_address(text) => name,
        _ => return Ok(Some(context.wallet.parse_address(text)?)),
    };
    match context.wallet.find(name.as_str()) {
        Ok(address) => return Ok(Some(address)),
        Err(error) if error.code() != "UNKNOWN_CONTACT" => return Err(error),
        Err(_) => {}
    }
    if context.wallet.network().is_dev()
        && let Some(known) = dev::key(&name)
    {
        context.output.note(format_args!("{name} is one of the development network's well-known accounts."));
        return Ok(Some(known.public().address()));
    }
    let question = format!("There is no contact named {name}. Their address (empty to go back): ");
    let answer = context.ask(&question)?.ok_or(AskError::Ended)?;
    if answer.is_empty() {
        return Ok(None);
    }
    let address = context.wallet.parse_address(&answer)?;
    contact::remember(context, &name, address)?;
    context.output.note(format_args!("Remembered {name}."));
    Ok(Some(address))
}
