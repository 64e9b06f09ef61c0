//! A private network whose blocks come quickly.

use std::sync::Arc;

use farthing::{
    Mites, Network, Params, TimeMs,
    params::{Allocation, ParamsFields},
};

use super::keys;

/// What each of the four keys begins with.
pub(crate) const ALLOCATION_FAR: u64 = 1_000_000;

/// Like dev, with a block in the mean every tenth of a second.
pub(crate) fn quick() -> Arc<Params> {
    let mut allocations: Vec<_> = keys::all()
        .map(|key| {
            let amount = Mites::from_far(ALLOCATION_FAR).expect("a million far can be written");
            Allocation { address: key.address(), amount }
        })
        .collect();
    allocations.sort_by_key(|allocation| allocation.address);
    let fields = ParamsFields {
        name: "quick".to_owned(),
        prefix: "qfar".parse().expect("four letters"),
        genesis_time: TimeMs::new(1_700_000_000_000),
        target_spacing_ms: 100,
        allocations,
        ..ParamsFields::clone(Network::Dev.params())
    };
    Arc::new(Params::new(fields).expect("all within the ranges"))
}
