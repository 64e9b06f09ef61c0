//! What is known of a chain grows with work only, and outlives the command.

use std::sync::atomic::{AtomicUsize, Ordering};

use farthing::{Hash, params::Network};

use super::*;
use crate::error::{Exit, Explain as _};
use fake_chain::FakeChain;

#[path = "../../tests/cli/fake_chain.rs"]
mod fake_chain;

/// A node that shows a chain, and counts what it was asked for.
struct Shown {
    chain: FakeChain,
    proofs: AtomicUsize,
    steps: AtomicUsize,
}

impl Shown {
    fn new(blocks: u64) -> Self {
        let mut chain = FakeChain::new(Arc::new(network()));
        (0..blocks).for_each(|_| chain.grow(Hash::ZERO, 0));
        Self { chain, proofs: AtomicUsize::new(0), steps: AtomicUsize::new(0) }
    }

    fn grow(&mut self, blocks: u64, mark: u64) {
        (0..blocks).for_each(|_| self.chain.grow(Hash::ZERO, mark));
    }

    fn asked(&self) -> (usize, usize) {
        (self.proofs.load(Ordering::Relaxed), self.steps.load(Ordering::Relaxed))
    }
}

impl Shows for Shown {
    async fn chain_proof(&self) -> Result<ChainProof, ShowError> {
        self.proofs.fetch_add(1, Ordering::Relaxed);
        Ok(self.chain.proof(self.chain.height(), SAMPLES_PER_HALVING))
    }

    async fn headers_after(&self, height: Height, id: BlockId, stop: Height) -> Result<Option<Vec<Header>>, ShowError> {
        self.steps.fetch_add(1, Ordering::Relaxed);
        let is_here = height.get() <= self.chain.height() && self.chain.header(height.get()).id() == id;
        let headers = || (height.get() + 1..=stop.get().min(self.chain.height())).map(|at| *self.chain.header(at));
        Ok(is_here.then(|| headers().collect()))
    }
}

/// Not the development network, which may be begun anew.
fn network() -> Params {
    "name = \"ours\"\nprefix = \"our\"\ngenesis_time_ms = 1793491200000\n".parse().unwrap()
}

fn light(cache: Option<Cache>) -> Light {
    Light::new(Arc::new(network()), cache)
}

fn stand_at(light: &Light, node: &Shown, height: u64) -> Result<Standing, ChainError> {
    let id = node.chain.header(height).id();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(light.stand(node, Height::new(height), id))
}

fn stand(light: &Light, node: &Shown) -> Result<Standing, ChainError> {
    stand_at(light, node, node.chain.height())
}

#[test]
fn the_work_is_that_of_all_headers_up_to_the_one_asked_about() {
    for blocks in [0, 1, 2, 63, 64, 65, 66, 67, 300] {
        let (light, node) = (light(None), Shown::new(blocks));
        assert_eq!(stand(&light, &node).unwrap().work, node.chain.work(blocks), "{blocks}");
        for below in [1, 2, 30, 64].into_iter().filter(|below| *below <= blocks) {
            let standing = stand_at(&light, &node, blocks - below).map(|standing| standing.work);
            let known = standing.as_ref().ok().copied();
            // Blocks far below the newest one are stale by then.
            let expected = (below <= u64::from(MAX_BEHIND)).then(|| node.chain.work(blocks - below));
            assert_eq!(known, expected, "{below} below {blocks}");
        }
    }
}

#[test]
fn headers_since_are_asked_for_when_they_are_fewer_than_a_proof_has() {
    let (light, mut node) = (light(None), Shown::new(100));
    stand(&light, &node).unwrap();
    stand(&light, &node).unwrap();
    assert_eq!(node.asked(), (1, 0));
    node.grow(MAX_STEP, 0);
    assert_eq!(stand(&light, &node).unwrap().work, node.chain.work(600));
    assert_eq!(node.asked(), (1, 1));
    node.grow(MAX_STEP + 1, 0);
    assert_eq!(stand(&light, &node).unwrap().work, node.chain.work(1_101));
    assert_eq!(node.asked(), (2, 1));
}

#[test]
fn headers_behind_known_ones_keep_all_rules() {
    let (light, mut node) = (light(None), Shown::new(100));
    stand(&light, &node).unwrap();
    node.grow(3, 0);
    node.chain.forge(102);
    assert!(matches!(stand(&light, &node), Err(ChainError::Header { height, .. }) if height.get() == 102));
}

#[test]
fn a_chain_that_left_the_known_one_is_followed_from_the_oldest_header_kept_or_proven_anew() {
    let (light, mut node) = (light(None), Shown::new(100));
    stand(&light, &node).unwrap();
    node.chain.truncate(90);
    node.grow(11, 1);
    let standing = stand(&light, &node).unwrap();
    assert_eq!((standing.work, standing.remark), (node.chain.work(101), None));
    assert_eq!(node.asked(), (1, 2));
    // Known are the headers from 37 on, and the new proof shows those from 38 on.
    let mut deep = Shown::new(36);
    deep.grow(66, 3);
    let standing = stand(&light, &deep).unwrap();
    assert_eq!((standing.work, deep.asked()), (deep.chain.work(102), (1, 2)));
    assert!(standing.remark.unwrap().contains("the last 64 blocks or more"));
    stand(&light, &node).unwrap_err();
    node.grow(2, 1);
    stand(&light, &node).unwrap();
    // A lost fork is no chain a few blocks back, however little it lacks.
    let mut lost = Shown::new(90);
    lost.grow(10, 2);
    assert!(matches!(stand(&light, &lost), Err(ChainError::LessWork { is_old: false, .. })));
    // And the one that was left has less work now.
    let left = Shown::new(97);
    assert!(matches!(stand(&light, &left), Err(ChainError::LessWork { is_old: false, .. })));
}

#[test]
fn what_was_shown_is_known_to_the_next_command_and_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let cache = || Some(Cache::within(folder.path()));
    let mut node = Shown::new(100);
    stand(&light(cache()), &node).unwrap();
    let (slow, quick) = (light(cache()), light(cache()));
    stand(&slow, &node).unwrap();
    assert_eq!(node.asked(), (1, 0));
    node.grow(10, 0);
    stand(&quick, &node).unwrap();
    // The slow command knew less when it began, and must not take back what the quick one kept.
    node.chain.truncate(101);
    stand(&slow, &node).unwrap();
    assert!(matches!(stand(&light(cache()), &node), Err(ChainError::LessWork { is_old: true, .. })));
}

#[test]
fn any_changed_byte_makes_the_cache_useless_and_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::within(folder.path());
    let node = Shown::new(100);
    stand(&light(Some(cache.clone())), &node).unwrap();
    let good = std::fs::read(cache.path()).unwrap();
    assert!(good.len() < 8_192, "{}", good.len());
    let kept = |bytes: &[u8]| {
        std::fs::write(cache.path(), bytes).unwrap();
        cache.read(&network())
    };
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(matches!(kept(&bad), Kept::Damaged(_)), "byte {at}");
    }
    for length in [0, 1, 40, good.len() - 1] {
        assert!(matches!(kept(&good[..length]), Kept::Damaged(_)), "{length} bytes");
    }
    assert!(matches!(kept(&[good.clone(), vec![0]].concat()), Kept::Damaged(_)));
    assert!(matches!(kept(&good), Kept::Chain(_)));
    assert!(matches!(cache.read(Network::Dev.params()), Kept::Damaged(_)), "the chain of another network");
    let standing = stand(&light(Some(cache.clone())), &node).unwrap();
    assert_eq!((standing.remark, node.asked()), (None, (1, 0)));
    std::fs::write(cache.path(), b"nonsense").unwrap();
    let standing = stand(&light(Some(cache.clone())), &node).unwrap();
    assert!(standing.remark.unwrap().contains("is damaged"));
    assert!(matches!(cache.read(&network()), Kept::Chain(_)), "it was made anew");
}

/// Whoever may date blocks late makes them for little: no more than a slow clock here explains is taken.
#[test]
fn a_chain_that_is_dated_ahead_of_the_clock_is_refused_where_dates_make_blocks_cheap() {
    const GENESIS_MS: u64 = 1_793_491_200_000;
    let asert = "name = \"ours\"\nprefix = \"our\"\ngenesis_time_ms = 1793491200000\nretarget = \"asert\"\n\
                 genesis_bits = \"1e7fffff\"\nlimit_bits = \"1e7fffff\"\n";
    let params: Arc<Params> = Arc::new(asert.parse().unwrap());
    let mut node = Shown { chain: FakeChain::new(Arc::clone(&params)), proofs: 0.into(), steps: 0.into() };
    let mut light = Light::new(Arc::clone(&params), None);
    // Genesis is dated by the network.
    light.clock = || UNIX_EPOCH;
    stand(&light, &node).unwrap();
    node.grow(1, 0);
    light.clock = || UNIX_EPOCH + Duration::from_millis(GENESIS_MS + 2_000 - MAX_AHEAD_MS);
    stand(&light, &node).unwrap();
    light.clock = || UNIX_EPOCH + Duration::from_millis(GENESIS_MS + 1_999 - MAX_AHEAD_MS);
    let error = stand(&light, &node).unwrap_err();
    assert!(matches!(error, ChainError::FromTheFuture { height, .. } if height.get() == 1), "{error}");
    assert_eq!((error.code(), error.exit()), ("BLOCK_FROM_THE_FUTURE", Exit::Verification));
    let years = Duration::from_secs(86_400 * 365 * 60);
    let quiet = Network::Dev.params();
    assert!(check_clock(quiet, Height::new(5), TimeMs::new(GENESIS_MS), UNIX_EPOCH).is_ok(), "no difficulty to lower");
    assert!(check_clock(&params, Height::new(5), TimeMs::new(GENESIS_MS), UNIX_EPOCH + years).is_ok());
}

#[test]
fn work_is_told_as_the_time_of_one_core() {
    let told = |seconds: u128| effort(Work::new(seconds * 25_000_000));
    assert_eq!(told(0), "less than a second of one processor core");
    assert_eq!(told(1), "about a second of one processor core");
    for (seconds, words) in
        [(2, "2 seconds"), (120, "2 minutes"), (7_200, "2 hours"), (172_800, "2 days"), (63_072_000, "2 years")]
    {
        assert_eq!(told(seconds), format!("about {words} of one processor core"));
    }
}

#[test]
fn two_claims_of_the_work_below_one_header_contradict_each_other() {
    let mut chain = FakeChain::new(Arc::new(network()));
    (0..100).for_each(|_| chain.grow(Hash::ZERO, 0));
    let kept = |from: u64, to: u64, work: u128| {
        let headers = (from..=to).map(|at| *chain.header(at)).collect();
        Chain::of_kept(headers, Height::new(to), Work::new(work)).unwrap()
    };
    let (one, later) = (kept(36, 100, 202), kept(30, 90, 182));
    assert_eq!((one.contradicts(&later), later.contradicts(&one)), (None, None));
    let more = kept(30, 90, 1_000);
    assert_eq!(one.contradicts(&more), Some((Height::new(90), Work::new(182), Work::new(1_000))));
    assert_eq!(one.contradicts(&kept(0, 20, 1_000)), None, "nothing in common");
}

#[test]
fn a_chain_that_is_days_behind_its_schedule_is_remarked_on() {
    let main = Network::Main.params();
    let note = |network: &Params, height: u64, days: u64| {
        let time = TimeMs::new(network.genesis_time.get() + days * 86_400_000);
        schedule_note(network, Height::new(height), time)
    };
    // A block each 10 s makes 8,640 a day.
    assert_eq!(note(main, 8_640 * 30, 30), None);
    assert_eq!(note(main, 8_640 * 29 + 1, 30), None);
    assert_eq!(note(main, 8_640 * 40, 30), None, "ahead of it");
    assert!(note(main, 8_640 * 29, 30).unwrap().contains("8640 blocks behind"));
    assert!(note(main, 5, 30).is_some());
    assert_eq!(note(Network::Dev.params(), 5, 30), None, "a network without a schedule");
}

#[test]
fn without_the_wallets_folder_nothing_is_kept_and_nothing_said() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::within(&folder.path().join("none"));
    let standing = stand(&light(Some(cache.clone())), &Shown::new(10)).unwrap();
    assert_eq!(standing.remark, None);
    assert!(!cache.path().exists());
}
