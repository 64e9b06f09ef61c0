//! Why a node's answer is not believed.

use farthing::{
    BlockId, Height, Mites,
    transaction_proof::TransactionProofError,
    wire::{AnchoredProofError, WireError},
};

/// Why a node's answer is not believed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The node sent no proof.
    #[error("the node sent no proof for the account")]
    NoProof,
    /// A message that is not what the protocol says.
    #[error("the node's answer is malformed")]
    Malformed(#[source] WireError),
    /// Parts that do not belong together, such as transactions that are not those of their header.
    #[error("the parts of the answer do not belong together")]
    Inconsistent(#[source] WireError),
    /// The header's hash does not meet its target.
    #[error("the node shows the header {0}, which has no proof of work")]
    NoWork(BlockId),
    /// The header's target is easier than the network allows.
    #[error("the header {0} states a target that this network does not allow")]
    TargetTooEasy(BlockId),
    /// The first block is fixed.
    #[error("the header {0} claims to be the network's first block and is not")]
    OtherGenesis(BlockId),
    /// The first block at another height than the first.
    #[error("the network's first block is shown as block {0}")]
    GenesisAbove(Height),
    /// The proof does not lead to the header.
    #[error("the account's proof does not hold")]
    Proof(#[source] AnchoredProofError),
    /// The proof of a transfer proves something else, or nothing.
    #[error("the transfer's proof does not hold")]
    TransactionProof(#[source] Box<TransactionProofError>),
    /// The proof of the chain's work does not pass the caller's check.
    #[error("the proof of the chain's work does not hold")]
    ChainProof(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Figures of money that do not add up.
    #[error("the figures of the supply do not add up: {0}")]
    Supply(&'static str),
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
    /// An entry below an older one, or a reward at another height than it is due \[R-HIS-03\].
    #[error("history entry {entry} is at height {found}, expected {expected}")]
    EntryHeight {
        /// Its number.
        entry: u64,
        /// Its height.
        found: Height,
        /// What the height should be.
        expected: String,
    },
    /// A transfer that has nothing to do with the account.
    #[error("history entry {entry} is a transfer that neither pays nor is paid by the account")]
    ForeignEntry {
        /// Its number.
        entry: u64,
    },
    /// The account's own transfers do not count 0, 1, 2 ... up to its next nonce \[R-HIS-04\].
    #[error("the account's own transfers do not follow one another: found nonce {found}, expected {expected}")]
    NonceOrder {
        /// What stands there.
        found: String,
        /// What should.
        expected: String,
    },
    /// A block that is not the child of the one before it.
    #[error("block {height} has the parent {found}, expected {expected}")]
    Parent {
        /// The block's height.
        height: Height,
        /// Its parent.
        found: BlockId,
        /// What should be.
        expected: BlockId,
    },
    /// A block at another height than the next.
    #[error("a block at height {found}, expected height {expected}")]
    BlockHeight {
        /// Its height.
        found: Height,
        /// What should be.
        expected: Height,
    },
    /// A block undone that is not the one applied last.
    #[error("the block {found} is undone, but {expected} was applied last")]
    UndoneOther {
        /// What is undone.
        found: BlockId,
        /// What was applied last.
        expected: BlockId,
    },
    /// A cursor that does not name the place behind its frame.
    #[error("the frame's cursor names {found}, expected {expected}")]
    FrameCursor {
        /// What it names.
        found: String,
        /// What it should name.
        expected: String,
    },
    /// A frame of a watched account or transaction that does not follow from the ones before it.
    #[error("what is told of block {height} does not follow from what was told before: {what}")]
    Succession {
        /// Height of the block that the frame is about.
        height: Height,
        /// What does not fit.
        what: &'static str,
    },
    /// An answer about something else than was asked for.
    #[error("the answer is about {found}, asked was {expected}")]
    OtherAnswer {
        /// What it is about.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// The chain changed while the history was read, again and again.
    #[error("the account's history changed while it was read")]
    HistoryChanged,
    /// The node says mined, the sender's history does not have it.
    #[error("the node says that the transfer is mined, but the sender's proven history does not contain it")]
    NotInHistory,
}
