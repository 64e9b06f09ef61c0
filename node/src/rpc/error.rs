//! The one place where errors become statuses: a code, a stable reason, and what a program needs to do better.
//!
//! `docs/api/errors.md` lists the reasons; tests hold that list to this one, and each reason to a test that provokes it.

use std::{collections::HashMap, fmt, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use farthing::{
    Height, TxId,
    address::ParseAddressError,
    wire::{WireError, WireFault},
};
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _, pb};

use crate::{
    chain::{Chain, ChainError},
    mempool::Rejection,
};

/// The domain of every reason.
pub(super) const ERROR_DOMAIN: &str = "farthing";

/// When to come again if nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(5);

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $code:ident;)*) => {
        /// Why a call failed. The names never change; new ones may come.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The code that it comes with.
            #[must_use]
            pub const fn code(self) -> Code {
                match self {
                    $(Self::$variant => Code::$code,)*
                }
            }
        }
    };
}

reasons! {
    /// A field that the call needs is not set.
    MissingField = "MISSING_FIELD", InvalidArgument;
    /// A field has the wrong length, form or range.
    InvalidField = "INVALID_FIELD", InvalidArgument;
    /// A text is not an address: wrong characters or a wrong checksum.
    InvalidAddress = "INVALID_ADDRESS", InvalidArgument;
    /// An address of another network.
    WrongAddressPrefix = "WRONG_ADDRESS_PREFIX", InvalidArgument;
    /// The bytes or fields are not a transaction of this protocol.
    InvalidTransaction = "INVALID_TRANSACTION", InvalidArgument;
    /// The page token was not made by this method for this request.
    InvalidPageToken = "INVALID_PAGE_TOKEN", InvalidArgument;
    /// The cursor was not made by a stream of this kind.
    InvalidCursor = "INVALID_CURSOR", InvalidArgument;
    /// The signature is not the sender's over this transaction on this network.
    BadSignature = "BAD_SIGNATURE", InvalidArgument;
    /// The sender's key cannot be used.
    UnusableKey = "UNUSABLE_KEY", InvalidArgument;
    /// The transaction opens more accounts than a block may.
    TooManyOpenings = "TOO_MANY_OPENINGS", InvalidArgument;
    /// The account has used the nonce.
    NonceTooLow = "NONCE_TOO_LOW", FailedPrecondition;
    /// The account cannot pay.
    InsufficientBalance = "INSUFFICIENT_BALANCE", FailedPrecondition;
    /// The fee is below the floor, or does not cover the accounts that are opened.
    FeeTooLow = "FEE_TOO_LOW", FailedPrecondition;
    /// The transaction can no longer be mined, or only for too few blocks.
    ExpiresTooSoon = "EXPIRES_TOO_SOON", FailedPrecondition;
    /// Another transaction with this nonce waits, and this one pays too little to take its place.
    ReplacementUnderpaid = "REPLACEMENT_UNDERPAID", FailedPrecondition;
    /// The account's first transaction, which carries the key, is not known yet.
    KeyUnknown = "KEY_UNKNOWN", FailedPrecondition;
    /// Neither the chain nor the mempool has the transaction.
    TransactionNotFound = "TRANSACTION_NOT_FOUND", NotFound;
    /// The transaction is known but not mined, so there is nothing to prove.
    TransactionNotMined = "TRANSACTION_NOT_MINED", FailedPrecondition;
    /// This node keeps no index of transactions, without which it cannot tell when one is mined, nor whether one was.
    TransactionIndexOff = "TRANSACTION_INDEX_OFF", FailedPrecondition;
    /// There is no such block.
    BlockNotFound = "BLOCK_NOT_FOUND", NotFound;
    /// The chain of this node begins with a checkpoint, and what is asked for stands below it.
    BlockPruned = "BLOCK_PRUNED", FailedPrecondition;
    /// This node does not have the block that the stream should continue behind.
    CursorUnknown = "CURSOR_UNKNOWN", NotFound;
    /// The chain reorganised away from what the call was about.
    Reorganised = "REORGANISED", Aborted;
    /// The height to start at is above that of the next block.
    HeightAboveTip = "HEIGHT_ABOVE_TIP", OutOfRange;
    /// As many transactions of the account wait as may.
    AccountFull = "ACCOUNT_FULL", ResourceExhausted;
    /// The nonce leaves a gap, and no more such transactions are kept.
    TooManyQueued = "TOO_MANY_QUEUED", ResourceExhausted;
    /// The mempool is full of transactions that pay as much.
    PoolFull = "POOL_FULL", ResourceExhausted;
    /// The client took nothing of a stream for too long.
    SubscriberStalled = "SUBSCRIBER_STALLED", ResourceExhausted;
    /// Too many refused transactions from this source.
    SourceLimited = "SOURCE_LIMITED", ResourceExhausted;
    /// The node is fetching blocks and takes no transactions yet.
    Syncing = "SYNCING", Unavailable;
    /// The transaction could not be written to disk, and was not taken.
    JournalFailed = "JOURNAL_FAILED", Unavailable;
    /// The node is stopping.
    Stopping = "STOPPING", Unavailable;
    /// The connection is about to be as old as one may become.
    ConnectionExpired = "CONNECTION_EXPIRED", Unavailable;
    /// The store failed; the log of the node says more.
    StoreFailed = "STORE_FAILED", Unavailable;
    /// A fault of the node itself; the log of the node says more.
    Internal = "INTERNAL", Internal;
}

/// Reasons that the listener gives before a call reaches its method.
#[cfg(test)]
pub(super) const LISTENER_REASONS: &[(&str, Code)] = &[
    ("REQUEST_TOO_LARGE", Code::ResourceExhausted),
    ("OVERLOADED", Code::ResourceExhausted),
    ("RATE_LIMITED", Code::ResourceExhausted),
    ("TOO_MANY_CALLS", Code::ResourceExhausted),
    ("DEADLINE_EXCEEDED", Code::DeadlineExceeded),
];

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a call, or one item of a batch, failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    reason: Reason,
    message: String,
    metadata: Vec<(&'static str, String)>,
    /// Path of the field that is wrong.
    field: Option<String>,
    retry_after: Option<Duration>,
}

impl ApiError {
    /// An error with a message for people: lower case, with what was wrong and what was expected.
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        let retry_after = match reason.code() {
            Code::ResourceExhausted | Code::Unavailable => Some(RETRY_AFTER),
            _ => None,
        };
        Self { reason, message: message.into(), metadata: Vec::new(), field: None, retry_after }
    }

    /// Adds a particular under a stable name.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        let value = value.to_string();
        // Who names the field has it in BadRequest too.
        if name == "field" {
            self.field = Some(value.clone());
        }
        self.metadata.push((name, value));
        self
    }

    /// The node is stopping.
    pub(super) fn stopping() -> Self {
        Self::new(Reason::Stopping, "the node is stopping; another one can take over")
    }

    /// What was to serve the caller did not come to its end; the log says why.
    pub(super) fn task_panicked() -> Self {
        Self::new(Reason::Internal, "a fault of the node itself; its log says more")
    }

    /// The connection will not last; a new one can take over at once.
    pub(super) fn connection_expired() -> Self {
        let message = "the connection is as old as one may become; connect again and go on with the cursor";
        Self { retry_after: Some(Duration::ZERO), ..Self::new(Reason::ConnectionExpired, message) }
    }

    /// A stream was given up because its client took nothing for so long. It may go on at once.
    pub(super) fn subscriber_stalled(cursor: &[u8], limit: Duration) -> Self {
        let limit = limit.as_millis();
        let go_on = if cursor.is_empty() { "" } else { "; go on with the cursor" };
        let message = format!("the client took nothing of the stream for {limit} ms{go_on}");
        let error = Self { retry_after: Some(Duration::ZERO), ..Self::new(Reason::SubscriberStalled, message) };
        let error = error.with("limit_ms", limit);
        // Some streams have none.
        if cursor.is_empty() { error } else { error.with("cursor", BASE64_STANDARD.encode(cursor)) }
    }

    /// The reason.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// The same error seen from the request that holds the failed message in the list `field`.
    #[must_use]
    pub(super) fn of_item(error: WireError, field: &str, index: usize) -> Self {
        error.within_item(field, index).into()
    }

    fn details(&self) -> ErrorDetails {
        let metadata: HashMap<_, _> =
            self.metadata.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let mut details = ErrorDetails::with_error_info(self.reason.as_str(), ERROR_DOMAIN, metadata);
        if let Some(field) = &self.field {
            details.set_bad_request(vec![FieldViolation::new(field, &self.message)]);
        }
        if self.retry_after.is_some() {
            details.set_retry_info(self.retry_after);
        }
        details
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let details = error.details();
        Self::with_error_details(error.reason.code(), error.message, details)
    }
}

/// As one item of an answer: the status of a call that failed so.
impl From<ApiError> for pb::Status {
    fn from(error: ApiError) -> Self {
        let status = Status::from(error);
        let plain = || Self { code: status.code().into(), message: status.message().to_owned(), details: Vec::new() };
        // tonic keeps the details in the form in which they are sent.
        Self::decode(status.details()).unwrap_or_else(|_| plain())
    }
}

impl From<WireError> for ApiError {
    fn from(error: WireError) -> Self {
        let reason = match error.fault() {
            WireFault::Missing => Reason::MissingField,
            WireFault::Address(ParseAddressError::WrongPrefix { .. }) => Reason::WrongAddressPrefix,
            WireFault::Address(_) => Reason::InvalidAddress,
            WireFault::Transaction(_) | WireFault::Canonical(_) | WireFault::Key(_) | WireFault::Signature(_) => {
                Reason::InvalidTransaction
            }
            WireFault::Length { .. }
            | WireFault::Count { .. }
            | WireFault::OutOfRange { .. }
            | WireFault::Hash(_)
            | WireFault::Mismatch { .. }
            | WireFault::Protobuf(_)
            | WireFault::NotCanonical
            | WireFault::UnknownPath { .. }
            | WireFault::Unexpected { .. } => Reason::InvalidField,
        };
        let mut api = Self::new(reason, error.to_string()).with("field", error.path());
        if let WireFault::Address(ParseAddressError::WrongPrefix { found, expected }) = error.fault() {
            api = api.with("found_prefix", found).with("expected_prefix", expected);
        }
        if let WireFault::UnknownPath { path, .. } = error.fault() {
            api = api.with("path", path);
        }
        api
    }
}

/// The API's reason for a refusal of the mempool.
const fn reason_of(rejection: &Rejection) -> Reason {
    match rejection {
        Rejection::NonceTooLow { .. } => Reason::NonceTooLow,
        Rejection::InsufficientBalance { .. } => Reason::InsufficientBalance,
        Rejection::FeeTooLow { .. } => Reason::FeeTooLow,
        Rejection::TooManyOpenings { .. } => Reason::TooManyOpenings,
        Rejection::ExpiresTooSoon { .. } => Reason::ExpiresTooSoon,
        Rejection::ReplacementUnderpaid { .. } => Reason::ReplacementUnderpaid,
        Rejection::KeyUnknown { .. } => Reason::KeyUnknown,
        Rejection::BadSignature(_) => Reason::BadSignature,
        Rejection::UnusableKey => Reason::UnusableKey,
        Rejection::AccountFull { .. } => Reason::AccountFull,
        Rejection::TooManyQueued { .. } => Reason::TooManyQueued,
        Rejection::PoolFull { .. } => Reason::PoolFull,
        Rejection::SourceLimited { .. } => Reason::SourceLimited,
        Rejection::JournalFailed(_) => Reason::JournalFailed,
        Rejection::Stopping => Reason::Stopping,
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        let message = match &rejection {
            // Paths on disk are the operator's business.
            Rejection::JournalFailed(_) => {
                tracing::warn!(%rejection, "a transfer was refused");
                "the transfer could not be written to disk and was not taken; the node's log says more".to_owned()
            }
            other => other.to_string(),
        };
        let mut api = Self::new(reason_of(&rejection), message);
        if let Rejection::SourceLimited { retry_after_ms } = &rejection {
            api.retry_after = Some(Duration::from_millis(*retry_after_ms));
        }
        api.metadata = rejection.metadata();
        api
    }
}

impl ApiError {
    /// A transaction that is neither in the mempool nor, as far as this node can tell, on the chain.
    pub(super) fn unknown_transaction(id: TxId, chain: &Chain) -> Self {
        let error = if chain.indexes_transactions() {
            let message = format!("transaction {id} is neither on the chain nor in the mempool");
            Self::new(Reason::TransactionNotFound, message)
        } else {
            let message = format!(
                "transaction {id} is not in the mempool, and this node keeps no index of transactions \
                 (--transaction-index off): it cannot tell whether that one was mined; ask another node"
            );
            Self::new(Reason::TransactionIndexOff, message)
        };
        error.with("transaction_id", id)
    }

    /// What stands below the checkpoint that the chain of this node begins with.
    pub(super) fn pruned(height: Height, lowest: Height) -> Self {
        let message = format!(
            "block {height} and what happened in it are not here: this node began with a checkpoint, and its lowest block is {lowest}; ask a node that runs with --sync full"
        );
        Self::new(Reason::BlockPruned, message).with("height", height).with("lowest_height", lowest)
    }
}

impl From<ChainError> for ApiError {
    fn from(error: ChainError) -> Self {
        match &error {
            ChainError::Stopping => Self::stopping(),
            // Paths and positions on disk are the operator's business.
            ChainError::Store(_) => {
                tracing::warn!(%error, "a call failed on the store");
                Self::new(Reason::StoreFailed, "the store failed; the node's log says more")
            }
            ChainError::Pruned { height, lowest } => Self::pruned(*height, *lowest),
            ChainError::Inconsistent(_) => {
                tracing::error!(%error, "a call found the chain inconsistent");
                Self::new(Reason::Internal, "a fault of the node itself; its log says more")
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod documented;
#[cfg(test)]
mod tests;
