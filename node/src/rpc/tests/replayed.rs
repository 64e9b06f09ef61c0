//! What readers of streams end with is what the node has, whatever happened between: random transfers, blocks and
//! reorganisations, readers that come back with their cursors, here or on another node.

use proptest::{collection::vec, prelude::*};

use super::{mempool_streams as pool, watched_accounts as accounts, *};
use crate::{chain::AccountEntry, testing::TestKey};

/// What happens.
#[derive(Debug, Clone)]
enum Step {
    /// One of the two pays into the mempool, so many nonces ahead of what the node expects.
    Pay(bool, u64),
    /// A block takes what waits, and so many empty ones follow.
    Mine(usize),
    /// So many blocks leave for one more, the first of which may take a transfer.
    Reorganise(usize, bool),
    /// The readers read all that there is.
    Read,
    /// The readers come back with their cursors.
    Return,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<bool>(), 0_u64..3).prop_map(|(who, ahead)| Step::Pay(who, ahead)),
        3 => (0_usize..2).prop_map(Step::Mine),
        3 => (1_usize..4, any::<bool>()).prop_map(|(depth, pays)| Step::Reorganise(depth, pays)),
        2 => Just(Step::Read),
        2 => Just(Step::Return),
    ]
}

/// The miner of most blocks.
const MINER: Address = Address::from_bytes([7; 32]);

struct World {
    api: Api,
    /// The best chain's views by height.
    views: Vec<ChainView>,
    /// All blocks in the order in which they came.
    blocks: Vec<Block>,
    amount: u64,
    reorganised: usize,
}

impl World {
    async fn start() -> Self {
        let api = Api::start().await;
        let views = vec![(*api.test.chain.view()).clone()];
        Self { api, views, blocks: Vec::new(), amount: 0, reorganised: 0 }
    }

    fn key(&self, alice: bool) -> &'static TestKey {
        if alice { &ALICE } else { &BOB }
    }

    async fn extend(&mut self, transactions: Vec<SignedTransaction>, mark: u8) {
        let (made, view) = branch(self.views.last().unwrap(), 1, transactions, mark);
        self.api.take(made.clone()).await;
        self.blocks.extend(made);
        self.views.push(view);
    }

    async fn step(&mut self, step: &Step) {
        self.amount += 1;
        match step {
            Step::Pay(alice, ahead) => {
                self.api.pool_follows().await;
                let key = self.key(*alice);
                let nonce = self.api.mempool.account_pending(&key.address()).next_nonce + ahead;
                let to = self.key(!*alice).address();
                let pay = key.pay(nonce, to, self.amount);
                // It may be refused; the readers are to learn of what is not.
                let _ = self.api.mempool.submit(vec![pay], mempool::Source::Rpc).await;
            }
            Step::Mine(empty) => {
                self.api.pool_follows().await;
                let limits = mempool::TemplateLimits {
                    height: self.views.last().unwrap().tip.height().next(),
                    bytes: 1 << 20,
                    signature_units: 1_000,
                    openings: 100,
                    count: 3,
                };
                let waiting = self.api.mempool.select(&limits);
                self.extend(waiting.iter().map(|pooled| pooled.transaction().clone()).collect(), 7).await;
                for _ in 0..*empty {
                    self.extend(Vec::new(), 7).await;
                }
            }
            Step::Reorganise(depth, pays) => {
                let depth = (*depth).min(self.views.len() - 1);
                self.views.truncate(self.views.len() - depth);
                self.reorganised += depth;
                let nonce = self.views.last().unwrap().account(&ALICE.address()).unwrap().next_nonce;
                let mut first = if *pays { vec![ALICE.pay(nonce, BOB.address(), self.amount)] } else { Vec::new() };
                for _ in 0..=depth {
                    // Blocks of a height differ from those that it had before.
                    let mark = u8::try_from(8 + self.amount % 200).unwrap();
                    self.extend(std::mem::take(&mut first), mark).await;
                }
            }
            Step::Read | Step::Return => {}
        }
    }

    async fn entries(&self, address: Address) -> (Option<farthing::Account>, Vec<(u64, String)>) {
        let named = |entry: &AccountEntry| (entry.entry, entry.id.to_string());
        let (entries, _) = self.api.test.chain.account_entries(address, None, usize::MAX).await.unwrap();
        (self.api.test.chain.view().account(&address), entries.iter().rev().map(named).collect())
    }
}

/// Readers of one account, and where they read.
struct AccountReader {
    address: Address,
    frames: accounts::Frames,
    reader: accounts::Reader,
}

impl AccountReader {
    async fn start(api: &Api, address: Address) -> Self {
        let frames = accounts::watch(api, address, vec![1]).await.unwrap();
        Self { address, frames, reader: accounts::Reader { cursor: vec![1], ..accounts::Reader::default() } }
    }

    async fn read(&mut self, world: &World) {
        let expected = world.entries(self.address).await;
        while (self.reader.account, self.reader.entries.clone()) != expected {
            self.reader.take(next_frame(&mut self.frames).await.unwrap().unwrap());
        }
    }

    async fn move_to(&mut self, api: &Api) {
        self.frames = accounts::watch(api, self.address, self.reader.cursor.clone()).await.unwrap();
    }
}

async fn replay(steps: &[Step]) -> (usize, usize) {
    let mut world = World::start().await;
    let mut waiting = pool::Reader::default();
    let mut frames = pool::subscribe(&world.api, vec![], None).await.unwrap();
    let mut readers = Vec::new();
    for address in [ALICE.address(), BOB.address(), MINER] {
        readers.push(AccountReader::start(&world.api, address).await);
    }
    for step in steps {
        world.step(step).await;
        if matches!(step, Step::Read) {
            world.api.pool_follows().await;
            pool::catch_up(&world.api, &mut frames, &mut waiting).await;
        }
        if matches!(step, Step::Return) {
            // One that has nothing yet gets all of it: it holds nothing that it would have to forget.
            frames = pool::subscribe(&world.api, waiting.cursor.clone(), None).await.unwrap();
        }
        for reader in &mut readers {
            match step {
                Step::Read => reader.read(&world).await,
                Step::Return => reader.move_to(&world.api).await,
                _ => {}
            }
        }
    }
    // Another node, which hears of the best branch first and so executes no other one.
    let other = Api::start().await;
    let best: Vec<BlockId> = world.views.iter().map(|view| view.tip.id()).collect();
    let (on_best, beside): (Vec<_>, Vec<_>) =
        world.blocks.iter().cloned().partition(|block| best.contains(&block.id()));
    other.take(on_best).await;
    other.take(beside).await;
    assert_eq!(other.test.chain.view().tip.id(), world.views.last().unwrap().tip.id());
    let mut undone = 0;
    for reader in &mut readers {
        let here = (reader.reader.clone(), accounts::watch(&world.api, reader.address, reader.reader.cursor.clone()));
        reader.move_to(&other).await;
        reader.read(&world).await;
        let (there, frames) = (std::mem::replace(&mut reader.reader, here.0), here.1.await.unwrap());
        reader.frames = frames;
        reader.read(&world).await;
        assert_eq!((reader.reader.account, &reader.reader.entries), (there.account, &there.entries));
        undone += reader.reader.undone;
    }
    world.api.pool_follows().await;
    pool::catch_up(&world.api, &mut frames, &mut waiting).await;
    (world.reorganised, undone)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn readers_end_with_what_the_node_has(steps in vec(step(), 1..24)) {
        run(replay(&steps));
    }
}

#[test]
fn the_readers_do_see_reorganisations() {
    let pay = |ahead| Step::Pay(true, ahead);
    let steps = [pay(0), Step::Mine(1), pay(1), Step::Read, Step::Reorganise(2, true), Step::Read, Step::Return];
    let (reorganised, undone) = run(replay(&steps));
    assert!(reorganised == 2 && undone >= 2, "{reorganised} blocks, {undone} told");
}
