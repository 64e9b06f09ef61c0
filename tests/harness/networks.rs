//! A private network whose blocks come quickly.

use std::{fmt::Write as _, fs, path::Path, sync::Arc};

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

/// Writes such a network as the file that the programs take.
pub(crate) fn write(params: &Params, path: &Path) {
    let mut text = format!(
        "name = \"{}\"\nprefix = \"{}\"\ngenesis_time_ms = {}\ntarget_spacing_ms = {}\n",
        params.name,
        params.prefix,
        params.genesis_time.get(),
        params.target_spacing_ms
    );
    for allocation in &params.allocations {
        let address = params.prefix.format(&allocation.address);
        write!(text, "[[allocations]]\naddress = \"{address}\"\namount_far = \"{}\"\n", allocation.amount)
            .expect("a string takes everything");
    }
    let read = text.parse::<Params>().unwrap_or_else(|error| panic!("{}: {error}\n{text}", path.display()));
    assert_eq!(read.genesis_id(), params.genesis_id(), "the file describes another network");
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
