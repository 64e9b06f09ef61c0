//! What becomes of headers and checkpoints that peers send, over a clock that is moved by hand and a disk that fails.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use farthing::Work;

use super::{
    Asker, Begun, Bootstrap, BootstrapOptions, Choice, HeaderRejection, Missing, Offers, Phase, REST, Refusal,
    forget_headers,
};
use crate::{
    chain::{self, Chain, SessionId},
    env::{
        Disk, Env, ManualClock, MemDisk,
        disk::{Fault, FaultError, FaultOp},
    },
    store::{BASE_HEADERS, DiskStore, IndexPlace, Recovered, StoreError, StoreOptions},
    tasks::Tasks,
    testing::{TestCheckpoint, TestSource, dev, made_up_accounts},
};

const DATA: &str = "/data";
const DEPTH: u64 = 8;
const ONE: SessionId = SessionId::new(1);

fn one() -> (Asker, BTreeSet<SessionId>) {
    (Asker { session: ONE, is_chosen: true }, BTreeSet::from([ONE]))
}

/// A chain on a disk in memory that is to begin with a checkpoint.
struct Node {
    chain: Chain,
    bootstrap: Bootstrap,
    clock: ManualClock,
    tasks: Tasks,
}

fn env(disk: &MemDisk, clock: &ManualClock) -> Env {
    Env::system().unwrap().with_clock(clock.clone()).with_disk(disk.clone())
}

fn open(disk: &MemDisk, clock: &ManualClock) -> Result<(Arc<DiskStore>, Recovered), StoreError> {
    let options = StoreOptions {
        index: IndexPlace::Memory,
        segment_bytes: 4_000,
        reserve_bytes: 0,
        boot: Some([1; 16]),
        ..StoreOptions::default()
    };
    DiskStore::open(dev(), &env(disk, clock), Path::new(DATA), options, &|_| {})
}

impl Node {
    async fn start(disk: &MemDisk) -> Self {
        Self::with(disk, BootstrapOptions { depth: DEPTH, minimum_work: Work::ZERO, reserve_bytes: 0 }).await
    }

    async fn with(disk: &MemDisk, options: BootstrapOptions) -> Self {
        let clock = ManualClock::new(dev().genesis_time.saturating_add(86_400_000));
        let (store, recovered) = open(disk, &clock).unwrap();
        let (tasks, settings) = (Tasks::new(), chain::Settings::default());
        let chain = chain::start(dev(), env(disk, &clock), store, recovered.view, Vec::new(), settings, &tasks);
        let bootstrap = Bootstrap::start(&chain, DATA.into(), options).await.unwrap().unwrap();
        Self { chain, bootstrap, clock, tasks }
    }

    async fn take_headers(&self, source: &TestSource) {
        let (asker, there) = one();
        let asked = self.bootstrap.locator(ONE, there).await.unwrap();
        let _ = self.bootstrap.take_headers(asker, asked, source.headers.clone()).await.unwrap();
        assert_eq!(self.bootstrap.best_header(), source.tip());
        self.bootstrap.headers_are_here();
    }

    /// What strangers offer.
    async fn choose(&self, offered: &[&TestCheckpoint], others: &[&TestCheckpoint]) -> Choice {
        self.choose_of(false, offered, &[], others).await
    }

    async fn choose_of(
        &self,
        is_chosen: bool,
        own: &[&TestCheckpoint],
        chosen: &[&TestCheckpoint],
        strangers: &[&TestCheckpoint],
    ) -> Choice {
        let offers = |of: &[&TestCheckpoint]| of.iter().map(|one| one.offer.clone()).collect();
        let offers = Offers { own: offers(own), is_chosen, chosen: offers(chosen), strangers: offers(strangers) };
        self.bootstrap.choose(offers).await.unwrap()
    }

    /// Takes all of a checkpoint.
    async fn take(&self, checkpoint: &TestCheckpoint) {
        assert_eq!(self.choose(&[checkpoint], &[]).await, Choice::Fetch(checkpoint.offer.clone()));
        self.bootstrap.take_hashes(checkpoint.offer.clone(), checkpoint.hashes.clone()).await.unwrap();
        for (index, piece) in (0..).zip(&checkpoint.pieces) {
            self.bootstrap.take_piece(ONE, checkpoint.offer.clone(), index, piece.clone()).await.unwrap();
        }
        assert_eq!(self.bootstrap.missing(&checkpoint.offer), Missing::Nothing);
    }

    /// Seconds pass, and whoever is asked has nothing all the while; the others have this.
    async fn waits(&self, seconds: u64, others: &[&TestCheckpoint]) {
        for _ in 0..seconds {
            self.clock.advance(Duration::from_secs(1));
            if self.choose(&[], others).await == Choice::Nothing {
                self.bootstrap.none_will_do();
            }
        }
    }

    async fn stop(self) {
        self.tasks.stop();
        // A store that failed says so.
        let _ = self.tasks.supervise().await;
    }
}

#[tokio::test]
async fn a_chain_that_is_too_short_is_executed_only_once_it_stayed_so_for_a_minute() {
    let disk = MemDisk::new();
    let node = Node::start(&disk).await;
    let wait = |seconds: u64| {
        node.clock.advance(Duration::from_secs(seconds));
        node.bootstrap.headers_are_here();
        node.bootstrap.phase()
    };
    // The first peer is as new as this node, or has a few blocks.
    assert_eq!(wait(0), Phase::Headers);
    assert_eq!(wait(59), Phase::Headers);
    let short = TestSource::grow(DEPTH as usize, 1);
    node.take_headers(&short).await;
    assert_eq!((wait(0), wait(59)), (Phase::Headers, Phase::Headers), "it grows");
    assert_eq!(wait(1), Phase::Blocks);
    assert!(!Disk::exists(&disk, Path::new("/data/headers.part")).unwrap());
    node.stop().await;
}

#[tokio::test]
async fn a_chain_that_is_long_enough_after_all_is_not_executed() {
    let node = Node::start(&MemDisk::new()).await;
    node.bootstrap.headers_are_here();
    node.clock.advance(Duration::from_secs(59));
    node.take_headers(&TestSource::grow(DEPTH as usize + 1, 1)).await;
    assert_eq!(node.bootstrap.phase(), Phase::Checkpoint);
    node.stop().await;
}

/// What is waited for is a peer with a checkpoint, not a minute in which one peer after the other has none while another
/// gives one.
#[tokio::test]
async fn the_minute_without_a_checkpoint_begins_when_nobody_has_one_any_more() {
    let node = Node::start(&MemDisk::new()).await;
    let source = TestSource::grow(20, 1);
    let checkpoint = source.checkpoint(10);
    node.take_headers(&source).await;
    node.waits(50, &[]).await;
    assert_eq!(node.choose(&[&checkpoint], &[]).await, Choice::Fetch(checkpoint.offer.clone()));
    node.bootstrap.take_hashes(checkpoint.offer.clone(), checkpoint.hashes.clone()).await.unwrap();
    node.waits(120, &[&checkpoint]).await;
    assert_eq!(node.bootstrap.phase(), Phase::Checkpoint);
    // Its last giver leaves.
    node.waits(60, &[]).await;
    assert_eq!(node.bootstrap.phase(), Phase::Checkpoint);
    node.waits(1, &[]).await;
    assert_eq!(node.bootstrap.phase(), Phase::Blocks);
    node.stop().await;
}

#[tokio::test]
async fn a_sync_that_fails_while_the_chain_begins_leaves_a_directory_that_the_next_start_understands() {
    let source = TestSource::grow(20, 1);
    let checkpoint = source.checkpoint(10);
    let ready = async |disk: &MemDisk| {
        let node = Node::start(disk).await;
        node.take_headers(&source).await;
        node.take(&checkpoint).await;
        node
    };
    let disk = MemDisk::new();
    let node = ready(&disk).await;
    let before = disk.changes();
    assert!(matches!(node.bootstrap.begin().await, Ok(Begun::Yes)));
    let all = disk.changes() - before;
    node.stop().await;
    let (mut begun, mut failed) = (0, 0);
    for nth in 1..=all {
        let disk = MemDisk::new();
        let node = ready(&disk).await;
        disk.inject(Fault { op: FaultOp::AnyChange, nth, error: FaultError::Io, lasting: false });
        let outcome = node.bootstrap.begin().await;
        let clock = node.clock.clone();
        node.stop().await;
        disk.clear_faults();
        // Nothing was cut: what was written is in the cache, synced or not.
        let (store, recovered) =
            open(&disk, &clock).unwrap_or_else(|error| panic!("operation {nth} of {all}: {error}"));
        let tip = recovered.view.tip;
        assert_eq!(tip.height().get(), if crate::store::Store::base(store.as_ref()).is_some() { 10 } else { 0 });
        begun += u32::from(tip.height().get() == 10);
        failed += u32::from(!matches!(outcome, Ok(Begun::Yes)));
    }
    assert!(begun > 0 && failed > 0, "{begun} {failed} of {all}");
}

/// As slow as it is, it comes from an honest peer as often as from one that wants to hold the node up; so that it matters
/// only while there is another one.
#[tokio::test]
async fn a_checkpoint_that_is_dripped_is_left_for_another_but_not_that_one_for_the_first() {
    let node = Node::start(&MemDisk::new()).await;
    let source = TestSource::grow(24, 1);
    node.take_headers(&source).await;
    let [dripped, other] = [12, 11].map(|height| source.checkpoint_of(height, &made_up_accounts(2_500)));
    assert_eq!(node.choose(&[&dripped], &[]).await, Choice::Fetch(dripped.offer.clone()));
    node.bootstrap.take_hashes(dripped.offer.clone(), dripped.hashes.clone()).await.unwrap();
    node.bootstrap.take_piece(ONE, dripped.offer.clone(), 0, dripped.pieces[0].clone()).await.unwrap();
    node.clock.advance(Duration::from_secs(19));
    assert_eq!(node.choose(&[&other], &[&dripped]).await, Choice::WithOthers);
    node.clock.advance(Duration::from_secs(1));
    assert_eq!(node.choose(&[], &[&dripped]).await, Choice::WithOthers, "there is no other");
    assert_eq!(node.choose(&[&other], &[&dripped]).await, Choice::Fetch(other.offer.clone()));
    node.bootstrap.take_hashes(other.offer.clone(), other.hashes.clone()).await.unwrap();
    // A third one has its time too, and twice as much of it.
    let third = source.checkpoint_of(10, &made_up_accounts(2_500));
    node.clock.advance(Duration::from_secs(40));
    assert_eq!(node.choose(&[&third, &dripped], &[&other]).await, Choice::Fetch(third.offer.clone()));
    node.bootstrap.take_hashes(third.offer.clone(), third.hashes.clone()).await.unwrap();
    let fourth = source.checkpoint_of(9, &made_up_accounts(2_500));
    node.clock.advance(Duration::from_secs(79));
    assert_eq!(node.choose(&[&fourth], &[&third]).await, Choice::WithOthers);
    node.clock.advance(Duration::from_secs(1));
    assert_eq!(node.choose(&[&fourth], &[&third]).await, Choice::Fetch(fourth.offer.clone()));
    // Nothing but slow ones is left.
    assert_eq!(node.choose(&[&third, &other], &[]).await, Choice::Fetch(other.offer.clone()));
    node.stop().await;
}

/// The true one was slow once, and what took its place gives nothing at all.
#[tokio::test]
async fn a_checkpoint_that_was_slow_is_taken_up_again_in_the_place_of_one_that_is_slow_now() {
    let node = Node::start(&MemDisk::new()).await;
    let source = TestSource::grow(24, 1);
    node.take_headers(&source).await;
    let [slow, mute] = [12, 11].map(|height| source.checkpoint_of(height, &made_up_accounts(2_500)));
    assert_eq!(node.choose(&[&slow], &[]).await, Choice::Fetch(slow.offer.clone()));
    node.bootstrap.take_hashes(slow.offer.clone(), slow.hashes.clone()).await.unwrap();
    node.clock.advance(Duration::from_secs(20));
    assert_eq!(node.choose(&[&mute], &[&slow]).await, Choice::Fetch(mute.offer.clone()));
    node.bootstrap.take_hashes(mute.offer.clone(), mute.hashes.clone()).await.unwrap();
    node.clock.advance(Duration::from_secs(39));
    assert_eq!(node.choose(&[&slow], &[&mute]).await, Choice::WithOthers, "it has twice the time");
    node.clock.advance(Duration::from_secs(1));
    assert_eq!(node.choose(&[&slow], &[&mute]).await, Choice::Fetch(slow.offer.clone()));
    node.stop().await;
}

/// Strangers, however many, neither keep the node from what the peers offer that it dialled, nor take their turns.
#[tokio::test]
async fn what_a_peer_of_the_nodes_choice_offers_goes_before_what_only_strangers_offer() {
    let node = Node::start(&MemDisk::new()).await;
    let source = TestSource::grow(24, 1);
    node.take_headers(&source).await;
    let [theirs, honest, made_up] = [12, 11, 10].map(|height| source.checkpoint_of(height, &made_up_accounts(2_500)));
    assert_eq!(node.choose(&[&theirs], &[]).await, Choice::Fetch(theirs.offer.clone()));
    node.bootstrap.take_hashes(theirs.offer.clone(), theirs.hashes.clone()).await.unwrap();
    assert_eq!(node.choose_of(true, &[&honest], &[], &[&theirs]).await, Choice::Fetch(honest.offer.clone()), "at once");
    node.bootstrap.take_hashes(honest.offer.clone(), honest.hashes.clone()).await.unwrap();
    node.clock.advance(Duration::from_secs(3_600));
    for stranger in [&made_up, &theirs, &honest] {
        assert_eq!(node.choose_of(false, &[stranger], &[&honest], &[&theirs]).await, Choice::WithOthers);
    }
    assert_eq!(node.choose_of(true, &[&honest], &[], &[&made_up]).await, Choice::Fetch(honest.offer.clone()));
    // Among the node's own a slow one gives way as ever.
    let other = source.checkpoint_of(9, &made_up_accounts(2_500));
    assert_eq!(node.choose_of(true, &[&other], &[&honest], &[]).await, Choice::Fetch(other.offer.clone()));
    node.bootstrap.take_hashes(other.offer.clone(), other.hashes.clone()).await.unwrap();
    // Nor do strangers begin with anything while one of these has another that will do.
    assert_eq!(node.choose_of(false, &[&theirs], &[&honest], &[]).await, Choice::WithOthers);
    assert_eq!(node.bootstrap.missing(&theirs.offer), Missing::Hashes);
    let offers = |of: &[&TestCheckpoint]| of.iter().map(|one| one.offer.clone()).collect::<Vec<_>>();
    let too_high = source.checkpoint(20);
    assert!(node.bootstrap.will_do(offers(&[&too_high, &honest])).await.unwrap());
    assert!(!node.bootstrap.will_do(offers(&[&too_high])).await.unwrap());
    // When the last of them has left, strangers are asked again.
    assert_eq!(node.choose_of(false, &[&other], &[], &[]).await, Choice::Fetch(other.offer.clone()));
    node.stop().await;
}

#[tokio::test]
async fn a_refuted_checkpoint_costs_no_headers() {
    let disk = MemDisk::new();
    let node = Node::start(&disk).await;
    let source = TestSource::grow(20, 1);
    node.take_headers(&source).await;
    for (height, accounts) in [(1, 1), (5, 1_500)] {
        let lie = source.checkpoint_of(height, &made_up_accounts(accounts));
        node.take(&lie).await;
        let refuted = node.bootstrap.begin().await;
        assert!(matches!(refuted, Ok(Begun::Refuted(..))), "{refuted:?}");
        assert_eq!((node.bootstrap.phase(), node.bootstrap.best_header()), (Phase::Headers, source.tip()));
        assert_eq!(Disk::open_read(&disk, Path::new("/data/headers.part")).unwrap().len().unwrap(), 20 * 134);
        node.bootstrap.headers_are_here();
    }
    node.take(&source.checkpoint(10)).await;
    assert!(matches!(node.bootstrap.begin().await, Ok(Begun::Yes)));
    assert_eq!(Disk::open_read(&disk, &Path::new(DATA).join(BASE_HEADERS)).unwrap().len().unwrap(), 10 * 134);
    node.stop().await;
}

/// What it says of its size is not covered by its digest.
#[tokio::test]
async fn a_size_that_is_only_claimed_puts_neither_the_node_to_rest_nor_a_checkpoint_aside() {
    let disk = MemDisk::new();
    let node = Node::start(&disk).await;
    let source = TestSource::grow(24, 1);
    node.take_headers(&source).await;
    let honest = source.checkpoint(10);
    let huge = crate::chain::CheckpointOffer { bytes: u64::MAX, ..honest.offer.clone() };
    let chosen = node.bootstrap.choose(Offers { own: vec![huge.clone()], ..Offers::default() }).await.unwrap();
    assert_eq!(chosen, Choice::Fetch(huge.clone()));
    node.bootstrap.take_hashes(huge.clone(), honest.hashes.clone()).await.unwrap();
    assert!(!node.bootstrap.rests());
    // The same checkpoint, whatever each says of its size.
    assert_eq!(node.choose(&[&honest], &[]).await, Choice::Fetch(huge));
    node.stop().await;
}

#[tokio::test]
async fn nobody_waits_for_whoever_reads_headers_only_to_see_how_far_they_are() {
    let node = Node::start(&MemDisk::new()).await;
    let source = TestSource::grow(20, 1);
    node.take_headers(&source).await;
    let held = node.bootstrap.0.lock();
    let bootstrap = node.bootstrap.clone();
    let (said, seen) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || said.send((bootstrap.best_header(), bootstrap.pieces(), bootstrap.rests())));
        let seen = seen.recv_timeout(Duration::from_secs(10));
        drop(held);
        assert_eq!(seen, Ok((source.tip(), None, false)));
    });
    node.stop().await;
}

#[tokio::test]
async fn a_beginning_leaves_room_for_what_the_index_keeps_of_each_header() {
    let disk = MemDisk::new();
    let node = Node::start(&disk).await;
    let source = TestSource::grow(40, 1);
    node.take_headers(&source).await;
    let checkpoint = source.checkpoint(30);
    node.take(&checkpoint).await;
    disk.set_capacity(disk.used() + 2 * checkpoint.offer.bytes + (1 << 20) + 10_000);
    let failed = node.bootstrap.begin().await;
    assert!(matches!(failed, Ok(Begun::Failed(StoreError::DiskFull { .. }))), "{failed:?}");
    assert_eq!(node.bootstrap.best_header(), source.tip());
    node.stop().await;
}

/// Whether a file of pieces lies on the disk.
fn has_spool(disk: &MemDisk) -> bool {
    Disk::exists(disk, Path::new("/data/checkpoints/snap.download.generating")).unwrap()
}

#[tokio::test]
async fn a_checkpoint_that_fills_the_disk_gives_its_room_back_and_smaller_ones_are_tried_before_it() {
    let disk = MemDisk::new();
    let node = Node::start(&disk).await;
    let source = TestSource::grow(24, 1);
    node.take_headers(&source).await;
    let (large, small) = (source.checkpoint_of(12, &made_up_accounts(2_500)), source.checkpoint(10));
    // What can be known before is not even begun, whatever it says of its bytes.
    let understated =
        TestCheckpoint { offer: crate::chain::CheckpointOffer { bytes: 1, ..large.offer.clone() }, ..large.clone() };
    let free = |bytes: u64| disk.set_capacity(disk.used() + bytes);
    free(100_000);
    let refused = node.bootstrap.take_hashes(understated.offer.clone(), understated.hashes.clone()).await;
    assert!(matches!(refused, Err(Refusal::NoRoom(StoreError::DiskFull { .. }))), "{refused:?}");
    assert!(!node.bootstrap.rests() && !has_spool(&disk), "others are fetched meanwhile");
    assert_eq!(node.choose(&[&large, &small], &[]).await, Choice::Fetch(small.offer.clone()));
    assert_eq!(node.choose(&[&large], &[]).await, Choice::WithOthers, "not yet");
    node.clock.advance(REST);
    assert_eq!(node.choose(&[&large], &[]).await, Choice::Fetch(large.offer.clone()));
    // And what somebody else takes the room of meanwhile.
    free(10_000_000);
    node.bootstrap.take_hashes(large.offer.clone(), large.hashes.clone()).await.unwrap();
    free(100_000);
    node.bootstrap.take_piece(ONE, large.offer.clone(), 0, large.pieces[0].clone()).await.unwrap();
    let refused = node.bootstrap.take_piece(ONE, large.offer.clone(), 1, large.pieces[1].clone()).await;
    assert!(matches!(refused, Err(Refusal::Store(StoreError::DiskFull { .. }))), "{refused:?}");
    assert!(node.bootstrap.rests() && !has_spool(&disk), "its room is free again");
    assert_eq!(node.choose(&[&large, &small], &[]).await, Choice::Fetch(small.offer.clone()));
    assert_eq!(node.choose(&[&large], &[]).await, Choice::Fetch(large.offer.clone()), "there is no other");
    node.stop().await;
}

#[tokio::test]
async fn a_beginning_for_which_there_is_no_room_is_tried_again_later_with_what_was_fetched() {
    let disk = MemDisk::new();
    let node = Node::start(&disk).await;
    let source = TestSource::grow(20, 1);
    node.take_headers(&source).await;
    let checkpoint = source.checkpoint(10);
    node.take(&checkpoint).await;
    disk.set_capacity(disk.used() + 2 * checkpoint.offer.bytes);
    let used = disk.used();
    let failed = node.bootstrap.begin().await;
    assert!(matches!(failed, Ok(Begun::Failed(StoreError::DiskFull { .. }))), "{failed:?}");
    assert!(disk.used() <= used, "nothing of it is kept in the log");
    assert!(node.bootstrap.rests());
    assert_eq!(node.bootstrap.phase(), Phase::Headers);
    node.clock.advance(REST);
    disk.set_capacity(1 << 30);
    node.take_headers(&source).await;
    // Whoever gave it may have left.
    assert_eq!(node.choose(&[], &[]).await, Choice::Fetch(checkpoint.offer.clone()));
    assert_eq!(node.bootstrap.missing(&checkpoint.offer), Missing::Nothing);
    assert!(matches!(node.bootstrap.begin().await, Ok(Begun::Yes)));
    assert!(!has_spool(&disk));
    node.stop().await;
}

#[tokio::test]
async fn headers_leave_the_reserve_of_the_disk_free_and_go_on_when_there_is_room() {
    let disk = MemDisk::new();
    let reserve_bytes = 1_000_000;
    let options = BootstrapOptions { depth: DEPTH, minimum_work: Work::ZERO, reserve_bytes };
    let node = Node::with(&disk, options).await;
    let source = TestSource::grow(20, 1);
    disk.set_capacity(disk.used() + reserve_bytes + 5 * 134);
    let (asker, there) = one();
    let asked = node.bootstrap.locator(ONE, there).await.unwrap();
    let refused = node.bootstrap.take_headers(asker, asked, source.headers.clone()).await.unwrap_err();
    assert!(matches!(&refused, HeaderRejection::Chain(error) if !error.is_fatal()), "{refused}");
    assert!(node.bootstrap.rests());
    node.clock.advance(REST);
    disk.set_capacity(1 << 30);
    node.take_headers(&source).await;
    node.stop().await;
}

#[tokio::test]
async fn headers_that_are_not_to_be_gone_on_with_do_not_stay_for_ever() {
    let disk = MemDisk::new();
    let node = Node::start(&disk).await;
    let left = ["headers.part", "headers.challenger-0", "headers.challenger-9", BASE_HEADERS]
        .map(|name| Path::new(DATA).join(name));
    for path in &left {
        if !Disk::exists(&disk, path).unwrap() {
            Disk::create(&disk, path).unwrap();
        }
    }
    forget_headers(&node.chain, Path::new(DATA)).unwrap();
    assert!(left.iter().all(|path| !Disk::exists(&disk, path).unwrap()));
    node.stop().await;

    let disk = MemDisk::new();
    let node = Node::start(&disk).await;
    let source = TestSource::grow(20, 1);
    node.take_headers(&source).await;
    node.take(&source.checkpoint(10)).await;
    assert!(matches!(node.bootstrap.begin().await, Ok(Begun::Yes)));
    forget_headers(&node.chain, Path::new(DATA)).unwrap();
    assert!(Disk::exists(&disk, &Path::new(DATA).join(BASE_HEADERS)).unwrap(), "the chain stands on them");
    node.stop().await;
}
