//! Why a transfer does not happen, or is not known to have happened.

use farthing::{Mites, TxId, tx::TransactionError};

use crate::{
    client::NodeError,
    error::{Exit, Explain},
    outbox::{Kind, OutboxError},
};

/// Why a transfer does not happen, or is not known to have happened.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// Its fields do not fit together.
    #[error("this is not a possible transfer")]
    Fields(#[source] TransactionError),
    /// The fee does not even pay for the opening.
    #[error("a fee of {fee} far does not pay for opening the recipient's account, which costs {opening} far")]
    FeeBelowOpening {
        /// The fee given.
        fee: Mites,
        /// What opening costs.
        opening: Mites,
    },
    /// The fee does not make nodes let go of the transfer that it is to replace.
    #[error("a fee of {fee} far is too low to replace a waiting transfer, which takes {required} far")]
    FeeBelowReplacement {
        /// The fee given.
        fee: Mites,
        /// What it takes.
        required: Mites,
    },
    /// The fee is above the bound that applies.
    #[error("the fee of {fee} far is above {bound} far, {which}")]
    FeeAboveBound {
        /// The fee given or estimated.
        fee: Mites,
        /// The most allowed.
        bound: Mites,
        /// Who allows no more.
        which: &'static str,
    },
    /// More transfers are said to wait than a node keeps.
    #[error("the node says that the next free nonce is {nonce}, but the proven account has used {chain_nonce}")]
    NonceGap {
        /// The node's.
        nonce: u64,
        /// The proven one.
        chain_nonce: u64,
    },
    /// Amount and fee add up to more than an amount can hold.
    #[error("amount and fee add up to more than can be written")]
    Overflow,
    /// Not enough money.
    #[error("{needed} far are needed (amount and fee), {spendable} far can be spent")]
    Funds {
        /// Amount and fee.
        needed: Mites,
        /// What the account holds, less what pending transfers take.
        spendable: Mites,
        /// What pending transfers take.
        pending: Mites,
    },
    /// The node refuses it for lack of money.
    #[error("the node refuses the transfer for lack of money: {message}")]
    NodeFunds {
        /// What it said.
        message: String,
    },
    /// The node refuses it; it was handed to no other.
    #[error("the node rejects the transfer: {message} [{reason}]")]
    Rejected {
        /// Its id, if it was handed in.
        id: Option<TxId>,
        /// Stable reason.
        reason: String,
        /// What it said.
        message: String,
        /// The fee that would do, if a higher one helps.
        required_fee: Option<Mites>,
    },
    /// It was in this node's mempool and is gone from it.
    #[error("this node dropped the transfer {id}: {reason}; another node may still mine it")]
    Dropped {
        /// Its id.
        id: TxId,
        /// Stable reason.
        reason: String,
    },
    /// It was handed in, but the answer is lost.
    #[error("the transfer {id} was handed in, but the answer was lost; it may or may not be mined")]
    Uncertain {
        /// Its id.
        id: TxId,
        /// What happened.
        #[source]
        source: NodeError,
    },
    /// An earlier one was refused, and the nonce of this one is behind its own.
    #[error(
        "the transfer {id} was refused, but the chain has not used its nonce, {nonce}, and this one has a later one: should the node \
         have kept it, both would be paid; nothing was sent"
    )]
    InDoubt {
        /// The id of the one that was refused.
        id: TxId,
        /// Its nonce.
        nonce: u64,
    },
    /// An earlier one was refused, and the node kept it.
    #[error("the transfer {0}, which a node refused, was mined after all; nothing was sent now")]
    MinedAfterAll(TxId),
    /// It was handed in earlier, and is not taken now.
    #[error(
        "the transfer {id} of an earlier command is open: it may still be mined, but the node does not take it now"
    )]
    NotTaken {
        /// Its id.
        id: TxId,
        /// What it is.
        kind: Kind,
        /// What the node said.
        #[source]
        source: NodeError,
    },
    /// It was refused, and stays in the outbox, as that cannot be written.
    #[error("{refusal}; but the transfer {id} is still in the outbox, from where it is handed in again: {source}")]
    NotTakenOut {
        /// Its id.
        id: TxId,
        /// What the node said.
        refusal: NodeError,
        /// Why it is still there.
        #[source]
        source: Box<OutboxError>,
    },
    /// Some of the outbox is neither mined nor on its way at this node.
    #[error("not on their way at this node: {count} of the transfers above; another node may still mine them")]
    NotWaiting {
        /// How many.
        count: usize,
    },
    /// Some of the outbox will not be mined.
    #[error("not paid: {count} of the transfers above; they cannot be mined any more")]
    Replaced {
        /// How many.
        count: usize,
    },
    /// Neither the node nor the outbox has it.
    #[error("the node knows no transfer {0}, and this wallet's outbox has none of that id")]
    Unknown(TxId),
    /// The wait was too short, and no node knows it now.
    #[error("no node that was asked knows the transfer {id} after {seconds} s: it was not handed in there, or is lost")]
    NotSeen {
        /// Its id.
        id: TxId,
        /// How long was waited.
        seconds: u64,
    },
    /// Another transfer of its account took its nonce.
    #[error("the transfer {id} was not mined and cannot be any more: {by} took its nonce")]
    Overtaken {
        /// Its id.
        id: TxId,
        /// The other one.
        by: String,
    },
    /// The wait was too short.
    #[error("the transfer {id} is submitted, but has {confirmations} of {wanted} confirmations after {seconds} s")]
    Unconfirmed {
        /// Its id.
        id: TxId,
        /// What it has.
        confirmations: u64,
        /// What was asked for.
        wanted: u64,
        /// How long was waited.
        seconds: u64,
    },
}

impl Explain for TransferError {
    fn code(&self) -> &'static str {
        match self {
            Self::Fields(_) | Self::Overflow => "BAD_TRANSFER",
            Self::FeeBelowOpening { .. } | Self::FeeBelowReplacement { .. } => "FEE_TOO_LOW",
            Self::FeeAboveBound { .. } => "FEE_TOO_HIGH",
            Self::NonceGap { .. } => "NONCE_GAP",
            Self::Funds { .. } | Self::NodeFunds { .. } => "INSUFFICIENT_FUNDS",
            Self::Rejected { .. } => "REJECTED",
            Self::Dropped { .. } => "DROPPED",
            Self::NotWaiting { .. } => "NOT_WAITING",
            Self::Replaced { .. } | Self::Overtaken { .. } => "REPLACED",
            Self::Unknown(_) => "UNKNOWN_TRANSFER",
            Self::Uncertain { .. } => "ANSWER_LOST",
            Self::NotTaken { .. } | Self::NotTakenOut { .. } => "NOT_TAKEN",
            Self::InDoubt { .. } => "REFUSAL_IN_DOUBT",
            Self::MinedAfterAll(_) => "MINED_AFTER_ALL",
            Self::Unconfirmed { .. } => "UNCONFIRMED",
            Self::NotSeen { .. } => "NOT_SEEN",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Fields(_)
            | Self::Overflow
            | Self::FeeBelowOpening { .. }
            | Self::FeeBelowReplacement { .. }
            | Self::FeeAboveBound { .. } => Exit::Usage,
            Self::NonceGap { .. } => Exit::Verification,
            Self::Funds { .. } | Self::NodeFunds { .. } => Exit::Funds,
            Self::Rejected { .. }
            | Self::InDoubt { .. }
            | Self::MinedAfterAll(_)
            | Self::Replaced { .. }
            | Self::Overtaken { .. } => Exit::Rejected,
            Self::Unknown(_) => Exit::Other,
            Self::Uncertain { .. }
            | Self::NotTaken { .. }
            | Self::NotTakenOut { .. }
            | Self::Dropped { .. }
            | Self::NotWaiting { .. }
            | Self::NotSeen { .. }
            | Self::Unconfirmed { .. } => Exit::Unconfirmed,
        }
    }

    fn transaction(&self) -> Option<TxId> {
        match self {
            Self::Uncertain { id, .. }
            | Self::NotTaken { id, .. }
            | Self::NotTakenOut { id, .. }
            | Self::Dropped { id, .. }
            | Self::InDoubt { id, .. }
            | Self::MinedAfterAll(id)
            | Self::Unknown(id)
            | Self::NotSeen { id, .. }
            | Self::Overtaken { id, .. }
            | Self::Unconfirmed { id, .. } => Some(*id),
            Self::Rejected { id, .. } => *id,
            _ => None,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::FeeAboveBound { fee, .. } => vec![
                format!("--max-fee {fee}, if you mean to pay that much"),
                "--fee slow, or later, when the network is less busy".into(),
                "--node URL with another node, if the price was this one's and looks silly".into(),
            ],
            Self::NonceGap { .. } => vec!["--node URL with another node; this one is broken or lies".into()],
            Self::FeeBelowOpening { .. } => vec!["without --fee, which computes it".into()],
            Self::Funds { pending, .. } if !pending.is_zero() => {
                vec!["a smaller amount".into(), format!("again once the pending transfers of {pending} far are mined")]
            }
            Self::Funds { .. } | Self::NodeFunds { .. } => {
                vec!["a smaller amount".into(), "farthing-wallet balance".into()]
            }
            Self::Uncertain { .. } => {
                vec!["farthing-wallet resubmit: the same transfer with the same id, never a second payment".into()]
            }
            Self::Unconfirmed { id, wanted, .. } => {
                let more = if *wanted == 1 { String::new() } else { format!(" --confirmations {wanted}") };
                vec![
                    format!("farthing-wallet tx wait {id}{more}, which goes on waiting"),
                    "farthing-wallet resubmit, which says what became of it; never simply pay again".into(),
                ]
            }
            Self::NotSeen { id, .. } => vec![
                "farthing-wallet resubmit, which hands in again what this wallet sent".into(),
                format!("farthing-wallet tx wait {id} --node URL with another node"),
            ],
            Self::Unknown(_) => vec!["copy the id again, all of it".into(), "--node URL with another node".into()],
            Self::Overtaken { by, .. } => {
                vec![
                    format!("farthing-wallet tx show {by}, which may pay the same"),
                    "farthing-wallet history, then send what is still owed".into(),
                ]
            }
            Self::NotTakenOut { id, source, .. } => {
                let mut tries = source.tries();
                tries.push("farthing-wallet resubmit, which goes on with it".into());
                tries.push(format!("farthing-wallet tx cancel {id}, so that it is never paid"));
                tries
            }
            Self::NotTaken { id, kind: Kind::Cancel, .. } => vec![
                format!("farthing-wallet tx bump {id}, which cancels the same with a higher fee"),
                "farthing-wallet resubmit --node URL with another node".into(),
            ],
            Self::NotTaken { id, .. } => vec![
                format!("farthing-wallet tx bump {id}, which pays the same with a higher fee"),
                format!("farthing-wallet tx cancel {id}, so that it is never paid"),
                "farthing-wallet resubmit --node URL with another node".into(),
            ],
            Self::MinedAfterAll(id) => vec![
                format!("farthing-wallet tx show {id}"),
                "the same command again, which pays unless this is the payment that it meant".into(),
                "--again, or another --id, if the same words mean another payment".into(),
            ],
            Self::InDoubt { id, .. } => vec![
                format!("farthing-wallet tx cancel {id}, so that it is never paid; tx bump, if it shall be"),
                "--node URL with another node: where nothing waits, this payment takes that nonce, and only one of the two can be mined"
                    .into(),
                "once what waits is mined: farthing-wallet history shows whether it paid this".into(),
            ],
            Self::Dropped { .. } | Self::NotWaiting { .. } => vec![
                "farthing-wallet resubmit: hands it in again, or says that it was mined after all".into(),
                "farthing-wallet resubmit --node URL with another node".into(),
                "farthing-wallet tx bump ID, if its fee is too low; tx cancel ID, if it shall not be paid".into(),
            ],
            Self::FeeBelowReplacement { required: fee, .. } | Self::Rejected { required_fee: Some(fee), .. } => {
                vec![format!("--fee {fee}, which would do")]
            }
            Self::Rejected { .. } => {
                vec!["the same command again, later or with --node URL, which asks anew".into()]
            },
            Self::Replaced { .. } => vec!["farthing-wallet history, then send again what is still owed".into()],
            Self::Fields(_) => vec!["an amount of at least 0.00000001 far, and a shorter memo".into()],
            Self::Overflow => vec!["a smaller amount or fee".into()],
        }
    }
}
