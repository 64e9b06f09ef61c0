//! Payments that were begun and whose end nobody was told, because the wallet was killed, the answer was lost or the wait was
//! given up: the same answers do not pay them again without asking.

use std::time::{Duration, UNIX_EPOCH};

use farthing::TxId;

use super::Session;
use crate::{
    client::NodeClient,
    commands::{resubmit, send},
    context::{AskError, Context},
    error::Result,
    fate::{Fate, Looked},
    keystore::KeyEntry,
    outbox::{self, Entry, Kind},
};

/// What to do about a payment that may have been made before.
pub(super) enum Before {
    /// It was not, or another one is meant: once that is made, the same answers do not mean these any more.
    Nothing(Vec<TxId>),
    /// Go on with this one instead of making another.
    Same(Box<Looked>),
    /// Make none.
    Neither,
}

impl Session<'_> {
    /// Says which payments of the account were begun and not finished, and what became of them.
    pub(super) fn recall(&mut self, me: &KeyEntry) -> Result<()> {
        let address = me.public.address();
        let untold = self.untold(me)?;
        if untold.is_empty() {
            return Ok(());
        }
        self.context.output.screen("\nThe end of this was not told yet:");
        let Some(client) = &self.client else {
            for entry in &untold {
                let what = words(self.context, entry)?;
                self.context
                    .output
                    .screen(format_args!("  {what}\n  no node answers that could say what became of it"));
            }
            self.context.output.screen("The same answers will not pay it again without asking you.");
            return Ok(());
        };
        let looked = resubmit::look_after(self.context, client)?;
        for one in looked.iter().filter(|one| one.entry.place().0 == address) {
            // What stands in for another one is told in its place.
            if matches!(one.fate, Fate::Superseded { .. }) || !is_untold(self.context, &one.entry)? {
                continue;
            }
            let what = words(self.context, &one.entry)?;
            self.context.output.screen(format_args!("  {what}\n  {}", fate(one)));
            if one.is_final && !self.context.ask_yes_no("Ask before the same is paid once more?", true)? {
                self.context.wallet.outbox().mark_payment_told(&one.entry.id)?;
            }
        }
        self.context.output.screen("The same answers will not pay it again without asking you.");
        Ok(())
    }

    /// Payments of the account that were begun and whose end nobody was told.
    fn untold(&self, me: &KeyEntry) -> Result<Vec<Entry>> {
        let mut untold = Vec::new();
        for entry in self.context.wallet.outbox().entries()? {
            if entry.place().0 == me.public.address() && is_untold(self.context, &entry)? {
                untold.push(entry);
            }
        }
        Ok(untold)
    }

    /// Says at the end what is still on its way.
    pub(super) fn part(&mut self, me: &KeyEntry) -> Result<()> {
        for entry in self.untold(me)? {
            let what = words(self.context, &entry)?;
            self.context.output.note(format_args!(
                "You were not told the end of this: {what}\n  farthing-wallet tx wait {} tells it, and so does the next session",
                entry.id
            ));
        }
        Ok(())
    }

    /// Finds a payment of the same content whose end nobody was told, and asks whether it is meant.
    pub(super) fn was_begun_before(&mut self, content: &str, looked: &[Looked]) -> Result<Before> {
        let is_same =
            |one: &&Looked| one.entry.marks.content.as_deref() == Some(content) && one.entry.marks.key.is_none();
        let mut over: Vec<TxId> = Vec::new();
        for one in looked.iter().filter(is_same) {
            if over.contains(&one.entry.id) || !is_untold(self.context, &one.entry)? {
                continue;
            }
            let group: Vec<&Looked> =
                looked.iter().filter(is_same).filter(|other| other.entry.place() == one.entry.place()).collect();
            let counts = send::counting(&group, one);
            let what = words(self.context, &counts.entry)?;
            self.context.output.screen(format_args!("The same was begun before:\n  {what}\n  {}", fate(counts)));
            if is_lost(counts) {
                if !self.context.ask_yes_no("Pay it now, with a new transfer?", false)? {
                    return Ok(Before::Neither);
                }
            } else if self.is_the_same()? {
                return Ok(Before::Same(Box::new(counts.clone())));
            }
            over.extend(group.iter().map(|one| one.entry.id));
        }
        Ok(Before::Nothing(over))
    }

    /// Whether the person means the payment that was begun; a mere Enter says so.
    fn is_the_same(&mut self) -> Result<bool, AskError> {
        self.context.drop_typed();
        loop {
            let question = "Is this the same payment, or another one? [SAME/another] ";
            let answer = self.context.ask(question)?.ok_or(AskError::Ended)?;
            match answer.to_lowercase().as_str() {
                "" | "same" => return Ok(true),
                "another" | "another one" => return Ok(false),
                _ => self
                    .context
                    .output
                    .note("please answer same (nothing is paid again) or another (it is paid once more)"),
            }
        }
    }

    /// Goes on with a payment that was begun before.
    pub(super) fn go_on(&mut self, client: &NodeClient, looked: &Looked) -> Result<()> {
        let is_mined = send::revive(self.context, client, looked)?;
        if !is_mined {
            return self.see_through(client, &looked.entry.transfer);
        }
        self.context.output.note("It is paid: your proven history has it. Nothing was paid a second time.");
        Ok(self.context.wallet.outbox().mark_payment_told(&looked.entry.id)?)
    }
}

/// Whether nobody was told the end of it, and no other command is about to.
fn is_untold(context: &Context, entry: &Entry) -> Result<bool> {
    Ok(!entry.marks.told && entry.marks.key.is_none() && !send::is_another(context, &entry.id)?)
}

/// Whether it was not paid.
fn is_lost(one: &Looked) -> bool {
    let is_over = one.is_final && matches!(one.fate, Fate::Displaced { .. } | Fate::Expired { .. });
    is_over || matches!(one.fate, Fate::Replaced { .. }) || one.entry.marks.kind == Kind::Cancel
}

/// What it is, in words.
fn words(context: &Context, entry: &Entry) -> Result<String> {
    let made = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(entry.marks.made));
    let amount = outbox::paid(&entry.transfer);
    let outputs = entry.transfer.transaction().outputs();
    let to = match outputs {
        [only] => match context.wallet.name_of(&only.to)? {
            Some(name) => name.to_string(),
            None => context.wallet.show(&only.to),
        },
        several => format!("{} recipients", several.len()),
    };
    Ok(format!("{amount} far to {to}, signed {made}, transfer {}", entry.id))
}

/// What became of it, in words.
fn fate(one: &Looked) -> String {
    if one.entry.marks.kind == Kind::Cancel {
        return "cancelled; it is not paid unless the cancellation fails".to_owned();
    }
    match &one.fate {
        Fate::Mined { .. } | Fate::Settled => "mined: it is paid, your proven history has it".to_owned(),
        Fate::Waiting(_) => "submitted; it waits to be mined".to_owned(),
        Fate::Resubmitted => "the node did not have it and was given it again; it waits to be mined".to_owned(),
        Fate::Superseded { by } => format!("{by} stands in its place"),
        Fate::Replaced { .. } if one.is_final => {
            "not paid, for good: another transfer of the account took its nonce".to_owned()
        }
        Fate::Replaced { .. } => "not paid as it looks now: another transfer of the account took its nonce".to_owned(),
        Fate::Displaced { by, is_mined: true } if one.is_final => {
            format!("not paid, for good: your transfer {by} took its nonce")
        }
        Fate::Displaced { by, is_mined: true } => {
            format!("not paid as it looks now: your transfer {by} took its nonce")
        }
        Fate::Displaced { by, .. } => format!("open: your transfer {by} has its nonce; of the two one can be mined"),
        Fate::Expired { .. } => "not paid: the last block that might have included it has passed".to_owned(),
        Fate::Unknown => "open: this node does not know it; another one may still mine it".to_owned(),
        Fate::Dropped(reason) => format!("open: this node dropped it ({reason}); another one may still mine it"),
        Fate::Refused(reason) => format!("open: this node does not take it ({reason}); another one may have it"),
    }
}
