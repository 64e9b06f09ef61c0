//! The follower against a chain that reorganises at random, between any two of its questions.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use farthing::{Address, Bits, Block, BlockId, Coinbase, Hash, Header, Height, Mites, TimeMs, Work, wire::StreamStart};
use futures_util::FutureExt as _;
use proptest::{collection::vec, prelude::*};

use super::follow::{BestChain, Follower, Lineage, Move, Position, StartError};
use crate::chain::ChainBlock;

/// A change of the best chain: undo so many blocks, then put so many new ones there.
type Reorg = (usize, usize);

/// A block tree with a best chain, which changes by itself: each question first takes the next change from a list.
#[derive(Debug)]
struct RestlessChain(Mutex<Tree>);

#[derive(Debug)]
struct Tree {
    blocks: HashMap<BlockId, Arc<ChainBlock>>,
    best: Vec<BlockId>,
    /// Some are none, so that questions between changes get answers of one moment too.
    coming: Vec<Option<Reorg>>,
    nonce: u64,
}

impl Tree {
    fn grow(&mut self) {
        let height = Height::new(self.best.len() as u64);
        self.nonce += 1;
        let header = Header {
            previous: self.best.last().copied().unwrap_or_default(),
            commitment: Hash::ZERO,
            tx_root: Hash::ZERO,
            time: TimeMs::new(self.nonce),
            bits: Bits::from_compact(0x207f_ffff),
            nonce: self.nonce,
        };
        let coinbase = Coinbase { height, to: Address::ZERO, amount: Mites::ZERO, tag: Vec::new() };
        let block = Block { header, coinbase, transactions: Vec::new() };
        let id = block.id();
        let total_work = Work::new(self.best.len() as u128);
        let block = ChainBlock { id, height, block: Arc::new(block), tx_ids: Vec::new(), total_work };
        self.blocks.insert(id, Arc::new(block));
        self.best.push(id);
    }

    fn change(&mut self) {
        if let Some(Some((undo, apply))) = self.coming.pop() {
            let keep = self.best.len().saturating_sub(undo).max(1);
            self.best.truncate(keep);
            (0..apply).for_each(|_| self.grow());
        }
    }
}

impl RestlessChain {
    fn new(height: usize, coming: Vec<Option<Reorg>>) -> Self {
        let mut tree = Tree { blocks: HashMap::new(), best: Vec::new(), coming, nonce: 0 };
        (0..=height).for_each(|_| tree.grow());
        Self(Mutex::new(tree))
    }

    fn ask<T>(&self, question: impl FnOnce(&Tree) -> T) -> Result<T, Infallible> {
        let mut tree = self.0.lock().unwrap();
        tree.change();
        Ok(question(&tree))
    }

    fn best(&self) -> Vec<BlockId> {
        self.0.lock().unwrap().best.clone()
    }

    fn is_quiet(&self) -> bool {
        self.0.lock().unwrap().coming.is_empty()
    }
}

impl BestChain for RestlessChain {
    type Error = Infallible;
    type Block = Arc<ChainBlock>;

    async fn best_at(&self, height: Height) -> Result<Option<BlockId>, Infallible> {
        self.ask(|tree| tree.best.get(usize::try_from(height.get()).unwrap_or(usize::MAX)).copied())
    }

    async fn parent(&self, id: BlockId) -> Result<Option<Lineage>, Infallible> {
        self.ask(|tree| {
            let block = tree.blocks.get(&id)?;
            Some(Lineage { height: block.height, parent: block.block.header.previous })
        })
    }

    async fn block(&self, id: BlockId) -> Result<Option<Arc<ChainBlock>>, Infallible> {
        self.ask(|tree| tree.blocks.get(&id).cloned())
    }

    fn tip(&self) -> (Height, BlockId) {
        self.ask(|tree| (Height::new(tree.best.len() as u64 - 1), tree.best[tree.best.len() - 1]))
            .unwrap_or_else(|never| match never {})
    }
}

/// A reader that believes the frames and nothing else, and holds them to be a walk along the tree.
#[derive(Debug, Default)]
struct Reader {
    chain: Vec<BlockId>,
    applied: usize,
    undone: usize,
}

impl Reader {
    fn take(&mut self, step: &Move<Arc<ChainBlock>>) {
        match step {
            Move::Apply(block) => {
                assert_eq!(block.height.get(), self.chain.len() as u64, "a gap or a repeat");
                if let Some(last) = self.chain.last() {
                    assert_eq!(block.block.header.previous, *last, "applied on another block than the last");
                }
                self.chain.push(block.id);
                self.applied += 1;
            }
            Move::Undo { id, height } => {
                assert_eq!(self.chain.pop(), Some(*id), "undid another block than the last");
                assert_eq!(height.get(), self.chain.len() as u64);
                self.undone += 1;
            }
            Move::Wait | Move::Done => {}
        }
    }

    /// Follows until there is nothing left and the chain is quiet. Returns whether the follower said that it is done.
    fn follow(&mut self, follower: &mut Follower, chain: &RestlessChain) -> bool {
        loop {
            // Asked first: a change in the middle of the step is one that the reader would be woken for.
            let quiet = chain.is_quiet();
            match now(follower.advance(chain)).unwrap() {
                Move::Done => return true,
                Move::Wait if quiet => return false,
                step => self.take(&step),
            }
        }
    }
}

/// The answer of a future that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the fake chain answers at once")
}

fn start(chain: &RestlessChain, from: &StreamStart, stop: Option<u64>) -> Result<Follower, StartError<Infallible>> {
    now(Follower::start(chain, from, stop.map(Height::new)))
}

fn reorgs() -> impl Strategy<Value = Vec<Option<Reorg>>> {
    vec(proptest::option::weighted(0.4, (0_usize..6, 0_usize..6)), 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_reader_from_genesis_ends_with_the_best_chain_without_gaps_or_repeats(
        height in 0_usize..12,
        coming in reorgs(),
    ) {
        let chain = RestlessChain::new(height, coming);
        let mut follower = start(&chain, &StreamStart::Height(Height::GENESIS), None).unwrap();
        let mut reader = Reader::default();
        prop_assert!(!reader.follow(&mut follower, &chain));
        prop_assert_eq!(&reader.chain, &chain.best());
        prop_assert_eq!(reader.applied - reader.undone, reader.chain.len());
    }

    #[test]
    fn a_reader_that_reconnects_with_its_cursor_at_any_frame_misses_nothing(
        height in 0_usize..12,
        coming in reorgs(),
        cuts in vec(1_usize..5, 0..40),
    ) {
        let chain = RestlessChain::new(height, coming);
        let mut reader = Reader::default();
        let mut from = StreamStart::Height(Height::GENESIS);
        for frames in cuts {
            let mut follower = start(&chain, &from, None).unwrap();
            for _ in 0..frames {
                reader.take(&now(follower.advance(&chain)).unwrap());
            }
            from = StreamStart::Cursor(follower.position().to_cursor().into());
        }
        let mut follower = start(&chain, &from, None).unwrap();
        reader.follow(&mut follower, &chain);
        prop_assert_eq!(&reader.chain, &chain.best());
    }

    #[test]
    fn a_reader_with_a_stop_ends_on_the_best_chain_at_that_height(
        height in 0_usize..12,
        coming in reorgs(),
        stop in 0_u64..12,
    ) {
        let chain = RestlessChain::new(height, coming);
        let mut follower = start(&chain, &StreamStart::Height(Height::GENESIS), Some(stop)).unwrap();
        let mut reader = Reader::default();
        let done = reader.follow(&mut follower, &chain);
        if done {
            prop_assert_eq!(reader.chain.len() as u64, stop + 1);
        } else {
            prop_assert_eq!(&reader.chain, &chain.best());
            prop_assert!(reader.chain.len() as u64 <= stop);
        }
    }
}

#[test]
fn the_random_chains_do_reorganise_under_the_reader() {
    let chain = RestlessChain::new(5, vec![None, None, Some((3, 4)), None, None, None, None, None, None, None, None]);
    let mut follower = start(&chain, &StreamStart::Height(Height::GENESIS), None).unwrap();
    let mut reader = Reader::default();
    reader.follow(&mut follower, &chain);
    assert!(reader.undone > 0, "{reader:?}");
}

#[test]
fn a_reader_on_a_side_branch_is_taken_back_to_the_fork_first() {
    let chain = RestlessChain::new(4, Vec::new());
    let old = chain.best();
    chain.0.lock().unwrap().coming = vec![Some((2, 3))];
    now(chain.best_at(Height::GENESIS)).unwrap();
    let new = chain.best();
    let mut follower = start(&chain, &StreamStart::After(old[4]), None).unwrap();
    let mut frames = Vec::new();
    loop {
        match now(follower.advance(&chain)).unwrap() {
            Move::Apply(block) => frames.push((block.id, true)),
            Move::Undo { id, .. } => frames.push((id, false)),
            Move::Wait | Move::Done => break,
        }
    }
    assert_eq!(frames, [(old[4], false), (old[3], false), (new[3], true), (new[4], true), (new[5], true)]);
}

#[test]
fn a_reader_from_the_tip_sees_only_what_comes() {
    let chain = RestlessChain::new(4, Vec::new());
    let mut follower = start(&chain, &StreamStart::Tip, None).unwrap();
    assert!(matches!(now(follower.advance(&chain)).unwrap(), Move::Wait));
    chain.0.lock().unwrap().grow();
    assert!(matches!(now(follower.advance(&chain)).unwrap(), Move::Apply(block) if block.height.get() == 5));
}

#[test]
fn a_stop_that_is_reached_already_ends_at_once() {
    let chain = RestlessChain::new(4, Vec::new());
    for stop in [0, 3, 4] {
        let mut follower = start(&chain, &StreamStart::Tip, Some(stop)).unwrap();
        assert!(matches!(now(follower.advance(&chain)).unwrap(), Move::Done), "{stop}");
    }
}

#[test]
fn a_start_that_does_not_exist_is_refused_by_name() {
    let chain = RestlessChain::new(4, Vec::new());
    let unknown = BlockId::from_bytes([9; 32]);
    assert_eq!(
        start(&chain, &StreamStart::After(unknown), None).unwrap_err(),
        StartError::CursorUnknown { id: unknown }
    );
    assert!(start(&chain, &StreamStart::Height(Height::new(5)), None).is_ok(), "the next block may be awaited");
    assert_eq!(
        start(&chain, &StreamStart::Height(Height::new(6)), None).unwrap_err(),
        StartError::AboveTip { height: Height::new(6), next: Height::new(5) }
    );
    let invalid = start(&chain, &StreamStart::Cursor(vec![7; 41].into()), None).unwrap_err();
    assert!(matches!(invalid, StartError::InvalidCursor(_)), "{invalid}");
    let best = chain.best();
    let lying = Position::Behind { height: Height::new(2), id: best[3] }.to_cursor();
    let invalid = start(&chain, &StreamStart::Cursor(lying.into()), None).unwrap_err();
    assert!(invalid.to_string().contains("has height 2, but that is 3"), "{invalid}");
}
