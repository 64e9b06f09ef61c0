//! What comes next for a reader. It knows only its position and asks the chain.
//!
//! A reader is moved along edges of the block tree only: up to a child of its position that is on the best chain, or
//! down to the parent when its position is not. Whatever reorganisation happens between two questions, the reader sees
//! neither a gap nor a block twice.

use std::{future::Future, sync::Arc};

use farthing::{
    BlockId, Height,
    wire::{ChainPoint, StreamStart},
};

use super::cursor::CursorError;
use crate::{
    chain::{Chain, ChainBlock, ChainError},
    rpc::blocks,
};

/// The questions that a stream has for the chain. Each answer may be of another moment.
pub(in crate::rpc) trait BestChain: Send + Sync + 'static {
    /// Why it cannot answer.
    type Error: Send;
    /// What a reader is to know of a block.
    type Block: Link + Send;

    /// The block of the best chain at a height.
    fn best_at(&self, height: Height) -> impl Future<Output = Result<Option<BlockId>, Self::Error>> + Send;

    /// Height and parent of a block whose body is here, on any branch.
    fn parent(&self, id: BlockId) -> impl Future<Output = Result<Option<Lineage>, Self::Error>> + Send;

    /// A block whose body is here. None if it is not, or if what it did can only be told on the best chain, which it has
    /// left meanwhile.
    fn block(&self, id: BlockId) -> impl Future<Output = Result<Option<Self::Block>, Self::Error>> + Send;

    /// The tip.
    fn tip(&self) -> (Height, BlockId);

    /// Height of the lowest block above genesis that is here; 0 if none is missing.
    fn lowest(&self) -> Height {
        Height::GENESIS
    }
}

/// A block as far as it says where it hangs.
pub(in crate::rpc) trait Link {
    /// Its height.
    fn height(&self) -> Height;

    /// Its parent; meaningless for genesis.
    fn parent(&self) -> BlockId;

    /// Its place.
    fn point(&self) -> ChainPoint;
}

impl Link for Arc<ChainBlock> {
    fn height(&self) -> Height {
        self.height
    }

    fn parent(&self) -> BlockId {
        self.block.header.previous
    }

    fn point(&self) -> ChainPoint {
        blocks::point_of(self)
    }
}

/// Where a block hangs in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rpc) struct Lineage {
    /// Its height.
    pub(super) height: Height,
    /// Its parent; meaningless for genesis.
    pub(super) parent: BlockId,
}

impl BestChain for Chain {
    type Error = ChainError;
    type Block = Arc<ChainBlock>;

    async fn best_at(&self, height: Height) -> Result<Option<BlockId>, ChainError> {
        Self::best_at(self, height).await
    }

    async fn parent(&self, id: BlockId) -> Result<Option<Lineage>, ChainError> {
        if !self.has_body(id).await? {
            return Ok(None);
        }
        let context = self.header(id).await?;
        Ok(context.map(|context| Lineage { height: context.height(), parent: context.header().previous }))
    }

    async fn block(&self, id: BlockId) -> Result<Option<Arc<ChainBlock>>, ChainError> {
        self.chain_block(id).await
    }

    fn tip(&self) -> (Height, BlockId) {
        let view = self.view();
        (view.tip.height(), view.tip.id())
    }

    fn lowest(&self) -> Height {
        self.lowest_body()
    }
}

/// Where a reader stands: what it has applied, all that it undid left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// Nothing yet.
    BeforeGenesis,
    /// Everything up to and with this block.
    Behind {
        /// The block's height.
        height: Height,
        /// The block.
        id: BlockId,
    },
}

impl Position {
    const fn next_height(self) -> Height {
        match self {
            Self::BeforeGenesis => Height::GENESIS,
            Self::Behind { height, .. } => height.next(),
        }
    }
}

/// What comes next.
#[derive(Debug, Clone)]
pub(super) enum Move<B> {
    /// The reader is behind its position's child now.
    Apply(B),
    /// The reader is behind its old position's parent now.
    Undo {
        /// The block that left the best chain.
        id: BlockId,
        /// Its height.
        height: Height,
    },
    /// The reader has everything; ask again when the tip changes.
    Wait,
    /// The reader is where it wanted to stop, on the best chain.
    Done,
}

/// Why a stream cannot start where it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::rpc) enum StartError<E> {
    /// The cursor is not one.
    #[error("the cursor cannot be read: {0}")]
    InvalidCursor(String),
    /// The block to start behind is not here.
    #[error("block {id} is not known to this node")]
    CursorUnknown {
        /// The block.
        id: BlockId,
    },
    /// The height to start at is not reached.
    #[error("height {height} is above the next block's, {next}")]
    AboveTip {
        /// The height asked for.
        height: Height,
        /// The greatest that would do.
        next: Height,
    },
    /// The chain begins with a checkpoint, and the block to start with stands below it.
    #[error("block {height} is not here, the lowest one is {lowest}")]
    Pruned {
        /// The block that would come next.
        height: Height,
        /// The lowest above genesis that is here.
        lowest: Height,
    },
    /// The chain failed.
    #[error("the chain cannot be read")]
    Chain(E),
}

impl<E> From<CursorError> for StartError<E> {
    fn from(error: CursorError) -> Self {
        Self::InvalidCursor(error.to_string())
    }
}

/// Why a stream cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FollowError<E> {
    /// The chain failed.
    #[error("the chain cannot be read")]
    Chain(E),
    /// The chain began with a checkpoint meanwhile, above the reader.
    #[error("block {height} is not here, the lowest one is {lowest}")]
    Pruned {
        /// The block that would come next.
        height: Height,
        /// The lowest above genesis that is here.
        lowest: Height,
    },
    /// A block that the reader stands behind is gone, which no reorganisation does.
    #[error("block {0} is no longer in the store")]
    Lost(BlockId),
}

/// A reader's way along the chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Follower {
    position: Position,
    stop: Option<Height>,
}

impl Follower {
    /// Finds the position that a request names.
    pub(super) async fn start<C: BestChain>(
        chain: &C,
        start: &StreamStart,
        stop: Option<Height>,
    ) -> Result<Self, StartError<C::Error>> {
        let position = match start {
            StreamStart::Tip => {
                let (height, id) = chain.tip();
                Position::Behind { height, id }
            }
            StreamStart::Height(height) => Self::before(chain, *height).await?,
            StreamStart::After(id) => Self::behind(chain, *id, None).await?,
            StreamStart::Cursor(bytes) => match Position::from_cursor(bytes)? {
                Position::BeforeGenesis => Position::BeforeGenesis,
                Position::Behind { height, id } => Self::behind(chain, id, Some(height)).await?,
            },
        };
        match below(chain, position) {
            Some((height, lowest)) => Err(StartError::Pruned { height, lowest }),
            None => Ok(Self { position, stop }),
        }
    }

    async fn before<C: BestChain>(chain: &C, height: Height) -> Result<Position, StartError<C::Error>> {
        let Some(below) = height.previous() else { return Ok(Position::BeforeGenesis) };
        match chain.best_at(below).await.map_err(StartError::Chain)? {
            Some(id) => Ok(Position::Behind { height: below, id }),
            None => Err(StartError::AboveTip { height, next: chain.tip().0.next() }),
        }
    }

    async fn behind<C: BestChain>(
        chain: &C,
        id: BlockId,
        expected: Option<Height>,
    ) -> Result<Position, StartError<C::Error>> {
        let found = chain.parent(id).await.map_err(StartError::Chain)?;
        let height = found.ok_or(StartError::CursorUnknown { id })?.height;
        if let Some(expected) = expected.filter(|expected| *expected != height) {
            let wrong = format!("it says that block {id} has height {expected}, but that is {height}");
            return Err(StartError::InvalidCursor(wrong));
        }
        Ok(Position::Behind { height, id })
    }

    /// A reader at a position that is known to exist.
    pub(super) const fn at(position: Position) -> Self {
        Self { position, stop: None }
    }

    /// Where the reader stands.
    pub(super) const fn position(&self) -> Position {
        self.position
    }

    /// Moves the reader one step. Cancel safe: the position changes with the answer only.
    pub(super) async fn advance<C: BestChain>(&mut self, chain: &C) -> Result<Move<C::Block>, FollowError<C::Error>> {
        loop {
            if self.has_reached_stop() && self.is_on_best_chain(chain).await? {
                return Ok(Move::Done);
            }
            if let Some((height, lowest)) = below(chain, self.position) {
                return Err(FollowError::Pruned { height, lowest });
            }
            let above = chain.best_at(self.position.next_height()).await.map_err(FollowError::Chain)?;
            let raced = above.is_some();
            if let Some(id) = above
                && let Some(block) = chain.block(id).await.map_err(FollowError::Chain)?
                && self.is_parent_of(&block)
            {
                self.position = Position::Behind { height: block.height(), id };
                return Ok(Move::Apply(block));
            }
            if !self.is_on_best_chain(chain).await? {
                return self.step_back(chain).await;
            }
            // A block above that is not our child, though our block is on the best chain: a branch came back between
            // the two questions. Otherwise there is nothing above.
            if !raced {
                return Ok(Move::Wait);
            }
        }
    }

    fn has_reached_stop(&self) -> bool {
        match (self.position, self.stop) {
            (Position::Behind { height, .. }, Some(stop)) => height >= stop,
            _ => false,
        }
    }

    fn is_parent_of(&self, block: &impl Link) -> bool {
        match self.position {
            Position::BeforeGenesis => block.height() == Height::GENESIS,
            Position::Behind { id, .. } => block.parent() == id,
        }
    }

    /// Takes the reader one block back if its own is not on the best chain; says whether it was not.
    pub(super) async fn retreat<C: BestChain>(&mut self, chain: &C) -> Result<bool, FollowError<C::Error>> {
        if self.is_on_best_chain(chain).await? {
            return Ok(false);
        }
        self.step_back(chain).await.map(|_| true)
    }

    async fn is_on_best_chain<C: BestChain>(&self, chain: &C) -> Result<bool, FollowError<C::Error>> {
        match self.position {
            Position::BeforeGenesis => Ok(true),
            Position::Behind { height, id } => Ok(chain.best_at(height).await.map_err(FollowError::Chain)? == Some(id)),
        }
    }

    async fn step_back<C: BestChain>(&mut self, chain: &C) -> Result<Move<C::Block>, FollowError<C::Error>> {
        // Genesis is on every best chain, so a position that is not has a parent.
        let Position::Behind { height, id } = self.position else { return Ok(Move::Wait) };
        let lineage = chain.parent(id).await.map_err(FollowError::Chain)?.ok_or(FollowError::Lost(id))?;
        let below = height.previous().ok_or(FollowError::Lost(id))?;
        self.position = Position::Behind { height: below, id: lineage.parent };
        Ok(Move::Undo { id, height })
    }
}

/// The block that comes next and the lowest that is here, if it stands below that.
fn below<C: BestChain>(chain: &C, position: Position) -> Option<(Height, Height)> {
    let (next, lowest) = (position.next_height(), chain.lowest());
    (next < lowest).then_some((next, lowest))
}
