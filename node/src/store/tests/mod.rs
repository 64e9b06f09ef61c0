//! Tests of the store as a whole, and what they share: a ledger that grows blocks and keeps them in a store.

mod base;
mod checkpoints;
mod contract;
mod crash;
mod damage;
mod sled;

use std::{path::Path, sync::Arc};

use farthing::{Address, Block, BlockId, Height, Params, Sender, SignedTransaction};
use farthing_consensus::{HeaderContext, check_block};

use super::{BestChange, Commit, DiskStore, Effects, IndexPlace, NewBlock, Recovered, Store, StoreError, StoreOptions};
use crate::{
    env::{Env, ManualClock, MemDisk, SeededRandom},
    ledger::ChainView,
    testing::{ALICE, dev, mine},
};

/// A block with all that a commit needs of it.
#[derive(Clone, Debug)]
pub(super) struct Grown {
    pub(super) block: Arc<Block>,
    pub(super) context: HeaderContext,
    pub(super) effects: Effects,
    pub(super) view: ChainView,
}

impl Grown {
    pub(super) fn id(&self) -> BlockId {
        self.context.id()
    }

    pub(super) fn new_block(&self) -> NewBlock {
        NewBlock {
            block: Arc::clone(&self.block),
            id: self.id(),
            height: self.context.height(),
            total_work: self.context.total_work(),
        }
    }

    /// The commit that makes it the tip.
    pub(super) fn commit(&self) -> Commit {
        Commit {
            blocks: vec![self.new_block()],
            effects: vec![(self.id(), self.effects.clone())],
            best: Some(BestChange { undone: Vec::new(), applied: vec![self.id()] }),
        }
    }
}

/// A valid block on a view.
pub(super) fn grow(params: &Params, view: &ChainView, transactions: Vec<SignedTransaction>, mark: u8) -> Grown {
    let block = mine(params, view, transactions, mark);
    let work = block.header.bits.target().unwrap().work().unwrap();
    let total_work = view.tip.total_work().checked_add(work).unwrap();
    let context = HeaderContext::from_stored(block.header, view.tip.height().next(), total_work);
    let checked = check_block(params, &block).unwrap();
    let applied = view.apply(params, &checked, &context).unwrap();
    Grown { block: Arc::new(block), context, effects: applied.effects, view: applied.view }
}

/// A chain of blocks on a view; from alice's first transfer on, each block holds one of hers.
pub(super) fn chain(params: &Params, from: &ChainView, blocks: usize, mark: u8) -> Vec<Grown> {
    let mut view = from.clone();
    let mut grown = Vec::with_capacity(blocks);
    for _ in 0..blocks {
        let nonce = view.account(&ALICE.address()).map_or(0, |account| account.next_nonce);
        let to = Address::from_bytes([mark; 32]);
        let next = grow(params, &view, vec![ALICE.pay(nonce, to, 1)], mark);
        view = next.view.clone();
        grown.push(next);
    }
    grown
}

/// A small store on a disk in memory.
pub(super) fn options() -> StoreOptions {
    StoreOptions {
        index: IndexPlace::Memory,
        segment_bytes: 4_000,
        reserve_bytes: 0,
        boot: Some([1; 16]),
        ..StoreOptions::default()
    }
}

/// The data directory of the tests.
pub(super) const DATA: &str = "/data";

pub(super) fn env(disk: &MemDisk) -> Env {
    let clock = ManualClock::new(dev().genesis_time);
    let random = SeededRandom::new(7);
    let env = Env::system().unwrap().with_clock(clock).with_random(random);
    env.with_disk(disk.clone())
}

pub(super) fn open_with(disk: &MemDisk, options: StoreOptions) -> Result<(Arc<DiskStore>, Recovered), StoreError> {
    DiskStore::open(dev(), &env(disk), Path::new(DATA), options, &|_| {})
}

pub(super) fn open(disk: &MemDisk) -> (Arc<DiskStore>, Recovered) {
    open_with(disk, options()).unwrap()
}

/// Makes a block the tip, as the chain does it.
pub(super) fn extend(store: &dyn Store, before: &ChainView, block: &Grown) {
    store.commit(block.commit()).unwrap();
    let nodes = before.range.clone().append(crate::ledger::range_leaf(&block.context)).unwrap();
    store.put_range(before.range.count(), &nodes).unwrap();
}

/// Makes a chain of blocks the best one.
pub(super) fn extend_all(store: &dyn Store, before: &ChainView, blocks: &[Grown]) {
    let mut before = before;
    for block in blocks {
        extend(store, before, block);
        before = &block.view;
    }
}

/// Everything that can be read of a chain is there and as it should be.
pub(super) fn assert_holds(store: &dyn Store, chain: &[Grown]) {
    let genesis = *dev().genesis_id();
    assert_eq!(store.best_at(Height::GENESIS).unwrap(), Some(genesis));
    for grown in chain {
        let (id, height) = (grown.id(), grown.context.height());
        assert_eq!(store.best_at(height).unwrap(), Some(id));
        assert_eq!(store.header(&id).unwrap(), Some(grown.context));
        assert_eq!(store.block(&id).unwrap().unwrap(), grown.block);
        assert_eq!(*store.effects(&id).unwrap().unwrap(), without_places(&grown.effects, store, &id));
        for (transaction, index) in grown.block.transactions.iter().zip(0..) {
            let id = transaction.transaction().id(&genesis);
            assert_eq!(store.locate(&id).unwrap(), Some((height, index)));
        }
    }
    if let Some(tip) = chain.last() {
        assert_eq!(store.best_at(tip.context.height().next()).unwrap(), None);
        assert_eq!(store.range_peaks(tip.context.height().get() + 1).unwrap(), tip.view.range);
    }
}

/// The expected effects with the places of keys that the store has: growing a chain knows of no log.
fn without_places(expected: &Effects, store: &dyn Store, id: &BlockId) -> Effects {
    let stored = store.effects(id).unwrap().unwrap();
    let mut expected = expected.clone();
    for (effect, stored) in expected.accounts.iter_mut().zip(&stored.accounts) {
        if let (Some((_, meta)), Some((_, found))) = (&mut effect.before, &stored.before) {
            meta.key = found.key;
        }
    }
    expected
}

/// The recovered ledger is that of the chain.
pub(super) fn assert_recovered(recovered: &Recovered, tip: &ChainView) {
    assert_eq!(recovered.view.tip, tip.tip);
    assert_eq!(recovered.view.accounts.root(), tip.accounts.root());
    assert_eq!(recovered.view.range, tip.range);
    assert_eq!((recovered.view.supply, &recovered.view.immature), (tip.supply, &tip.immature));
}
