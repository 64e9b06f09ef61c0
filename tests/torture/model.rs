//! What was made: every block of every branch, and the balances behind it. Where readers that do not begin with genesis
//! take the state from that they begin with.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use farthing::{Address, BlockId, Params};
use farthing_node::chain::ChainView;

/// Mites of each account that has any.
pub(crate) type Balances = BTreeMap<Address, i128>;

/// One block.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) height: u64,
    pub(crate) parent: BlockId,
    /// Behind it.
    pub(crate) balances: Balances,
}

/// All blocks, by id.
#[derive(Debug)]
pub(crate) struct Model {
    genesis: BlockId,
    made: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    blocks: HashMap<BlockId, Made>,
    /// In the order in which they were made.
    ids: Vec<BlockId>,
    tip_height: u64,
}

impl Model {
    pub(crate) fn new(params: &Params) -> Self {
        let model = Self { genesis: *params.genesis_id(), made: Mutex::default() };
        model.add(&ChainView::genesis(params));
        model
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the block at the tip of a view, before any node can have it.
    pub(crate) fn add(&self, view: &ChainView) {
        let balances = view.accounts.iter().map(|(address, entry)| (*address, entry.account.balance.get().into()));
        let balances = balances.filter(|(_, mites)| *mites != 0).collect();
        let (id, height) = (view.tip.id(), view.tip.height().get());
        let mut made = self.lock();
        made.blocks.insert(id, Made { height, parent: view.tip.header().previous, balances });
        made.ids.push(id);
    }

    /// A block that must have been made, as nothing else can be on the chain.
    pub(crate) fn get(&self, id: BlockId) -> Result<Made, String> {
        self.lock().blocks.get(&id).cloned().ok_or_else(|| format!("block {id} was never made"))
    }

    /// Any block of any branch.
    pub(crate) fn any(&self, random: usize) -> BlockId {
        let made = self.lock();
        made.ids[random % made.ids.len()]
    }

    pub(crate) fn blocks(&self) -> usize {
        self.lock().ids.len()
    }

    /// The height that the best branch has or will have in a moment.
    pub(crate) fn tip_height(&self) -> u64 {
        self.lock().tip_height
    }

    pub(crate) fn set_tip_height(&self, height: u64) {
        self.lock().tip_height = height;
    }

    /// The ids from genesis up to this block.
    pub(crate) fn path(&self, to: BlockId) -> Result<Vec<BlockId>, String> {
        let made = self.lock();
        let mut path = vec![to];
        while let Some(id) = path.last().copied().filter(|id| *id != self.genesis) {
            path.push(made.blocks.get(&id).ok_or_else(|| format!("block {id} was never made"))?.parent);
        }
        path.reverse();
        Ok(path)
    }
}
