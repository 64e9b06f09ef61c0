//! A node killed at random moments, start-up included, under load: what it acknowledged is there, and nobody had to help.
//!
//! `FARTHING_KILLS` says how often (50 if unset), and `FARTHING_ACKNOWLEDGED` how many transfers must have been acknowledged
//! on streams by then (1 if unset; it goes on killing until they are). `FARTHING_SEED` repeats the moments of an earlier run.

use std::{
    collections::BTreeMap,
    env,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use farthing::{
    Params, TxId,
    wire::{
        TransactionStanding, TransactionStatus,
        v1::{submit_transaction_stream_response::Event as StreamEvent, subscribe_blocks_response::Event},
    },
};
use futures_util::stream;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore as _, SeedableRng as _},
};
use tokio::task::JoinSet;
use tonic::Code;

use crate::harness::{
    api::{Api, Standing},
    eventually,
    keys::{ALICE, BOB, CAROL},
    networks,
    process::{Options, Place, Running},
};

const KILLS: u64 = 50;
/// How many of a hundred kills must fall into the start-up.
const IN_START_UP: u64 = 30;
/// The longest time under load before a kill.
const LONGEST_LOAD: Duration = Duration::from_millis(800);
/// Transfers that a stream of one load sends at most: fewer than one account may have waiting.
const STREAMED: u64 = 200;
/// How much of what was acknowledged last is looked at after every kill; all of it is at the end.
const LOOK_BACK: usize = 20;

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

fn seed() -> u64 {
    number("FARTHING_SEED").unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock stands behind 1970");
        u64::from(since.subsec_nanos()) << 32 | since.as_secs() & 0xffff_ffff
    })
}

/// What the node has said was so.
#[derive(Debug, Default)]
struct Acknowledged {
    /// Ids of the best chain's blocks, as they were streamed.
    blocks: BTreeMap<u64, String>,
    transfers: Vec<TxId>,
    /// How many of these on streams.
    streamed: u64,
}

#[derive(Debug, Clone, Default)]
struct Witness(Arc<Mutex<Acknowledged>>);

impl Witness {
    fn lock(&self) -> MutexGuard<'_, Acknowledged> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds the newest `count` blocks and transfers against what the node says now.
    async fn check(&self, api: &mut Api, count: usize) {
        let (blocks, transfers) = {
            let known = self.lock();
            let blocks: Vec<_> = known.blocks.iter().rev().take(count).map(|(h, id)| (*h, id.clone())).collect();
            let transfers: Vec<_> = known.transfers.iter().rev().take(count).copied().collect();
            (blocks, transfers)
        };
        for (height, id) in blocks {
            let found = api.block_at(height).await.expect("the node answers").map(|block| block.block_id_hex);
            assert_eq!(found, Some(id), "the block at height {height} was streamed before the kill");
        }
        for id in transfers {
            let standing = api.standing(id).await.expect("the node answers");
            let kept = matches!(standing, Some(TransactionStanding::Pending | TransactionStanding::Mined { .. }));
            assert!(kept, "transfer {id} was acknowledged before the kill: {standing:?}");
        }
    }

    /// Notes every block that is streamed, until the stream breaks.
    async fn watch(self, mut api: Api, from_height: u64) {
        let Ok(mut stream) = api.subscribe(from_height).await else { return };
        while let Ok(Some(frame)) = stream.message().await {
            let mut known = self.lock();
            match frame.event {
                Some(Event::Apply(block)) => drop(known.blocks.insert(block.height, block.block_id_hex)),
                Some(Event::Undo(block)) => drop(known.blocks.split_off(&block.height)),
                _ => {}
            }
        }
    }

    /// Submits transfers one after the other and notes those that are acknowledged, until the node is gone.
    async fn pay(self, mut api: Api, params: Arc<Params>) {
        let Ok(mut nonce) = api.next_nonce(&ALICE.address()).await else { return };
        loop {
            let transfer = ALICE.pay(&params, nonce, BOB.address(), 1);
            match api.submit(&transfer).await {
                Ok(status) => {
                    self.lock().transfers.push(status.id);
                    nonce += 1;
                }
                Err(refusal) if matches!(refusal.code(), Code::FailedPrecondition | Code::ResourceExhausted) => {
                    panic!("a good transfer was refused: {refusal:?}");
                }
                Err(_) => return,
            }
        }
    }
}

impl Witness {
    /// Submits transfers on a stream, without waiting for any, and notes those that are acknowledged, until the node is gone.
    async fn stream(self, mut api: Api, params: Arc<Params>) {
        let Ok(first) = api.next_nonce(&BOB.address()).await else { return };
        let sign = move |nonce| BOB.pay(&params, nonce, ALICE.address(), 1);
        let Ok(mut verdicts) = api.submit_stream(stream::iter((first..first + STREAMED).map(sign))).await else {
            return;
        };
        let mut expected = 0;
        while let Ok(Some(response)) = verdicts.message().await {
            let event = response.event.expect("an event");
            if matches!(event, StreamEvent::Progress(_) | StreamEvent::Draining(_)) {
                continue;
            }
            assert_eq!(response.tag, expected, "verdicts come in the order of the transfers");
            expected += 1;
            match event {
                StreamEvent::Status(status) => {
                    let status = TransactionStatus::try_from(status).expect("a well-formed status");
                    let mut known = self.lock();
                    known.transfers.push(status.id);
                    known.streamed += 1;
                }
                StreamEvent::Progress(_) | StreamEvent::Draining(_) => {}
                StreamEvent::Error(refusal) => {
                    let code = Code::from(refusal.code);
                    // The account may be full: blocks come slowly on a busy machine.
                    let tolerable = matches!(code, Code::Unavailable | Code::ResourceExhausted);
                    assert!(tolerable, "a good transfer was refused: {refusal:?}");
                    return;
                }
            }
        }
    }
}

/// The node, its witness, and what is random.
struct Trial {
    params: Arc<Params>,
    place: Place,
    options: Options,
    witness: Witness,
    random: ChaCha8Rng,
    /// How long the last start took.
    start_up: Duration,
}

impl Trial {
    fn below(&mut self, limit: Duration) -> Duration {
        limit.mul_f64(self.random.next_u32() as f64 / f64::from(u32::MAX))
    }

    async fn start(&mut self) -> Running<'_> {
        let begin = Instant::now();
        let node = self.place.start(&self.options).await;
        self.start_up = begin.elapsed();
        node
    }

    /// Kills the node at some moment of its start. False if it was quicker than that and served already.
    async fn kill_in_start_up(&mut self) -> bool {
        let moment = self.below(self.start_up);
        let mut process = self.place.spawn(&self.options);
        tokio::time::sleep(moment).await;
        let in_start_up = process.serving().is_err();
        if !in_start_up {
            // Starts have become quicker than the last one that was timed.
            self.start_up = moment;
        }
        process.kill();
        in_start_up
    }

    /// Starts the node, checks what it still knows, and kills it at some moment under load.
    async fn kill_under_load(&mut self) {
        let moment = self.below(LONGEST_LOAD);
        let (witness, params) = (self.witness.clone(), Arc::clone(&self.params));
        let node = self.start().await;
        let mut api = node.api().await;
        witness.check(&mut api, LOOK_BACK).await;
        let height = Standing::of(&mut api).await.height;
        let mut load = JoinSet::new();
        load.spawn(witness.clone().watch(node.api().await, height.max(1)));
        load.spawn(witness.clone().pay(node.api().await, Arc::clone(&params)));
        load.spawn(witness.clone().stream(node.api().await, params));
        tokio::time::sleep(moment).await;
        node.kill();
        while let Some(ended) = load.join_next().await {
            ended.expect("the load ends with the node");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_at_random_moments_loses_nothing_acknowledged_and_needs_no_hand() {
    let (kills, seed) = (number("FARTHING_KILLS").unwrap_or(KILLS), seed());
    let acknowledged = number("FARTHING_ACKNOWLEDGED").unwrap_or(1);
    eprintln!("{kills} kills; FARTHING_SEED={seed} repeats their moments");
    let params = networks::quick();
    let mut trial = Trial {
        place: Place::new(&format!("the node (FARTHING_SEED={seed})"), &params),
        params,
        options: Options { mine: Some(CAROL.address()), ..Options::default() },
        witness: Witness::default(),
        random: ChaCha8Rng::seed_from_u64(seed),
        start_up: Duration::ZERO,
    };
    let mut in_start_up = 0;
    let mut kill = 0;
    while kill < kills || trial.witness.lock().streamed < acknowledged {
        // The first starts tell how long a start takes.
        if kill > 1 && in_start_up * 100 < (kill + 1) * (IN_START_UP + 5) {
            in_start_up += u64::from(trial.kill_in_start_up().await);
        } else {
            trial.kill_under_load().await;
        }
        kill += 1;
    }
    let kills = kill;
    let witness = trial.witness.clone();
    let node = trial.start().await;
    let mut api = node.api().await;
    witness.check(&mut api, usize::MAX).await;
    // Everything acknowledged can still be mined.
    eventually("the mempool is mined empty", async || match api.info().await {
        Ok(info) if info.mempool_transactions == 0 => Ok(()),
        other => Err(format!("{:?}", other.map(|info| info.mempool_transactions))),
    })
    .await;
    // One lock at a time: both guards of one statement would live to its end, and the second would wait for the first.
    let blocks = witness.lock().blocks.len();
    let transfers = witness.lock().transfers.clone();
    for id in &transfers {
        let standing = api.standing(*id).await.expect("the node answers");
        assert!(matches!(standing, Some(TransactionStanding::Mined { .. })), "{id}: {standing:?}");
    }
    assert!(node.stop().await.success());
    let (status, text) = trial.place.command("verify");
    assert!(status.success(), "{text}");
    let streamed = witness.lock().streamed;
    eprintln!(
        "{in_start_up} of {kills} kills in start-up; {blocks} blocks and {} transfers kept, {streamed} of these from streams",
        transfers.len()
    );
    assert!(in_start_up * 100 >= kills * IN_START_UP, "{in_start_up} of {kills} kills fell into the start-up");
    assert!(blocks > 0 && !transfers.is_empty(), "there was no load");
}
