//! The ledger under test as a node keeps it: one tree at the tip of a branch, moved by applying and undoing blocks.
//! And the deep reorganisations of it.

use farthing::{Address, Block, Coinbase, Height, Params};

use crate::{
    AccountTree, BlockError, CheckedBlock, Entry, Execution, apply_touches, check_block, execute,
    fixtures::{address, block, coinbase, network, transfer},
    undo_touches,
};

/// Beside each account: the height that touched it last.
pub(super) type State = AccountTree<u64>;

/// A branch from genesis to its tip, with what undoing each block takes.
pub(super) struct Branch {
    pub(super) params: Params,
    pub(super) state: State,
    blocks: Vec<Connected>,
}

struct Connected {
    block: CheckedBlock,
    before: Vec<(Address, Option<Entry<u64>>)>,
}

impl Branch {
    pub(super) fn genesis(params: &Params) -> Self {
        Self { state: State::genesis(params, &0), params: params.clone(), blocks: Vec::new() }
    }

    pub(super) fn height(&self) -> u64 {
        self.blocks.len() as u64
    }

    pub(super) fn matured(&self) -> Option<&Coinbase> {
        let delay = usize::try_from(self.params.reward_delay).unwrap();
        let due = (self.blocks.len() + 1).checked_sub(delay).filter(|due| delay > 0 && *due >= 1)?;
        Some(&self.blocks[due - 1].block.block().coinbase)
    }

    /// Executes a block on the tip; the state moves only if it is valid.
    pub(super) fn connect(&mut self, block: &Block) -> Result<Execution, BlockError> {
        let block = check_block(&self.params, block)?;
        let height = self.height() + 1;
        let execution = execute(&self.params, &self.state, Height::new(height), &block, self.matured())?;
        let entry = |address: &Address| self.state.get(address).copied();
        let before = execution.touched.iter().map(|touch| (touch.address, entry(&touch.address))).collect();
        apply_touches(&mut self.state, &execution.touched, |touch, meta| {
            assert_eq!(meta.is_some(), touch.before.is_some());
            height
        });
        self.blocks.push(Connected { block, before });
        Ok(execution)
    }

    /// Takes the tip off and gives it back.
    pub(super) fn undo(&mut self) -> Block {
        let Connected { block, before } = self.blocks.pop().unwrap();
        undo_touches(&mut self.state, before);
        block.into_parts().0
    }
}

/// A block that moves money, opens an account and lets one be touched by everything at once.
fn next(branch: &Branch, opens: u64, miner: u64) -> Block {
    let nonce = branch.state.get(&address(0)).unwrap().account.next_nonce;
    let cost = branch.params.opening_cost.get();
    let pay = transfer(0, nonce, cost, &[(address(opens), 1), (address(1), 2)]);
    let back = transfer(0, nonce + 1, 3, &[(address(opens), 1)]);
    let burned = if branch.state.get(&address(opens)).is_none() { cost } else { 0 };
    let height = branch.height() + 1;
    let amount = branch.params.subsidy(Height::new(height)).get() + cost + 3 - burned;
    let coinbase = Coinbase { to: address(miner), ..coinbase(height, amount) };
    block(coinbase, vec![pay, back])
}

/// Deep reorg and undo faults (GHSA-2gf8): up to a thousand blocks down and another way up. On the way down every root
/// is the one of the way up, and on the new branch the state is that of a rebuild from genesis.
#[test]
fn a_reorganisation_of_any_depth_leaves_the_state_of_a_rebuild() {
    for delay in [0, 3] {
        let params = network(|fields| fields.reward_delay = delay);
        let mut branch = Branch::genesis(&params);
        let mut roots = vec![branch.state.root()];
        for height in 1..=1_000 {
            let block = next(&branch, 1_000 + height % 300, height % 7);
            branch.connect(&block).unwrap();
            roots.push(branch.state.root());
        }
        for (round, depth) in [1, 2, 3, 10, 100, 999, 1_000].into_iter().enumerate() {
            let tip = branch.height();
            for height in (tip - depth..tip).rev() {
                branch.undo();
                assert_eq!(branch.state.root(), roots[usize::try_from(height).unwrap()]);
            }
            roots.truncate(usize::try_from(branch.height()).unwrap() + 1);
            for height in 0..=depth {
                let block = next(&branch, 2_000 + round as u64 + height % 50, 4 + height % 3);
                branch.connect(&block).unwrap();
                roots.push(branch.state.root());
            }
            let mut rebuilt = Branch::genesis(&params);
            for connected in &branch.blocks {
                rebuilt.connect(connected.block.block()).unwrap();
            }
            assert_eq!(rebuilt.state.root(), branch.state.root());
            assert!(rebuilt.state.iter().eq(branch.state.iter()), "what is kept beside the accounts differs");
        }
    }
}
