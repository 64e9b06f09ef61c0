//! What a transfer pays to be mined, and the most that it may pay whatever a node says.

use std::str::FromStr;

use farthing::Mites;
use farthing_client::{FeeEstimate, FeeEstimates};

use super::TransferError;

/// The most that the miner gets of one transfer if nobody says otherwise: a hundred times what an idle network asks. No
/// node can make the wallet pay more by naming a high price.
pub const MOST_FOR_THE_MINER: Mites = Mites::new(5_000_000);

/// How soon a transfer should be mined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Speed {
    /// By the tenth block from now.
    Slow,
    /// By the third.
    #[default]
    Normal,
    /// In the next one.
    Fast,
}

impl Speed {
    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Normal => "normal",
            Self::Fast => "fast",
        }
    }

    /// The node's price for it.
    #[must_use]
    pub const fn of(self, estimates: &FeeEstimates) -> FeeEstimate {
        match self {
            Self::Slow => estimates.slow,
            Self::Normal => estimates.normal,
            Self::Fast => estimates.fast,
        }
    }
}

/// What to pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fee {
    /// As much as that takes, as the node estimates it.
    Speed(Speed),
    /// This much, opening costs included.
    Exactly(Mites),
}

impl Default for Fee {
    fn default() -> Self {
        Self::Speed(Speed::Normal)
    }
}

impl FromStr for Fee {
    type Err = farthing::amount::ParseAmountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "slow" => Ok(Self::Speed(Speed::Slow)),
            "normal" => Ok(Self::Speed(Speed::Normal)),
            "fast" => Ok(Self::Speed(Speed::Fast)),
            amount => amount.parse().map(Self::Exactly),
        }
    }
}

/// The most that a transfer may pay.
#[derive(Debug, Clone, Copy, Default)]
pub struct FeeBounds {
    /// The whole fee, as the command line says; instead of the other bound.
    pub whole: Option<Mites>,
    /// The miner's part, as the settings say.
    pub for_the_miner: Option<Mites>,
}

impl FeeBounds {
    /// Holds a fee against the bound that applies. What opening accounts costs follows from the network's rules and
    /// proven accounts, so only `--max-fee` counts it.
    ///
    /// # Errors
    /// [`TransferError::FeeAboveBound`].
    pub fn check(&self, fee: Mites, opening: Mites) -> Result<(), TransferError> {
        let (bound, which) = match (self.whole, self.for_the_miner) {
            (Some(whole), _) => (whole, "what --max-fee allows"),
            (None, Some(part)) => {
                (part.checked_add(opening).unwrap_or(part), "what max_fee in config.toml and opening accounts come to")
            }
            (None, None) => (
                MOST_FOR_THE_MINER.checked_add(opening).unwrap_or(MOST_FOR_THE_MINER),
                "the wallet's own bound: 0.05 far and what opening accounts costs",
            ),
        };
        if fee > bound { Err(TransferError::FeeAboveBound { fee, bound, which }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_is_a_speed_or_an_amount() {
        assert_eq!("fast".parse(), Ok(Fee::Speed(Speed::Fast)));
        assert_eq!("0.001".parse(), Ok(Fee::Exactly(Mites::new(100_000))));
        assert!("quick".parse::<Fee>().is_err());
    }

    #[test]
    fn the_bound_that_applies_is_named() {
        let (opening, far) = (Mites::new(10_000_000), |mites| Mites::new(mites));
        let said = |bounds: FeeBounds, fee| bounds.check(far(fee), opening).map_err(|error| error.to_string());
        let none = FeeBounds::default();
        said(none, 15_000_000).unwrap();
        assert!(said(none, 15_000_001).unwrap_err().contains("the wallet's own bound"));
        let setting = FeeBounds { for_the_miner: Some(far(1)), ..none };
        said(setting, 10_000_001).unwrap();
        assert!(said(setting, 10_000_002).unwrap_err().contains("max_fee in config.toml"));
        let flag = FeeBounds { whole: Some(far(20_000_000)), ..setting };
        said(flag, 20_000_000).unwrap();
        assert!(said(flag, 20_000_001).unwrap_err().contains("--max-fee"));
    }
}
