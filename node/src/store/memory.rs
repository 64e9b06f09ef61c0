//! The store's twin in memory: the same contract, nothing survives. For tests and simulation.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use farthing::{
    Address, Block, BlockId, Height, Params, PublicKey, Sender, SignedTransaction, TxId,
    codec::{Canonical as _, Reader},
    range::{RangeNode, node_count},
};
use farthing_consensus::HeaderContext;

use super::{Commit, Effects, KeyAndValue, KeyValue, LogPlace, NewBlock, Recovered, Store, StoreError};
use crate::ledger::ChainView;

/// Keeps everything in memory.
#[derive(Debug)]
pub struct MemoryStore {
    genesis: BlockId,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    blocks: HashMap<BlockId, Stored>,
    /// By segment number: the twin gives each block a segment of its own.
    order: Vec<BlockId>,
    best: Vec<BlockId>,
    transactions: HashMap<TxId, (Height, u32)>,
    side: BTreeSet<(Height, BlockId)>,
    range: Vec<RangeNode>,
    named: BTreeMap<String, Arc<MemoryKeyValue>>,
    closed: bool,
}

#[derive(Debug)]
struct Stored {
    block: Arc<Block>,
    context: HeaderContext,
    place: LogPlace,
    effects: Option<Arc<Effects>>,
}

/// Offset at which the twin says that a block's bytes begin.
const FIRST_OFFSET: u32 = 1;

impl MemoryStore {
    /// A store that holds the network's genesis.
    pub fn new(params: &Params) -> (Self, Recovered) {
        let tip = HeaderContext::genesis(params);
        let view = ChainView::genesis(params);
        let mut state = State { range: view.range.peaks().to_vec(), ..State::default() };
        state.insert(NewBlock {
            block: Arc::new(params.genesis().clone()),
            id: tip.id(),
            height: tip.height(),
            total_work: tip.total_work(),
        });
        state.side.clear();
        state.best.push(tip.id());
        let recovered = Recovered { view, candidates: Vec::new() };
        (Self { genesis: *params.genesis_id(), state: Mutex::new(state) }, recovered)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn insert(&mut self, new: NewBlock) -> LogPlace {
        if let Some(stored) = self.blocks.get(&new.id) {
            return stored.place;
        }
        let segment = u32::try_from(self.order.len()).unwrap_or(u32::MAX);
        let place = LogPlace::new(segment, FIRST_OFFSET).expect("the first offset is not 0");
        let context = HeaderContext::from_stored(new.block.header, new.height, new.total_work);
        self.order.push(new.id);
        self.side.insert((new.height, new.id));
        self.blocks.insert(new.id, Stored { block: new.block, context, place, effects: None });
        place
    }

    fn known(&self, id: &BlockId) -> Result<&Stored, StoreError> {
        self.blocks.get(id).ok_or(StoreError::UnknownBlock(*id))
    }

    /// Whether a commit can be made as a whole: it is made as a whole or not at all.
    fn check(&self, commit: &Commit) -> Result<(), StoreError> {
        let new = |id: &BlockId| commit.blocks.iter().find(|new| new.id == *id).map(|new| new.block.header.previous);
        let parent = |id: &BlockId| {
            let known = self.blocks.get(id).map(|stored| stored.context.header().previous);
            known.or_else(|| new(id)).ok_or(StoreError::UnknownBlock(*id))
        };
        for (id, _) in &commit.effects {
            parent(id)?;
        }
        let Some(best) = &commit.best else { return Ok(()) };
        let mut rest = self.best.as_slice();
        for id in &best.undone {
            match rest.split_last() {
                Some((tip, below)) if tip == id => rest = below,
                _ => return Err(StoreError::BadChange(format!("{id} is undone and is not the tip"))),
            }
        }
        let mut tip = rest.last().copied();
        for id in &best.applied {
            if tip != Some(parent(id)?) {
                return Err(StoreError::BadChange(format!("{id} is applied and is not a child of the tip")));
            }
            tip = Some(*id);
        }
        Ok(())
    }

    fn undo(&mut self, genesis: &BlockId, id: BlockId) -> Result<(), StoreError> {
        let stored = self.known(&id)?;
        let (block, height) = (Arc::clone(&stored.block), stored.context.height());
        self.best.pop();
        self.side.insert((height, id));
        for transaction in &block.transactions {
            self.transactions.remove(&transaction.transaction().id(genesis));
        }
        Ok(())
    }

    fn apply(&mut self, genesis: &BlockId, id: BlockId) -> Result<(), StoreError> {
        let stored = self.known(&id)?;
        let (block, height) = (Arc::clone(&stored.block), stored.context.height());
        self.best.push(id);
        self.side.remove(&(height, id));
        for (transaction, index) in block.transactions.iter().zip(0..) {
            self.transactions.insert(transaction.transaction().id(genesis), (height, index));
        }
        Ok(())
    }
}

impl Store for MemoryStore {
    fn commit(&self, commit: Commit) -> Result<Vec<LogPlace>, StoreError> {
        let mut state = self.lock();
        if state.closed {
            return Err(StoreError::Poisoned("it was closed".to_owned()));
        }
        state.check(&commit)?;
        let places = commit.blocks.into_iter().map(|new| state.insert(new)).collect();
        for (id, effects) in commit.effects {
            let stored = state.blocks.get_mut(&id).ok_or(StoreError::UnknownBlock(id))?;
            stored.effects.get_or_insert_with(|| Arc::new(effects));
        }
        if let Some(best) = commit.best {
            for id in best.undone {
                state.undo(&self.genesis, id)?;
            }
            for id in best.applied {
                state.apply(&self.genesis, id)?;
            }
        }
        Ok(places)
    }

    fn block(&self, id: &BlockId) -> Result<Option<Arc<Block>>, StoreError> {
        Ok(self.lock().blocks.get(id).map(|stored| Arc::clone(&stored.block)))
    }

    fn place(&self, id: &BlockId) -> Result<Option<LogPlace>, StoreError> {
        Ok(self.lock().blocks.get(id).map(|stored| stored.place))
    }

    fn effects(&self, id: &BlockId) -> Result<Option<Arc<Effects>>, StoreError> {
        Ok(self.lock().blocks.get(id).and_then(|stored| stored.effects.clone()))
    }

    fn header(&self, id: &BlockId) -> Result<Option<HeaderContext>, StoreError> {
        Ok(self.lock().blocks.get(id).map(|stored| stored.context))
    }

    fn best_at(&self, height: Height) -> Result<Option<BlockId>, StoreError> {
        let at = usize::try_from(height.get()).unwrap_or(usize::MAX);
        Ok(self.lock().best.get(at).copied())
    }

    fn locate(&self, id: &TxId) -> Result<Option<(Height, u32)>, StoreError> {
        Ok(self.lock().transactions.get(id).copied())
    }

    fn key_at(&self, place: &LogPlace, address: &Address) -> Result<PublicKey, StoreError> {
        let state = self.lock();
        let id = usize::try_from(place.segment()).ok().and_then(|segment| state.order.get(segment));
        let block = id.and_then(|id| state.blocks.get(id)).map(|stored| Arc::clone(&stored.block));
        drop(state);
        let bytes = block.map(|block| block.to_canonical()).unwrap_or_default();
        let within = usize::try_from(place.offset() - FIRST_OFFSET).unwrap_or(usize::MAX);
        key_in_transaction(bytes.get(within..).unwrap_or_default(), place, address)
    }

    fn range_node(&self, position: u64) -> Result<RangeNode, StoreError> {
        let at = usize::try_from(position).unwrap_or(usize::MAX);
        let node = self.lock().range.get(at).copied();
        node.ok_or_else(|| StoreError::IndexDamaged(format!("the header range has no node {position}")))
    }

    fn put_range(&self, kept: u64, nodes: &[RangeNode]) -> Result<(), StoreError> {
        let mut state = self.lock();
        let position = node_count(kept);
        let at = usize::try_from(position).unwrap_or(usize::MAX);
        if at > state.range.len() {
            return Err(StoreError::IndexDamaged(format!("range node {position} would leave a gap")));
        }
        for (node, at) in nodes.iter().zip(at..) {
            if at < state.range.len() {
                state.range[at] = *node;
            } else {
                state.range.push(*node);
            }
        }
        Ok(())
    }

    fn side_blocks(&self, height: Height) -> Result<Vec<HeaderContext>, StoreError> {
        let state = self.lock();
        let from = (height, BlockId::ZERO);
        state.side.range(from..).map(|(_, id)| state.known(id).map(|stored| stored.context)).collect()
    }

    fn damaged(&self) -> Result<Vec<BlockId>, StoreError> {
        Ok(Vec::new())
    }

    fn replace_block(&self, block: &Block) -> Result<LogPlace, StoreError> {
        self.lock().known(&block.id()).map(|stored| stored.place)
    }

    fn maybe_checkpoint(&self, _: &Arc<ChainView>) {}

    fn key_value(&self, name: &str) -> Result<Arc<dyn KeyValue>, StoreError> {
        let mut state = self.lock();
        Ok(Arc::<MemoryKeyValue>::clone(state.named.entry(name.to_owned()).or_default()))
    }

    fn poisoned(&self) -> Option<String> {
        None
    }

    fn close(&self) -> Result<(), StoreError> {
        self.lock().closed = true;
        Ok(())
    }
}

/// Reads the key out of a transaction's canonical bytes and holds it against the address that it must have.
pub(super) fn key_in_transaction(bytes: &[u8], place: &LogPlace, address: &Address) -> Result<PublicKey, StoreError> {
    let corrupt = |reason: String| StoreError::CorruptKey { place: *place, reason };
    let transaction = SignedTransaction::decode(&mut Reader::new(bytes)).map_err(|error| corrupt(error.to_string()))?;
    match transaction.transaction().sender() {
        Sender::Key(key) if key.address() == *address => Ok(key.clone()),
        Sender::Key(key) => Err(corrupt(format!("the key of {} is there, expected that of {address}", key.address()))),
        Sender::Address(_) => Err(corrupt("the transaction there carries no key".to_owned())),
    }
}

#[derive(Debug, Default)]
struct MemoryKeyValue(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

impl MemoryKeyValue {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyValue for MemoryKeyValue {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().get(key).cloned())
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.lock().insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn remove(&self, key: &[u8]) -> Result<(), StoreError> {
        self.lock().remove(key);
        Ok(())
    }

    fn entries(&self) -> Result<Vec<KeyAndValue>, StoreError> {
        Ok(self.lock().iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}
