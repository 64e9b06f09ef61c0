//! ASERT against the shared vectors, its exact meaning, and its edges.

use farthing::{Header, Height, TimeMs, Work};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::fixtures::network;

/// A parent of this height and time; nothing else of it counts.
fn parent(params: &Params, height: u64, time: u64) -> HeaderContext {
    let header = Header { time: TimeMs::new(time), ..params.genesis().header };
    HeaderContext::from_stored(header, Height::new(height), Work::ZERO)
}

/// As main, but with room above genesis's target.
fn roomy() -> Params {
    network(|fields| {
        fields.retarget = Retarget::Asert;
        fields.genesis_bits = Bits::from_compact(0x1b0f_ffff);
        fields.limit_bits = Bits::from_compact(0x1d0f_ffff);
        fields.genesis_time = TimeMs::new(1_796_083_200_000);
    })
}

/// The target after a parent of this height and time.
fn asert(params: &Params, height: u64, time: u64) -> Target {
    Schedule::of(params).target(Height::new(height), TimeMs::new(time))
}

#[test]
fn every_published_and_own_asert_vector_gives_its_bits() {
    let vectors: Value = serde_json::from_str(include_str!("../../../../tests/vectors/asert.json")).unwrap();
    let number = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
    let compact = |value: &Value| Bits::from_compact(u32::from_str_radix(value.as_str().unwrap(), 16).unwrap());
    let target = |value: &Value| compact(value).target().unwrap();
    let mut steps = 0;
    for list in ["published_runs", "own_runs", "single_steps"] {
        for run in vectors[list].as_array().unwrap() {
            // Straight to the formula: one vector has a genesis later than any network may have.
            let schedule = Schedule {
                genesis_time: TimeMs::new(number(&run["genesis_time_ms"])),
                genesis_target: target(&run["genesis_bits"]),
                limit: target(&run["limit_bits"]),
                spacing_ms: number(&run["target_spacing_ms"]),
                half_life_ms: number(&run["half_life_ms"]),
            };
            for step in run["parent_height_parent_time_ms_required_bits"].as_array().unwrap() {
                let (height, time) = (Height::new(number(&step[0])), TimeMs::new(number(&step[1])));
                let bits = schedule.target(height, time).to_bits();
                assert_eq!(bits, compact(&step[2]), "{}: {step}", run["description"]);
                steps += 1;
            }
        }
    }
    assert!(steps > 5_000, "only {steps} steps were read");
}

#[test]
fn a_network_without_retargeting_keeps_its_bits_for_ever() {
    let params = network(|_| ());
    for (height, time) in [(0, 1), (1, 0), (1_000_000, 1 << 47)] {
        assert_eq!(required_bits(&params, &parent(&params, height, time)), params.genesis_bits);
    }
}

#[test]
fn a_block_on_schedule_keeps_genesiss_bits_and_a_half_life_doubles_or_halves_the_target() {
    let params = roomy();
    let at = |height: u64, late: i64| {
        let time = (1_796_083_200_000 + 10_000 * height).checked_add_signed(late).unwrap();
        asert(&params, height, time).value()
    };
    let genesis = params.genesis_bits.target().unwrap().value();
    for height in [0, 1, 360, 1_000_000] {
        assert_eq!(at(height, 0), genesis);
        assert_eq!(at(height, 3_600_000), genesis << 1);
        assert_eq!(at(height, -3_600_000), genesis >> 1);
        assert_eq!(at(height, 7 * 3_600_000), genesis << 7);
    }
}

#[test]
fn the_target_never_leaves_its_clamps_however_far_the_clock_is_off() {
    let params = roomy();
    let heights = [0, 1, 1 << 40, u64::MAX];
    let times = [0, 1_796_083_200_000, (1 << 48) - 1, u64::MAX];
    for (height, time) in heights.into_iter().flat_map(|height| times.map(|time| (height, time))) {
        let target = asert(&params, height, time);
        assert!((Target::HARDEST..=params.limit()).contains(&target), "{height} at {time}: {target:?}");
        assert_eq!(
            required_bits(&params, &parent(&params, height, time)).target().unwrap().to_bits(),
            target.to_bits()
        );
    }
    assert_eq!(required_bits(&params, &parent(&params, 0, u64::MAX)), params.limit_bits);
    assert_eq!(asert(&params, u64::MAX, 0), Target::HARDEST);
}

proptest! {
    /// `target = genesis * 2^(late / half-life)`, in floating point.
    #[test]
    fn the_target_is_the_exponential_to_two_parts_in_ten_thousand(
        height in 0_u64..100_000_000,
        late in -30_000_000_i64..20_000_000,
    ) {
        let params = roomy();
        let Some(time) = (1_796_083_200_000 + 10_000 * height).checked_add_signed(late) else { return Ok(()) };
        let found = asert(&params, height, time).value();
        let genesis = params.genesis_bits.target().unwrap().value();
        let ratio = f64::from(found) / f64::from(genesis);
        let exact = (late as f64 / 3_600_000.0).exp2();
        prop_assert!((ratio / exact - 1.0).abs() < 2e-4, "{ratio} instead of {exact}");
    }

    #[test]
    fn a_later_parent_never_makes_the_child_harder(
        height in 0_u64..10_000_000,
        late in 0_u64..100_000_000,
        more in 0_u64..10_000_000,
    ) {
        let params = roomy();
        let time = 1_796_083_200_000 + 10_000 * height + late;
        let target = |time| asert(&params, height, time);
        prop_assert!(target(time) <= target(time + more));
    }
}
