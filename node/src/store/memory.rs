//! The store's twin in memory: the same contract, nothing survives. For tests and simulation.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use farthing::{
    Address, Block, BlockId, Hash, Height, Params, PublicKey, Sender, SignedTransaction, TxId,
    checkpoint::CheckpointAccount,
    codec::{Canonical as _, Reader},
    range::{RangeNode, RangePeaks, node_count},
};
use farthing_consensus::HeaderContext;

use super::{
    Base, BeginError, Beginning, Commit, Effects, HeaderFile, KeyAndValue, KeyValue, LogPlace, NewBlock, Recovered,
    Store, StoreError, checkpoint::Offer,
};
use crate::ledger::{ChainView, range_leaf};

/// Keeps everything in memory.
#[derive(Debug)]
pub struct MemoryStore {
    genesis: BlockId,
    /// Whether transactions can be located.
    indexed: bool,
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
    base: Option<Arc<Base>>,
    /// Keys that came with what the chain begins with.
    base_keys: HashMap<Address, PublicKey>,
    given: Vec<Given>,
    closed: bool,
    /// Where transactions stand cannot be read.
    #[cfg(test)]
    is_unreadable: bool,
}

/// A checkpoint for others.
#[derive(Debug)]
struct Given {
    offer: Offer,
    hashes: Vec<Hash>,
    pieces: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Stored {
    /// None below the block that the chain begins with, and for it. So is the place.
    block: Option<Arc<Block>>,
    context: HeaderContext,
    place: Option<LogPlace>,
    effects: Option<Arc<Effects>>,
}

/// Offset at which the twin says that a block's bytes begin.
const FIRST_OFFSET: u32 = 1;
/// Where the twin says that keys stand which came with what the chain begins with.
const BASE_KEYS: u32 = u32::MAX;

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
        (Self { genesis: *params.genesis_id(), indexed: true, state: Mutex::new(state) }, recovered)
    }

    /// The same without an index of transactions.
    #[cfg(test)]
    pub(crate) fn without_transaction_index(self) -> Self {
        Self { indexed: false, ..self }
    }

    /// Offers a checkpoint to others from now on; the twin makes none itself.
    pub fn give(&self, offer: Offer, hashes: Vec<Hash>, pieces: Vec<Vec<u8>>) {
        self.lock().given.push(Given { offer, hashes, pieces });
    }

    /// Lets every later question where a transaction stands fail.
    #[cfg(test)]
    pub(crate) fn make_unreadable(&self) {
        self.lock().is_unreadable = true;
    }

    /// Forgets what blocks did to accounts, which no store may.
    #[cfg(test)]
    pub(crate) fn lose_effects(&self) {
        self.lock().blocks.values_mut().for_each(|stored| stored.effects = None);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn given(&self, block: &BlockId, digest: &Hash) -> Option<&Given> {
        self.given.iter().find(|given| given.offer.block == *block && given.offer.digest == *digest)
    }

    fn insert(&mut self, new: NewBlock) -> LogPlace {
        if let Some(place) = self.blocks.get(&new.id).and_then(|stored| stored.place) {
            return place;
        }
        let segment = u32::try_from(self.order.len()).unwrap_or(u32::MAX);
        let place = LogPlace::new(segment, FIRST_OFFSET).expect("the first offset is not 0");
        let context = HeaderContext::from_stored(new.block.header, new.height, new.total_work);
        self.order.push(new.id);
        self.side.insert((new.height, new.id));
        let stored = Stored { block: Some(new.block), context, place: Some(place), effects: None };
        self.blocks.insert(new.id, stored);
        place
    }

    fn known(&self, id: &BlockId) -> Result<&Stored, StoreError> {
        self.blocks.get(id).ok_or(StoreError::UnknownBlock(*id))
    }

    fn body(&self, id: &BlockId) -> Result<(Arc<Block>, Height), StoreError> {
        let stored = self.known(id)?;
        let block = stored.block.clone().ok_or(StoreError::UnknownBlock(*id))?;
        Ok((block, stored.context.height()))
    }

    /// Puts headers without bodies on genesis, and the range over them.
    fn put_base(&mut self, headers: &HeaderFile) -> Result<(), StoreError> {
        let mut range = RangePeaks::default();
        let overflow = |error: farthing::range::RangeOverflow| StoreError::BadChange(error.to_string());
        self.range = range.append(range_leaf(headers.parent())).map_err(overflow)?;
        headers.each_above(Height::GENESIS, &mut |contexts| {
            for context in contexts {
                self.range.extend(range.append(range_leaf(context)).map_err(overflow)?);
                let stored = Stored { block: None, context: *context, place: None, effects: None };
                self.blocks.insert(context.id(), stored);
                self.best.push(context.id());
            }
            Ok(())
        })
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
        let (block, height) = self.body(&id)?;
        self.best.pop();
        self.side.insert((height, id));
        for transaction in &block.transactions {
            self.transactions.remove(&transaction.transaction().id(genesis));
        }
        Ok(())
    }

    fn apply(&mut self, genesis: &BlockId, id: BlockId) -> Result<(), StoreError> {
        let (block, height) = self.body(&id)?;
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
        Ok(self.lock().blocks.get(id).and_then(|stored| stored.block.clone()))
    }

    fn place(&self, id: &BlockId) -> Result<Option<LogPlace>, StoreError> {
        Ok(self.lock().blocks.get(id).and_then(|stored| stored.place))
    }

    fn effects(&self, id: &BlockId) -> Result<Option<Arc<Effects>>, StoreError> {
        Ok(self.lock().blocks.get(id).and_then(|stored| stored.effects.clone()))
    }

    fn header(&self, id: &BlockId) -> Result<Option<HeaderContext>, StoreError> {
        Ok(self.lock().blocks.get(id).map(|stored| stored.context))
    }

    fn has_body(&self, id: &BlockId) -> Result<bool, StoreError> {
        Ok(self.place(id)?.is_some())
    }

    fn base(&self) -> Option<Arc<Base>> {
        self.lock().base.clone()
    }

    fn begin_at(&self, beginning: Beginning) -> Result<ChainView, BeginError> {
        let mut state = self.lock();
        if state.blocks.len() != 1 {
            let height = state.best.len().saturating_sub(1) as u64;
            return Err(BeginError::NotEmpty(Height::new(height)));
        }
        let before = beginning.range_before()?;
        let mut keys = HashMap::new();
        let accounts = beginning.accounts(&mut |accounts| {
            let keep = |account: &CheckpointAccount| {
                keys.insert(account.address, account.key.clone()?);
                LogPlace::new(BASE_KEYS, FIRST_OFFSET)
            };
            Ok(accounts.iter().map(keep).collect())
        })?;
        let view = beginning.view(accounts, &before)?;
        state.put_base(&beginning.headers)?;
        state.base_keys = keys;
        state.base = Some(Arc::new(Base { tip: view.tip, coinbases: view.immature.iter().cloned().collect() }));
        Ok(view)
    }

    fn best_at(&self, height: Height) -> Result<Option<BlockId>, StoreError> {
        let at = usize::try_from(height.get()).unwrap_or(usize::MAX);
        Ok(self.lock().best.get(at).copied())
    }

    fn locate(&self, id: &TxId) -> Result<Option<(Height, u32)>, StoreError> {
        #[cfg(test)]
        if self.lock().is_unreadable {
            return Err(StoreError::IndexDamaged("a test made it unreadable".to_owned()));
        }
        Ok(self.lock().transactions.get(id).copied().filter(|_| self.indexed))
    }

    fn indexes_transactions(&self) -> bool {
        self.indexed
    }

    fn key_at(&self, place: &LogPlace, address: &Address) -> Result<PublicKey, StoreError> {
        let state = self.lock();
        if place.segment() == BASE_KEYS {
            let missing = || StoreError::CorruptKey { place: *place, reason: format!("no key of {address}") };
            return state.base_keys.get(address).cloned().ok_or_else(missing);
        }
        let id = usize::try_from(place.segment()).ok().and_then(|segment| state.order.get(segment));
        let block = id.and_then(|id| state.blocks.get(id)).and_then(|stored| stored.block.clone());
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
        self.lock().known(&block.id())?.place.ok_or(StoreError::UnknownBlock(block.id()))
    }

    fn prepare_offers(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn offers(&self) -> Vec<Offer> {
        self.lock().given.iter().map(|given| given.offer.clone()).collect()
    }

    fn offered_hashes(&self, block: &BlockId, digest: &Hash) -> Option<Vec<Hash>> {
        self.lock().given(block, digest).map(|given| given.hashes.clone())
    }

    fn offered_piece(&self, block: &BlockId, digest: &Hash, index: u64) -> Option<Vec<u8>> {
        let index = usize::try_from(index).ok()?;
        self.lock().given(block, digest)?.pieces.get(index).cloned()
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

/// Reads the key of an account where it first stood: in a transaction, or alone, as it came with the checkpoint that the
/// chain begins with.
pub(super) fn key_in(bytes: &[u8], place: &LogPlace, address: &Address) -> Result<PublicKey, StoreError> {
    // DER begins with the type and the length behind it; a transaction begins with its version.
    let [0x30, 0x82, high, low, ..] = *bytes else { return key_in_transaction(bytes, place, address) };
    let corrupt = |reason: String| StoreError::CorruptKey { place: *place, reason };
    let length = 4 + usize::from(u16::from_be_bytes([high, low]));
    let key = PublicKey::from_spki(bytes.get(..length).unwrap_or(bytes)).map_err(|error| corrupt(error.to_string()))?;
    if key.address() == *address {
        Ok(key)
    } else {
        Err(corrupt(format!("the key of {} is there, expected that of {address}", key.address())))
    }
}

/// Reads the key out of a transaction's canonical bytes and holds it against the address that it must have.
fn key_in_transaction(bytes: &[u8], place: &LogPlace, address: &Address) -> Result<PublicKey, StoreError> {
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
