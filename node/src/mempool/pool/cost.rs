//! What a transaction burns, as of the confirmed state.

use farthing::{Mites, Params, SignedTransaction};

use super::super::Confirmed;

/// The price of the accounts that a transaction opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    /// Distinct output addresses that do not exist.
    pub(super) openings: u32,
    /// What opening them burns.
    pub(super) burned: Mites,
}

impl Cost {
    pub(super) fn of(params: &Params, confirmed: &dyn Confirmed, transaction: &SignedTransaction) -> Self {
        let mut addresses: Vec<_> = transaction.transaction().outputs().iter().map(|output| output.to).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let missing = addresses.iter().filter(|address| confirmed.account(address).is_none()).count();
        let openings = u32::try_from(missing).unwrap_or(u32::MAX);
        let burned = params.opening_cost.checked_mul(openings.into()).unwrap_or(Mites::MAX);
        Self { openings, burned }
    }

    /// What of the fee is left for the miner; nothing if it does not cover the burning.
    pub(super) fn net(self, fee: Mites) -> Mites {
        fee.checked_sub(self.burned).unwrap_or(Mites::ZERO)
    }
}
