//! Chains that were worked for, and forged ones.

use farthing::{Bits, BlockId, Hash, RangePeaks, chain_proof::TAIL_HEADERS, hash::sha256, params::Retarget};
use proptest::prelude::*;

use super::*;
use crate::{
    difficulty::required_bits,
    fixtures::{mine, network},
};

/// A chain of headers, each of which commits to those before it, and the nodes of its range.
struct Branch {
    params: Params,
    headers: Vec<Header>,
    nodes: Vec<RangeNode>,
    range: RangePeaks,
    work: Work,
}

const ACCOUNTS: Hash = Hash::from_bytes([4; 32]);

impl Branch {
    fn new(params: Params) -> Self {
        let genesis = HeaderContext::genesis(&params);
        let mut branch =
            Self { headers: Vec::new(), nodes: Vec::new(), range: RangePeaks::default(), work: Work::ZERO, params };
        branch.append(*genesis.header());
        branch
    }

    fn append(&mut self, header: Header) {
        let work = header.bits.target().unwrap().work().unwrap();
        self.work = self.work.checked_add(work).unwrap();
        self.nodes.extend(self.range.append(RangeNode::leaf(&header, work)).unwrap());
        self.headers.push(header);
    }

    /// A header on the last one that keeps every rule but work.
    fn next(&self, spacing_ms: u64) -> Header {
        let last = self.headers[self.headers.len() - 1];
        let parent = HeaderContext::from_stored(last, Height::new(self.headers.len() as u64 - 1), self.work);
        Header {
            previous: parent.id(),
            commitment: commitment(&ACCOUNTS, &self.range.chain_root().unwrap()),
            tx_root: Hash::ZERO,
            time: last.time.saturating_add(spacing_ms),
            bits: required_bits(&self.params, &parent),
            nonce: 0,
        }
    }

    fn grow(mut self, count: u64) -> Self {
        for _ in 0..count {
            self.append(mine(self.next(10_000)));
        }
        self
    }

    /// Headers of which some were never worked for.
    fn forge(mut self, worked: impl IntoIterator<Item = bool>) -> Self {
        for worked in worked {
            let mut header = mine(self.next(10_000));
            while !worked && header.has_work() {
                header.nonce += 1;
            }
            self.append(header);
        }
        self
    }

    /// A tip on the last header. `mark` makes tips differ.
    fn tip(&self, mark: u64) -> Header {
        mine(Header { tx_root: Hash::from_bytes(sha256(&[&mark.to_le_bytes()])), ..self.next(10_000) })
    }

    fn prove(&self, mark: u64, samples_per_halving: u32) -> ChainProof {
        let node = |at: u64| Ok::<_, ()>(self.nodes[usize::try_from(at).unwrap()]);
        let header = |height: u64| Ok(self.headers[usize::try_from(height).unwrap()]);
        let count = self.headers.len() as u64;
        ChainProof::build_with(samples_per_halving, self.tip(mark), ACCOUNTS, count, node, header).unwrap().unwrap()
    }

    fn check(&self, proof: &ChainProof) -> Result<ProvenChain, ChainProofError> {
        verify_chain_proof(&self.params, proof)
    }
}

fn trivial() -> Params {
    network(|_| ())
}

#[test]
fn the_work_of_a_chain_of_any_length_is_proven() {
    for count in [1, 2, 3, 63, 64, 65, 66, 100, 700, 1_500] {
        let branch = Branch::new(trivial()).grow(count - 1);
        let proof = branch.prove(0, SAMPLES_PER_HALVING);
        let proven = branch.check(&proof).unwrap();
        assert_eq!((proven.tip.height().get(), proven.tip.id()), (count, proof.tip.id()));
        assert_eq!(proven.tip.total_work().get(), branch.work.get() + 2, "{count} headers and the tip");
        assert_eq!(proven.headers_checked, proof.shown.len());
        assert!(count > 100 || proven.headers_checked as u64 == count.min(proven.headers_checked as u64));
    }
    let params = trivial();
    let genesis = *HeaderContext::genesis(&params).header();
    let accounts_root = crate::AccountTree::<()>::genesis(&params, &()).root();
    let alone = ChainProof { tip: genesis, accounts_root, count: 0, shown: Vec::new(), nodes: Vec::new() };
    assert_eq!(verify_chain_proof(&params, &alone).unwrap().tip, HeaderContext::genesis(&params));
}

#[test]
fn each_fault_of_a_chain_proof_is_named_by_its_rule() {
    let branch = Branch::new(trivial()).grow(400);
    let good = branch.prove(0, SAMPLES_PER_HALVING);
    let rule = |change: &dyn Fn(&mut ChainProof)| {
        let mut proof = good.clone();
        change(&mut proof);
        branch.check(&proof).unwrap_err().rule()
    };
    assert_eq!(rule(&|proof| proof.shown.swap(5, 6)), "R-FLY-01");
    assert_eq!(rule(&|proof| proof.nodes.truncate(proof.nodes.len() - 1)), "R-FLY-01");
    assert_eq!(rule(&|proof| proof.nodes.push(proof.nodes[0])), "R-FLY-01");
    assert_eq!(rule(&|proof| proof.nodes[0].count += 1), "R-RNG-05");
    assert_eq!(rule(&|proof| proof.nodes[0].last_time = TimeMs::new(0)), "R-RNG-06");
    assert_eq!(rule(&|proof| proof.accounts_root = Hash::ZERO), "R-FLY-02");
    assert_eq!(rule(&|proof| proof.nodes[0].work = Work::new(9)), "R-FLY-02");
    assert_eq!(rule(&|proof| proof.shown[0].1.nonce = 1), "R-FLY-03");
    // Another tip asks for other headers than those shown.
    let other = branch.prove(1, SAMPLES_PER_HALVING);
    assert_eq!(rule(&|proof| proof.tip = other.tip), "R-FLY-04");
    assert_eq!(branch.check(&branch.prove(0, SAMPLES_PER_HALVING - 1)).unwrap_err().rule(), "R-FLY-04");
    let more = branch.check(&branch.prove(0, SAMPLES_PER_HALVING + 1)).unwrap_err();
    assert!(matches!(more, ChainProofError::NotAsked { .. }), "{more}");
    let idle = |header: &mut Header| {
        while header.has_work() {
            header.nonce += 1;
        }
    };
    assert_eq!(rule(&|proof| idle(&mut proof.shown[9].1)), "R-FLY-05");
    assert_eq!(rule(&|proof| idle(&mut proof.tip)), "R-FLY-05");
}

/// One header in the whole chain that was not worked for, and is shown: below the last ones, and among them.
#[test]
fn a_header_that_is_shown_must_keep_every_rule() {
    let tail = usize::try_from(TAIL_HEADERS).unwrap();
    for bad in [300 - tail, 299, 250] {
        let branch = Branch::new(trivial()).forge((0..299).map(|at| at + 1 != bad));
        let error = branch.check(&branch.prove(3, SAMPLES_PER_HALVING)).unwrap_err();
        assert!(matches!(&error, ChainProofError::Header { height, .. } if *height == bad as u64), "{error:?}");
    }
}

/// A header with its work, mined on another parent than the one before it in the range.
#[test]
fn a_header_that_does_not_follow_the_one_before_it_is_refused() {
    let mut branch = Branch::new(trivial()).grow(200);
    let elsewhere = Header { previous: BlockId::from_bytes([6; 32]), ..branch.next(10_000) };
    branch.append(mine(elsewhere));
    let branch = branch.grow(20);
    let error = branch.check(&branch.prove(0, SAMPLES_PER_HALVING)).unwrap_err();
    let ChainProofError::Header { height: 201, error } = error else { panic!("{error:?}") };
    assert_eq!(error.rule(), "R-HDR-05");
}

/// Work that no schedule allows, claimed for headers that are not shown, is refused though the sums are right.
#[test]
fn work_beyond_what_heights_and_times_allow_is_refused() {
    let mut branch = Branch::new(trivial()).grow(99);
    let mut rich = branch.next(10_000);
    // Four attempts where two are the rule.
    rich.bits = Bits::from_compact(0x203f_ffff);
    branch.append(mine(rich));
    let branch = branch.grow(1_000);
    let refused = (0..20).map(|mark| branch.check(&branch.prove(mark, SAMPLES_PER_HALVING)).unwrap_err().rule());
    let mut rules: Vec<_> = refused.collect();
    rules.sort_unstable();
    rules.dedup();
    assert!(rules.contains(&"R-FLY-06"), "{rules:?}");
    assert!(rules.iter().all(|rule| ["R-FLY-05", "R-FLY-06"].contains(rule)), "{rules:?}");
}

/// How many of so many tips of a forged branch pass, with one sample for each halving.
fn escapes(branch: &Branch, tips: u64) -> u64 {
    (0..tips).filter(|mark| verify_with(&branch.params, &branch.prove(*mark, 1), 1).is_ok()).count() as u64
}

/// A branch of 2,048 headers that forks off at a height, half of it worked for: all of the end, or every other header.
fn half_forged(fork: u64, at_the_end: bool) -> Branch {
    let forged = 2_047 - fork;
    let tail = TAIL_HEADERS;
    let branch = Branch::new(trivial()).grow(fork);
    if at_the_end {
        return branch.forge((0..forged).map(|at| at >= forged / 2));
    }
    // The last ones are all shown, so they must be worked for, and fewer of the others are.
    let worked = (forged / 2).saturating_sub(tail);
    let others = forged - tail;
    branch.forge((0..forged).map(|at| at >= others || at * worked / others != (at + 1) * worked / others))
}

#[test]
fn a_branch_half_worked_for_passes_one_sample_a_halving_no_more_often_than_one_time_in_four() {
    const TIPS: u64 = 1_000;
    for (fork, at_the_end) in [(0, true), (0, false), (512, true), (512, false), (1_024, true), (1_536, false)] {
        let passed = escapes(&half_forged(fork, at_the_end), TIPS);
        // A quarter at most, and four standard deviations of such a count.
        assert!(passed <= TIPS / 4 + 55, "{passed} of {TIPS} from fork {fork}, the work at the end: {at_the_end}");
    }
    assert_eq!(escapes(&Branch::new(trivial()).grow(2_047), 50), 50, "an honest chain always passes");
}

#[test]
fn a_branch_half_worked_for_is_caught_by_the_samples_that_are_asked_for() {
    for (fork, at_the_end) in [(0, true), (0, false), (512, true), (1_024, true), (1_536, false), (1_800, true)] {
        let branch = half_forged(fork, at_the_end);
        for mark in 0..20 {
            let error = branch.check(&branch.prove(mark, SAMPLES_PER_HALVING)).unwrap_err();
            assert_eq!(error.rule(), "R-FLY-05", "fork {fork}");
        }
    }
}

/// The greatest chance to pass one sample a halving, over all forks and all ways to place the work, for a branch of which
/// so much was worked for. Halvings have lengths 1, 1/2, 1/4, …; the branch forks off in the first of them, and its maker
/// does best to fill all from below to one level (Lagrange: the gain of work in a halving is 1 / what it has there).
fn best_chance(worked: f64) -> f64 {
    let lengths: Vec<f64> = (0..40).map(|halving| 0.5_f64.powi(halving)).collect();
    let mut best: f64 = 0.0;
    for step in 0..=10_000 {
        let forged_of_first = f64::from(step) / 10_000.0;
        let honest = 1.0 - forged_of_first;
        let all = honest + worked * (forged_of_first + 1.0);
        let filled = |level: f64| -> Vec<f64> {
            let mut filled: Vec<f64> = lengths.iter().map(|length| length.min(level)).collect();
            filled[0] = filled[0].max(honest);
            filled
        };
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let level = f64::midpoint(low, high);
            if filled(level).iter().sum::<f64>() > all { high = level } else { low = level }
        }
        let chance = filled(low).iter().zip(&lengths).map(|(good, length)| good / length).product();
        best = best.max(chance);
    }
    best
}

/// The figures of SPEC.md.
#[test]
fn the_chance_of_a_forged_branch_is_what_the_specification_says() {
    let bits = |worked: f64| -best_chance(worked).log2() * f64::from(SAMPLES_PER_HALVING);
    for (worked, least) in [(0.25, 141.5), (0.5, 50.0), (0.75, 14.62), (0.9, 4.24)] {
        let found = bits(worked);
        assert!((least - 0.01..least + 0.02).contains(&found), "{worked}: {found:.2} bits");
    }
    assert!((best_chance(0.5) - 0.25).abs() < 1e-3, "{}", best_chance(0.5));
}

proptest! {
    /// Otherwise honest chains would be refused.
    #[test]
    fn no_part_of_a_chain_that_keeps_the_schedule_is_outside_the_bounds_of_its_work(
        spacings in prop::collection::vec(prop_oneof![1..100_u64, 5_000..20_000_u64, 1_000_000..9_000_000_u64], 2..60),
        at in any::<prop::sample::Index>(),
        length in 1..60_usize,
    ) {
        let params = network(|fields| {
            fields.retarget = Retarget::Asert;
            fields.genesis_bits = Bits::from_compact(0x1d0f_ffff);
            fields.limit_bits = Bits::from_compact(0x1d0f_ffff);
        });
        let mut branch = Branch::new(params);
        for spacing in spacings {
            // Not worked for: only what headers claim matters here.
            branch.append(branch.next(spacing));
        }
        let first = 1 + at.index(branch.headers.len() - 1);
        let part = &branch.headers[first..(first + length).min(branch.headers.len())];
        let mut range = RangePeaks::default();
        for header in part {
            range.append(RangeNode::leaf(header, header.bits.target().unwrap().work().unwrap())).unwrap();
        }
        let node = range.root().unwrap().unwrap();
        let parent_time = branch.headers[first - 1].time;
        let bounds = work_bounds(&branch.params, Height::new(first as u64), parent_time, &node);
        prop_assert!(bounds.contains(&node.work.get()), "{:?} in {bounds:?}", node.work);
        if part.len() == 1 {
            prop_assert_eq!(bounds.start(), bounds.end(), "one header's work is exact");
        }
    }

    #[test]
    fn no_change_of_a_chain_proof_is_accepted(at in any::<prop::sample::Index>(), kind in 0..8_u8) {
        let branch = Branch::new(trivial()).grow(120);
        let mut proof = branch.prove(0, SAMPLES_PER_HALVING);
        let (header, node) = (at.index(proof.shown.len()), at.index(proof.nodes.len().max(1)));
        match kind {
            0 => proof.shown[header].1.nonce ^= 1 << 40,
            1 => proof.shown[header].0 += 1,
            2 => proof.shown[header].1.previous = BlockId::ZERO,
            3 => drop(proof.shown.remove(header)),
            4 => proof.count += 1,
            5 => proof.tip.nonce ^= 1 << 40,
            6 => proof.tip.time = TimeMs::new(proof.tip.time.get() + 1),
            _ => match proof.nodes.get_mut(node) {
                Some(node) => node.work = Work::new(node.work.get() ^ 1),
                None => proof.accounts_root = Hash::ZERO,
            },
        }
        prop_assert!(branch.check(&proof).is_err());
    }
}
