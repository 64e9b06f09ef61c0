//! Headers, compact targets and the difficulty schedule.

use farthing::{
    Bits, Hash, Header, Height, Network, Params, Target, TimeMs, Work,
    codec::Canonical as _,
    params::{ParamsFields, Retarget},
};
use farthing_consensus::{HeaderContext, check_header, check_header_alone, required_bits};
use ruint::aliases::U256;

use super::{Case, Vectors, network, refusal::Refusal, typed};

fn target(case: Case<'_>) -> U256 {
    U256::from_str_radix(case.text("target"), 16).unwrap_or_else(|error| panic!("{case}: {error}"))
}

#[test]
fn compact_targets_are_read_written_and_refused_as_the_vectors_say() {
    let file = Vectors::open("compact", &["compact_targets", "encoded_targets", "refused_bits"]);
    for case in file.cases("compact_targets") {
        let read = case.bits("bits").target().unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(read.value(), target(case), "{case}");
        assert_eq!(read.to_bits(), case.bits("bits"), "{case}");
        assert_eq!(case.has("work"), read >= Target::HARDEST, "{case}: work is given from 2^160 on");
        if case.has("work") {
            assert_eq!(read.work(), Some(Work::new(case.number("work"))), "{case}");
        }
    }
    for case in file.cases("encoded_targets") {
        let target = Target::new(target(case)).unwrap_or_else(|| panic!("{case}: a target of zero"));
        assert_eq!(target.to_bits(), case.bits("bits"), "{case}");
    }
    for case in file.cases("refused_bits") {
        case.refused(case.bits("bits").target().map_err(Refusal::from));
    }
}

#[test]
fn difficulty_follows_the_published_schedule_and_the_vectors_own() {
    let lists = ["published_runs", "own_runs", "single_steps"];
    let file = Vectors::open("asert", &lists);
    let mut unreachable = 0;
    for case in lists.iter().flat_map(|list| file.cases(list)) {
        let params = Params::new(ParamsFields {
            genesis_bits: case.bits("genesis_bits"),
            limit_bits: case.bits("limit_bits"),
            target_spacing_ms: case.number("target_spacing_ms"),
            half_life_ms: case.number("half_life_ms"),
            genesis_time: TimeMs::new(case.number("genesis_time_ms")),
            retarget: Retarget::Asert,
            ..ParamsFields::clone(Network::Main.params())
        });
        let params = match params {
            // The formula holds there as well, but no network can begin at such a time.
            Err(error) if error.rule() == "R-PAR-03" => {
                unreachable += 1;
                continue;
            }
            other => other.unwrap_or_else(|error| panic!("{case}: {error}")),
        };
        let rows = case.list("parent_height_parent_time_ms_required_bits");
        assert!(!rows.is_empty(), "{case}");
        for Case(row) in rows {
            let column = |at: usize| row[at].as_str().unwrap_or_else(|| panic!("{case}: {row}"));
            let number = |at: usize| column(at).parse().unwrap_or_else(|_| panic!("{case}: {row}"));
            let expected = u32::from_str_radix(column(2), 16).unwrap_or_else(|_| panic!("{case}: {row}"));
            let header = Header { time: TimeMs::new(number(1)), ..params.genesis().header };
            let parent = HeaderContext::from_stored(header, Height::new(number(0)), Work::ZERO);
            assert_eq!(required_bits(&params, &parent), Bits::from_compact(expected), "{case}: {row}");
        }
    }
    assert_eq!(unreachable, 1, "cases that no network can come to");
}

/// The rules on a header by itself, from its bytes.
fn read(case: Case<'_>) -> Result<Header, Refusal> {
    let header = Header::from_canonical(&case.bytes("bytes")).map_err(|error| match error.rule() {
        // A header by itself is R-ENC-01 and R-ENC-02 under a name of its own.
        "R-ENC-01" => Refusal::new("R-HDR-01", "Truncated"),
        "R-ENC-02" => Refusal::new("R-HDR-01", "TrailingBytes"),
        _ => error.into(),
    })?;
    check_header_alone(&network(case.text("network")), &header)?;
    Ok(header)
}

#[test]
fn headers_are_read_and_refused_as_the_vectors_say() {
    let file = Vectors::open("headers", &["headers", "refused_headers", "refused_after_parent"]);
    for case in file.cases("headers") {
        let header = Header::from_canonical(&case.bytes("bytes")).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(header, typed::header(case.object("header")), "{case}");
        assert_eq!(header.to_canonical(), case.bytes("bytes"), "{case}");
        assert_eq!(header.id(), case.hash("block_id"), "{case}");
        let read = header.bits.target().unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(read.value(), target(case), "{case}");
        assert_eq!(read.work(), Some(Work::new(case.number("work"))), "{case}");
        assert_eq!(header.has_work(), case.flag("meets_target"), "{case}");
    }
    for case in file.cases("refused_headers") {
        case.refused(read(case));
    }
    for case in file.cases("refused_after_parent") {
        refused_after_parent(case);
    }
}

/// These headers come without work and without their parent's id. Where it is quickly done, it is done and the whole rule set is asked; elsewhere
/// the schedule alone is.
fn refused_after_parent(case: Case<'_>) {
    let params = network(case.text("network"));
    let read = |field| Header::from_canonical(&case.bytes(field)).unwrap_or_else(|error| panic!("{case}: {error}"));
    let height = Height::new(case.number("parent_height"));
    let parent = HeaderContext::from_stored(read("parent_bytes"), height, Work::ZERO);
    let mut header = Header { previous: parent.id(), ..read("header_bytes") };
    if params.is_dev() {
        header.nonce = (0..100_000)
            .find(|nonce| Header { nonce: *nonce, ..header }.has_work())
            .unwrap_or_else(|| panic!("{case}: no nonce found"));
        case.refused(check_header(&params, &parent, &header, header.time).map_err(Refusal::from));
    } else {
        assert_eq!(case.text("broken_rule"), "R-DIF-06", "{case}: needs work to be checked");
        assert_ne!(required_bits(&params, &parent), header.bits, "{case}");
    }
}

#[test]
fn a_hash_in_the_vectors_reads_as_it_is_written() {
    // The other tests rest on this: bytes are shown in the order of the encoding.
    assert_eq!("01".repeat(32).parse(), Ok(Hash::from_bytes([1; 32])));
}
