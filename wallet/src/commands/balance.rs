//! `balance`.

use std::fmt;

use farthing::{Address, Mites};
use serde::Serialize;

use crate::{
    cli::Balance,
    client::NodeClient,
    context::Context,
    error::Result,
    name::Name,
    output::style::{AMOUNT, GOOD, WARNING, paint},
    verify::{Evidence, Label},
    wallet::LookupError,
};

/// How much each figure is worth.
#[derive(Serialize)]
struct Labels {
    balance: Label,
    next_nonce: Label,
    pending_in: Label,
    pending_out: Label,
    immature: Label,
}

#[derive(Serialize)]
struct BalanceView {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Name>,
    address: String,
    exists: bool,
    balance: String,
    balance_mites: String,
    next_nonce: u64,
    pending_in: String,
    pending_out: String,
    immature: String,
    labels: Labels,
    proof: Evidence,
    #[serde(skip)]
    amount: Mites,
}

impl BalanceView {
    fn fetch(context: &Context, client: &NodeClient, address: &Address) -> Result<Self> {
        let answer = client.ask_account(address)?;
        let state = answer.proven.state();
        let mut proof = answer.proven.evidence();
        proof.not_verified.push("pending and immature amounts");
        Ok(Self {
            name: context.wallet.name_of(address)?,
            address: context.wallet.show(address),
            exists: answer.proven.account.is_some(),
            balance: state.balance.to_string(),
            balance_mites: state.balance.get().to_string(),
            next_nonce: state.next_nonce,
            pending_in: answer.view.pending_in.to_string(),
            pending_out: answer.view.pending_out.to_string(),
            immature: answer.view.immature.to_string(),
            labels: Labels {
                balance: Label::Verified,
                next_nonce: Label::Verified,
                pending_in: answer.pending_in,
                pending_out: answer.pending_out,
                immature: answer.immature,
            },
            proof,
            amount: state.balance,
        })
    }
}

/// A label for people.
fn worth(label: Label) -> String {
    paint(if label == Label::Unverified { WARNING } else { GOOD }, label)
}

impl fmt::Display for BalanceView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = self.name.as_ref().map_or(self.address.as_str(), Name::as_str);
        write!(f, "{who:<12} {AMOUNT}{} far{AMOUNT:#} ({})", self.balance, worth(self.labels.balance))?;
        if !self.exists {
            f.write_str("  this account does not exist yet")?;
        }
        for (amount, what, label) in [
            (&self.pending_in, "arriving", self.labels.pending_in),
            (&self.pending_out, "leaving", self.labels.pending_out),
            (&self.immature, "mined, not yet credited", self.labels.immature),
        ] {
            if amount != "0" {
                write!(f, "  {AMOUNT}{amount}{AMOUNT:#} {what} ({})", worth(label))?;
            }
        }
        Ok(())
    }
}

/// How often accounts are asked for until all are of one block.
const TRIES: usize = 3;

/// Whether all were proven against one header.
fn are_of_one_block(accounts: &[BalanceView]) -> bool {
    accounts.iter().zip(accounts.iter().skip(1)).all(|(one, next)| one.proof.header_id == next.proof.header_id)
}

#[derive(Serialize)]
struct Balances {
    network: String,
    accounts: Vec<BalanceView>,
    /// Of all accounts together.
    total: String,
    total_mites: String,
    /// Verified if all are of one block.
    total_label: Label,
    #[serde(skip)]
    with_total: bool,
}

impl fmt::Display for Balances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.accounts.iter().try_for_each(|account| writeln!(f, "{account}"))?;
        if self.with_total { writeln!(f, "{:<12} {} far ({})", "total", self.total, self.total_label) } else { Ok(()) }
    }
}

/// Shows what one account, or every own account, holds.
///
/// # Errors
/// Those of [`show`].
pub fn run(context: &mut Context, account: Option<&str>) -> Result<()> {
    show(context, &Balance { who: account.map(str::to_owned), all: false })
}

/// Shows what one account, or every own account, holds, and says what of it was verified.
///
/// # Errors
/// Those of looking up, asking and verifying.
pub fn show(context: &mut Context, arguments: &Balance) -> Result<()> {
    let chosen = arguments.who.as_deref().or(context.account.as_deref()).filter(|_| !arguments.all);
    let addresses = match chosen {
        Some(text) => vec![context.wallet.find(text)?],
        None => context.wallet.keys().list()?.iter().map(|entry| entry.public.address()).collect(),
    };
    if addresses.is_empty() {
        return Err(LookupError::NoKeys.into());
    }
    let client = context.connect()?;
    let fetch =
        || addresses.iter().map(|address| BalanceView::fetch(context, &client, address)).collect::<Result<Vec<_>>>();
    let mut accounts = fetch()?;
    let mut attempt = 1;
    while !are_of_one_block(&accounts) && attempt < TRIES {
        accounts = fetch()?;
        attempt += 1;
    }
    // What one of them paid to another in between would count twice.
    let is_exact = are_of_one_block(&accounts);
    // All that exists fits in 63 bits.
    let total = Mites::checked_sum(accounts.iter().map(|account| account.amount)).unwrap_or(Mites::ZERO);
    let mut told: Vec<Evidence> = Vec::new();
    let views = Balances {
        network: context.wallet.network().name.clone(),
        accounts,
        total: total.to_string(),
        total_mites: total.get().to_string(),
        total_label: if is_exact { Label::Verified } else { Label::Unverified },
        with_total: arguments.all,
    };
    context.output.data(&views)?;
    if arguments.all && !is_exact {
        context
            .output
            .warn("blocks came between the answers: each account is verified, their sum is of several moments");
    }
    // A block may have come between two of the answers: every header that something was held against is named.
    for account in views.accounts {
        if !told.contains(&account.proof) {
            context.tell(&account.proof);
            told.push(account.proof);
        }
    }
    Ok(())
}
