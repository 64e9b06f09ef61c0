//! What a peer can do wrong, and what it costs it. One table; only the peer that served the fault pays.
//!
//! Orphans, ties, stale tips, late answers, blocks from the near future and transactions whose key is not yet known
//! are not in it: honest peers send all of these.

use std::time::Duration;

use super::{convert::Malformed, wants::DeliveryRefusal};

/// Points at which a peer is banned.
pub(super) const BAN_THRESHOLD: u32 = 100;
/// How long a ban lasts.
pub(super) const BAN_TIME: Duration = Duration::from_secs(60 * 60);

/// Something that no honest peer does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misdeed {
    /// A message that cannot be read.
    #[error("sent a malformed message: {0}")]
    Malformed(#[from] Malformed),
    /// A header that breaks a rule, such as one without its proof of work.
    #[error("sent an invalid header: {0}")]
    InvalidHeader(String),
    /// A block that breaks a rule.
    #[error("sent an invalid block: {0}")]
    InvalidBlock(String),
    /// A checkpoint, or a piece of one, that is not what it was said to be.
    #[error("sent a false checkpoint: {0}")]
    FalseCheckpoint(String),
    /// A transaction that can never be valid, such as one with a wrong signature.
    #[error("sent an invalid transaction: {0}")]
    InvalidTransaction(String),
    /// Something else than what was asked for.
    #[error("answered with something that was not asked for: {0}")]
    WrongAnswer(&'static str),
    /// A body that nobody asked for.
    #[error("delivered what was never wanted: {0}")]
    Unrequested(DeliveryRefusal),
    /// More open calls, wants or sessions than the protocol has.
    #[error("broke the order of the protocol: {0}")]
    OutOfOrder(&'static str),
    /// Call after call although it was told to wait; see docs/limits.md.
    #[error("went on calling {0} after having been told to wait")]
    Overrun(&'static str),
}

impl Misdeed {
    /// What it costs; [`BAN_THRESHOLD`] is enough for a ban.
    pub(super) const fn penalty(&self) -> u32 {
        match self {
            Self::InvalidHeader(_) | Self::InvalidBlock(_) | Self::FalseCheckpoint(_) => 100,
            Self::Malformed(_) | Self::WrongAnswer(_) => 50,
            Self::InvalidTransaction(_) | Self::Unrequested(_) | Self::Overrun(_) => 25,
            Self::OutOfOrder(_) => 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::wants::WantKind;

    #[test]
    fn every_misdeed_has_its_price_and_none_is_free() {
        let table = [
            (Misdeed::Malformed(Malformed::Missing { field: "hello" }), 50),
            (Misdeed::InvalidHeader("no work".to_owned()), 100),
            (Misdeed::InvalidBlock("wrong root".to_owned()), 100),
            (Misdeed::FalseCheckpoint("foreign key".to_owned()), 100),
            (Misdeed::InvalidTransaction("wrong signature".to_owned()), 25),
            (Misdeed::WrongAnswer("another block"), 50),
            (Misdeed::Unrequested(DeliveryRefusal::NeverWanted(3)), 25),
            (
                Misdeed::Unrequested(DeliveryRefusal::WrongKind {
                    id: 1,
                    asked: WantKind::Blocks,
                    delivered: WantKind::Headers,
                }),
                25,
            ),
            (Misdeed::OutOfOrder("second stream"), 10),
            (Misdeed::Overrun("/farthing.peer.v1.PeerService/GetBlocks"), 25),
        ];
        for (misdeed, price) in table {
            assert_eq!(misdeed.penalty(), price, "{misdeed}");
        }
    }
}
