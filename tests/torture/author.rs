//! Who makes the blocks: a node in this process, which the others follow, and branches made by hand at any place of its
//! chain.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
};

use farthing::{Address, Block, Params, SignedTransaction, Target, TimeMs};
use farthing_consensus::{check_block, check_header, required_bits};
use farthing_node::{
    chain::{ChainView, Origin},
    config::Config,
    env::Env,
    miner::Search,
    node::Node,
};
use rand_chacha::{ChaCha8Rng, rand_core::RngCore as _};
use tempfile::TempDir;

use super::model::Model;
use crate::harness::{keys, ledger};

/// How many views of the best chain are kept to build on, the newest.
const KEPT: usize = 200;

/// When the blocks of a branch are made, and so how hard they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// On time, each as easy as can be: a branch with more work has more blocks.
    OnTime,
    /// Many at once, each twice as hard as the one before: a branch with more work has fewer blocks.
    AtOnce,
}

/// A branch that leaves the best chain and has more work.
pub(crate) struct Branch {
    /// How many blocks it undoes.
    pub(crate) depth: u64,
    pub(crate) blocks: Vec<Block>,
    views: Vec<Arc<ChainView>>,
}

impl Branch {
    /// Whether it leads to a lower height.
    pub(crate) fn is_shorter(&self) -> bool {
        (self.blocks.len() as u64) < self.depth
    }
}

pub(crate) struct Author {
    params: Arc<Params>,
    model: Arc<Model>,
    node: Node,
    /// Of the best chain, by height.
    views: BTreeMap<u64, Arc<ChainView>>,
    _folder: TempDir,
}

impl Author {
    pub(crate) async fn start(params: &Arc<Params>, model: &Arc<Model>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = Config::on_loopback(Arc::clone(params), folder.path().join("author"));
        let node = Node::start(config, Env::system().expect("threads")).await.expect("the author's node starts");
        let views = BTreeMap::from([(0, Arc::new(ChainView::genesis(params)))]);
        Self { params: Arc::clone(params), model: Arc::clone(model), node, views, _folder: folder }
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    pub(crate) fn tip(&self) -> &Arc<ChainView> {
        self.views.last_key_value().expect("genesis, at least").1
    }

    pub(crate) fn height(&self) -> u64 {
        self.tip().tip.height().get()
    }

    /// Makes blocks on the tip.
    pub(crate) fn extend(&self, count: u64, random: &mut ChaCha8Rng) -> Branch {
        let mut branch = Branch { depth: 0, blocks: Vec::new(), views: Vec::new() };
        for _ in 0..count {
            let view = Arc::clone(branch.views.last().unwrap_or(self.tip()));
            self.make(&mut branch, &view, self.on_time(&view), random);
        }
        branch
    }

    /// Makes a branch that leaves so many blocks, and has a little more work than they.
    pub(crate) fn leave(&self, depth: u64, pace: Pace, random: &mut ChaCha8Rng) -> Branch {
        let mut view = Arc::clone(&self.views[&(self.height() - depth)]);
        let best = self.tip().tip.total_work().get();
        let mut branch = Branch { depth, blocks: Vec::new(), views: Vec::new() };
        while view.tip.total_work().get() <= best {
            let bits = required_bits(&self.params, &view.tip);
            let work = bits.target().ok().and_then(Target::work).expect("the rules gave them").get();
            let left = (best - view.tip.total_work().get()).saturating_sub(work);
            // Twice as hard again, unless that were far more than is needed.
            let hurry = pace == Pace::AtOnce && 2 * work <= left;
            let time = if hurry { view.tip.time().saturating_add(1) } else { self.on_time(&view) };
            view = self.make(&mut branch, &view, time, random);
        }
        branch
    }

    /// The work of the best chain's newest blocks, in that of the easiest one.
    pub(crate) fn work_of(&self, depth: u64) -> u128 {
        let fork = &self.views[&(self.height() - depth)];
        let easiest = self.params.limit().work().expect("a limit has work").get();
        (self.tip().tip.total_work().get() - fork.tip.total_work().get()) / easiest
    }

    fn on_time(&self, view: &ChainView) -> TimeMs {
        self.params.genesis_time.saturating_add(self.params.target_spacing_ms * view.tip.height().next().get())
    }

    /// Makes a block, with up to three transfers in it.
    fn make(&self, branch: &mut Branch, view: &ChainView, time: TimeMs, random: &mut ChaCha8Rng) -> Arc<ChainView> {
        let params = &self.params;
        let payees: Vec<_> = keys::all().map(keys::Key::address).chain((1..=4).map(strangers)).collect();
        let mut payee = || payees[random.next_u32() as usize % payees.len()];
        let to = payee();
        let amounts = [payee(), payee(), payee()];
        let count = random.next_u32() as usize % 4;
        let transfers = keys::all().zip(amounts).take(count).map(|(key, to)| transfer(params, view, key, to)).collect();
        let mut block = ledger::draft(params, view, transfers, to, time);
        let target = block.header.bits.target().expect("the rules gave them");
        block.header.nonce = Search::new(&block.header, target).run(0, &AtomicBool::new(false)).expect("not cancelled");
        let context = check_header(params, &view.tip, &block.header, ledger::now()).expect("a valid header");
        let checked = check_block(params, &block).expect("a valid block");
        let view = Arc::new(view.apply(params, &checked, &context).expect("a valid execution").view);
        self.model.add(&view);
        branch.blocks.push(block);
        branch.views.push(Arc::clone(&view));
        view
    }

    /// Gives a branch to the author's node, block by block; the others hear of it from there.
    pub(crate) async fn publish(&mut self, branch: Branch) {
        for block in branch.blocks {
            self.node.chain().submit_block(block, Origin::Mined).await.expect("a valid block");
        }
        let Some(tip) = branch.views.last() else { return };
        assert_eq!(self.node.chain().view().tip.id(), tip.tip.id(), "the branch has most work");
        drop(self.views.split_off(&(self.height() - branch.depth + 1)));
        self.views.extend(branch.views.into_iter().map(|view| (view.tip.height().get(), view)));
        while self.views.len() > KEPT {
            self.views.pop_first();
        }
        self.model.set_tip_height(self.height());
    }

    /// Stops the node, which must not have failed.
    pub(crate) async fn stop(self) {
        self.node.tasks().stop();
        self.node.wait().await.expect("the author's node ends well");
    }
}

fn transfer(params: &Params, view: &ChainView, key: &keys::Key, to: Address) -> SignedTransaction {
    let nonce = view.account(&key.address()).map_or(0, |account| account.next_nonce);
    key.pay(params, nonce, to, 1)
}

/// Accounts that nobody has the key of.
fn strangers(number: u8) -> Address {
    Address::from_bytes([number; 32])
}
