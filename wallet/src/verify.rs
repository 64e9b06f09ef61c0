//! Holds what a node says about an account against what a header with work commits to.
//!
//! What this proves: the account's state is the one that the header commits to, somebody paid for that header with
//! work at a target that the network allows, and the history entries are the ones that the state's history chain
//! links. What it does not prove: that the header is on the chain with the most work, and how high it stands; a node
//! could show an old header. Results say so.

use farthing::{
    Account, Address, BlockId, EntryId, Hash, Header, Height, Mites, Params, SignedTransaction, TimeMs,
    account::history_link,
    params::Retarget,
    wire::{AnchoredProof, AnchoredProofError, WireError, read_transaction_view, v1},
};
use serde::Serialize;

use crate::error::{Exit, Explain};

/// Why a node's answer is not believed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The node sent no proof.
    #[error("the node sent no proof for the account")]
    NoProof,
    /// A message that is not what the protocol says.
    #[error("the node's answer is malformed")]
    Malformed(#[source] WireError),
    /// The header's hash does not meet its target.
    #[error("the header {0} shown with the account has no proof of work")]
    NoWork(BlockId),
    /// The header's target is easier than the network allows.
    #[error("the header {0} states a target that this network does not allow")]
    TargetTooEasy(BlockId),
    /// The first block is fixed.
    #[error("the header {0} claims to be the network's first block and is not")]
    OtherGenesis(BlockId),
    /// The proof does not lead to the header.
    #[error("the account's proof does not hold")]
    Proof(#[source] AnchoredProofError),
    /// The plain answer differs from the proven one.
    #[error("the node states another account than it proves: {0} differs")]
    Contradiction(&'static str),
    /// A history entry that the chain does not link.
    #[error("history entry {entry} is not the one that the account's history chain links")]
    BrokenHistory {
        /// Its number.
        entry: u64,
    },
    /// A history that does not add up.
    #[error("the history adds up to {found} far, the proven balance is {expected} far")]
    BalanceMismatch {
        /// The sum.
        found: String,
        /// The balance.
        expected: Mites,
    },
    /// The node says mined, the sender's history does not have it.
    #[error("the node says that the transfer is mined, but the sender's proven history does not contain it")]
    NotInHistory,
}

impl Explain for VerifyError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoProof | Self::Malformed(_) => "BAD_ANSWER",
            _ => "VERIFICATION_FAILED",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Verification
    }

    fn tries(&self) -> Vec<String> {
        vec!["--node URL with another node; this one is broken or lies".into()]
    }
}

/// An account whose state was proven against a header with work.
#[derive(Debug, Clone)]
pub struct VerifiedAccount {
    /// Its address.
    pub address: Address,
    /// Its state; none if it is proven not to exist.
    pub account: Option<Account>,
    /// The header.
    pub header: Header,
    /// The header's height as the node states it; not proven.
    pub height: Height,
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
        let work = self.header.bits.target().ok().and_then(|target| target.work());
        Evidence {
            verified: vec!["account proof", "proof of work of one header"],
            not_verified: vec!["that the header is on the chain with the most work", "its height"],
            header_id: self.header.id().to_string(),
            header_height: self.height.get(),
            header_time_ms: self.header.time.get(),
            header_work: work.map(|work| work.get().to_string()).unwrap_or_default(),
        }
    }
}

/// What was checked and what was not.
#[derive(Debug, Clone, Serialize)]
pub struct Evidence {
    /// Checked here.
    pub verified: Vec<&'static str>,
    /// Taken on the node's word.
    pub not_verified: Vec<&'static str>,
    /// The header that everything was checked against.
    pub header_id: String,
    /// Its height as the node states it.
    pub header_height: u64,
    /// Its time.
    pub header_time_ms: u64,
    /// Expected number of attempts that it took.
    pub header_work: String,
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
    Ok(VerifiedAccount { address: *address, account: proven, header: anchored.header, height: anchored.height })
}

/// Checks that a header has work, at a target that the network allows.
fn header(network: &Params, header: &Header, height: Height) -> Result<(), VerifyError> {
    let id = header.id();
    if id == *network.genesis_id() {
        return Ok(());
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

/// What touched an account.
#[derive(Debug, Clone)]
pub enum Cause {
    /// A transfer to it, from it, or both.
    Transfer(Box<SignedTransaction>),
    /// A credited mining reward.
    Reward(Mites),
}

/// One proven link of an account's history.
#[derive(Debug, Clone)]
pub struct Entry {
    /// 1 for the first.
    pub number: u64,
    /// What it links.
    pub id: EntryId,
    /// Height that the link carries.
    pub height: Height,
    /// What touched the account.
    pub cause: Cause,
    /// Time of that block as the node states it; not proven.
    pub time: TimeMs,
}

impl Entry {
    /// What it brought and what it took, the fee included.
    #[must_use]
    pub fn change(&self, address: &Address) -> (Mites, Mites) {
        match &self.cause {
            Cause::Reward(amount) => (*amount, Mites::ZERO),
            Cause::Transfer(transfer) => {
                let transaction = transfer.transaction();
                let to_it = transaction.outputs().iter().filter(|output| output.to == *address);
                let received = Mites::checked_sum(to_it.map(|output| output.amount))
                    .expect("a transaction's outputs add up without overflow");
                let spent = if transaction.sender_address() == *address { transaction.total() } else { Mites::ZERO };
                (received, spent)
            }
        }
    }
}

/// Walks an account's history back from its proven head, entry by entry.
#[derive(Debug)]
pub struct HistoryWalk<'a> {
    network: &'a Params,
    address: Address,
    /// Head of the chain that is left.
    head: Hash,
    /// Number of entries that are left.
    left: u64,
    received: u128,
    spent: u128,
    balance: Mites,
}

impl<'a> HistoryWalk<'a> {
    /// Starts at a proven account.
    #[must_use]
    pub fn new(network: &'a Params, account: &VerifiedAccount) -> Self {
        let state = account.state();
        Self {
            network,
            address: account.address,
            head: state.history,
            left: state.entries,
            received: 0,
            spent: 0,
            balance: state.balance,
        }
    }

    /// Number of entries not seen yet.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// Takes the next older entry. `before` is the chain's head before it, as the entry below states it.
    ///
    /// # Errors
    /// [`VerifyError::BrokenHistory`] and [`VerifyError::Malformed`].
    pub fn step(&mut self, message: v1::AccountEntry, before: Hash) -> Result<Entry, VerifyError> {
        let number = message.entry;
        let broken = || VerifyError::BrokenHistory { entry: number };
        if number != self.left || number == 0 || (number == 1 && before != Hash::ZERO) {
            return Err(broken());
        }
        let malformed = |error: WireError| VerifyError::Malformed(error.within("entries"));
        let genesis = self.network.genesis_id();
        let height = Height::new(message.height);
        let (id, cause) = match message.cause {
            None => return Err(malformed(WireError::missing("cause"))),
            Some(v1::account_entry::Cause::Transaction(view)) => {
                let (id, transfer) = read_transaction_view(self.network, view).map_err(malformed)?;
                (EntryId::from(id), Cause::Transfer(Box::new(transfer)))
            }
            Some(v1::account_entry::Cause::Coinbase(message)) => {
                let coinbase = farthing::Coinbase::try_from(message).map_err(malformed)?;
                if coinbase.to != self.address {
                    return Err(broken());
                }
                (EntryId::from(coinbase.id(genesis)), Cause::Reward(coinbase.amount))
            }
        };
        if message.id.as_ref() != id.as_bytes() || history_link(&before, id, height) != self.head {
            return Err(broken());
        }
        let entry = Entry { number, id, height, cause, time: TimeMs::new(message.time_ms) };
        let (received, spent) = entry.change(&self.address);
        self.received += u128::from(received.get());
        self.spent += u128::from(spent.get());
        self.head = before;
        self.left -= 1;
        Ok(entry)
    }

    /// After the last entry: whether everything adds up to the proven balance. An account that genesis funded begins
    /// with its allocation.
    ///
    /// # Errors
    /// [`VerifyError::BalanceMismatch`].
    pub fn finish(&self) -> Result<(), VerifyError> {
        let allocated = self
            .network
            .allocations
            .iter()
            .find(|allocation| allocation.address == self.address)
            .map_or(0, |allocation| allocation.amount.get());
        let sum = (u128::from(allocated) + self.received).checked_sub(self.spent);
        if sum == Some(u128::from(self.balance.get())) {
            return Ok(());
        }
        let found = sum
            .and_then(|sum| u64::try_from(sum).ok())
            .map_or("an impossible amount".into(), |sum| Mites::new(sum).to_string());
        Err(VerifyError::BalanceMismatch { found, expected: self.balance })
    }
}

/// The chain's head after an entry, as the entry states it.
///
/// # Errors
/// [`VerifyError::Malformed`].
pub fn stated_head(message: &v1::AccountEntry) -> Result<Hash, VerifyError> {
    Hash::try_from(message.history.as_ref()).map_err(|_| VerifyError::BrokenHistory { entry: message.entry })
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
