//! `balance`.

use std::fmt;

use farthing::Address;
use serde::Serialize;

use crate::{client::NodeClient, context::Context, error::Result, name::Name, verify::Evidence, wallet::LookupError};

#[derive(Serialize)]
struct BalanceView {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Name>,
    address: String,
    exists: bool,
    balance: String,
    balance_mites: String,
    next_nonce: u64,
    /// On the node's word: what is in its mempool.
    pending_in: String,
    pending_out: String,
    immature: String,
    proof: Evidence,
}

impl BalanceView {
    fn fetch(context: &Context, client: &NodeClient, address: &Address) -> Result<Self> {
        let (verified, answer) = client.account(address)?;
        let state = verified.state();
        let mut proof = verified.evidence();
        proof.not_verified.push("pending and immature amounts");
        Ok(Self {
            name: context.wallet.name_of(address)?,
            address: context.wallet.show(address),
            exists: verified.account.is_some(),
            balance: state.balance.to_string(),
            balance_mites: state.balance.get().to_string(),
            next_nonce: state.next_nonce,
            pending_in: answer.pending_in.to_string(),
            pending_out: answer.pending_out.to_string(),
            immature: answer.immature.to_string(),
            proof,
        })
    }
}

impl fmt::Display for BalanceView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = self.name.as_ref().map_or(self.address.as_str(), Name::as_str);
        write!(f, "{who:<12} {} far", self.balance)?;
        if !self.exists {
            f.write_str("  (this account does not exist yet)")?;
        }
        for (amount, what) in [
            (&self.pending_in, "arriving"),
            (&self.pending_out, "leaving"),
            (&self.immature, "mined, not yet credited"),
        ] {
            if amount != "0" {
                write!(f, "  {amount} {what}")?;
            }
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Balances {
    network: String,
    accounts: Vec<BalanceView>,
}

impl fmt::Display for Balances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.accounts.iter().try_for_each(|account| writeln!(f, "{account}"))
    }
}

/// Shows what one account, or every own account, holds, and says what of it was verified.
///
/// # Errors
/// Those of looking up, asking and verifying.
pub fn run(context: &mut Context, account: Option<&str>) -> Result<()> {
    let addresses = match account.or(context.account.as_deref()) {
        Some(text) => vec![context.wallet.find(text)?],
        None => context.wallet.keys().list()?.iter().map(|entry| entry.public.address()).collect(),
    };
    if addresses.is_empty() {
        return Err(LookupError::NoKeys.into());
    }
    let client = context.connect()?;
    let accounts =
        addresses.iter().map(|address| BalanceView::fetch(context, &client, address)).collect::<Result<Vec<_>>>()?;
    let mut told: Vec<Evidence> = Vec::new();
    let views = Balances { network: context.wallet.network().name.clone(), accounts };
    context.output.data(&views)?;
    // A block may have come between two of the answers: every header that something was held against is named.
    for account in views.accounts {
        if !told.contains(&account.proof) {
            context.tell(&account.proof);
            told.push(account.proof);
        }
    }
    Ok(())
}
