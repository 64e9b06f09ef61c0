//! Private networks: one whose blocks come quickly, one whose difficulty moves.

use std::{fmt::Write as _, fs, path::Path, sync::Arc};

use farthing::{
    Bits, Mites, Network, Params, TimeMs,
    params::{Allocation, ParamsFields, Retarget},
};

use super::keys;

/// What each of the four keys begins with.
pub(crate) const ALLOCATION_FAR: u64 = 1_000_000;

/// Like dev, with a block in the mean every tenth of a second.
pub(crate) fn quick() -> Arc<Params> {
    let fields = ParamsFields {
        name: "quick".to_owned(),
        prefix: "qfar".parse().expect("four letters"),
        target_spacing_ms: 100,
        ..fields()
    };
    Arc::new(Params::new(fields).expect("all within the ranges"))
}

/// One whose difficulty moves: each block that comes at once makes the next one twice as hard, one on time makes it as
/// easy as can be (131,072 attempts). So few blocks can have more work than many.
pub(crate) fn moving() -> Arc<Params> {
    let easiest = Bits::from_compact(0x1e7f_ffff);
    let fields = ParamsFields {
        name: "moving".to_owned(),
        prefix: "mfar".parse().expect("four letters"),
        genesis_bits: easiest,
        limit_bits: easiest,
        target_spacing_ms: 1_000,
        retarget: Retarget::Asert,
        half_life_ms: 1_000,
        ..fields()
    };
    Arc::new(Params::new(fields).expect("all within the ranges"))
}

fn fields() -> ParamsFields {
    let mut allocations: Vec<_> = keys::all()
        .map(|key| {
            let amount = Mites::from_far(ALLOCATION_FAR).expect("a million far can be written");
            Allocation { address: key.address(), amount }
        })
        .collect();
    allocations.sort_by_key(|allocation| allocation.address);
    ParamsFields {
        genesis_time: TimeMs::new(1_700_000_000_000),
        allocations,
        ..ParamsFields::clone(Network::Dev.params())
    }
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
    if params.retarget == Retarget::Asert {
        let [genesis, limit] = [params.genesis_bits, params.limit_bits].map(Bits::to_compact);
        write!(text, "genesis_bits = \"{genesis:08x}\"\nlimit_bits = \"{limit:08x}\"\n")
            .and_then(|()| write!(text, "retarget = \"asert\"\nhalf_life_ms = {}\n", params.half_life_ms))
            .expect("a string takes everything");
    }
    for allocation in &params.allocations {
        let address = params.prefix.format(&allocation.address);
        write!(text, "[[allocations]]\naddress = \"{address}\"\namount_far = \"{}\"\n", allocation.amount)
            .expect("a string takes everything");
    }
    let read = text.parse::<Params>().unwrap_or_else(|error| panic!("{}: {error}\n{text}", path.display()));
    assert_eq!(read.genesis_id(), params.genesis_id(), "the file describes another network");
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
