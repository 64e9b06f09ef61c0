//! `contact show`: an address, and what went between it and this wallet's keys, as their proven histories say.

use std::{collections::HashSet, fmt, sync::Arc};

use farthing::{Address, Mites, SignedTransaction};
use serde::Serialize;

use crate::{
    context::Context,
    error::Result,
    history,
    name::Name,
    verify::{Cause, Evidence},
};

/// Newest entries of each key's history that are looked through.
const MAX_ENTRIES: u64 = 10_000;

/// What went one way.
#[derive(Default, Serialize)]
struct Flow {
    transfers: u64,
    total: String,
    total_mites: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_height: Option<u64>,
    #[serde(skip)]
    sum: Mites,
}

impl Flow {
    fn add(&mut self, amount: Mites, height: u64) {
        if amount == Mites::ZERO {
            return;
        }
        self.transfers += 1;
        // What was proven cannot exceed the supply.
        self.sum = self.sum.checked_add(amount).unwrap_or(self.sum);
        self.last_height = self.last_height.max(Some(height));
        (self.total, self.total_mites) = (self.sum.to_string(), self.sum.get().to_string());
    }
}

/// What the histories of this wallet's keys say.
#[derive(Serialize)]
struct Dealings {
    paid: Flow,
    received: Flow,
    /// Whether all of every history was looked through.
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<Evidence>,
    /// Ids of the transfers that were counted.
    #[serde(skip)]
    seen: HashSet<String>,
}

#[derive(Serialize)]
struct Open {
    transaction_id: String,
    amount: String,
    amount_mites: String,
}

#[derive(Serialize)]
struct Shown {
    name: Name,
    network: String,
    address: String,
    /// Transfers to it whose fate is not known yet.
    open: Vec<Open>,
    /// Missing when no node could be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    dealings: Option<Dealings>,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "name      {}", self.name)?;
        writeln!(f, "address   {}", self.address)?;
        if let Some(dealings) = &self.dealings {
            for (what, flow) in [("paid", &dealings.paid), ("received", &dealings.received)] {
                match flow.last_height {
                    Some(height) => {
                        let (total, transfers) = (&flow.total, flow.transfers);
                        writeln!(f, "{what:<9} {total} far (transfers: {transfers}, the last in block {height})")?;
                    }
                    None => writeln!(f, "{what:<9} nothing")?,
                }
            }
        }
        for open in &self.open {
            writeln!(f, "open      {} far, {}", open.amount, open.transaction_id)?;
        }
        Ok(())
    }
}

/// Shows a contact.
///
/// # Errors
/// No such contact; a history that fails its verification. A node that is away is only remarked on.
pub(super) fn run(context: &mut Context, name: &Name, offline: bool) -> Result<()> {
    let address = context.wallet.contacts()?.find(name)?;
    let mut open = Vec::new();
    for (id, transfer) in context.wallet.outbox().list()? {
        let amount = paid_to(&transfer, &address);
        if amount != Mites::ZERO {
            let amount_mites = amount.get().to_string();
            open.push(Open { transaction_id: id.to_string(), amount: amount.to_string(), amount_mites });
        }
    }
    let dealings = if offline { None } else { dealings(context, &address)? };
    if let Some(dealings) = &dealings {
        // The outbox forgets a transfer only when it is deep; whoever looks wants to see it once.
        open.retain(|open| !dealings.seen.contains(&open.transaction_id));
    }
    let network = context.wallet.network().name.clone();
    let shown = Shown { name: name.clone(), network, address: context.wallet.show(&address), open, dealings };
    context.output.data(&shown)?;
    if let Some(Dealings { proof: Some(proof), complete, .. }) = &shown.dealings {
        if !complete {
            context.output.note(format_args!("only the newest {MAX_ENTRIES} entries of each key were looked through"));
        }
        context.tell(proof);
    }
    Ok(())
}

/// What the proven histories of all keys say; none if no node answers.
fn dealings(context: &mut Context, address: &Address) -> Result<Option<Dealings>> {
    let keys = context.wallet.keys().list()?;
    let (paid, received) = (Flow::new(), Flow::new());
    let mut dealings = Dealings { paid, received, complete: true, proof: None, seen: HashSet::new() };
    if keys.is_empty() {
        return Ok(Some(dealings));
    }
    let client = match context.connect() {
        Ok(client) => client,
        Err(error) if error.exit() == crate::error::Exit::Unreachable => {
            let what = error.report().what;
            context.output.warn(format_args!("{what}: what was paid and received is not known now"));
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let network = Arc::clone(context.settings.network());
    for key in keys {
        let own = key.public.address();
        let past = history::fetch(&client, &network, &own, MAX_ENTRIES)?;
        for entry in &past.entries {
            let Cause::Transfer(transfer) = &entry.cause else {
                continue;
            };
            let sender = transfer.transaction().sender_address();
            if sender == own {
                dealings.seen.insert(hex::encode(entry.id.as_bytes()));
                dealings.paid.add(paid_to(transfer, address), entry.height.get());
            }
            if sender == *address {
                dealings.received.add(paid_to(transfer, &own), entry.height.get());
            }
        }
        dealings.complete &= past.complete;
        let mut proof = past.account.evidence();
        proof.verified.push("every transfer counted");
        dealings.proof = Some(proof);
    }
    Ok(Some(dealings))
}

impl Flow {
    fn new() -> Self {
        let zero = || Mites::ZERO.to_string();
        Self { total: zero(), total_mites: zero(), ..Self::default() }
    }
}

/// What a transfer pays to an address.
fn paid_to(transfer: &SignedTransaction, address: &Address) -> Mites {
    let outputs = transfer.transaction().outputs().iter().filter(|output| output.to == *address);
    Mites::checked_sum(outputs.map(|output| output.amount)).unwrap_or_default()
}
