//! Holds what a node says about an account against what a header with work commits to.
//!
//! What this proves: the account's state is the one that the header commits to, somebody paid for that header with
//! work at a target that the network allows, and the history entries are the ones that the state's history chain
//! links. Its height is proven too, if the node shows what the header commits to before it. What it does not prove: that
//! the header is on the chain with the most work; a node could show an old header. Results say so.

mod error;
pub(crate) mod linked;
mod walk;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use farthing::{
    Account, Address, Header, Height, Params,
    params::Retarget,
    wire::{AnchoredProof, v1},
};
use serde::Serialize;

pub use self::{
    error::VerifyError,
    walk::{Cause, Entry, HistoryWalk, stated_head},
};

/// From this age on a header is worth a remark.
const OLD: Duration = Duration::from_secs(600);

/// An account whose state was proven against a header with work.
#[derive(Debug, Clone)]
pub struct VerifiedAccount {
    /// Its address.
    pub address: Address,
    /// Its state; none if it is proven not to exist.
    pub account: Option<Account>,
    /// The header.
    pub header: Header,
    /// The header's height.
    pub height: Height,
    /// Whether that was proven \[R-PRF-06\]; else it is as the node, an older one, states it.
    pub height_is_proven: bool,
}

impl VerifiedAccount {
    /// The state, an account that does not exist counted as empty.
    #[must_use]
    pub fn state(&self) -> Account {
        self.account.unwrap_or_default()
    }

    /// What was checked, for results.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        // Only the network's own first block passes at that height, and it is exempt from work.
        let is_first = self.height == Height::GENESIS;
        let work = self.header.bits.target().ok().and_then(|target| target.work()).filter(|_| !is_first);
        Evidence {
            verified: match (is_first, self.height_is_proven) {
                (true, _) => vec!["account proof", "that it is the network's first block, which has no work"],
                (false, true) => vec!["account proof", "proof of work of one header", "its height"],
                (false, false) => vec!["account proof", "proof of work of one header"],
            },
            not_verified: match (is_first, self.height_is_proven) {
                (true, _) => vec!["that no later block exists"],
                (false, true) => vec!["that the header is on the chain with the most work"],
                (false, false) => vec!["that the header is on the chain with the most work", "its height"],
            },
            height_is_proven: self.height_is_proven,
            header_id: self.header.id().to_string(),
            header_height: self.height.get(),
            header_time_ms: self.header.time.get(),
            header_work: work.map_or_else(|| "0".to_owned(), |work| work.get().to_string()),
        }
    }
}

/// What was checked and what was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Checked here.
    pub verified: Vec<&'static str>,
    /// Taken on the node's word.
    pub not_verified: Vec<&'static str>,
    /// The header that everything was checked against.
    pub header_id: String,
    /// Its height.
    pub header_height: u64,
    /// Whether that was proven; else it is as the node states it. What was checked says so already.
    #[serde(skip)]
    pub height_is_proven: bool,
    /// Its time.
    pub header_time_ms: u64,
    /// Expected number of attempts that it took.
    pub header_work: String,
}

impl Evidence {
    /// The same for a transfer that was found in the history of the account, which links its height: with the header's, how
    /// many blocks stand above it is no more than a difference.
    #[must_use]
    pub fn of_a_mined_transfer(mut self) -> Self {
        self.verified.push("that the sender's history contains the transfer");
        let above = "how many blocks stand above the transfer's";
        if self.height_is_proven {
            self.verified.push(above)
        } else {
            self.not_verified.push(above)
        }
        self
    }

    /// What to say about the header's age, when it is old enough that a live network should have newer ones.
    #[must_use]
    pub fn age_note(&self, now: SystemTime) -> Option<String> {
        // The first block is as old as the network, and what that leaves open is said anyway.
        if self.header_height == 0 {
            return None;
        }
        let made = UNIX_EPOCH + Duration::from_millis(self.header_time_ms);
        let age = now.duration_since(made).ok().filter(|age| *age >= OLD)?;
        let (number, unit) = match age.as_secs() / 60 {
            minutes @ 0..120 => (minutes, "minutes"),
            minutes @ 120..2880 => (minutes / 60, "hours"),
            minutes => (minutes / 1440, "days"),
        };
        let height = self.header_height;
        Some(format!("block {height} is {number} {unit} old: if the network made newer ones, this node lags behind"))
    }
}

impl std::fmt::Display for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = self.header_id.get(..16).unwrap_or(&self.header_id);
        write!(
            f,
            "verified against block {} ({id}..., work {}): {}\nnot verified: {}",
            self.header_height,
            self.header_work,
            self.verified.join(", "),
            self.not_verified.join(", ")
        )
    }
}

/// Checks an answer about an account.
///
/// # Errors
/// The first thing that does not hold; see [`VerifyError`].
pub fn account(
    network: &Params,
    address: &Address,
    answer: &v1::GetAccountResponse,
) -> Result<VerifiedAccount, VerifyError> {
    let proof = answer.proof.clone().ok_or(VerifyError::NoProof)?;
    let anchored = AnchoredProof::try_from(proof).map_err(|error| VerifyError::Malformed(error.within("proof")))?;
    header(network, &anchored.header, anchored.height)?;
    let proven = anchored.verify(address).map_err(VerifyError::Proof)?;
    let stated = match &answer.account {
        Some(account) => {
            Account::try_from(account.clone()).map_err(|error| VerifyError::Malformed(error.within("account")))?
        }
        None => Account::default(),
    };
    if answer.address.as_ref() != address.as_bytes() {
        return Err(VerifyError::Contradiction("the address"));
    }
    if answer.exists != proven.is_some() {
        return Err(VerifyError::Contradiction("whether it exists"));
    }
    if stated != proven.unwrap_or_default() {
        return Err(VerifyError::Contradiction("the account's state"));
    }
    Ok(VerifiedAccount {
        address: *address,
        account: proven,
        header: anchored.header,
        height: anchored.height,
        height_is_proven: anchored.range.is_some() || anchored.height == Height::GENESIS,
    })
}

/// Checks that a header has work, at a target that the network allows. It does not check that the header's target is the
/// one that the blocks before it lead to.
///
/// # Errors
/// [`VerifyError::NoWork`], [`VerifyError::TargetTooEasy`], [`VerifyError::OtherGenesis`], [`VerifyError::GenesisAbove`].
pub fn header(network: &Params, header: &Header, height: Height) -> Result<(), VerifyError> {
    let id = header.id();
    if id == *network.genesis_id() {
        // It costs nothing to show it for ever, so it may stand for itself only.
        return if height == Height::GENESIS { Ok(()) } else { Err(VerifyError::GenesisAbove(height)) };
    }
    if height == Height::GENESIS {
        return Err(VerifyError::OtherGenesis(id));
    }
    let allowed = match network.retarget {
        Retarget::None => header.bits == network.genesis_bits,
        Retarget::Asert => header.bits.target().is_ok_and(|target| target.value() <= network.limit().value()),
    };
    if !allowed {
        return Err(VerifyError::TargetTooEasy(id));
    }
    if header.has_work() { Ok(()) } else { Err(VerifyError::NoWork(id)) }
}
